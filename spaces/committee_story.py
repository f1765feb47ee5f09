"""The story of a committee, as the ledger has it."""

import json

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.store import LedgerStore
from spaces.committee import Committee
from spaces.committee_entries import COMMITTEE_KINDS, MOVES, REUSED, Moment, belongs_to, moment, move
from spaces.store import RoomStore

EVERYTHING = 2**53
"""Positions are below it."""


async def story(connection: AsyncConnection, committee: Committee) -> list[Moment]:
    """What was done to a committee, what was found in its rooms, how the vendors' people came and went, in order."""
    ledger = LedgerStore(connection)
    rows = await ledger.of_kinds([*COMMITTEE_KINDS, REUSED], EVERYTHING)
    told = [moment(row, committee.buyer) for row in rows if belongs_to(row, committee.id)]
    buyers = {person for one in told for person in (*one.data.get("members", ()), one.data.get("person"))}
    vendor_of = {key: vendor.company for vendor in committee.vendors for key in (vendor.pitch, vendor.debrief)}
    rooms = {
        room.room_id: vendor_of[room.key]
        for room in await RoomStore(connection).of_engagement(committee.id)
        if room.room_id is not None and room.key in vendor_of
    }
    moves = await ledger.of_rooms(sorted(rooms), MOVES)
    told += [move(row, rooms[row.room]) for row in moves if row.room is not None and _subject(row.body) - buyers]
    return sorted(told, key=lambda one: one.position)


async def reuses(connection: AsyncConnection, committee_id: str) -> int:
    """How many messages came with a Megolm session that somebody may hold the key of who is out."""
    rows = await LedgerStore(connection).of_kinds([REUSED], EVERYTHING)
    return sum(belongs_to(row, committee_id) for row in rows)


def _subject(body: bytes) -> set[str]:
    """The person whose coming or going an entry records; none where it is an account of the hub."""
    subject = json.loads(body)["data"].get("subject")
    return {subject["person"]} if isinstance(subject, dict) and "person" in subject else set()
