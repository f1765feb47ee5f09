"""What it costs the feed to look whether a message's Megolm session is one from before somebody left.

Processor time of this process for an event that comes by itself, with the look and without it, in turns.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft
from benchmarks.databases import databases
from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from bridge.feed import Feed
from bridge.reuse import ReuseWatch, Step
from tests.fakes.hub import FakeHub, start_fake_hub

ROTATION = 100
BLIND = "without the look"
Session = Callable[[int], str]


class _Nothing(ReuseWatch):
    """Looks at nothing."""

    async def look(self, tx: AsyncConnection, steps: Sequence[Step]) -> list[Draft]:
        """See :class:`ReuseWatch`."""
        del tx, steps
        return []


class _Feed(Feed):
    """A feed of its own, or one that looks at no session."""

    def be_blind(self) -> "_Feed":
        """The same without the look."""
        self._reuse = _Nothing(self._clock, self._bot, self._room)
        return self


async def run(plan: Plan) -> Sequence[Row]:
    """On each database: rounds of events without the look, with sessions as clients keep them, with one a message."""
    rows = []
    async with databases(plan) as sources:
        for source in sources:
            async with start_fake_hub(plan.folder(source.name), await source.fresh()) as fake:
                rooms = await fake.stage()
                kept, single = await _rounds(fake, rooms["Deals"], plan)
                rows.append(compare(f"an event with a known session, {source.name}", "s of CPU", kept, BLIND))
                rows.append(compare(f"… with a session of its own, {source.name}", "s of CPU", single, BLIND))
    return rows


async def _rounds(fake: FakeHub, room: str, plan: Plan) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    seeing, blind, count = _feed(fake), _feed(fake).be_blind(), plan.size(300, 5)
    kept, single = [], []
    for number in range(plan.size(10, 2)):
        floor = await _spent(blind, _events(fake, room, count, lambda at: f"k{at // ROTATION}"))
        ours = await _spent(seeing, _events(fake, room, count, lambda at: f"k{at // ROTATION}"))
        each = await _spent(seeing, _events(fake, room, count, f"n{number}x{{}}".format))
        if number:  # the first is for warming up
            kept.append((ours, floor))
            single.append((each, floor))
    return kept, single


def _feed(fake: FakeHub) -> _Feed:
    services = fake.hub.services
    return _Feed(
        services.db,
        services.clock,
        services.homeserver,
        bot=services.bot,
        changed=services.reconciler.wake,
        mailbox=services.mailbox,
    )


def _events(fake: FakeHub, room: str, count: int, session: Session) -> list[dict[str, Any]]:
    """Messages as Synapse would deliver them."""
    sender = min(fake.homeserver.members(room) - {fake.homeserver.bot})
    for number in range(count):
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "A" * 400, "session_id": session(number)}
        fake.homeserver.send(room, sender, "m.room.encrypted", content)
    events, fake.homeserver.outbox = fake.homeserver.outbox, []
    return events


async def _spent(feed: Feed, events: Sequence[dict[str, Any]]) -> float:
    """Seconds of processor time an event."""
    began = time.process_time()
    for event in events:
        await feed.accept(str(event["event_id"]), [event])
    return (time.process_time() - began) / len(events)
