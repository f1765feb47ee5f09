"""Roles and credentials, and their SQL on an open connection; the caller owns the transaction."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from partner_onboarding.tables import credential, role_grant


class Role(StrEnum):
    """What a person of the host company may do."""

    ADMIN = "admin"
    PARTNER_MANAGER = "partner-manager"
    COMPLIANCE_OFFICER = "compliance-officer"
    AUDITOR = "auditor"


EXCLUSIVE = frozenset({Role.PARTNER_MANAGER, Role.COMPLIANCE_OFFICER})
"""Roles that one person does not hold together: who acts does not also watch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential without its secret."""

    id: str
    person: str
    device: str
    issued_at: Millis
    expires_at: Millis
    revoked_at: Millis | None


class AccessStore:
    """SQL of roles and credentials, on an open connection."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def roles(self, person_id: str) -> frozenset[Role]:
        """The roles of a person."""
        rows = await self._tx.scalars(select(role_grant.c.role).where(role_grant.c.person == person_id))
        return frozenset(Role(role) for role in rows)

    async def grants(self) -> list[tuple[str, Role]]:
        """Every (person, role)."""
        rows = await self._tx.execute(select(role_grant).order_by(role_grant.c.person, role_grant.c.role))
        return [(row.person, Role(row.role)) for row in rows]

    async def add_role(self, person_id: str, role: Role, now: Millis) -> None:
        """Store a role."""
        await self._tx.execute(insert(role_grant).values(person=person_id, role=role.value, granted_at=now))

    async def remove_role(self, person_id: str, role: Role) -> None:
        """Delete a role."""
        where = (role_grant.c.person == person_id, role_grant.c.role == role.value)
        await self._tx.execute(delete(role_grant).where(*where))

    async def add_credential(self, item: Credential, hashed: bytes) -> None:
        """Store a credential with the hash of its secret."""
        await self._tx.execute(
            insert(credential).values(
                id=item.id,
                person=item.person,
                device=item.device,
                secret_hash=hashed,
                issued_at=item.issued_at,
                expires_at=item.expires_at,
                revoked_at=None,
            )
        )

    async def credential(self, credential_id: str) -> tuple[Credential, bytes] | None:
        """A credential and the hash of its secret."""
        row = (await self._tx.execute(select(credential).where(credential.c.id == credential_id))).one_or_none()
        return None if row is None else (_credential(row), row.secret_hash)

    async def credentials(self, person_id: str | None, *, after: str, limit: int) -> list[Credential]:
        """Up to ``limit`` credentials in the order of their ids, from behind ``after`` on."""
        statement = select(credential).where(credential.c.id > after)
        if person_id is not None:
            statement = statement.where(credential.c.person == person_id)
        return [_credential(row) for row in await self._tx.execute(statement.order_by(credential.c.id).limit(limit))]

    async def extend(self, credential_id: str, expires_at: Millis) -> None:
        """Move a credential's end."""
        await self._tx.execute(update(credential).where(credential.c.id == credential_id).values(expires_at=expires_at))

    async def revoke(self, credential_id: str, now: Millis) -> None:
        """Make a credential useless."""
        await self._tx.execute(update(credential).where(credential.c.id == credential_id).values(revoked_at=now))


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        id=row.id,
        person=row.person,
        device=row.device,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
