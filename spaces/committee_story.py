"""The story of a committee, as the ledger has it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.store import LedgerStore
from spaces.committee import Committee
from spaces.committee_entries import COMMITTEE_KINDS, REUSED, Moment, belongs_to, moment

EVERYTHING = 2**53
"""Positions are below it."""


async def story(connection: AsyncConnection, committee: Committee) -> list[Moment]:
    """What was done to a committee and what was found in its rooms, in order."""
    rows = await LedgerStore(connection).of_kinds([*COMMITTEE_KINDS, REUSED], EVERYTHING)
    return [moment(row, committee.buyer) for row in rows if belongs_to(row, committee.id)]


async def reuses(connection: AsyncConnection, committee_id: str) -> int:
    """How many messages came with a Megolm session that somebody may hold the key of who is out."""
    rows = await LedgerStore(connection).of_kinds([REUSED], EVERYTHING)
    return sum(belongs_to(row, committee_id) for row in rows)
