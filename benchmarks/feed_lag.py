"""How long an event waits between the feed's commit and the signed checkpoint over it, at 100 events a second.

A hub on a fake homeserver takes transactions at its real address from a process of its own, one event in each as long
as it keeps up. The floor is what one entry must do to the disk and nothing more: commit entry, tile and head; the
signer's memory; the checkpoint.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from audit.sequencer import Sequencer
from benchmarks.databases import Source, databases
from benchmarks.plan import Plan
from benchmarks.raw import NOTE, Raw, Step, remember
from benchmarks.report import Aim, Of, Row, compare, percentile
from benchmarks.stage import MeasurementError, until
from bridge.app import Hub, listening
from bridge.appservice import add_appservice
from bridge.demo.temporary import free_ports
from bridge.feed import NOTHING, Feed
from bridge.helper.mailbox import Extras
from config.clock import system_clock
from tests.fakes.hub import FakeHub, ManualClock, start_fake_hub

RATE = 100
BARE = "the bare writes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One stream and its floor: times in seconds; the rate of single-event transactions sent back to back."""

    lags: Sequence[float]
    floor: Sequence[float]
    rate: float
    per_transaction: float


async def run(plan: Plan) -> Sequence[Row]:
    """On each database: rounds of a floor and a stream; percentiles of each round, and their medians."""
    async with databases(plan) as sources:
        return [
            row
            for source in sources
            for row in _rows(source.name, [await _round(plan, source, number) for number in range(plan.size(3, 1))])
        ]


def _rows(name: str, rounds: Sequence[Round]) -> list[Row]:
    rows = []
    for percent, bound in ((50, 0.025), (99, 0.25)):
        pairs = [(percentile(one.lags, percent), percentile(one.floor, percent)) for one in rounds]
        aim = Aim(of=Of.OURS, most=bound)
        rows.append(compare(f"commit to checkpoint at {RATE}/s, {name}, p{percent}", "s", pairs, BARE, aim))
    pairs = [(one.per_transaction, 1.0) for one in rounds]
    rows.append(compare(f"… events that came together, {name}", "a transaction", pairs, "one by one"))
    pairs = [(one.rate, 1 / percentile(one.floor, 50)) for one in rounds]
    rows.append(compare(f"single-event transactions back to back, {name}", "/s", pairs, BARE))
    return rows


async def _round(plan: Plan, source: Source, number: int) -> Round:
    place = plan.folder(f"{source.name}{number}")
    raw = await source.raw()
    try:
        floor = [await _bare_step(raw, place / "memory", step) for step in range(plan.size(300, 20))]
    finally:
        await raw.close()
    async with start_fake_hub(place, await source.fresh(), clock=_RealClock()) as fake:
        return await _stream(fake, place, floor, count=plan.size(25 * RATE, 2 * RATE), burst=plan.size(500, 50))


class _RealClock(ManualClock):
    """Moves by itself."""

    def __call__(self) -> int:
        """Milliseconds since the epoch."""
        return system_clock()


class _TimedFeed(Feed):
    """Notes when each event's transaction was committed."""

    committed: dict[str, float]

    async def accept(self, transaction_id: str, items: Sequence[Any], extras: Extras = NOTHING) -> None:
        """See :class:`Feed`."""
        await super().accept(transaction_id, items, extras)
        now = time.perf_counter()
        self.committed.update({item["event_id"]: now for item in items})


class _TimedSequencer(Sequencer):
    """Notes when each checkpoint was published, as (time, entries under it)."""

    hub: Hub
    published: list[tuple[float, int]]

    async def step(self) -> int:
        """See :class:`Sequencer`."""
        written = await super().step()
        size = (await self.hub.keys.signer.head()).size
        if not self.published or self.published[-1][1] < size:
            self.published.append((time.perf_counter(), size))
        return written


