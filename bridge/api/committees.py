"""Committees: the calls of partner managers, of a committee's chair, and of its members about themselves."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge.api.answers import demand_answering
from bridge.api.authorisation import ForbiddenError
from bridge.api.call import Call, after, page
from bridge.api.committee_models import (
    Act,
    CommitteeDetail,
    CommitteeOpen,
    CommitteeSchedule,
    CommitteeView,
    Decision,
    Declaration,
    MemberAdd,
    MemberSeat,
    MemberView,
    Timeline,
    TimelineItem,
    Trial,
    Tried,
    VendorAdd,
    VendorAttendance,
    VendorView,
)
from bridge.api.models import NoBody, NoQuery, Page, PageQuery, Reason
from bridge.api.views import room_view, time
from config.clock import DAY, Millis, iso
from config.errors import ConflictError, InvalidInputError, NotFoundError
from partner_onboarding.access_store import Role
from spaces import seats
from spaces.answer import demand_pitch, demand_text
from spaces.committee import Committee, Declared, Member
from spaces.committee_seats import demand_impartial, has_conflict


async def open_committee(call: Call[NoQuery, CommitteeOpen]) -> CommitteeDetail:
    """Begin a committee: a Space with the buyers' deliberation room. Members come in as they declare."""
    body, principal = call.body, call.signed_in
    buyer = (await call.services.onboarding.company(body.buyer or call.services.host)).id
    people = {
        reference: await _member(call, reference, buyer) for reference in dict.fromkeys([*body.members, body.chair])
    }
    made = await call.services.committees.open(
        body.id,
        title=body.title,
        buyer=buyer,
        chair=people[body.chair].person,
        members=list({member.person: member for member in people.values()}.values()),
        actor=call.actor,
        contact=f"{principal.name} ({principal.company_name})",
        late_members=body.late_members,
    )
    return await _changed(call, made.id)


async def _member(call: Call[Any, Any], reference: str, buyer: str) -> Member:
    person, _ = await call.services.onboarding.person(reference)
    if person.company != buyer:
        raise InvalidInputError(
            f"{reference} is of {person.company}, not of the buyer {buyer}",
            field="members",
            hint=f"conclave person list --company {buyer}",
        )
    if person.user_id is None:
        raise ConflictError(
            f"{reference} has not enrolled yet",
            hint="they do so by the link of their invitation; conclave person invite makes a new one",
        )
    return Member(person=person.id, user_id=person.user_id)


async def list_committees(call: Call[PageQuery, NoBody]) -> Page[CommitteeView]:
    """Committees in the order of their ids: all for whoever holds a role, else those that they are a member of."""
    member = None if call.signed_in.roles else call.actor
    rows = await call.services.committees.page(after=after(call.query), limit=call.query.limit + 1, member=member)
    names = await _names(call, *rows)
    return page(rows, call.query, lambda item: item.id, lambda item: CommitteeView(**_fields(item, names)))


async def show_committee(call: Call[NoQuery, NoBody]) -> CommitteeDetail:
    """One committee with its rooms: for whoever holds a role, and for its members."""
    await _demand(call, members=True)
    return await _detail(call, call.path["committee"], enforced=True)


async def committee_timeline(call: Call[NoQuery, NoBody]) -> Timeline:
    """What happened to a committee, in order, each with its place in the ledger; who has a conflict sees no names."""
    await _demand(call, members=True)
    rows = await call.services.committees.timeline(call.path["committee"])
    people = {row.actor for row in rows} | {row.person for row in rows if row.person is not None}
    people |= {row.data["before"] for row in rows if row.kind == "committee.chaired"}
    found = await call.services.committees.find(call.path["committee"])
    out = found is not None and has_conflict(found, call.actor)
    return Timeline(
        names={} if out else await call.services.onboarding.names(people),
        items=[
            TimelineItem(
                position=row.position,
                at=iso(row.at),
                kind=row.kind,
                actor=row.actor,
                vendor=row.vendor,
                person=row.person,
                data=dict(row.data),
            )
            for row in rows
        ],
    )


async def add_vendor(call: Call[NoQuery, VendorAdd]) -> CommitteeDetail:
    """Ask a company to pitch: it gets a room with the buyers, where it sees nobody else."""
    await _demand(call)
    made = await call.services.committees.add_vendor(call.path["committee"], call.body.vendor, actor=call.actor)
    return await _changed(call, made.id)


