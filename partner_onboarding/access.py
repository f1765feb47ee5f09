"""Who of the host company may do what: roles of named persons, and credentials of their devices."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Actor, Draft, person_actor
from audit.inbox import Inbox
from config.clock import DAY, Clock, Millis
from config.db import Database
from config.errors import ConclaveError, ConflictError, InvalidInputError, NotFoundError
from partner_onboarding.access_store import EXCLUSIVE, AccessStore, Credential, Role
from partner_onboarding.model import Person, check_name
from partner_onboarding.service import NewId, secret_hash
from partner_onboarding.store import CompanyStore, PersonStore

RENEW_MS = 30 * DAY
TOKEN_PREFIX = "conclave_"  # noqa: S105  # a prefix by which leaked tokens are recognised


class NotAuthenticatedError(ConclaveError):
    """No credential, or one that is unknown, expired or revoked."""

    code = "not_authenticated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a call: a person with roles, on a device."""

    person: str
    name: str
    company: str
    company_name: str
    roles: frozenset[Role]
    credential: str
    device: str
    expires_at: Millis


def split_token(token: str) -> tuple[str, str]:
    """A token's credential id and secret."""
    credential_id, _, secret = token.removeprefix(TOKEN_PREFIX).partition(".")
    return credential_id, secret


class AccessService:
    """Grants and credentials. A change and its entry are one transaction."""

    def __init__(
        self,
        db: Database,
        inbox: Inbox,
        clock: Clock,
        *,
        host: str,
        credential_days: int,
        allow_manager_and_officer: bool,
        new_id: NewId,
        new_secret: Callable[[], str],
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._host = host
        self._credential_days = credential_days
        self._allow_both = allow_manager_and_officer
        self._new_id = new_id
        self._new_secret = new_secret

    async def authenticate(self, token: str) -> Principal:
        """Whose credential ``token`` is.

        Raises:
            NotAuthenticatedError: It is unknown, expired, revoked, or its person is suspended.
        """
        credential_id, secret = split_token(token)
        async with self._db.read() as connection:
            store = AccessStore(connection)
            found = await store.credential(credential_id)
            hashed = found[1] if found else b"\0" * 32
            if not hmac.compare_digest(hashed, secret_hash(secret)) or found is None:
                raise NotAuthenticatedError(
                    "the credential is not known here", hint="conclave credential issue makes a new one"
                )
            return await self._principal(connection, found[0])

    async def _principal(self, connection: AsyncConnection, item: Credential) -> Principal:
        person = await PersonStore(connection).get(item.person)
        company = None if person is None else await CompanyStore(connection).get(person.company)
        if item.revoked_at is not None or self._clock() >= item.expires_at:
            state = "was revoked" if item.revoked_at is not None else "has expired"
            raise NotAuthenticatedError(f"the credential {item.id} {state}", hint="ask an administrator for a new one")
        if person is None or company is None or person.suspended:
            raise NotAuthenticatedError("this person is suspended", hint="ask an administrator")
        return Principal(
            person=person.id,
            name=person.name,
            company=company.id,
            company_name=company.name,
            roles=await AccessStore(connection).roles(person.id),
            credential=item.id,
            device=item.device,
            expires_at=item.expires_at,
        )

    async def grant(self, reference: str, role: Role, *, actor: str) -> Person:
        """Let a person of the host company do what ``role`` may.

        Raises:
            NotFoundError: No such person.
            ConflictError: They hold it, are of another company or suspended, or hold a role that excludes it.
        """
        async with self._db.begin() as tx:
            person = await self._host_person(tx, reference)
            held = await AccessStore(tx).roles(person.id)
            if role in held:
                raise ConflictError(f"{person.name} is {role} already")
            if not self._allow_both and role in EXCLUSIVE and (held & (EXCLUSIVE - {role})):
                other = next(iter(held & EXCLUSIVE))
                raise ConflictError(
                    f"{person.name} is {other}: nobody is both {Role.PARTNER_MANAGER} and {Role.COMPLIANCE_OFFICER}",
                    hint="give the role to another person, or set access.allow_manager_and_officer",
                )
            await self.put_role(tx, person, role, person_actor(actor))
        return person

    async def put_role(self, tx: AsyncConnection, person: Person, role: Role, actor: Actor) -> None:
        """Store a role with its entry, as part of ``tx``."""
        await AccessStore(tx).add_role(person.id, role, self._clock())
        data = {"person": person.id, "role": role.value}
        await self._inbox.put(tx, Draft(kind="role.granted", actor=actor, companies=(self._host,), data=data))

    async def revoke_role(self, reference: str, role: Role, *, actor: str) -> Person:
        """Take a role back.

        Raises:
            NotFoundError: No such person.
            ConflictError: They do not hold it, or are the last administrator.
        """
        async with self._db.begin() as tx:
            person = await self._host_person(tx, reference)
            store = AccessStore(tx)
            if role not in await store.roles(person.id):
                raise ConflictError(f"{person.name} is not {role}", hint="conclave role list")
            if role is Role.ADMIN and not await self._other_admin(tx, person.id):
                raise ConflictError(f"{person.name} is the last administrator", hint="grant the role to another first")
            await store.remove_role(person.id, role)
            data = {"person": person.id, "role": role.value}
            draft = Draft(kind="role.revoked", actor=person_actor(actor), companies=(self._host,), data=data)
            await self._inbox.put(tx, draft)
        return person

    async def _other_admin(self, tx: AsyncConnection, person_id: str) -> bool:
        for other, role in await AccessStore(tx).grants():
            if role is Role.ADMIN and other != person_id:
                found = await PersonStore(tx).get(other)
                if found is not None and not found.suspended:
                    return True
        return False

    async def grants(self) -> list[tuple[Person, Role]]:
        """Every person with a role."""
        async with self._db.read() as connection:
            found = []
            for person_id, role in await AccessStore(connection).grants():
                person = await PersonStore(connection).get(person_id)
                if person is not None:
                    found.append((person, role))
            return found

    async def issue(self, reference: str, device: str, *, days: int | None, actor: str) -> tuple[Credential, str]:
        """A new credential and its token, which is shown this once.

        Raises:
            InvalidInputError: The device's name or the days do not fit.
            NotFoundError: No such person.
            ConflictError: The person is of another company or suspended.
        """
        lifetime = self._credential_days if days is None else days
        if not 1 <= lifetime <= 3_650:
            raise InvalidInputError(f"days {lifetime}: expected 1 to 3650", field="days")
        async with self._db.begin() as tx:
            person = await self._host_person(tx, reference)
            token, name = self.new_token(), check_name(device, "device")
            item = await self.put_credential(
                tx, person, device=name, days=lifetime, token=token, actor=person_actor(actor)
            )
        return item, token

    def new_token(self) -> str:
        """A token for a credential that does not exist yet."""
        return f"{TOKEN_PREFIX}{self._new_id('crd')}.{self._new_secret()}"

    async def put_credential(
        self, tx: AsyncConnection, person: Person, *, device: str, days: int, token: str, actor: Actor
    ) -> Credential:
        """Store the credential of ``token`` with its entry, as part of ``tx``; the secret itself is not stored."""
        now = self._clock()
        credential_id, secret = split_token(token)
        item = Credential(
            id=credential_id,
            person=person.id,
            device=device,
            issued_at=now,
            expires_at=now + days * DAY,
            revoked_at=None,
        )
        await AccessStore(tx).add_credential(item, secret_hash(secret))
        data = {"person": person.id, "credential": item.id, "expires_at": item.expires_at}
        draft = Draft(kind="credential.issued", actor=actor, companies=(self._host,), data=data)
        await self._inbox.put(tx, draft)
        return item

    async def keep_local(self, token: str, *, device: str, actor: Actor) -> None:
        """Have ``token`` work for at least 30 days more: renewed near its end, issued to an administrator when new.

        A credential that was revoked stays so.
        """
        now, lifetime = self._clock(), self._credential_days * DAY
        async with self._db.begin() as tx:
            store = AccessStore(tx)
            found = await store.credential(split_token(token)[0])
            if found is None:
                person = await self._first_admin(tx)
                if person is not None:
                    await self.put_credential(
                        tx, person, device=device, days=self._credential_days, token=token, actor=actor
                    )
                return
            item = found[0]
            if item.revoked_at is not None or item.expires_at - now > min(RENEW_MS, lifetime // 2):
                return
            await store.extend(item.id, now + lifetime)
            data = {"person": item.person, "credential": item.id, "expires_at": now + lifetime}
            await self._inbox.put(tx, Draft(kind="credential.renewed", actor=actor, companies=(self._host,), data=data))

    async def _first_admin(self, tx: AsyncConnection) -> Person | None:
        for person_id, role in await AccessStore(tx).grants():
            person = await PersonStore(tx).get(person_id) if role is Role.ADMIN else None
            if person is not None and not person.suspended:
                return person
        return None

    async def revoke(self, credential_id: str, *, actor: str) -> Credential:
        """Make a credential useless.

        Raises:
            NotFoundError: No such credential.
            ConflictError: It was revoked before.
        """
        async with self._db.begin() as tx:
            found = await AccessStore(tx).credential(credential_id)
            if found is None:
                raise NotFoundError(f"no credential {credential_id!r}", hint="conclave credential list")
            if found[0].revoked_at is not None:
                raise ConflictError(f"{credential_id} was revoked already")
            await AccessStore(tx).revoke(credential_id, self._clock())
            data = {"person": found[0].person, "credential": credential_id}
            draft = Draft(kind="credential.revoked", actor=person_actor(actor), companies=(self._host,), data=data)
            await self._inbox.put(tx, draft)
        return found[0]

    async def credentials(self, reference: str | None, *, after: str, limit: int) -> list[Credential]:
        """Up to ``limit`` credentials, of one person where asked, from behind ``after`` on.

        Raises:
            NotFoundError: No such person.
        """
        async with self._db.read() as connection:
            person_id = None if reference is None else (await self._host_person(connection, reference)).id
            return await AccessStore(connection).credentials(person_id, after=after, limit=limit)

    async def _host_person(self, connection: AsyncConnection, reference: str) -> Person:
        person = await PersonStore(connection).find(reference)
        if person is None:
            raise NotFoundError(f"no person {reference!r}", hint=f"conclave person list --company {self._host}")
        if person.company != self._host:
            raise ConflictError(
                f"{person.name} is of {person.company}; only people of {self._host} have roles",
                hint="people of other companies need no credential: they have the helper's chat in their Matrix client",
            )
        if person.suspended:
            raise ConflictError(f"{person.name} is suspended", hint=f"conclave person resume {reference}")
        return person
