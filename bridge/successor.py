"""After a legitimate restore: the log in the database is closed, and its successor opened; one transaction.

The signer is asked first: it gives up the old log's key by a statement that the root signed. From then on the hub does
its part at its next start, however often it is killed.
"""

import json
import os
from collections.abc import Mapping
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.batch_store import BatchStore
from audit.canonical import canonical_json
from audit.entry import SALT_SIZE, Draft, draft_body
from audit.former_store import FormerStore, WaitingEntry
from audit.index import INDEX_KIND
from audit.keys import KeyFileError, verify_signature
from audit.note import Checkpoint, NoteError
from audit.store import LedgerHead, LedgerStore
from audit.stored_hashes import with_hashes
from audit.succession import KEY_KINDS, KeyStatement, open_statement
from audit.tree import EMPTY_ROOT, Head, ProofError, consistency_proof, verify_consistency
from bridge.foundation import BOOTSTRAP
from bridge.signer.folder import KnownKeys
from config.clock import Clock
from config.db import Database
from config.errors import ConflictError

_SEALED = frozenset({"at", "source", "source_seq", "actor_seq", "room_seq"})
_BATCH = 1_000


async def signed_head(db: Database) -> Checkpoint:
    """The head of the log in the database up to which it is signed.

    Raises:
        ConflictError: There is no log in the database.
    """
    async with db.read() as connection:
        store = LedgerStore(connection)
        first, head = await store.entry(0), await store.head()
    if first is None:
        raise ConflictError("there is no log in the database", hint="start the hub once")
    return _signed(json.loads(first.body)["data"]["origin"], head)


def _signed(origin: str, head: LedgerHead) -> Checkpoint:
    if head.checkpoint is None:
        return Checkpoint(origin=origin, size=0, root=EMPTY_ROOT)
    return Checkpoint.parse(head.checkpoint.decode().partition("\n\n")[0] + "\n")


async def refuse_without_need(db: Database, signed: Head) -> None:
    """Return when the log in the database does not go on from what the signer ``signed``.

    Raises:
        ConflictError: It does: nothing was lost.
    """
    async with db.read() as connection:
        if await _extends(LedgerStore(connection), signed):
            raise ConflictError(
                f"the log in the database goes on from the {signed.size:,} entries that were signed: nothing was lost",
                hint="start the hub; it signs by itself",
            )


async def _extends(store: LedgerStore, signed: Head) -> bool:
    head = await store.head()
    if head.size < signed.size or signed.size == 0:
        return signed.size == 0
    proof = await with_hashes(store, partial(consistency_proof, signed.size, head.size))
    try:
        verify_consistency(signed.size, head.size, proof, signed.root, head.root)
    except ProofError:
        return False
    return True


async def enter_succession(db: Database, known: KnownKeys, opening: Mapping[str, str], clock: Clock) -> None:
    """Return when the log in the database is the one that the signer signs; the one before it is closed for that.

    ``opening`` is what the new log's first entry says. What was recorded and never signed, and what waits, is recorded
    in the new log, in its order.

    Raises:
        KeyFileError: The signer's statement is about another log or another head than the database has.
    """
    if known.succession is None:
        return
    new = known.current[0].name
    async with db.begin() as tx:
        if await _opened(tx, new) is None:
            return  # not founded yet, or done
        await BatchStore(tx).lead()  # whoever starts at the same time waits here, until this one is done
        opened = await _opened(tx, new)
        if opened is not None:
            statement = await _checked(LedgerStore(tx), known.succession, opened)
            await _open(tx, statement, known.succession, opening, clock)


async def _opened(tx: AsyncConnection, new: str) -> dict[str, str] | None:
    """What the log in the database says of itself, unless there is none or it is the ``new`` one."""
    first = await LedgerStore(tx).entry(0)
    bodies = [row.body for row in await FormerStore(tx).waiting()] if first is None else [first.body.decode()]
    opened = next((body["data"] for body in map(json.loads, bodies) if body["kind"] == "log.opened"), None)
    return None if opened is None or opened["origin"] == new else opened


async def _checked(store: LedgerStore, note: bytes, opened: Mapping[str, str]) -> KeyStatement:
    try:
        statement = open_statement(note, verify_signature)
    except NoteError as error:
        raise KeyFileError(f"the signer's statement of a succession is broken: {error}") from None
    here = _signed(opened["origin"], await store.head())
    if statement.origin != here.origin or statement.signed is None:
        raise KeyFileError(
            f"the signer's log follows {statement.origin}, and the one in the database is {here.origin}",
            hint="put database and keys of one hub together",
        )
    if statement.restored != here:
        raise KeyFileError(
            f"the database has {here.size} signed entries of {here.origin}, and the statement that closes that log says"
            f" {statement.restored.size if statement.restored else 0}, or another root",
            hint="put back the backup for which the statement was made",
        )
    if await _extends(store, Head(statement.signed.size, statement.signed.root)):
        raise KeyFileError("the database has what the statement says was lost", hint="tell the compliance officer")
    return statement


OF_THIS_LOG = KEY_KINDS | {INDEX_KIND, "log.opened"}
"""What the log said of itself is not said of the next one."""


async def _open(
    tx: AsyncConnection, statement: KeyStatement, note: bytes, opening: Mapping[str, str], clock: Clock
) -> None:
    store, former = LedgerStore(tx), FormerStore(tx)
    head, waiting = await store.head(), await former.waiting()
    unsigned: list[WaitingEntry] = []
    while head.signed_size + len(unsigned) < head.size:
        start = head.signed_size + len(unsigned)
        unsigned += map(_unsealed, await store.bodies(start, start + _BATCH))
    kept = [one for one in (*unsigned, *waiting) if json.loads(one.body)["kind"] not in OF_THIS_LOG]
    draft = Draft(kind="log.opened", actor=BOOTSTRAP, data=dict(opening))
    body = canonical_json(draft_body(draft, [], os.urandom(SALT_SIZE))).decode()
    at = min([clock(), *(one.at for one in kept)])
    await former.close(statement.origin, head, note)
    await former.put([WaitingEntry(at=at, source="hub", body=body), *kept])


def _unsealed(body: bytes) -> WaitingEntry:
    """A recorded entry as it was before the log gave it its numbers."""
    entry = json.loads(body)
    draft = {name: value for name, value in entry.items() if name not in _SEALED}
    return WaitingEntry(at=entry["at"], source=entry["source"], body=canonical_json(draft).decode())