async def add_member(call: Call[NoQuery, MemberAdd]) -> CommitteeDetail:
    """Take one more of the buyer's people in: they come in once they declared.

    They see what is said from then on; of the deliberation room all, where the committee was opened so.
    """
    await _demand(call)
    before, _ = await call.services.committees.get(call.path["committee"])
    member = await _member(call, call.body.person, before.buyer)
    made = await call.services.committees.add_member(before.id, member, actor=call.actor)
    return await _changed(call, made.id)


async def remove_member(call: Call[NoQuery, MemberSeat]) -> CommitteeDetail:
    """Take a member off who has no conflict of interest and is not the chair: they leave the committee's rooms."""
    await _demand(call)
    member = await _seated(call)
    made = await seats.remove_member(call.services.committees, call.path["committee"], member, actor=call.actor)
    return await _changed(call, made.id)


async def hand_on_chair(call: Call[NoQuery, MemberSeat]) -> CommitteeDetail:
    """Give the chair to another member, one who declared that they have no conflict of interest."""
    await _demand(call)
    member = await _seated(call)
    made = await seats.hand_on(call.services.committees, call.path["committee"], member, actor=call.actor)
    return await _changed(call, made.id)


async def _seated(call: Call[Any, MemberSeat]) -> str:
    """The id of the person whom the body names."""
    return (await call.services.onboarding.person(call.body.person))[0].id


async def try_act(call: Call[NoQuery, Trial]) -> Tried:
    """Say whether an act would be done now, and change nothing: what is not possible is answered as by the act."""
    body, committee_id = call.body, call.path["committee"]
    if body.act is Act.ANSWER:
        await demand_answering(call)
    elif body.act is Act.DECLARE:
        await _demand_member(call)
    else:
        await _demand(call)
    found = await call.services.committees.find(committee_id)
    if found is None:
        raise NotFoundError(f"no committee {committee_id!r}", hint="conclave committee list")
    _try(found, body, call.actor, call.services.clock())
    return Tried(act=body.act, phase=found.phase)


def _try(found: Committee, body: Trial, actor: str, now: Millis) -> None:
    """Do on a value what the act would do.

    Raises:
        ConclaveError: What the act would raise.
    """
    if body.act in (Act.DECIDE, Act.DEBRIEF) and body.vendor is None:
        raise InvalidInputError(f"to {body.act} goes with a vendor", field="vendor", hint="name its company id")
    vendor = body.vendor or ""
    match body.act:
        case Act.DECLARE:
            found.declare(actor, Declared.CONFLICT if body.conflict else Declared.NONE, now)
        case Act.START:
            found.start(now)
        case Act.CLEAR:
            found.clear(now)
        case Act.DECIDE:
            found.decide(vendor, now, standstill_until=None)
        case Act.DEBRIEF:
            found.debrief(vendor, "")
        case Act.CLOSE:
            found.close(now)
        case Act.ANSWER:
            demand_text(body.question, body.answer)
            demand_pitch(found)


async def declare_interest(call: Call[NoQuery, Declaration]) -> CommitteeDetail:
    """Say for oneself whether there is a conflict of interest; with one, the committee's rooms stay shut."""
    body = call.body
    await _demand_member(call)
    made = await call.services.committees.declare(
        call.path["committee"], person=call.actor, conflict=body.conflict, statement=body.statement
    )
    return await _changed(call, made.id)


async def schedule_committee(call: Call[NoQuery, CommitteeSchedule]) -> CommitteeDetail:
    """Set when vendors come in and must be out."""
    await _demand(call)
    made = await call.services.committees.schedule(
        call.path["committee"],
        pitch_at=_millis(call.body.pitch_at),
        clear_at=_millis(call.body.clear_at),
        actor=call.actor,
    )
    return await _changed(call, made.id)


async def start_committee(call: Call[NoQuery, NoBody]) -> CommitteeDetail:
    """Let the vendors into their pitch rooms, now."""
    await _demand(call)
    made = await call.services.committees.start(call.path["committee"], actor=call.actor)
    return await _changed(call, made.id)


async def clear_committee(call: Call[NoQuery, NoBody]) -> CommitteeDetail:
    """Clear the room: every vendor leaves, now, and the pitch rooms are frozen for the buyers to read."""
    await _demand(call)
    made = await call.services.committees.clear(call.path["committee"], actor=call.actor)
    return await _changed(call, made.id)