async def _stream(fake: FakeHub, place: Path, floor: Sequence[float], *, count: int, burst: int) -> Round:
    """``count`` events that arrive at the rate; then a burst, as quick as it is taken."""
    rooms = await fake.stage()
    events = _events(fake, list(rooms.values())[1:], count + burst)
    feed, sequencer = _timed(fake.hub)
    async with _working(fake, feed, sequencer) as url:
        said = await _send(fake, place, url, events[:count], RATE)
        lags = await _lags(fake.hub, feed, sequencer)
        quick = await _send(fake, place, url, events[count:], 0)
    if len(lags) != count:
        raise MeasurementError(f"{len(lags)} of {count} events are in the ledger")
    rate, per_transaction = burst / quick["seconds"], count / said["transactions"]
    return Round(lags=lags, floor=floor, rate=rate, per_transaction=per_transaction)


def _events(fake: FakeHub, rooms: Sequence[str], count: int) -> list[dict[str, Any]]:
    """Messages in turn in each of ``rooms``, as Synapse would deliver them."""
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "A" * 400, "session_id": "s" * 43}
    for number in range(count):
        room = rooms[number % len(rooms)]
        sender = sorted(fake.homeserver.members(room) - {fake.homeserver.bot})[number % 3]
        fake.homeserver.send(room, sender, "m.room.encrypted", content)
    events, fake.homeserver.outbox = fake.homeserver.outbox, []
    return events


def _timed(hub: Hub) -> tuple[_TimedFeed, _TimedSequencer]:
    """The hub's feed and sequencer, with clocks on them."""
    services = hub.services
    feed = _TimedFeed(
        services.db,
        services.clock,
        services.homeserver,
        bot=services.bot,
        changed=services.reconciler.wake,
        mailbox=services.mailbox,
    )
    feed.committed = {}
    sequencer = _TimedSequencer(services.db, hub.keys.signer, services.settings.origin, hub.inbox)
    sequencer.hub, sequencer.published = hub, []
    return feed, sequencer


@asynccontextmanager
async def _working(fake: FakeHub, feed: Feed, sequencer: Sequencer) -> AsyncIterator[str]:
    """All of the hub's background work, and the homeserver's address to call."""
    app = web.Application()
    add_appservice(app, feed, hs_token=fake.state.token("hs_token"), guard_token=fake.state.token("guard_token"))
    (port,) = free_ports(1)
    work = asyncio.create_task(replace(fake.hub, sequencer=sequencer).work())
    try:
        async with listening(app, "127.0.0.1", port):
            yield f"http://127.0.0.1:{port}"
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def _send(
    fake: FakeHub, place: Path, url: str, events: Sequence[dict[str, Any]], rate: float
) -> dict[str, float]:
    """Have ``events`` sent at the rate, and hear how it went."""
    file = place / "events.json"
    file.write_text(json.dumps(events))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.sender", url, str(fake.state.tokens / "hs_token"), str(file), str(rate)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        raise MeasurementError("a transaction was not taken")
    said: dict[str, float] = json.loads(out)
    return said


async def _lags(hub: Hub, feed: _TimedFeed, sequencer: _TimedSequencer) -> list[float]:
    async def look() -> int | None:
        status = await hub.services.audit.status()
        return None if status.backlog or status.head.size > status.head.signed_size else status.head.size

    rows = await hub.services.audit.page(
        start=0, limit=await until(look, "everything signed"), kind="message.sent", room=None
    )
    positions = {str(json.loads(row.body)["data"]["event_id"]): row.position for row in rows}
    published = iter(sequencer.published)
    at, size = next(published)
    lags = []
    for event_id, committed in feed.committed.items():
        while size <= positions[event_id]:
            at, size = next(published)
        lags.append(at - committed)
    return lags


async def _bare_step(raw: Raw, memory: Path, position: int) -> float:
    entry = (position, "message.sent", position, f"!{position % 3:043}", b"e" * 500)
    step = Step(entry=entry, hashes=b"h" * 32 * (position % 256 + 1), root=b"r" * 32)
    began = time.perf_counter()
    await raw.extend(step)
    remember(memory, f'{{"size": {position}, "root": "{"r" * 44}"}}')
    await raw.publish(NOTE)
    return time.perf_counter() - began
