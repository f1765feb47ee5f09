"""Ordinary entries and drafts, each read with one pattern: several times faster than as JSON. Pure and alone.

Ordinary is what nearly all are: printable ASCII without backslashes, the members that an entry may have but
``commit``, in their order, and in ``data`` nothing but texts, integers of at most 15 digits, and objects of one text.
A text that matches is canonical JSON (``audit.canonical``): white space, escapes, fractions, members twice or out of
order are not in the patterns; of the members of ``data`` the order is looked at by itself. Whatever does not match is
left to the slow way, which alone says that something is wrong.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from audit.kinds import KINDS

_TEXT = r'"[^"]*"'  # of what is looked at by itself before: printable ASCII without backslashes
_BARE = r'"([^"]*)"'
_NUMBER = r"(?:0|[1-9][0-9]{0,14})"
_TEXTS = rf"\[({_TEXT}(?:,{_TEXT})*)\]"
_NAME = r'"[0-9_a-z]+"'
_VALUE = rf"(?:{_TEXT}|{_NUMBER}|\{{{_NAME}:{_TEXT}\}})"
_DATA = rf'"data":\{{((?:{_NAME}:{_VALUE}(?:,{_NAME}:{_VALUE})*)?)\}},'
_ACTOR = rf'\{{"actor":\{{{_BARE}:{_BARE}\}},'
_END = '"v":1}'

_ENTRY = re.compile(
    rf'{_ACTOR}"actor_seq":({_NUMBER}),"at":({_NUMBER}),(?:"companies":{_TEXTS},)?{_DATA}(?:"engagement":{_TEXT},)?'
    rf'"kind":{_BARE},(?:"room":{_BARE},"room_seq":({_NUMBER}),)?(?:"salt":{_TEXT},)?(?:"sd":{_TEXTS},)?'
    rf'"source":{_BARE},"source_seq":({_NUMBER}),{_END}',
    re.ASCII,
)
_DRAFT = re.compile(
    rf'{_ACTOR}(?:"companies":{_TEXTS},)?{_DATA}(?:"engagement":{_TEXT},)?"kind":{_BARE},(?:"room":{_BARE},)?'
    rf'((?:"salt":{_TEXT},)?(?:"sd":{_TEXTS},)?){_END}',
    re.ASCII,
)
_ACTOR_LENGTH = len('{"actor":{"":""},')
_NOT_PLAIN = bytes(range(0x20)) + b"\\"
_NAMES = re.compile(rf":{_VALUE},?").split
"""The names in ``data``, each in its quotation marks, and an empty text behind them."""
_PLACE = re.compile(rf'(?:^|,)"place":{_BARE}').search


class Ordinary(NamedTuple):
    """What is counted of an entry; ``actor`` as ``audit.entry.actor_key`` has it."""

    kind: str
    at: int
    source: str
    source_seq: int
    actor: str
    actor_seq: int
    room: str | None
    room_seq: int
    companies: Sequence[str]
    sd: Sequence[str]


class Waiting(NamedTuple):
    """A draft in its canonical form, taken apart: what is counted, and the text around where the numbers belong.

    The entry is ``first`` actor_seq, at ``middle`` room_seq ``hiding`` source, source_seq and version; ``place`` is
    where it happened, be it an entry of that room or not.
    """

    kind: str
    actor: str  # such as person:prs_…
    room: str | None
    place: str | None
    companies: tuple[str, ...]
    sd: tuple[str, ...]
    first: str
    middle: str
    hiding: str


def read_ordinary(data: bytes) -> Ordinary | None:
    """What the entry in ``data`` says, where it is an ordinary one of this log's form; else ``None``."""
    found = _ENTRY.fullmatch(str(data, "ascii")) if _is_plain(data) else None
    if found is None:
        return None
    by, name, actor_seq, at, companies, inner, kind, room, room_seq, sd, source, source_seq = found.groups()
    concerned, digests = _sorted_set(companies), _sorted_set(sd)
    if concerned is None or digests is None or not _are_known(kind, tuple(_NAMES(inner))):
        return None
    return Ordinary(
        kind,
        int(at),
        source,
        int(source_seq),
        f"{by}:{name}",
        int(actor_seq),
        room,
        0 if room_seq is None else int(room_seq),
        concerned,
        digests,
    )


def read_ordinary_draft(text: str) -> Waiting | None:
    """The draft in ``text``, where it is an ordinary one; else ``None``. Its kind and data were looked at before."""
    found = _DRAFT.fullmatch(text) if _is_plain(text.encode()) else None
    if found is None:
        return None
    by, name, companies, inner, kind, room, hiding, sd = found.groups()
    concerned, digests, place = _sorted_set(companies), _sorted_set(sd), room or None
    if place is None and '"place":' in inner:
        said = _PLACE(inner)
        place = said and said[1]
        if place is None:
            return None
    if concerned is None or digests is None:
        return None
    first = len(by) + len(name) + _ACTOR_LENGTH
    middle = text[first : found.start(7)]
    return Waiting(kind, f"{by}:{name}", room, place, concerned, digests, text[:first], middle, hiding)


def _is_plain(data: bytes) -> bool:
    """Whether it is ASCII without control characters and backslashes."""
    return data.isascii() and len(data.translate(None, _NOT_PLAIN)) == len(data)


@lru_cache(4096)
def _are_known(kind: str, names: tuple[str, ...]) -> bool:
    """Whether ``names`` are members of the data of such an entry, in order, and none twice."""
    known, bare = KINDS.get(kind), [name[1:-1] for name in names[:-1]]
    return known is not None and known.data.issuperset(bare) and bare == sorted(set(bare))


@lru_cache(4096)
def _sorted_set(texts: str | None) -> tuple[str, ...] | None:
    """The texts in such as ``"a","b"``; ``None`` where they are not in order, or one stands twice."""
    if texts is None:
        return ()
    found = texts[1:-1].split('","')
    return tuple(found) if found == sorted(set(found)) else None
