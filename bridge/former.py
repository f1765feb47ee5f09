"""Logs that were closed after a restore, as folders that any reader of such logs opens (C2SP tlog-tiles)."""

import json
from collections.abc import AsyncIterator

from audit.former_store import FormerLog, FormerStore
from audit.note import VerifierKey, split_note
from audit.succession import KeyStatement
from audit.tiles import TILE_WIDTH, Edge, bundle_widths, encode_bundle, entries_path, tile_path, tile_widths
from audit.tree import leaf_hash
from audit.verify import CHECKPOINT, DISCLOSURES, LOG_KEY, SIGNERS, signers_line
from config.db import Database

SUCCESSION = "succession.note"


async def former_logs(db: Database) -> list[FormerLog]:
    """Every log that was closed, the oldest first."""
    async with db.read() as connection:
        return await FormerStore(connection).logs()


async def former_files(db: Database, log: FormerLog) -> AsyncIterator[tuple[str, bytes]]:
    """The files of a closed log as (path, content); there is no manifest: nobody ordered an export of it."""
    statement = KeyStatement.parse(split_note(log.succession)[0])
    yield SUCCESSION, log.succession
    yield LOG_KEY, "".join(f"{key}\n" for key in statement.old).encode()
    if log.checkpoint is not None:
        yield CHECKPOINT, log.checkpoint
    edge, widths = Edge(), {(level, index): width for level, index, width in tile_widths(log.size)}
    for index, width in bundle_widths(log.size):
        start = index * TILE_WIDTH
        async with db.read() as connection:
            bodies = await FormerStore(connection).bodies(log.number, start, start + width)
        if index == 0:
            export_key = VerifierKey.parse(json.loads(bodies[0])["data"]["export_key"])
            yield SIGNERS, signers_line(export_key).encode()
        yield entries_path(index, width), encode_bundle(bodies)
        edge, changed = edge.append([leaf_hash(body) for body in bodies])
        for (level, at), hashes in changed.items():
            if len(hashes) == widths[level, at]:
                yield tile_path(level, at, len(hashes)), b"".join(hashes)
    async with db.read() as connection:
        shown = await FormerStore(connection).disclosures(log.number)
    lines = [json.dumps({"entry": entry, "disclosure": text}, sort_keys=True) for entry, text in shown]
    yield DISCLOSURES, "".join(f"{line}\n" for line in lines).encode()
