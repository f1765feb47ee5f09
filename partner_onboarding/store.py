"""SQL of companies, people, teams and invitations, on an open connection; the caller owns the transaction."""

from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from partner_onboarding.model import Company, CompanyKind, Invitation, Person, PersonRole
from partner_onboarding.tables import company, invitation, person, team_member


class CompanyStore:
    """Companies."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, item: Company) -> None:
        """Store a new company."""
        await self._tx.execute(insert(company).values(**_company_row(item)))

    async def save(self, item: Company) -> None:
        """Store what changed of a company."""
        await self._tx.execute(update(company).where(company.c.id == item.id).values(**_company_row(item)))

    async def get(self, company_id: str) -> Company | None:
        """One company."""
        row = (await self._tx.execute(select(company).where(company.c.id == company_id))).one_or_none()
        return None if row is None else _company(row)

    async def host(self) -> Company | None:
        """The company that runs the hub."""
        row = (await self._tx.execute(select(company).where(company.c.kind == CompanyKind.HOST.value))).one_or_none()
        return None if row is None else _company(row)

    async def by_external_id(self, external_id: str) -> Company | None:
        """The company with the operator's own key ``external_id``."""
        row = (await self._tx.execute(select(company).where(company.c.external_id == external_id))).one_or_none()
        return None if row is None else _company(row)

    async def by_server(self, server: str) -> Company | None:
        """The company with this homeserver of its own."""
        row = (await self._tx.execute(select(company).where(company.c.server == server))).one_or_none()
        return None if row is None else _company(row)

    async def page(self, *, after: str, limit: int) -> list[Company]:
        """Up to ``limit`` companies in the order of their ids, from behind ``after`` on."""
        statement = select(company).where(company.c.id > after).order_by(company.c.id).limit(limit)
        return [_company(row) for row in await self._tx.execute(statement)]


class PersonStore:
    """People and their teams."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def add(self, item: Person) -> None:
        """Store a new person."""
        await self._tx.execute(insert(person).values(**_person_row(item)))

    async def save(self, item: Person) -> None:
        """Store what changed of a person."""
        await self._tx.execute(update(person).where(person.c.id == item.id).values(**_person_row(item)))

    async def get(self, person_id: str) -> Person | None:
        """One person by id."""
        row = (await self._tx.execute(select(person).where(person.c.id == person_id))).one_or_none()
        return None if row is None else _person(row)

    async def find(self, reference: str) -> Person | None:
        """One person by id, e-mail address or Matrix user id."""
        where = or_(person.c.id == reference, person.c.email == reference.lower(), person.c.user_id == reference)
        row = (await self._tx.execute(select(person).where(where))).one_or_none()
        return None if row is None else _person(row)

    async def page(self, *, after: str, limit: int, company_id: str | None = None) -> list[Person]:
        """Up to ``limit`` people in the order of their ids, from behind ``after`` on, of one company where asked."""
        statement = select(person).where(person.c.id > after)
        if company_id is not None:
            statement = statement.where(person.c.company == company_id)
        return [_person(row) for row in await self._tx.execute(statement.order_by(person.c.id).limit(limit))]

    async def count(self, company_id: str) -> int:
        """How many seats of a company are taken: everyone but the suspended."""
        statement = select(func.count()).where(person.c.company == company_id, ~person.c.suspended)
        return int(await self._tx.scalar(statement) or 0)

    async def names(self, person_ids: set[str]) -> dict[str, str]:
        """The names of these people, by id."""
        rows = await self._tx.execute(select(person.c.id, person.c.name).where(person.c.id.in_(person_ids)))
        return {row.id: row.name for row in rows}

    async def teams(self, person_id: str) -> frozenset[str]:
        """The teams that a person is in."""
        return frozenset(await self._tx.scalars(select(team_member.c.team).where(team_member.c.person == person_id)))

    async def join_team(self, person_id: str, team: str) -> bool:
        """Put a person into a team; false when they were in it."""
        statement = self._dialect.insert(team_member).values(team=team, person=person_id).on_conflict_do_nothing()
        return (await self._tx.execute(statement)).rowcount == 1

    async def leave_team(self, person_id: str, team: str) -> bool:
        """Take a person out of a team; false when they were not in it."""
        where = (team_member.c.team == team, team_member.c.person == person_id)
        return (await self._tx.execute(delete(team_member).where(*where))).rowcount == 1

    async def team(self, team: str) -> list[Person]:
        """Everyone of a team."""
        statement = select(person).join(team_member, team_member.c.person == person.c.id)
        rows = await self._tx.execute(statement.where(team_member.c.team == team).order_by(person.c.id))
        return [_person(row) for row in rows]

    async def team_sizes(self) -> dict[str, int]:
        """Every team and how many people are in it."""
        statement = select(team_member.c.team, func.count()).group_by(team_member.c.team)
        return {row[0]: row[1] for row in await self._tx.execute(statement.order_by(team_member.c.team))}


class InvitationStore:
    """Enrolment links; only hashes of their secrets."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, item: Invitation) -> None:
        """Store a new invitation."""
        await self._tx.execute(insert(invitation).values(**_invitation_row(item)))

    async def save(self, item: Invitation) -> None:
        """Store what changed of an invitation."""
        await self._tx.execute(update(invitation).where(invitation.c.id == item.id).values(**_invitation_row(item)))

    async def by_secret(self, secret_hash: bytes) -> Invitation | None:
        """The invitation whose secret has this hash; a transaction that writes holds it until its end.

        On PostgreSQL two who take up one link at the same moment would else both find it open.
        """
        statement = select(invitation).where(invitation.c.secret_hash == secret_hash).with_for_update()
        row = (await self._tx.execute(statement)).one_or_none()
        return None if row is None else Invitation(**row._asdict())

    async def close_all(self, person_id: str, now: Millis) -> None:
        """Make every open link of a person useless."""
        where = (invitation.c.person == person_id, invitation.c.closed_at.is_(None))
        await self._tx.execute(update(invitation).where(*where).values(closed_at=now))

    async def claimed_by_other(self, user_id: str, invitation_id: str) -> bool:
        """Whether another invitation is on its way to the account ``user_id``."""
        where = (invitation.c.user_id == user_id, invitation.c.id != invitation_id)
        return await self._tx.scalar(select(invitation.c.id).where(*where).limit(1)) is not None


def _company_row(item: Company) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "kind": item.kind.value,
        "external_id": item.external_id,
        "suspended": item.suspended,
        "seats": item.seats,
        "not_after": item.not_after,
        "added_at": item.added_at,
        "max_upload": item.max_upload,
        "server": item.server,
    }


def _company(row: Row[Any]) -> Company:
    return Company(**{**row._asdict(), "kind": CompanyKind(row.kind)})


def _person_row(item: Person) -> dict[str, Any]:
    return {
        "id": item.id,
        "company": item.company,
        "name": item.name,
        "email": item.email,
        "role": item.role.value,
        "user_id": item.user_id,
        "suspended": item.suspended,
        "invited_at": item.invited_at,
        "enrolled_at": item.enrolled_at,
        "held": item.held,
    }


def _person(row: Row[Any]) -> Person:
    return Person(**{**row._asdict(), "role": PersonRole(row.role)})


def _invitation_row(item: Invitation) -> dict[str, Any]:
    return {
        "id": item.id,
        "person": item.person,
        "secret_hash": item.secret_hash,
        "expires_at": item.expires_at,
        "closed_at": item.closed_at,
        "user_id": item.user_id,
        "claim": item.claim,
        "claimed_at": item.claimed_at,
    }