async def decide_committee(call: Call[NoQuery, Decision]) -> CommitteeDetail:
    """Choose a vendor."""
    await _demand(call)
    made = await call.services.committees.decide(
        call.path["committee"],
        winner=call.body.winner,
        standstill_ms=call.body.standstill_days * DAY,
        actor=call.actor,
    )
    return await _changed(call, made.id)


async def debrief_vendor(call: Call[NoQuery, VendorAdd]) -> CommitteeDetail:
    """Open a room for the buyers and one vendor, after the decision."""
    await _demand(call)
    made = await call.services.committees.debrief(call.path["committee"], call.body.vendor, actor=call.actor)
    return await _changed(call, made.id)


async def close_committee(call: Call[NoQuery, Reason]) -> CommitteeDetail:
    """End a committee: people leave its rooms, the record stays."""
    await _demand(call)
    made = await call.services.committees.close(call.path["committee"], actor=call.actor, reason=call.body.reason)
    return await _changed(call, made.id)


async def _demand(call: Call[Any, Any], *, members: bool = False) -> None:
    """Return when the caller may: a partner manager or the chair; to look, any role and every member too.

    Raises:
        ForbiddenError: They may not. Whether there is such a committee, they do not learn.
        InterestError: They declared a conflict of interest, and want more than to look.
    """
    principal = call.signed_in
    found = await call.services.committees.find(call.path["committee"])
    if not members and found is not None:
        demand_impartial(found, principal.person)
    if Role.PARTNER_MANAGER in principal.roles or (members and principal.roles):
        return
    allowed = set() if found is None else {found.chair}
    if found is not None and members:
        allowed |= {member.person for member in found.members}
    if principal.person not in allowed:
        who = "its chair, a member or a role" if members else "its chair or partner-manager"
        raise ForbiddenError(
            f"{principal.name} has no say in {call.path['committee']}; this needs {who}", hint="ask the chair"
        )


async def _demand_member(call: Call[Any, Any]) -> None:
    """Return when the caller is a member.

    Raises:
        NotFoundError: They are none. Whether there is such a committee, they do not learn.
    """
    principal, committee_id = call.signed_in, call.path["committee"]
    found = await call.services.committees.find(committee_id)
    if found is None or all(item.person != principal.person for item in found.members):
        raise NotFoundError(
            f"you act as {principal.name} here, who is no member of {committee_id}",
            hint="each declares with a login of their own: conclave login ADDRESS, then conclave --hub ADDRESS …",
        )


async def _names(call: Call[Any, Any], *committees: Committee) -> dict[str, str]:
    """The names of the members of these committees, by person."""
    return await call.services.onboarding.names({one.person for item in committees for one in item.members})


async def _changed(call: Call[Any, Any], committee_id: str) -> CommitteeDetail:
    return await _detail(call, committee_id, enforced=await call.enforce(committee_id))


async def _detail(call: Call[Any, Any], committee_id: str, *, enforced: bool) -> CommitteeDetail:
    found, rooms = await call.services.committees.get(committee_id)
    reused_sessions = await call.services.committees.findings(committee_id)
    attendance = await call.services.committees.attendance(committee_id)
    return CommitteeDetail(
        **_fields(found, await _names(call, found)),
        settled=all(view.room.settled for view in rooms),
        enforced=enforced,
        reused_sessions=reused_sessions,
        attendance=[
            VendorAttendance(vendor=one.vendor, enrolled=one.enrolled, inside=len(one.inside)) for one in attendance
        ],
        rooms=[room_view(view) for view in rooms],
    )


def _fields(item: Committee, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": item.title,
        "buyer": item.buyer,
        "chair": item.chair,
        "phase": item.phase,
        "pitch_at": time(item.pitch_at),
        "clear_at": time(item.clear_at),
        "decided_at": time(item.decided_at),
        "winner": item.winner,
        "standstill_until": time(item.standstill_until),
        "late_members": item.late_members,
        "members": [
            MemberView(
                person=member.person,
                name=names.get(member.person, member.person),
                user_id=member.user_id,
                declared=member.declared,
                declared_at=time(member.declared_at),
            )
            for member in item.members
        ],
        "vendors": [
            VendorView(vendor=vendor.company, pitch=vendor.pitch, debrief=vendor.debrief) for vendor in item.vendors
        ],
    }


def _millis(moment: datetime | None) -> Millis | None:
    return None if moment is None else int(moment.timestamp() * 1_000)
