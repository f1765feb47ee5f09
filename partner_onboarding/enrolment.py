"""Enrolment: from a link to a Matrix account. Killed anywhere, the same link finishes it; used up, it is worthless."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from config.clock import MINUTE, Clock
from config.db import Database
from config.errors import ConflictError, InvalidInputError
from partner_onboarding.federation import check_remote_user_id
from partner_onboarding.model import (
    Company,
    Invitation,
    InvitationError,
    Person,
    check_password,
    matrix_user_id,
)
from partner_onboarding.service import secret_hash
from partner_onboarding.store import CompanyStore, InvitationStore, PersonStore
from spaces.store import DocumentStore

CLAIM_MS = MINUTE


class Accounts(Protocol):
    """Matrix accounts on the homeserver. Every call may raise ``spaces.gateway.HomeserverError``."""

    async def account_exists(self, user_id: str) -> bool:
        """Whether the homeserver has such an account."""
        ...

    async def create_account(self, user_id: str, password: str, display_name: str) -> None:
        """Make the account, or set its password and name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInvitation:
    """What the page behind a link shows."""

    invitation: Invitation
    person: Person
    company: Company


class EnrolmentService:
    """What an invited person does."""

    def __init__(
        self, db: Database, inbox: Inbox, clock: Clock, accounts: Accounts, *, server: str, new_claim: Callable[[], str]
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._accounts = accounts
        self._server = server
        self._new_claim = new_claim

    async def look(self, secret: str) -> OpenInvitation:
        """What the link ``secret`` invites to.

        Raises:
            InvitationError: It is unknown, used, replaced or expired, or the company was suspended.
        """
        async with self._db.read() as connection:
            return await self._open(connection, secret)

    async def enrol(self, secret: str, *, username: str, password: str) -> Person:
        """Make the person's account and let them in.

        Raises:
            InvitationError: The link cannot be used.
            InvalidInputError: The user name or password does not fit, or the name is taken.
            ConflictError: The same link is being used at this moment.
            HomeserverError: No account was made; the link stays good.
        """
        check_password(password)
        async with self._db.begin() as tx:
            found = await self._open(tx, secret)
            if found.company.server is not None:
                raise InvalidInputError(
                    f"people of {found.company.name} have their accounts on {found.company.server};"
                    " give your Matrix address there, no user name",
                    field="username",
                )
            user_id = matrix_user_id(username, found.company.id, self._server)
            again = found.invitation.user_id == user_id
            claimed = await self._claim(tx, found.invitation, user_id)
        try:
            await self._make_account(user_id, password, f"{found.person.name} ({found.company.name})", again=again)
        except BaseException:
            await self._let_go(claimed)
            raise
        return await self._finish(secret, claimed)

    async def enrol_remote(self, secret: str, *, user_id: str) -> Person:
        """Bind the person to the account that they have on their company's own homeserver, and let it in.

        Whoever holds the link says which account; it must be on the company's server, be nobody else's here, and only
        that account can accept the hub's invitations.

        Raises:
            InvitationError: The link cannot be used.
            InvalidInputError: It is no account on the company's server, or the company has none.
            ConflictError: The same link is being used at this moment.
        """
        async with self._db.begin() as tx:
            found = await self._open(tx, secret)
            if found.company.server is None:
                raise InvalidInputError(
                    f"{found.company.name} has no homeserver of its own; choose a user name for an account here",
                    field="user_id",
                )
            claimed = await self._claim(tx, found.invitation, check_remote_user_id(user_id, found.company.server))
            return await self._finish_in(tx, secret, claimed)

    async def _open(self, connection: AsyncConnection, secret: str) -> OpenInvitation:
        now = self._clock()
        invitation = await InvitationStore(connection).by_secret(secret_hash(secret))
        if invitation is None:
            raise InvitationError("this link is not one of ours", hint="copy the whole link from your invitation")
        invitation.check(now)
        person = await PersonStore(connection).get(invitation.person)
        company = None if person is None else await CompanyStore(connection).get(person.company)
        if person is None or company is None or person.suspended or company.suspended:
            raise InvitationError("this invitation was taken back", hint="ask the person who invited you")
        if company.not_after is not None and now >= company.not_after:
            raise InvitationError(f"the contract with {company.name} has ended", hint="ask the person who invited you")
        return OpenInvitation(invitation=invitation, person=person, company=company)

    async def _claim(self, tx: AsyncConnection, invitation: Invitation, user_id: str) -> Invitation:
        now = self._clock()
        if invitation.claim is not None and (invitation.claimed_at or 0) + CLAIM_MS > now:
            raise ConflictError("this link is being used at this moment", hint="wait a minute and look again")
        taken = await PersonStore(tx).find(user_id) or await InvitationStore(tx).claimed_by_other(
            user_id, invitation.id
        )
        if taken:
            raise _taken(user_id)
        claimed = replace(invitation, user_id=user_id, claim=self._new_claim(), claimed_at=now)
        await InvitationStore(tx).save(claimed)
        return claimed

    async def _make_account(self, user_id: str, password: str, display_name: str, *, again: bool) -> None:
        """``again``: an earlier, interrupted attempt of this very link may have made the account."""
        if not again and await self._accounts.account_exists(user_id):
            raise _taken(user_id)
        await self._accounts.create_account(user_id, password, display_name)

    async def _let_go(self, claimed: Invitation) -> None:
        async with self._db.begin() as tx:
            await InvitationStore(tx).save(replace(claimed, claim=None, claimed_at=None))

    async def _finish(self, secret: str, claimed: Invitation) -> Person:
        async with self._db.begin() as tx:
            return await self._finish_in(tx, secret, claimed)

    async def _finish_in(self, tx: AsyncConnection, secret: str, claimed: Invitation) -> Person:
        now = self._clock()
        found = await self._open(tx, secret)
        if found.invitation.claim != claimed.claim:
            raise ConflictError("this link was used at the same moment elsewhere", hint="open the link again")
        person = replace(found.person, user_id=claimed.user_id, enrolled_at=now)
        await PersonStore(tx).save(person)
        await InvitationStore(tx).save(replace(found.invitation, closed_at=now, claim=None))
        record = person.record(await PersonStore(tx).teams(person.id))
        if record is not None:
            await DocumentStore(tx).put(record, now)
        data = {"person": person.id, "company": person.company, "role": person.role.value}
        draft = Draft(kind="person.enrolled", actor=person_actor(person.id), companies=(person.company,), data=data)
        await self._inbox.put(tx, replace(draft, disclose={"user_id": str(person.user_id)}))
        return person


def _taken(user_id: str) -> InvalidInputError:
    return InvalidInputError(f"the user name in {user_id} is taken in your company; choose another", field="username")
