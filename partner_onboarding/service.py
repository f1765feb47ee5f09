"""Companies and people: added, invited, suspended, put into teams. A change and its entry are one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Actor, Draft, person_actor
from audit.inbox import Inbox
from config.clock import HOUR, Clock, Millis
from config.db import Database
from config.errors import ConflictError, InvalidInputError, NotFoundError
from partner_onboarding.federation import Federation
from partner_onboarding.limits import check_upload
from partner_onboarding.model import (
    Company,
    CompanyKind,
    Invitation,
    Person,
    PersonRole,
    check_email,
    check_identifier,
    check_name,
)
from partner_onboarding.store import CompanyStore, InvitationStore, PersonStore
from spaces.store import DocumentStore

NewId = Callable[[str], str]
NewSecret = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A person with their fresh enrolment link's secret, which is nowhere else."""

    person: Person
    secret: str
    expires_at: Millis


def secret_hash(secret: str) -> bytes:
    """What is stored of a secret of 256 random bits: its SHA-256."""
    return sha256(secret.encode(errors="surrogateescape")).digest()


class OnboardingService:
    """What partner managers do with companies and people."""

    def __init__(
        self,
        db: Database,
        inbox: Inbox,
        clock: Clock,
        *,
        host: str,
        invitation_hours: int,
        new_id: NewId,
        new_secret: NewSecret,
        federation: Federation,
    ) -> None:
        self._federation = federation
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._host = host
        self._invitation_ms = invitation_hours * HOUR
        self._new_id = new_id
        self._new_secret = new_secret

    # --- companies

    async def add_company(  # noqa: PLR0913  # what is known of a company when it is added
        self,
        company_id: str,
        *,
        name: str,
        kind: CompanyKind,
        actor: str,
        external_id: str | None = None,
        seats: int | None = None,
        not_after: Millis | None = None,
        max_upload: int | None = None,
        server: str | None = None,
    ) -> Company:
        """Enter a company; without an engagement nobody there can see anyone. ``server`` is a homeserver of its own.

        Raises:
            InvalidInputError: An id, name or number does not fit.
            ConflictError: The id, the external id or the homeserver is taken, or this hub has no federation.
        """
        if kind is CompanyKind.HOST:
            raise InvalidInputError("the host company is made with the hub; there is one", field="kind")
        now = self._clock()
        _check_terms(seats, not_after, now)
        company = Company(
            id=check_identifier(company_id, "company"),
            name=check_name(name, "name"),
            kind=kind,
            external_id=None if external_id is None else check_name(external_id, "external_id"),
            suspended=False,
            seats=seats,
            not_after=not_after,
            added_at=now,
            max_upload=check_upload(max_upload),
            server=None if server is None else self._federation.check_server(server),
        )
        async with self._db.begin() as tx:
            await self._put_company(tx, company, person_actor(actor))
        return company

    async def add_host(self, tx: AsyncConnection, company: Company, actor: Actor) -> None:
        """Enter the host company, when the hub starts for the first time."""
        await self._put_company(tx, company, actor)

    async def _put_company(self, tx: AsyncConnection, company: Company, actor: Actor) -> None:
        store = CompanyStore(tx)
        known = await store.get(company.id)
        if known is not None:
            fixed = "" if known.server == company.server else "; its homeserver was fixed when it was added"
            raise ConflictError(
                f"there is a company {company.id!r} already{fixed}", hint=f"conclave company show {company.id}"
            )
        if company.external_id is not None:
            other = await store.by_external_id(company.external_id)
            if other is not None:
                raise ConflictError(f"the external id {company.external_id!r} belongs to {other.id}")
        if company.server is not None:
            other = await store.by_server(company.server)
            if other is not None:
                raise ConflictError(f"the homeserver {company.server} belongs to {other.id}")
        await store.add(company)
        await DocumentStore(tx).put_company(company.record(), company.added_at)
        data = {
            "company": company.id,
            "kind": company.kind.value,
            "seats": company.seats,
            "until": company.not_after,
            "external_id": company.external_id,
            **({} if company.max_upload is None else {"max_upload": company.max_upload}),
            **({} if company.server is None else {"server": company.server}),
        }
        draft = Draft(kind="company.added", actor=actor, companies=(company.id,), data=data)
        await self._inbox.put(tx, replace(draft, disclose={"name": company.name}))

    async def suspend_company(self, company_id: str, *, actor: str, reason: str, suspended: bool) -> Company:
        """Shut a company's people out, or let them in again.

        Raises:
            NotFoundError: No such company.
            ConflictError: It is so already, or it is the host.
        """
        if company_id == self._host:
            raise ConflictError("the host company cannot be suspended: nobody could resume it")
        async with self._db.begin() as tx:
            before = await self._company(tx, company_id)
            if before.suspended is suspended:
                state = "suspended already" if suspended else "not suspended"
                raise ConflictError(f"{company_id} is {state}", hint="conclave company list")
            after = replace(before, suspended=suspended)
            await CompanyStore(tx).save(after)
            await DocumentStore(tx).put_company(after.record(), self._clock())
            kind = "company.suspended" if suspended else "company.resumed"
            data = {"company": company_id, **({"reason": reason} if suspended else {})}
            draft = Draft(kind=kind, actor=person_actor(actor), companies=(company_id,), data=data)
            await self._inbox.put(tx, draft)
        return after

    async def company(self, company_id: str) -> Company:
        """One company.

        Raises:
            NotFoundError: No such company.
        """
        async with self._db.read() as connection:
            return await self._company(connection, company_id)

    async def companies(self, *, after: str, limit: int) -> list[Company]:
        """Up to ``limit`` companies in the order of their ids, from behind ``after`` on."""
        async with self._db.read() as connection:
            return await CompanyStore(connection).page(after=after, limit=limit)

    # --- people

    async def invite(
        self, company_id: str, *, name: str, email: str, role: PersonRole, teams: tuple[str, ...], actor: str
    ) -> Invited:
        """Make an enrolment link for a person; for one who is invited already, a new link, name and role instead.

        Raises:
            InvalidInputError: A name, address or team does not fit.
            NotFoundError: No such company.
            ConflictError: The company is suspended or full, or the address belongs to somebody else.
        """
        address, full_name = check_email(email), check_name(name, "name")
        wanted = tuple(check_identifier(team, "team") for team in teams)
        async with self._db.begin() as tx:
            company = await self._company(tx, company_id)
            self._check_teams(company, wanted)
            known = await PersonStore(tx).find(address)
            if known is None:
                await self._check_seats(tx, company)
                person = self._new_person(company, full_name, address, role)
                await PersonStore(tx).add(person)
            else:
                person = replace(self._again(known, company), name=full_name, role=role)
                await PersonStore(tx).save(person)
            for team in wanted:
                await PersonStore(tx).join_team(person.id, team)
            return await self._issue_link(tx, person, person_actor(actor))

    def _new_person(self, company: Company, name: str, email: str, role: PersonRole) -> Person:
        return Person(
            id=self._new_id("prs"),
            company=company.id,
            name=name,
            email=email,
            role=role,
            user_id=None,
            suspended=False,
            invited_at=self._clock(),
            enrolled_at=None,
        )

    def _again(self, known: Person, company: Company) -> Person:
        if known.company != company.id or known.user_id is not None or known.suspended:
            raise ConflictError(
                f"{known.email} belongs to a person of {known.company} ({known.status})",
                hint=f"conclave person show {known.email}",
            )
        return known

    async def _check_seats(self, tx: AsyncConnection, company: Company) -> None:
        if company.suspended:
            raise ConflictError(f"{company.name} is suspended", hint=f"conclave company resume {company.id}")
        taken = await PersonStore(tx).count(company.id)
        if company.seats is not None and taken >= company.seats:
            raise ConflictError(f"all {company.seats} seats of {company.name} are taken")

    def _check_teams(self, company: Company, teams: tuple[str, ...]) -> None:
        if teams and company.id != self._host:
            raise InvalidInputError(
                f"teams are of the host company {self._host}, not of {company.id}",
                field="team",
                hint="people of a partner are in its partnerships without a team",
            )

    async def _issue_link(self, tx: AsyncConnection, person: Person, actor: Actor) -> Invited:
        now, secret = self._clock(), self._new_secret()
        invitation = Invitation(
            id=self._new_id("inv"),
            person=person.id,
            secret_hash=secret_hash(secret),
            expires_at=now + self._invitation_ms,
        )
        await InvitationStore(tx).close_all(person.id, now)
        await InvitationStore(tx).add(invitation)
        data = {
            "person": person.id,
            "company": person.company,
            "role": person.role.value,
            "expires_at": invitation.expires_at,
        }
        draft = Draft(kind="person.invited", actor=actor, companies=(person.company,), data=data)
        await self._inbox.put(tx, replace(draft, disclose={"name": person.name, "email": person.email}))
        return Invited(person=person, secret=secret, expires_at=invitation.expires_at)

    async def add_administrator(self, tx: AsyncConnection, *, name: str, email: str, actor: Actor) -> Person:
        """Enter the first administrator, when the hub starts for the first time; they enrol like anybody."""
        person = replace(
            self._new_person(await self._company(tx, self._host), name, email, PersonRole.COMPANY_ADMIN), user_id=None
        )
        await PersonStore(tx).add(person)
        await self._issue_link(tx, person, actor)
        return person

    async def suspend_person(self, reference: str, *, actor: str, reason: str, suspended: bool) -> Person:
        """Shut a person out, or let them in again.

        Raises:
            NotFoundError: No such person.
            ConflictError: They are so already, or are the actor.
        """
        async with self._db.begin() as tx:
            before = await self._person(tx, reference)
            if before.id == actor:
                raise ConflictError("nobody suspends or resumes themselves")
            if before.suspended is suspended:
                state = "suspended already" if suspended else "not suspended"
                raise ConflictError(f"{before.name} is {state}", hint="conclave person list")
            after = replace(before, suspended=suspended)
            await PersonStore(tx).save(after)
            await self._put_record(tx, after)
            if suspended:
                await InvitationStore(tx).close_all(after.id, self._clock())
            kind = "person.suspended" if suspended else "person.resumed"
            data = {"person": after.id, "company": after.company, **({"reason": reason} if suspended else {})}
            draft = Draft(kind=kind, actor=person_actor(actor), companies=(after.company,), data=data)
            await self._inbox.put(tx, draft)
        return after

    async def person(self, reference: str) -> tuple[Person, frozenset[str]]:
        """One person, by id, e-mail address or Matrix user id, and their teams.

        Raises:
            NotFoundError: No such person.
        """
        async with self._db.read() as connection:
            found = await self._person(connection, reference)
            return found, await PersonStore(connection).teams(found.id)

    async def names(self, people: set[str]) -> dict[str, str]:
        """The names of these people, by id; who is not known has none."""
        async with self._db.read() as connection:
            return await PersonStore(connection).names(people)

    async def people(self, *, after: str, limit: int, company_id: str | None) -> list[Person]:
        """Up to ``limit`` people in the order of their ids, from behind ``after`` on, of one company where asked."""
        async with self._db.read() as connection:
            return await PersonStore(connection).page(after=after, limit=limit, company_id=company_id)

    # --- teams of the host company

    async def change_team(self, team: str, reference: str, *, actor: str, member: bool) -> Person:
        """Put a person of the host company into a team, or take them out; their rooms follow.

        Raises:
            InvalidInputError: The team's name does not fit, or the person is of another company.
            NotFoundError: No such person.
            ConflictError: They are in, or out, already.
        """
        check_identifier(team, "team")
        async with self._db.begin() as tx:
            person = await self._person(tx, reference)
            self._check_teams(await self._company(tx, person.company), (team,))
            store = PersonStore(tx)
            changed = await (store.join_team if member else store.leave_team)(person.id, team)
            if not changed:
                raise ConflictError(
                    f"{person.name} is {'in the team ' + team + ' already' if member else 'not in the team ' + team}"
                )
            await self._put_record(tx, person)
            draft = Draft(
                kind="team.joined" if member else "team.left",
                actor=person_actor(actor),
                companies=(person.company,),
                data={"person": person.id, "team": team},
            )
            await self._inbox.put(tx, draft)
        return person

    async def team(self, team: str) -> list[Person]:
        """Everyone of a team.

        Raises:
            NotFoundError: Nobody is in it.
        """
        async with self._db.read() as connection:
            people = await PersonStore(connection).team(team)
        if not people:
            raise NotFoundError(f"nobody is in a team {team!r}", hint=f"conclave team add {team} PERSON")
        return people

    async def teams(self) -> dict[str, int]:
        """Every team and how many people are in it."""
        async with self._db.read() as connection:
            return await PersonStore(connection).team_sizes()

    async def _company(self, connection: AsyncConnection, company_id: str) -> Company:
        found = await CompanyStore(connection).get(company_id)
        if found is None:
            raise NotFoundError(f"no company {company_id!r}", hint="conclave company list")
        return found

    async def _person(self, connection: AsyncConnection, reference: str) -> Person:
        found = await PersonStore(connection).find(reference)
        if found is None:
            raise NotFoundError(f"no person {reference!r}", hint="conclave person list")
        return found

    async def _put_record(self, tx: AsyncConnection, person: Person) -> None:
        record = person.record(await PersonStore(tx).teams(person.id))
        if record is not None:
            await DocumentStore(tx).put(record, self._clock())


def _check_terms(seats: int | None, not_after: Millis | None, now: Millis) -> None:
    if seats is not None and seats < 1:
        raise InvalidInputError(f"seats {seats}: expected at least 1", field="seats")
    if not_after is not None and not_after <= now:
        raise InvalidInputError("until: expected a date in the future", field="until")
