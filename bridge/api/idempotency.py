"""Repeated calls: a write with an ``Idempotency-Key`` is carried out once, however often it is sent.

The key is stored in the transaction of the change itself. So a key that is there proves that the change was made, and
one that is not, that it was not.
"""

import json
from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.tables import idempotency
from config.clock import DAY, Clock
from config.db import BeforeCommit, Database, before_commit
from config.errors import ConflictError, InvalidInputError

HEADER = "Idempotency-Key"
KEEP_MS = DAY
MAX_KEY = 200


class KeyReusedError(ConflictError):
    """The key stood for another call before."""

    code = "idempotency_key_reused"


class AnswerLostError(ConflictError):
    """The call was carried out before, but its answer is gone."""

    code = "already_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What was answered the first time."""

    status: int
    body: dict[str, Any]


class Once:
    """One call under one key."""

    def __init__(self, db: Database, clock: Clock, *, person: str, key: str, operation: str, body: bytes) -> None:
        if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
            raise InvalidInputError(f"{HEADER}: expected 1 to {MAX_KEY} printable ASCII characters", field=HEADER)
        self._noted = False
        self._db = db
        self._clock = clock
        self._id = {"person": person, "key": key}
        self._where = (idempotency.c.person == person, idempotency.c.key == key)
        self._fingerprint = sha256(operation.encode() + b"\0" + body).digest()

    async def earlier(self) -> StoredAnswer | None:
        """What was answered before; ``None`` when the call is new.

        Raises:
            KeyReusedError: The key belongs to another call.
            AnswerLostError: The call was carried out, its answer was lost in a crash.
        """
        async with self._db.read() as connection:
            row = (await connection.execute(select(idempotency).where(*self._where))).one_or_none()
        if row is None:
            return None
        if row.fingerprint != self._fingerprint:
            raise KeyReusedError("this key was used for another call", hint="use a fresh key for each call")
        if row.status is None:
            raise AnswerLostError("this call was carried out before; its answer is lost", hint="look at the result")
        return StoredAnswer(status=row.status, body=json.loads(row.answer))

    def noting(self) -> AbstractContextManager[None]:
        """While this is open, the current task's first writing transaction stores the key with its change."""
        return _Adding(self._note)

    async def _note(self, tx: AsyncConnection) -> None:
        if self._noted:
            return
        self._noted = True
        now = self._clock()
        await tx.execute(delete(idempotency).where(idempotency.c.at < now - KEEP_MS))
        await tx.execute(insert(idempotency).values(**self._id, fingerprint=self._fingerprint, at=now))

    async def keep(self, answer: StoredAnswer) -> None:
        """Store the answer for repetitions."""
        async with self._db.begin() as tx:
            values = {"status": answer.status, "answer": json.dumps(answer.body)}
            await tx.execute(update(idempotency).where(*self._where).values(**values))


class _Adding:
    """Sets ``before_commit`` for the current task."""

    def __init__(self, addition: BeforeCommit) -> None:
        self._addition = addition
        self._token: Token[BeforeCommit | None] | None = None

    def __enter__(self) -> None:
        self._token = before_commit.set(self._addition)

    def __exit__(self, *_error: object) -> None:
        if self._token is not None:
            before_commit.reset(self._token)


def noting(once: Once | None) -> AbstractContextManager[None]:
    """``once.noting()``, or nothing for a call without a key."""
    return nullcontext() if once is None else once.noting()
