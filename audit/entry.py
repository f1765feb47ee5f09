"""Ledger entries: what is put in, what is committed to, and the salted disclosures of personal data. Pure.

An entry is canonical JSON (``audit.canonical``) with these members, absent ones left out::

    v           1
    kind        one of ``audit.kinds.KINDS``
    at          milliseconds since the epoch, UTC; never less than in the entry before
    source      who handed it in: ``homeserver``, ``guard``, ``api``, ``hub``, ``index``
    source_seq  1, 2, 3 … for each source, without a gap
    actor       {"person": id} | {"user": Matrix user id} | {"system": name}
    actor_seq   1, 2, 3 … for each actor
    room        Matrix room id
    room_seq    1, 2, 3 … for each room
    engagement  id of the engagement
    companies   sorted ids of the companies that the entry concerns
    data        what the kind says; ``place`` in it is the room of an act that is none of that room's entries
    sd          digests of disclosures: personal data that can be erased without touching the log
    salt        random, so that nobody guesses from an entry's hash what it says
    commit      place of the commitment to sealed content: {"hmac": …, "blob": …}

A disclosure is base64url(JSON [salt, name, value]); its digest base64url(SHA-256(ASCII of the disclosure)), as in
RFC 9901, section 4.2.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from audit.canonical import CanonicalError, canonical_json, parse_canonical
from audit.kinds import KINDS
from audit.ordinary import Ordinary, Waiting, read_ordinary, read_ordinary_draft
from audit.tiles import MAX_ENTRY_SIZE

VERSION = 1
SALT_SIZE = 16
MAX_DRAFT_SIZE = MAX_ENTRY_SIZE - 512
"""Of a draft's canonical form: the log's numbers and the source's name always have room beside it."""

_REQUIRED = {"v", "kind", "at", "source", "source_seq", "actor", "actor_seq", "data"}
_OPTIONAL = {"room", "room_seq", "engagement", "companies", "sd", "salt", "commit"}


class EntryError(Exception):
    """The bytes are not an entry of this log's form."""


Actor = Mapping[str, str]


def person_actor(person: str) -> Actor:
    """A person of the hub, by id."""
    return {"person": person}


def user_actor(user_id: str) -> Actor:
    """A Matrix user whom the hub does not know as a person."""
    return {"user": user_id}


