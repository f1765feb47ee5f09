"""Proofs from the tables: every tile that they need is asked for, whatever the size."""

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, update

from audit.store import CosignedRow, LedgerStore
from audit.stored_hashes import with_hashes
from audit.tables import ledger_tile
from audit.tiles import TileError
from audit.tree import Frontier, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from config.db import Database
from tests.ledger import make_log, sample

SIZE = 700


async def test_proofs_over_several_tiles_hold(db: Database, tmp_path: Path) -> None:
    await make_log(db, tmp_path, sample(SIZE - 1))
    async with db.read() as connection:
        store = LedgerStore(connection)
        leaves = [leaf_hash(body) for body in await store.bodies(0, SIZE)]
        roots = {size: Frontier().extend(leaves[:size]).root() for size in (1, 255, 256, 257, 511, 600, SIZE)}
        for position in {0, 1, 255, 256, 300, 511, 512, SIZE - 1}:
            proof = await with_hashes(store, partial(inclusion_proof, position, SIZE))
            verify_inclusion(leaves[position], position, SIZE, proof, roots[SIZE])
        for size, root in roots.items():
            proof = await with_hashes(store, partial(consistency_proof, size, SIZE))
            verify_consistency(size, SIZE, proof, root, roots[SIZE])


async def test_a_tile_that_lost_hashes_gives_no_proof(db: Database, tmp_path: Path) -> None:
    """Also one whose hashes were in memory: they are found by what the database has now."""
    await make_log(db, tmp_path, sample(SIZE - 1))
    proof = partial(inclusion_proof, 300, SIZE)
    async with db.begin() as tx:
        store = LedgerStore(tx)
        whole = await with_hashes(store, proof)
        row = ledger_tile.c.level == 0, ledger_tile.c.tile == 1
        held = (await tx.execute(select(ledger_tile.c.hashes).where(*row))).scalar_one()
        for hashes in (held[:32], held[:-32], b""):
            await tx.execute(update(ledger_tile).where(*row).values(hashes=hashes))
            with pytest.raises(TileError, match=rf"^tile 0/1 holds {len(hashes) // 32} hashes, too few$"):
                await with_hashes(store, proof)
        await tx.execute(update(ledger_tile).where(*row).values(hashes=held[32:] + held[:32]))
        assert await with_hashes(store, proof) != whole


async def test_the_cosigned_checkpoint_comes_first_where_it_covers_the_entry(db: Database, tmp_path: Path) -> None:
    await make_log(db, tmp_path, sample(9))
    async with db.begin() as tx:
        store = LedgerStore(tx)
        signed = (await store.head()).checkpoint
        await store.set_cosigned(CosignedRow(size=5, at=1, checkpoint=b"cosigned"))
        found = [await store.covered(position) for position in (4, 5, 9, 10)]
    assert [row and (row[0].position, row[1]) for row in found] == [
        (4, [(5, b"cosigned"), (10, signed)]),
        (5, [(10, signed)]),
        (9, [(10, signed)]),
        None,
    ]
