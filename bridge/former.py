"""Logs that were closed after a restore, as folders that any reader of such logs opens (C2SP tlog-tiles)."""

import json
from collections.abc import AsyncIterator

from audit.bundle import disclosure_lines
from audit.closed import COSIGNED, SUCCESSION
from audit.former_store import FormerLog, FormerStore
from audit.key_history import statement_lines
from audit.note import VerifierKey, split_note
from audit.parts import CHECKPOINT, DISCLOSURES, INDEXES, LOG_KEY, SIGNERS, STATEMENTS, signers_line
from audit.succession import KEY_KINDS, KeyStatement
from audit.tiles import TILE_WIDTH, Edge, bundle_widths, encode_bundle, entries_path, tile_path, tile_widths
from audit.timestamps import note_name, token_name
from audit.tree import leaf_hashes
from config.db import Database


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
    if log.cosigned is not None:
        yield COSIGNED, log.cosigned
    edge, widths = Edge(), {(level, index): width for level, index, width in tile_widths(log.size)}
    for index, width in bundle_widths(log.size):
        start = index * TILE_WIDTH
        async with db.read() as connection:
            bodies = await FormerStore(connection).bodies(log.number, start, start + width)
        if index == 0:
            export_key = VerifierKey.parse(json.loads(bodies[0])["data"]["export_key"])
            yield SIGNERS, signers_line(export_key).encode()
        yield entries_path(index, width), encode_bundle(bodies)
        edge, changed = edge.append(leaf_hashes(bodies))
        for (level, at), hashes in changed.items():
            if len(hashes) == widths[level, at]:
                yield tile_path(level, at, len(hashes)), b"".join(hashes)
    async with db.read() as connection:
        beside = await _beside(FormerStore(connection), log.number)
    for path, content in beside:
        yield path, content


async def _beside(store: FormerStore, number: int) -> list[tuple[str, bytes]]:
    """What an export has beside the log: its keys' changes, disclosures, seeds of indexes, timestamps."""
    opening = [(at, json.loads(body)) for at, body in await store.of_kinds(number, {"log.opened"})]
    follows = [(at, entry) for at, entry in opening if at == 0 and "succession" in entry["data"]]
    changes = [(at, json.loads(body)) for at, body in await store.of_kinds(number, KEY_KINDS)]
    statements = statement_lines([*follows, *changes])
    seeds = disclosure_lines(await store.disclosures(number, of_indexes=True))
    shown = disclosure_lines(await store.disclosures(number, of_indexes=False))
    files = [(STATEMENTS, statements)] * bool(statements) + [(INDEXES, seeds)] * bool(seeds) + [(DISCLOSURES, shown)]
    for row in await store.timestamps(number):
        files += [(note_name(row.size), row.checkpoint), (token_name(row.size), row.tsr)]
    return files
