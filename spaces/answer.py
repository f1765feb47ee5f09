"""Answers that a committee's buyers publish to all vendors at once, in the same words. Frozen values. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

from config.clock import HOUR, Millis
from config.errors import ConflictError, InvalidInputError
from spaces.committee import Committee, Declared, Phase, PhaseError
from spaces.committee_seats import has_conflict, who_else

MAX_ANSWER, MAX_QUESTION = 2_000, 1_000
"""In characters: what is said of both, encrypted, is less than Matrix lets an event have, whatever the script."""
PATIENCE: Millis = HOUR
"""What was not said for so long is not said any more, whatever the reason.

It is less than the time for which the homeserver knows a transaction id again: what was said once and is not known to
be, for the hub was killed, is not said a second time.
"""
HEAD = "From the buyers, in the same words to everyone who pitches:"
_UNFIT = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What is no text but line breaks: control characters, those that turn the order of writing, halves of characters, and
those that nobody sees: in a question that was copied they could be a mark of who asked."""


class Delivery(StrEnum):
    """Where an answer is on its way to a vendor: ``waiting``, ``delivered``, or ``dropped``, never to be said there."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDelivery:
    """How an answer fared in one vendor's room, the one with the charter ``pitch``.

    ``tag`` makes the same message of a repeated one; ``problem`` is why it waits, or why it was dropped; ``event_id``
    and ``at`` are those of the message, or the time at which it was dropped.
    """

    vendor: str
    pitch: str
    tag: str
    state: Delivery = Delivery.WAITING
    at: Millis | None = None
    event_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was published; ``number`` is 1, 2, 3 … in its committee, ``key`` the same when the same is asked again."""

    id: str
    committee: str
    number: int
    question: str
    answer: str
    published_by: str
    published_at: Millis
    key: str | None = None
    deliveries: tuple[VendorDelivery, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Something to be said in one vendor's room, and how often that was tried.

    ``inside``: the helper is in the room, as far as was seen; ``obstacle`` is what is the matter with the room.
    """

    answer: Answer
    delivery: VendorDelivery
    room_id: str | None
    inside: bool
    obstacle: str
    attempts: int


class NotAPublisherError(ConflictError):
    """Whoever asks has no say in what a committee publishes."""

    code = "not_a_publisher"


def text_of(text: str, name: str, most: int) -> str:
    """``text`` as it is published: without blanks around it, line breaks as one character each.

    Raises:
        InvalidInputError: It is empty, longer than ``most`` characters, or not text alone.
    """
    plain = text.replace("\r\n", "\n").strip()
    if not plain:
        raise InvalidInputError(
            f"the {name} is empty", field=name, hint=f"write what every vendor is to read: --{name} TEXT"
        )
    if len(plain) > most:
        raise InvalidInputError(
            f"the {name} has {len(plain):,} characters; at most {most:,} are sent",
            field=name,
            hint="shorten it, or publish it in parts",
        )
    found = _UNFIT.search(plain)
    if found:
        what = f"U+{ord(found[0]):04X} at character {found.start() + 1}"
        raise InvalidInputError(f"the {name} has {what}; expected text and line breaks alone", field=name)
    return plain


def demand_text(question: str, answer: str) -> tuple[str, str]:
    """Question, which may be empty, and answer as they are published.

    Raises:
        InvalidInputError: One of them is empty, too long, or no text alone.
    """
    asked = text_of(question, "question", MAX_QUESTION) if question.strip() else ""
    return asked, text_of(answer, "answer", MAX_ANSWER)


def said(question: str, answer: str) -> str:
    """The message, the same in every vendor's room: nothing in it is about a vendor, or about who asked or wrote."""
    asked = f"Question: {question}\n\n" if question else ""
    return f"{HEAD}\n\n{asked}Answer: {answer}"


def demand_publisher(committee: Committee, person: str, *, manager: bool) -> None:
    """Return when this person may publish: a member without a conflict of interest, or a partner manager.

    Raises:
        NotAPublisherError: They may not.
    """
    if has_conflict(committee, person):
        raise NotAPublisherError(
            f"you declared a conflict of interest in {committee.id}", hint=who_else(committee, person)
        )
    if not manager and not any(item.person == person and item.declared is Declared.NONE for item in committee.members):
        raise NotAPublisherError(
            f"{committee.id} publishes by its members, once they declared, and by partner managers",
            hint=f"conclave committee declare {committee.id} --none",
        )


def demand_pitch(committee: Committee) -> None:
    """Return when vendors are in.

    Raises:
        PhaseError: They are not yet, or no more.
    """
    if committee.phase is not Phase.PITCH:
        raise PhaseError(
            f"{committee.id} is in phase {committee.phase}; an answer is published in phase {Phase.PITCH}",
            hint=f"conclave committee show {committee.id}",
        )
