"""Committees: a buyer hears vendors, clears the room, decides. Frozen values, their phases, their charters. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from config.clock import Millis, iso
from config.errors import ConflictError, InvalidInputError, NotFoundError
from spaces.policy.records import Admission, Charter, RoomKind

LONG_AGO: Millis = 0
"""A time that is over on every clock."""


MAX_STANDSTILL_DAYS = 365


class Phase(StrEnum):
    """``open``: vendors are named; ``pitch``: they are in; ``deliberation``: they are out, until ``decided``."""

    OPEN = "open"
    PITCH = "pitch"
    DELIBERATION = "deliberation"
    DECIDED = "decided"
    CLOSED = "closed"


class Declared(StrEnum):
    """What a member said about conflicts of interest."""

    NONE = "none"
    CONFLICT = "conflict"


class LateMembers(StrEnum):
    """What a member who joins late gets of what was said in the deliberation room before."""

    SEE_ALL = "see-all"
    FROM_JOINING = "from-joining"


class PhaseError(ConflictError):
    """The committee is in another phase than the act needs."""

    code = "phase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person of the buyer; in the committee's rooms once they declared that they have no conflict of interest."""

    person: str
    user_id: str
    declared: Declared | None = None
    declared_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A company that pitches, with the keys of the room where it does, and of that of its debriefing."""

    company: str
    pitch: str
    debrief: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Committee:
    """A committee of the company ``buyer``.

    ``pitch_at`` and ``clear_at`` are when vendors come in and must be out: planned, or, once it happened, the fact.
    ``space`` and ``deliberation`` are the keys of the rooms in which no vendor ever is. ``late_members`` is said when
    it is opened and never changes: what was said under one rule must not come under another.
    """

    id: str
    title: str
    buyer: str
    chair: str
    contact: str
    space: str
    deliberation: str
    members: tuple[Member, ...]
    late_members: LateMembers = LateMembers.FROM_JOINING
    vendors: tuple[Vendor, ...] = ()
    phase: Phase = Phase.OPEN
    pitch_at: Millis | None = None
    clear_at: Millis | None = None
    decided_at: Millis | None = None
    winner: str | None = None
    standstill_until: Millis | None = None

    def vendor(self, company: str) -> Vendor:
        """The vendor with this company id.

        Raises:
            NotFoundError: It is none of this committee's.
        """
        for vendor in self.vendors:
            if vendor.company == company:
                return vendor
        raise NotFoundError(f"{company} is no vendor of {self.id}", hint=f"conclave committee show {self.id}")

    def member(self, person: str) -> Member:
        """The member with this person id.

        Raises:
            NotFoundError: They are none of this committee's.
        """
        for member in self.members:
            if member.person == person:
                return member
        raise NotFoundError(f"{person} is no member of {self.id}", hint=f"conclave committee show {self.id}")

    # --- what is done to it

    def add_vendor(self, vendor: Vendor) -> "Committee":
        """One vendor more, before the room was cleared.

        Raises:
            PhaseError: The room was cleared.
            ConflictError: It is a vendor already, or the buyer itself.
        """
        self._demand("a vendor is added", Phase.OPEN, Phase.PITCH)
        if vendor.company == self.buyer:
            raise InvalidInputError(
                f"{vendor.company} is the buyer itself; a vendor is another company",
                field="vendor",
                hint="conclave company list",
            )
        if vendor.company == self.id:
            raise ConflictError(
                f"every vendor learns the committee's name, {self.id}, which is also this one's",
                hint="conclave committee open NAME, with a name of nobody",
            )
        if any(known.company == vendor.company for known in self.vendors):
            raise ConflictError(
                f"{vendor.company} is a vendor of {self.id} already", hint=f"conclave committee show {self.id}"
            )
        return replace(self, vendors=(*self.vendors, vendor))

    def add_member(self, member: Member) -> "Committee":
        """One buyer more, who comes in once they declared.

        Raises:
            PhaseError: The committee is closed.
            ConflictError: They are a member already.
        """
        self.demand_live("a member is added")
        if any(known.person == member.person for known in self.members):
            raise ConflictError(
                f"{member.person} is a member of {self.id} already", hint=f"conclave committee show {self.id}"
            )
        return replace(self, members=(*self.members, member))

    def schedule(self, *, pitch_at: Millis | None, clear_at: Millis | None, now: Millis) -> "Committee":
        """The times at which vendors come in and must be out; ``None`` leaves a time as it is.

        Raises:
            PhaseError: The phase that would begin has begun.
            InvalidInputError: A time is over, or the two are in the wrong order.
        """
        self._demand("times are set", Phase.OPEN, Phase.PITCH)
        if pitch_at is not None and self.phase is not Phase.OPEN:
            raise self._wrong("the beginning of the pitches is set", Phase.OPEN)
        for name, time in (("pitch", pitch_at), ("clear", clear_at)):
            if time is not None and time <= now:
                raise InvalidInputError(
                    f"{iso(time)} is over; it is {iso(now)} now", field=name, hint=f"say a later time with --{name}"
                )
        after = replace(self, pitch_at=pitch_at or self.pitch_at, clear_at=clear_at or self.clear_at)
        if after.pitch_at is not None and after.clear_at is not None and after.clear_at <= after.pitch_at:
            raise InvalidInputError(
                f"vendors come in at {iso(after.pitch_at)} and would be out at {iso(after.clear_at)}, not later",
                field="clear",
                hint="say a later time with --clear, or an earlier one with --pitch",
            )
        if pitch_at is not None:
            after.demand_declarations()
        return after

    def declare(self, person: str, declared: Declared, now: Millis) -> "Committee":
        """What a member says about conflicts of interest; a conflict once declared stays.

        Raises:
            NotFoundError: The person is no member.
            ConflictError: They declared already; only a conflict may follow.
            PhaseError: The committee is closed.
        """
        self.demand_live("members declare")
        before = self.member(person)
        if before.declared is Declared.CONFLICT or before.declared is declared:
            raise ConflictError(f"you declared already: {before.declared}", hint="ask the chair")
        after = replace(before, declared=declared, declared_at=now)
        return replace(self, members=tuple(after if item is before else item for item in self.members))

    def start(self, now: Millis) -> "Committee":
        """Let the vendors in, now.

        Raises:
            PhaseError: The committee is past that.
            ConflictError: No vendor, or a member has not declared.
        """
        self._demand("vendors are let in", Phase.OPEN)
        self.demand_declarations()
        if not self.vendors:
            raise ConflictError(f"{self.id} has no vendor", hint=f"conclave committee add-vendor {self.id} COMPANY")
        until = self.clear_at if self.clear_at is not None and self.clear_at > now else None
        return replace(self, phase=Phase.PITCH, pitch_at=now, clear_at=until)

    def clear(self, now: Millis) -> "Committee":
        """Every vendor must leave, now; what was said in the pitch rooms can be read by the buyers, and no more.

        Raises:
            PhaseError: The committee is not in its pitch phase.
        """
        self._demand("the room is cleared", Phase.PITCH)
        return replace(self, phase=Phase.DELIBERATION, clear_at=now)

    def decide(self, winner: str, now: Millis, *, standstill_until: Millis | None) -> "Committee":
        """Choose ``winner``; until ``standstill_until`` the committee cannot be closed.

        Raises:
            PhaseError: The room is not cleared, or the decision is made.
            NotFoundError: The winner is no vendor.
        """
        self._demand("a winner is chosen", Phase.DELIBERATION)
        self.vendor(winner)
        return replace(self, phase=Phase.DECIDED, decided_at=now, winner=winner, standstill_until=standstill_until)

    def debrief(self, company: str, key: str) -> "Committee":
        """A room for the buyers and one vendor after the decision; ``key`` is that of its charter.

        Raises:
            PhaseError: Nothing is decided.
            ConflictError: There is such a room.
        """
        self._demand("a vendor is debriefed", Phase.DECIDED)
        before = self.vendor(company)
        if before.debrief is not None:
            raise ConflictError(f"{company} has a debriefing already", hint=f"conclave committee show {self.id}")
        after = replace(before, debrief=key)
        return replace(self, vendors=tuple(after if item is before else item for item in self.vendors))

    def close(self, now: Millis) -> "Committee":
        """End the committee: people leave its rooms, the record stays.

        Raises:
            PhaseError: It is closed already.
            ConflictError: The standstill period is not over.
        """
        if self.phase is Phase.CLOSED:
            raise PhaseError(f"{self.id} is closed already", hint=f"conclave committee timeline {self.id}")
        if self.phase is Phase.DECIDED and self.standstill_until is not None and now < self.standstill_until:
            raise ConflictError(
                f"the standstill period of {self.id} lasts until {iso(self.standstill_until)}",
                hint="close it then; it cannot be shortened",
            )
        return replace(self, phase=Phase.CLOSED)

    def at(self, now: Millis) -> "Committee":
        """The committee as the times that were set have made it."""
        after = self
        if after.phase is Phase.OPEN and after.pitch_at is not None and now >= after.pitch_at:
            after = replace(after, phase=Phase.PITCH)
        if after.phase is Phase.PITCH and after.clear_at is not None and now >= after.clear_at:
            after = replace(after, phase=Phase.DELIBERATION)
        return after

    def demand_live(self, act: str) -> None:
        """Return when the committee is not closed; ``act`` is what cannot be done then.

        Raises:
            PhaseError: It is.
        """
        if self.phase is Phase.CLOSED:
            raise PhaseError(
                f"{self.id} is closed already; {act} before that", hint=f"conclave committee timeline {self.id}"
            )

    def _demand(self, act: str, *phases: Phase) -> None:
        if self.phase not in phases:
            raise self._wrong(act, *phases)

    def _wrong(self, act: str, *phases: Phase) -> PhaseError:
        wanted = " or ".join(phases)
        return PhaseError(
            f"{self.id} is in phase {self.phase}; {act} in phase {wanted}", hint=f"conclave committee show {self.id}"
        )

    def demand_declarations(self) -> None:
        """Return when every member said whether they have a conflict of interest: before that, no vendor comes in.

        Raises:
            ConflictError: Some have not, or nobody is left without a conflict.
        """
        silent = [member.user_id for member in self.members if member.declared is None]
        if silent:
            raise ConflictError(
                f"{len(silent)} of {len(self.members)} members {'has' if len(silent) == 1 else 'have'} not declared"
                f" whether there is a conflict of interest: {', '.join(silent)}",
                hint=f"each declares for themselves; or conclave committee remove-member {self.id} PERSON",
            )
        if not any(member.declared is Declared.NONE for member in self.members):
            raise ConflictError(
                "every member has a conflict of interest: nobody is left to decide",
                hint=f"conclave committee add-member {self.id} PERSON",
            )


def charters_of(committee: Committee, names: Mapping[str, str], room_version: str) -> list[Charter]:
    """The charters of the committee's rooms as its phase has them, the Space first; ``names`` is by company id."""
    buyer = committee.buyer
    members = tuple(
        Admission(company=buyer, person=member.user_id)
        for member in committee.members
        if member.declared is Declared.NONE
    )

    def charter(key: str, name: str, topic: str, *companies: str, kind: RoomKind = RoomKind.ROOM) -> Charter:
        return Charter(
            key=key,
            engagement=committee.id,
            kind=kind,
            name=name,
            topic=topic,
            admits=members,
            companies=tuple(sorted((buyer, *companies))),
            open=committee.phase is not Phase.CLOSED,
            room_version=room_version,
            contact=committee.contact,
        )

    title, own = committee.title, names[buyer]
    found = [
        charter(committee.space, title, f"A committee of {own}. No vendor is in here.", kind=RoomKind.SPACE),
        _deliberation(
            charter(committee.deliberation, "Deliberation", f"{title}: what {own} says without vendors."), committee
        ),
    ]
    for vendor in committee.vendors:
        name = names[vendor.company]
        pitch = charter(vendor.pitch, f"{title}: {name}", f"{name} talks to {own} here.", vendor.company)
        found.append(_pitch(pitch, committee, vendor))
        if vendor.debrief is not None:
            room = charter(vendor.debrief, f"{title}: debriefing of {name}", "After the decision.", vendor.company)
            found.append(replace(room, admits=(*members, Admission(company=vendor.company))))
    return found


