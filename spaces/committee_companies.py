"""What a committee demands of companies, and of its name. On an open connection; the caller owns the transaction."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from config.errors import ConflictError, NotFoundError
from spaces.committee import Committee
from spaces.observed import ObservedStore
from spaces.policy.records import Standing
from spaces.store import DocumentStore, EngagementStore, RoomStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """How many people of a vendor may come, as they are enrolled, and who is in a room of it, by Matrix user ids."""

    vendor: str
    enrolled: int
    inside: tuple[str, ...]


async def attendance_of(tx: AsyncConnection, committee: Committee) -> list[Attendance]:
    """The same of each vendor, of its own people alone: buyers are in the same rooms."""
    rooms = {room.key: room.room_id for room in await RoomStore(tx).of_engagement(committee.id)}
    found = []
    for vendor in committee.vendors:
        people = await DocumentStore(tx).people_of(vendor.company)
        inside = set[str]()
        for key in (vendor.pitch, vendor.debrief):
            room_id = None if key is None else rooms.get(key)
            if room_id is not None:
                inside |= set(await ObservedStore(tx).joined(room_id))
        active = sum(person.standing is Standing.ACTIVE for person in people)
        own = inside & {person.user_id for person in people}
        found.append(Attendance(vendor=vendor.company, enrolled=active, inside=tuple(sorted(own))))
    return found


async def demand_company(tx: AsyncConnection, company: str, now: Millis) -> None:
    """Return when a company may take part in a committee now.

    Raises:
        NotFoundError: No such company.
        ConflictError: It is suspended, its contract has ended, or it has a homeserver of its own.
    """
    found = await DocumentStore(tx).company(company)
    if found is None:
        raise NotFoundError(f"no company {company!r}", hint=f"conclave company add {company} --name …")
    if found.standing is not Standing.ACTIVE:
        raise ConflictError(f"{found.name} is suspended", hint=f"conclave company resume {company}")
    if found.not_after is not None and now >= found.not_after:
        raise ConflictError(f"the contract with {found.name} has ended", hint=f"conclave company show {company}")
    if found.server is not None:
        raise ConflictError(
            f"{found.name} has a homeserver of its own, {found.server}, which would keep a copy of what is said",
            hint="committees are for companies whose accounts are on this hub",
        )


def demand_guest(company: str, host: str) -> None:
    """Return when a company may pitch on the hub of ``host``.

    Raises:
        ConflictError: It is the host itself.
    """
    if company == host:
        raise ConflictError(
            f"{company} is the host of this hub, whose roles see every committee: it cannot be a vendor",
            hint="name another company",
        )


async def demand_free(tx: AsyncConnection, committee_id: str) -> None:
    """Return when a committee may have this id.

    Raises:
        ConflictError: Something else has or had it, or it is a company's: every vendor learns a committee's id.
    """
    if await DocumentStore(tx).company(committee_id) is not None:
        raise ConflictError(
            f"{committee_id} is a company; every vendor learns a committee's name", hint="choose another name"
        )
    if await EngagementStore(tx).get(committee_id) is not None:
        raise ConflictError(
            f"there is a committee or partnership {committee_id} already",
            hint="choose another name; a name is used once, also when what bore it is closed",
        )


async def names_of(tx: AsyncConnection, committee: Committee) -> Mapping[str, str]:
    """The names of the companies of a committee, by id."""
    names = {}
    for company in (committee.buyer, *(vendor.company for vendor in committee.vendors)):
        record = await DocumentStore(tx).company(company)
        names[company] = company if record is None else record.name
    return names