def system_actor(name: str) -> Actor:
    """A part of the hub acting on its own."""
    return {"system": name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry before the log gave it its place: everything but the sequence numbers.

    ``disclose`` holds personal data by name; only salted digests of it get into the log.
    """

    kind: str
    actor: Actor
    data: Mapping[str, Any] = field(default_factory=dict)
    room: str | None = None
    engagement: str | None = None
    companies: Sequence[str] = ()
    disclose: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise EntryError(f"{self.kind!r} is not a kind of entry")
        if extra := set(self.data) - kind.data:
            raise EntryError(f"{self.kind} has no member {', '.join(sorted(extra))} in its data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One piece of personal data beside the log, bound to its entry by a salted digest."""

    salt: bytes
    name: str
    value: str

    def encode(self) -> str:
        """base64url of the JSON array [salt, name, value] (RFC 9901, section 4.2.1)."""
        return _base64url(canonical_json([_base64url(self.salt), self.name, self.value]))

    def digest(self) -> str:
        """base64url of SHA-256 over the encoded disclosure (RFC 9901, section 4.2.3)."""
        return _base64url(sha256(self.encode().encode()).digest())

    @classmethod
    def decode(cls, text: str) -> "Disclosure":
        """The disclosure written as ``text``.

        Raises:
            EntryError: It has another form.
        """
        try:
            padded = text + "=" * (-len(text) % 4)
            salt, name, value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            found = cls(salt=base64.b64decode(salt + "=" * (-len(salt) % 4), altchars=b"-_"), name=name, value=value)
            if not isinstance(name, str) or not isinstance(value, str) or found.encode() != text:
                raise EntryError("the disclosure is not in its one form")
        except (ValueError, TypeError, AttributeError, binascii.Error, CanonicalError, RecursionError):
            raise EntryError("the disclosure is not base64url of [salt, name, value]") from None
        return found


class Place(NamedTuple):
    """What the log adds to a draft: time and sequence numbers."""

    at: int
    source: str
    source_seq: int
    actor_seq: int
    room_seq: int | None


def draft_body(draft: Draft, digests: Sequence[str], salt: bytes = b"") -> dict[str, Any]:
    """The members of an entry that the draft gives; ``digests`` are those of its disclosures."""
    body: dict[str, Any] = {"v": VERSION, "kind": draft.kind, "actor": dict(draft.actor), "data": dict(draft.data)}
    if draft.room is not None:
        body["room"] = draft.room
    if draft.engagement is not None:
        body["engagement"] = draft.engagement
    if draft.companies:
        body["companies"] = sorted(set(draft.companies))
    if digests:
        body["sd"] = sorted(digests)
    if salt:
        body["salt"] = _base64url(salt)
    return body


_END = f'"v":{VERSION}}}'
_quoted = lru_cache(4096)(json.JSONEncoder(ensure_ascii=False).encode)


def read_draft(text: str) -> Waiting:
    """The draft whose :func:`draft_body` has the canonical form ``text``.

    Raises:
        EntryError: Its members are not where that form has them.
    """
    found = read_ordinary_draft(text)
    return _read_draft_slowly(text) if found is None else found


def _read_draft_slowly(text: str) -> Waiting:
    """What :func:`read_draft` is."""
    body = json.loads(text)
    ((kind, name),) = body["actor"].items()
    first = f'{{"actor":{{"{kind}":{_quoted(name)}}},'
    sd = tuple(body.get("sd", ()))
    hiding = f'"salt":"{body["salt"]}",' if "salt" in body else ""
    hiding += '"sd":["' + '","'.join(sd) + '"],' if sd else ""
    if not text.startswith(first) or not text.endswith(hiding + _END):
        raise EntryError(f"the draft {text:.60} is not in its canonical form")
    middle = text[len(first) : len(text) - len(hiding) - len(_END)]  # commit, companies, data, engagement, kind, room
    room, companies = body.get("room"), tuple(body.get("companies", ()))
    place = room or body["data"].get("place")
    return Waiting(body["kind"], actor_key(body["actor"]), room, place, companies, sd, first, middle, hiding)


def seal_entry(draft: Waiting, place: Place) -> bytes:
    """The bytes that the log commits to: ``draft`` with the members of ``place`` where their names sort to.

    The same as writing the whole anew, in a third of the time (tests/unit/test_entry.py shows that it is the same).

    Raises:
        EntryError: They are more than an entry may have.
    """
    at, source, source_seq, actor_seq, room_seq = place
    room = "" if room_seq is None else f'"room_seq":{room_seq},'
    data = (
        f'{draft.first}"actor_seq":{actor_seq},"at":{at},{draft.middle}{room}{draft.hiding}'
        f'"source":{_quoted(source)},"source_seq":{source_seq},{_END}'
    ).encode()
    if len(data) > MAX_ENTRY_SIZE:
        raise EntryError(f"an entry has at most {MAX_ENTRY_SIZE} bytes, not {len(data)}")
    return data


def parse_entry(data: bytes) -> dict[str, Any]:
    """The entry in ``data``.

    Raises:
        CanonicalError: It is not canonical JSON.
        EntryError: It is not an entry of version 1 of a known kind.
    """
    if read_ordinary(data) is None:
        return _parse_slowly(data)
    entry: dict[str, Any] = json.loads(str(data, "ascii"))
    return entry


def read_entry(data: bytes) -> Ordinary:
    """What is counted of the entry in ``data``; most take a third of the time that :func:`parse_entry` does.

    Raises:
        CanonicalError: It is not canonical JSON.
        EntryError: It is not an entry of version 1 of a known kind.
    """
    found = read_ordinary(data)
    return counted(_parse_slowly(data)) if found is None else found


def counted(entry: Mapping[str, Any]) -> Ordinary:
    """What is counted of an entry that :func:`parse_entry` gave."""
    return Ordinary(
        entry["kind"],
        entry["at"],
        entry["source"],
        entry["source_seq"],
        actor_key(entry["actor"]),
        entry["actor_seq"],
        entry.get("room"),
        entry.get("room_seq", 0),
        tuple(entry.get("companies", ())),
        tuple(entry.get("sd", ())),
    )


def _parse_slowly(data: bytes) -> dict[str, Any]:
    """What :func:`parse_entry` is; ``read_ordinary`` has to agree wherever it says anything."""
    entry = parse_canonical(data)
    missing, extra = _REQUIRED - entry.keys(), entry.keys() - _REQUIRED - _OPTIONAL
    if missing or extra:
        raise EntryError(f"members missing: {sorted(missing)}, not known: {sorted(extra)}")
    if wrong := [name for name, value in entry.items() if not _FORMS[name](value)]:
        raise EntryError(f"members of another form: {wrong}")
    if entry["v"] != VERSION:
        raise EntryError(f"version {entry['v']!r}, expected {VERSION}")
    if entry["kind"] not in KINDS:
        raise EntryError(f"unknown kind {entry['kind']!r}")
    if more := sorted(set(entry["data"]) - KINDS[entry["kind"]].data):
        raise EntryError(f"{entry['kind']} has members in its data that are not known: {more}")
    if ("room" in entry) != ("room_seq" in entry):
        raise EntryError("room and room_seq belong together")
    return entry


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return type(value) is int  # a bool is no number


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_actor(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1 and all(map(_is_text, value.values()))


def _is_sorted_set(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and value == sorted(set(value))


_FORMS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("kind", "source", "room", "engagement", "salt"), _is_text),
    **dict.fromkeys(("v", "at", "source_seq", "actor_seq", "room_seq"), _is_number),
    **dict.fromkeys(("data", "commit"), _is_object),
    **dict.fromkeys(("companies", "sd"), _is_sorted_set),
    "actor": _is_actor,
}


def actor_key(actor: Actor) -> str:
    """One string for an actor, such as ``person:prs_…``."""
    ((kind, name),) = actor.items()
    return f"{kind}:{name}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