def _deliberation(charter: Charter, committee: Committee) -> Charter:
    """With its history for members who come late, too, where the committee was opened so; its topic says it."""
    if committee.late_members is LateMembers.FROM_JOINING:
        return charter
    topic = f"{charter.topic} Who joins late gets all of it."
    return replace(charter, topic=topic, history_visibility="shared")


def _pitch(charter: Charter, committee: Committee, vendor: Vendor) -> Charter:
    """With the vendor in it from the beginning of the pitches until the room is cleared; frozen from then on.

    A phase that was recorded rests on no clock any more: one that is set back, or is behind the hub's, would let
    vendors in again. Members who declared since are not in it: they could read nothing there, and a client of the
    vendor's that catches up is told by Synapse who is in a room that it was put out of.
    """
    if committee.phase not in (Phase.OPEN, Phase.PITCH):
        over = Admission(company=vendor.company, not_after=LONG_AGO)
        late = {member.user_id for member in committee.members if _came_late(member, committee.clear_at)}
        heard = (item for item in charter.admits if item.person not in late)
        return replace(charter, admits=(*heard, over), frozen_from=LONG_AGO)
    frozen = replace(charter, frozen_from=committee.clear_at)
    if committee.pitch_at is None:
        return frozen
    begins = committee.pitch_at if committee.phase is Phase.OPEN else None
    guest = Admission(company=vendor.company, not_before=begins, not_after=committee.clear_at)
    return replace(frozen, admits=(*charter.admits, guest))


def kept(charter: Charter, before: Charter, committee: Committee) -> Charter:
    """With what others than the committee put into it: a legal hold, and, while vendors are in, the helper."""
    accounts = before.accounts if committee.phase is Phase.PITCH else ()
    return replace(charter, held=before.held, accounts=accounts)


def _came_late(member: Member, clear_at: Millis | None) -> bool:
    return clear_at is not None and member.declared_at is not None and member.declared_at > clear_at


def keys_of(committee: Committee) -> Sequence[tuple[str, RoomKind]]:
    """The keys of every room that the committee has, in the order of their charters."""
    found = [(committee.space, RoomKind.SPACE), (committee.deliberation, RoomKind.ROOM)]
    for vendor in committee.vendors:
        found += [(key, RoomKind.ROOM) for key in (vendor.pitch, vendor.debrief) if key is not None]
    return found
