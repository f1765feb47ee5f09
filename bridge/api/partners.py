"""Companies, people, teams, partnerships, rooms: the calls of partner managers."""

from typing import Any

from bridge.api.call import Call, after, page
from bridge.api.models import (
    CompanyAdd,
    CompanyChanged,
    CompanyView,
    DriftView,
    Enrolled,
    Enrolment,
    InvitationView,
    NoBody,
    NoQuery,
    Page,
    PageQuery,
    PartnershipDetail,
    PartnershipOpen,
    PartnershipView,
    PersonChanged,
    PersonDetail,
    PersonInvite,
    PersonQuery,
    PersonView,
    Reason,
    RoomDetail,
    RoomView,
    TeamDetail,
    TeamMember,
    TeamView,
)
from bridge.api.views import (
    company_view,
    partnership_fields,
    partnership_view,
    person_fields,
    person_view,
    room_fields,
    room_view,
    time,
)
from config.clock import iso, parse_date
from config.errors import InvalidInputError
from partner_onboarding.model import CompanyKind
from spaces import model

# --- companies


async def add_company(call: Call[NoQuery, CompanyAdd]) -> CompanyView:
    """Enter a company. Without an engagement nobody there can see anyone."""
    body = call.body
    try:
        until = None if body.until is None else parse_date(body.until)
    except ValueError:
        raise InvalidInputError(f"until {body.until!r} is not a date such as 2027-12-31", field="until") from None
    company = await call.services.onboarding.add_company(
        body.id,
        name=body.name,
        kind=CompanyKind(body.kind),
        external_id=body.external_id,
        seats=body.seats,
        not_after=until,
        max_upload=body.max_upload,
        server=body.homeserver,
        actor=call.actor,
    )
    await call.enforce()
    return company_view(company)


async def list_companies(call: Call[PageQuery, NoBody]) -> Page[CompanyView]:
    """Companies in the order of their ids."""
    rows = await call.services.onboarding.companies(after=after(call.query), limit=call.query.limit + 1)
    return page(rows, call.query, lambda company: company.id, company_view)


async def show_company(call: Call[NoQuery, NoBody]) -> CompanyView:
    """One company."""
    return company_view(await call.services.onboarding.company(call.path["company"]))


async def suspend_company(call: Call[NoQuery, Reason]) -> CompanyChanged:
    """Shut a company's people out: they can send, join and sign in no more, and leave every room."""
    return await _change_company(call, reason=call.body.reason, suspended=True)


async def resume_company(call: Call[NoQuery, NoBody]) -> CompanyChanged:
    """Lift a suspension: the company's people are back in their rooms."""
    return await _change_company(call, reason="", suspended=False)


async def _change_company(call: Call[NoQuery, Any], *, reason: str, suspended: bool) -> CompanyChanged:
    company = await call.services.onboarding.suspend_company(
        call.path["company"], actor=call.actor, reason=reason, suspended=suspended
    )
    return CompanyChanged(company=company_view(company), enforced=await call.enforce_for(company.id))


# --- people


async def invite_person(call: Call[NoQuery, PersonInvite]) -> InvitationView:
    """Make a single-use enrolment link, bound to company, role and e-mail address; it replaces an earlier one."""
    body = call.body
    invited = await call.services.onboarding.invite(
        body.company, name=body.name, email=body.email, role=body.role, teams=tuple(body.teams), actor=call.actor
    )
    link = f"{call.services.settings.hub.url}/enrol/{invited.secret}"
    return InvitationView(person=person_view(invited.person), link=link, expires_at=iso(invited.expires_at))


async def enrol(call: Call[NoQuery, Enrolment]) -> Enrolled:
    """Take up an invitation: make the person's Matrix account and let them into their rooms."""
    body = call.body
    person = await call.services.enrolment.enrol(body.secret, username=body.username, password=body.password)
    await call.enforce_for(person.company, person=person.id)
    call.services.mailbox.enrolled()
    homeserver = call.services.settings.homeserver.client_url
    return Enrolled(person=person.id, user_id=str(person.user_id), homeserver=homeserver)


async def list_people(call: Call[PersonQuery, NoBody]) -> Page[PersonView]:
    """People in the order of their ids."""
    rows = await call.services.onboarding.people(
        after=after(call.query), limit=call.query.limit + 1, company_id=call.query.company
    )
    return page(rows, call.query, lambda person: person.id, person_view)


async def show_person(call: Call[NoQuery, NoBody]) -> PersonDetail:
    """One person, by id, e-mail address or Matrix user id."""
    person, teams = await call.services.onboarding.person(call.path["person"])
    return PersonDetail(**person_fields(person), teams=sorted(teams))


async def suspend_person(call: Call[NoQuery, Reason]) -> PersonChanged:
    """Shut a person out: they can send, join and sign in no more, and leave every room."""
    return await _change_person(call, reason=call.body.reason, suspended=True)


