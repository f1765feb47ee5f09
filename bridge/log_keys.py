"""The log's keys as its entries have them, held against those at hand; what the log does not say yet enters it."""

import json

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from audit.keys import KeyFileError, verify_signature
from audit.note import NoteError, VerifierKey, split_note
from audit.store import LedgerStore
from audit.succession import ADOPT, KEY_KINDS, KINDS, MEMBERS, KeyStatement, LogKeys, statement_data
from bridge.signer.folder import KnownKeys
from config.clock import Clock
from config.db import Database

SIGNER = system_actor("signer")


async def enter_key_statements(db: Database, known: KnownKeys, clock: Clock) -> None:
    """Return when the log has the keys that are at hand; statements that the signer has and the log has not enter it.

    Raises:
        KeyFileError: The log has other keys: keys or database were swapped.
    """
    async with db.leadership("log-keys") as leader, db.begin() as tx:
        keys = await _keys_of_log(tx)
        if keys is None:
            return
        drafts = []
        for note in known.statements[keys.number :]:
            keys = _after(keys, note)
            drafts.append(statement_draft(note))
        if keys.current != known.current or (known.root is not None and keys.root != known.root):
            raise KeyFileError(
                "the log in the database was opened with another key than the one at hand",
                hint="put database and state directory of one hub together",
            )
        if leader:
            await Inbox("hub", clock).put(tx, *drafts)


def statement_draft(note: bytes) -> Draft:
    """The entry by which the statement ``note`` comes into the log."""
    data = statement_data(note.decode())
    return Draft(kind=KINDS[data["act"]], actor=SIGNER, data=data)


def opening_keys(known: KnownKeys) -> dict[str, str]:
    """What the log's first entry says of its keys: as they were before the signer's first statement, if it has any."""
    statements = [KeyStatement.parse(split_note(note)[0]) for note in known.statements]
    current = statements[0].old if statements else known.current
    data = {MEMBERS[key.algorithm]: str(key) for key in current}
    adopted = any(statement.act == ADOPT for statement in statements)
    if known.root is not None and not adopted:
        data["root_key"] = str(known.root)
    return data if known.succession is None else {**data, "succession": known.succession.decode()}


def retired_keys(known: KnownKeys) -> tuple[VerifierKey, ...]:
    """The keys that signed the log before those of today, the oldest first."""
    before = (key for note in known.statements for key in KeyStatement.parse(split_note(note)[0]).old)
    return tuple(dict.fromkeys(key for key in before if key not in known.current))


async def _keys_of_log(tx: AsyncConnection) -> LogKeys | None:
    """The keys as the log's entries and those that wait for their place have them; ``None`` before the first one."""
    store = LedgerStore(tx)
    first = await store.entry(0)
    if first is None:
        return None
    bodies = [json.loads(row.body) for row in await store.of_kinds(KEY_KINDS, (await store.head()).size)]
    bodies += map(json.loads, await store.waiting(*KEY_KINDS))
    try:
        keys = LogKeys.opened(json.loads(first.body)["data"], verify_signature)
        for body in bodies:
            keys = keys.after(str(body["data"]["statement"]).encode(), verify_signature)
    except NoteError as error:
        raise KeyFileError(f"the log in the database says of its keys what cannot be: {error}") from None
    return keys


def _after(keys: LogKeys, note: bytes) -> LogKeys:
    try:
        return keys.after(note, verify_signature)
    except NoteError as error:
        raise KeyFileError(
            f"the signer's keys do not follow from those of the log in the database: {error}",
            hint="put database and state directory of one hub together",
        ) from None
