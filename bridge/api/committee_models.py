"""Committees, as they go in and out of the API."""

from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bridge.api.models import RoomView, Slug, Text
from spaces.committee import MAX_STANDSTILL_DAYS, Declared, LateMembers, Phase


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CommitteeOpen(_Model):
    """A committee to open; people by id, e-mail address or Matrix user id."""

    id: Slug
    title: Text
    buyer: Slug | None = Field(default=None, description="the company that decides; the host where none is named")
    chair: Text
    members: list[Text] = Field(min_length=1, max_length=100)
    late_members: LateMembers = Field(
        default=LateMembers.FROM_JOINING,
        description="what a member who joins late gets of the deliberation room; it cannot be changed later",
    )


class VendorAdd(_Model):
    """A company to pitch, or to be debriefed."""

    vendor: Slug


class MemberAdd(_Model):
    """One more of the buyer's people, by id, e-mail address or Matrix user id."""

    person: Text


class MemberSeat(_Model):
    """A member, by id, e-mail address or Matrix user id."""

    person: Text


class CommitteeSchedule(_Model):
    """When vendors come in and must be out; a time that is left out stays as it is."""

    pitch_at: AwareDatetime | None = Field(default=None, examples=["2027-02-11T09:00:00Z"])
    clear_at: AwareDatetime | None = Field(default=None, examples=["2027-02-11T17:00:00Z"])


class Declaration(_Model):
    """What a member says about conflicts of interest; the statement stands beside the ledger and can be erased."""

    conflict: bool
    statement: str = Field(default="", max_length=2_000)


class Decision(_Model):
    """The vendor that was chosen, and for how many days the committee cannot be closed."""

    winner: Slug
    standstill_days: int = Field(default=0, ge=0, le=MAX_STANDSTILL_DAYS)


class Act(StrEnum):
    """What may be tried before it is done."""

    DECLARE = "declare"
    START = "start"
    CLEAR = "clear"
    DECIDE = "decide"
    DEBRIEF = "debrief"
    CLOSE = "close"
    ANSWER = "answer"


class Trial(_Model):
    """An act that is to be tried; ``vendor`` goes with ``decide`` and ``debrief``, the texts with ``answer``."""

    act: Act
    vendor: Slug | None = None
    conflict: bool = False
    answer: str = Field(default="", max_length=20_000)
    question: str = Field(default="", max_length=20_000)


class Tried(_Model):
    """The act would be done now; ``phase`` is the committee's."""

    act: Act
    phase: Phase


class MemberView(_Model):
    """A member, and what they declared."""

    person: str
    name: str
    user_id: str
    declared: Declared | None
    declared_at: str | None


class VendorView(_Model):
    """A vendor, and the keys of its rooms."""

    vendor: str
    pitch: str
    debrief: str | None


class VendorAttendance(_Model):
    """How many of a vendor's own people are enrolled, and how many of them are in its rooms."""

    vendor: str
    enrolled: int
    inside: int


class CommitteeView(_Model):
    """A committee as time has made it."""

    id: str
    title: str
    buyer: str
    chair: str
    phase: Phase
    pitch_at: str | None
    clear_at: str | None
    decided_at: str | None
    winner: str | None
    standstill_until: str | None
    late_members: LateMembers
    members: list[MemberView]
    vendors: list[VendorView]


class CommitteeDetail(CommitteeView):
    """A committee with its rooms; ``settled`` when all of them are what their charters say.

    ``reused_sessions`` counts the messages with a Megolm session that somebody may hold the key of who is out.
    """

    settled: bool
    enforced: bool
    reused_sessions: int
    attendance: list[VendorAttendance]
    rooms: list[RoomView]


class TimelineItem(_Model):
    """Something that happened to a committee: an entry of the ledger, at ``position``.

    ``vendor`` and ``person`` are whom it concerns; ``data`` is the entry's own, times in milliseconds since 1970.
    """

    position: int
    at: str
    kind: str
    actor: str
    vendor: str | None
    person: str | None
    data: dict[str, Any]


class Timeline(_Model):
    """What happened to a committee, in order; ``names`` has those of the people, as far as the reader may see them."""

    names: dict[str, str]
    items: list[TimelineItem]