async def resume_person(call: Call[NoQuery, NoBody]) -> PersonChanged:
    """Lift a suspension: the person is back in their rooms."""
    return await _change_person(call, reason="", suspended=False)


async def _change_person(call: Call[NoQuery, Any], *, reason: str, suspended: bool) -> PersonChanged:
    person = await call.services.onboarding.suspend_person(
        call.path["person"], actor=call.actor, reason=reason, suspended=suspended
    )
    enforced = await call.enforce_for(person.company, person=person.id)
    return PersonChanged(person=person_view(person), enforced=enforced)


# --- teams


async def list_teams(call: Call[NoQuery, NoBody]) -> Page[TeamView]:
    """The teams of the host company."""
    teams = await call.services.onboarding.teams()
    return Page(items=[TeamView(team=team, people=people) for team, people in teams.items()])


async def show_team(call: Call[NoQuery, NoBody]) -> TeamDetail:
    """Who is in a team."""
    people = await call.services.onboarding.team(call.path["team"])
    return TeamDetail(team=call.path["team"], people=[person_view(person) for person in people])


async def join_team(call: Call[NoQuery, TeamMember]) -> PersonChanged:
    """Put a person of the host company into a team; they enter the rooms of its partnerships."""
    return await _change_team(call, member=True)


async def leave_team(call: Call[NoQuery, TeamMember]) -> PersonChanged:
    """Take a person out of a team; they leave the rooms of its partnerships."""
    return await _change_team(call, member=False)


async def _change_team(call: Call[NoQuery, TeamMember], *, member: bool) -> PersonChanged:
    person = await call.services.onboarding.change_team(
        call.path["team"], call.body.person, actor=call.actor, member=member
    )
    enforced = await call.enforce_for(person.company, team=call.path["team"])
    return PersonChanged(person=person_view(person), enforced=enforced)


# --- partnerships and rooms


async def open_partnership(call: Call[NoQuery, PartnershipOpen]) -> PartnershipDetail:
    """Begin a partnership: a Space with the template's rooms, and everyone concerned in them."""
    body, principal = call.body, call.signed_in
    await call.services.onboarding.team(body.team)
    engagement = await call.services.partnerships.open(
        body.partner,
        template=body.template,
        team=body.team,
        actor=call.actor,
        contact=f"{principal.name} ({principal.company_name})",
    )
    return await _detail(call, engagement.id, enforced=await call.enforce(engagement.id))


async def list_partnerships(call: Call[PageQuery, NoBody]) -> Page[PartnershipView]:
    """Partnerships in the order of their ids."""
    rows = await call.services.partnerships.page(after=after(call.query), limit=call.query.limit + 1)
    return page(rows, call.query, lambda engagement: engagement.id, partnership_view)


async def show_partnership(call: Call[NoQuery, NoBody]) -> PartnershipDetail:
    """One partnership with its rooms."""
    return await _detail(call, call.path["partnership"], enforced=True)


async def close_partnership(call: Call[NoQuery, Reason]) -> PartnershipDetail:
    """End a partnership: nothing more can be said in its rooms, people leave them, the record stays."""
    engagement_id = call.path["partnership"]
    await call.services.partnerships.close(engagement_id, actor=call.actor, reason=call.body.reason)
    return await _detail(call, engagement_id, enforced=await call.enforce(engagement_id))


async def _detail(call: Call[Any, Any], engagement_id: str, *, enforced: bool) -> PartnershipDetail:
    engagement, rooms = await call.services.partnerships.get(engagement_id)
    return PartnershipDetail(
        **partnership_fields(engagement),
        settled=all(view.room.settled for view in rooms),
        enforced=enforced,
        rooms=[room_view(view) for view in rooms],
    )


async def list_rooms(call: Call[PageQuery, NoBody]) -> Page[RoomView]:
    """Managed rooms, those of one engagement together, its Space first."""
    engagement, _, position = after(call.query).rpartition("/")
    place = (engagement, int(position) if position.isascii() and position.isdecimal() and len(position) < 9 else -1)
    rows = await call.services.partnerships.rooms(after=place, limit=call.query.limit + 1)
    return page(rows, call.query, _place, room_view)


def _place(view: model.RoomView) -> str:
    return f"{view.room.engagement}/{view.room.position}"


async def show_room(call: Call[NoQuery, NoBody]) -> RoomDetail:
    """One room, by its key or Matrix id, with its charter and who is in it."""
    view, people = await call.services.partnerships.room(call.path["room"])
    charter, room = view.charter, view.room
    drift = await call.services.plans.drift(room.key)
    return RoomDetail(
        **room_fields(view),
        topic=charter.topic,
        room_version=charter.room_version,
        history_visibility=charter.history_visibility,
        open=charter.open,
        people=people,
        stuck_since=time(room.stuck_since),
        next_try=None if room.problem is None else iso(room.retry_at),
        waiting=room.waiting,
        drift=[
            DriftView(type=item.type, state_key=item.state_key, event_id=item.event_id, found_at=iso(item.found_at))
            for item in drift
        ],
    )
