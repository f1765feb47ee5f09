"""Statements that only look, past transactions: they leave the connection as it was for whoever has it next."""

import pytest
from sqlalchemy import text

from config.db import Database

COUNT, LEAVE = text("SELECT count(*) FROM inbox"), text("INSERT INTO inbox VALUES (1, 1, 'api', 1, '{}')")


async def test_a_transaction_after_a_look_is_one(db: Database) -> None:
    """On PostgreSQL looking is done outside of transactions, by the same connections that have them otherwise."""
    for _ in range(3):
        async with db.look() as connection:
            assert await connection.scalar(COUNT) == 0
        with pytest.raises(ZeroDivisionError):
            await _break_off(db)
    async with db.read() as connection:
        assert await connection.scalar(COUNT) == 0


async def _break_off(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute(LEAVE)
        raise ZeroDivisionError
