"""The feed: events from the homeserver's transactions into the mirror and the ledger's inbox, each exactly once.

One database transaction for each of theirs; it is acknowledged only after the commit. Synapse can lose events between
its database and its transactions when it is killed (docs/adr/0004), so every event tells which ones came before it,
and one that was never delivered is fetched before anything later is accepted.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from bridge.direct import Adoption, direct_room_ids
from bridge.events import (
    Context,
    Event,
    Malformed,
    MalformedEventError,
    RoomContext,
    actor_of,
    draft_of,
    malformed_event,
    parse_event,
)
from bridge.helper.mailbox import Extras, Mailbox
from bridge.matrix import Timeline
from bridge.metrics import FEED_EVENTS, FEED_RECOVERED, GUARD_REFUSALS
from bridge.refused import parse_refusal, refusal_draft
from bridge.reuse import ReuseWatch
from config.clock import DAY, MINUTE, Clock, Millis
from config.db import Database
from config.errors import InvalidInputError
from spaces.due_store import DueStore
from spaces.gateway import HomeserverRefusedError
from spaces.observed import MemberEvent, ObservedStore, StateEvent
from spaces.policy.blueprint import ROOM_KEY
from spaces.policy.records import PersonRecord
from spaces.store import DocumentStore, RoomStore

log = structlog.get_logger()

MAX_EVENTS = 1_000
MAX_REFUSALS = 1_000
REMEMBER_MS = 7 * DAY
SETTLE_S = 2.0
MAX_PAGES = 1_000
_CREATE = ("m.room.create", "")
NOTHING = Extras()


class Timelines(Protocol):
    """Where events come from that were not delivered."""

    async def timeline(self, room_id: str, start: str | None) -> Timeline:
        """A page of a room's events, the newest first."""
        ...

    async def direct_rooms(self, after: str) -> list[tuple[str, str]]:
        """A page of the direct rooms that the guard made, as (key, room id) from behind the key ``after`` on."""
        ...


class Feed:
    """Takes transactions of the homeserver and refusals of the guard; ``changed`` is told which engagements moved."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        timelines: Timelines,
        *,
        bot: str,
        changed: Callable[..., None],
        mailbox: Mailbox,
    ) -> None:
        self._db = db
        self._clock = clock
        self._timelines = timelines
        self._bot = bot
        self._changed = changed
        self._mailbox = mailbox
        self._events = Inbox("homeserver", clock)
        self._refusals = Inbox("guard", clock)
        self._hub = Inbox("hub", clock)
        self._adoption = Adoption(self._hub, clock, bot)
        self._reuse = ReuseWatch(clock, bot, self._room)
        self._rooms: dict[str, RoomContext] = {}
        self._turn = asyncio.Lock()
        self._forgot_at: Millis = 0
        self.lag_ms = 0

    async def accept(self, transaction_id: str, items: Sequence[Any], extras: Extras = NOTHING) -> None:
        """Take one transaction; a repeated one changes nothing. ``extras`` are kept for the helper.

        A transaction is known by its id and what is in it: Synapse on SQLite begins to count anew when it was
        restarted, and an id that was here before may be another transaction.

        Raises:
            InvalidInputError: It has more events than Synapse ever sends.
            DatabaseUnavailableError, HomeserverError: Nothing was taken; it has to be sent again.
        """
        if len(items) > MAX_EVENTS:
            raise InvalidInputError(f"a transaction has at most {MAX_EVENTS} events, not {len(items)}")
        events, malformed = _parse(items)
        async with self._turn:
            missing = await self._missing(events, {item.event_id for item in malformed})
            recovered, unavailable = await self._fetch_missing(missing)
            async with self._db.begin() as tx:
                store, now = ObservedStore(tx), self._clock()
                if extras and await store.take_transaction("to-device", f"{transaction_id} {extras.digest()}", now):
                    await self._mailbox.put_extras(tx, extras)
                if await store.take_transaction("homeserver", f"{transaction_id} {_digest(items)}", now):
                    await self._put_malformed(tx, malformed)
                await self._put_recovered(tx, recovered, unavailable)
                touched = await self._put(tx, [*recovered, *events])
                if now - self._forgot_at >= MINUTE:
                    await store.forget_transactions(now - REMEMBER_MS)
                    await self._reuse.forget(tx)
        self._forgot_at = max(self._forgot_at, now - now % MINUTE)
        self._mailbox.delivered(extras)
        if events:
            self.lag_ms = max(0, self._clock() - max(event.ts for event in events))
        FEED_EVENTS.inc(len(events))
        if touched:
            self._changed(*touched)

    async def accept_refusals(self, batch: str, items: Sequence[Any]) -> None:
        """Take one batch of the guard's refusals; a repeated one changes nothing.

        Raises:
            InvalidInputError: It is no such batch.
            DatabaseUnavailableError: Nothing was taken; it has to be sent again.
        """
        if len(items) > MAX_REFUSALS:
            raise InvalidInputError(f"a batch has at most {MAX_REFUSALS} refusals, not {len(items)}")
        async with self._db.begin() as tx:
            if not await ObservedStore(tx).take_transaction("guard", batch, self._clock()):
                return
            named = [item.get(name) for item in items if isinstance(item, dict) for name in ("actor", "subject")]
            people = await DocumentStore(tx).people(sorted({name for name in named if isinstance(name, str)}))
            drafts = [await self._refusal(tx, item, people) for item in items]
            await self._refusals.put(tx, *drafts)
            await self._mailbox.put_refusals(tx, items, people)
        self._mailbox.arrived.set()
        GUARD_REFUSALS.inc(len(items))

    async def sweep(self) -> int:
        """Look at the end of every managed room for events that were not delivered; returns how many were fetched.

        Also of direct rooms that the guard made and the hub has not heard of.

        For after a restart of the homeserver, when a lost event may be the last one of its room.
        """
        async with self._db.read() as connection:
            room_ids = await RoomStore(connection).room_ids()
        room_ids = [*dict.fromkeys([*room_ids, *await direct_room_ids(self._timelines.direct_rooms)])]
        suspects = [room_id for room_id in room_ids if await self._skipping(self._unknown_tail, room_id)]
        if suspects:
            await asyncio.sleep(SETTLE_S)  # what is under way in a transaction is not lost
        return sum([await self._skipping(self._sweep_room, room_id) for room_id in suspects])

    async def _skipping(self, look: Callable[[str], Awaitable[int]], room_id: str) -> int:
        """What ``look`` says of the room; 0 where the homeserver says that it has none to show."""
        try:
            return await look(room_id)
        except HomeserverRefusedError as error:
            log.warning("sweep_skipped", room_id=room_id, reason=error.message)
            return 0

    async def _sweep_room(self, room_id: str) -> int:
        if not await self._unknown_tail(room_id):
            return 0
        async with self._turn:
            events = await self._fetch(room_id, set())
            async with self._db.begin() as tx:
                fresh = await self._unknown(tx, events)
                await self._put_recovered(tx, fresh, set())
                touched = await self._put(tx, fresh)
        if touched:
            self._changed(*touched)
        return len(fresh)

    async def _unknown_tail(self, room_id: str) -> bool:
        page = await self._timelines.timeline(room_id, None)
        events, _ = _parse(page.events[:1])
        async with self._db.read() as connection:
            return bool(await self._unknown(connection, events))

    # --- what was not delivered

    async def _missing(self, events: Sequence[Event], beside: set[str | None]) -> dict[str, set[str]]:
        """Room id → ids of events that came before ``events``, and are neither known nor ``beside`` them."""
        here = {event.event_id for event in events} | beside
        before = {previous: event.room_id for event in events for previous in event.previous if previous not in here}
        async with self._db.read() as connection:
            store = ObservedStore(connection)
            known = await store.known_events(list(before))
            late = await store.known_events([event.event_id for event in events])
        missing: dict[str, set[str]] = {}
        for event in events:
            if event.event_id not in late:
                for previous in event.previous:
                    if previous in before and previous not in known:
                        missing.setdefault(event.room_id, set()).add(previous)
        return missing

    async def _fetch_missing(self, missing: dict[str, set[str]]) -> tuple[list[Event], set[tuple[str, str]]]:
        """The missing events with everything unknown around them, in order; and which cannot be had."""
        found: list[Event] = []
        unavailable: set[tuple[str, str]] = set()
        for room_id, wanted in missing.items():
            events = await self._fetch(room_id, wanted)
            got = {event.event_id for event in events}
            unavailable |= {(event_id, room_id) for event_id in wanted - got}
            async with self._db.read() as connection:
                found += await self._unknown(connection, events)
        return found, unavailable

    async def _fetch(self, room_id: str, wanted: set[str]) -> list[Event]:
        """Events from the end of the room back until all ``wanted`` and a whole known page were seen; oldest first."""
        found: list[Event] = []
        start, left = None, set(wanted)
        for _ in range(MAX_PAGES):
            page = await self._timelines.timeline(room_id, start)
            events, _ = _parse(page.events)
            found += events
            left -= {event.event_id for event in events}
            async with self._db.read() as connection:
                unknown = await self._unknown(connection, events)
            if page.end is None or not page.events or (not left and len(unknown) < len(events)):
                break
            if left and not unknown:
                break  # everything older is known: what is still wanted cannot be had
            start = page.end
        return found[::-1]

    async def _unknown(self, connection: AsyncConnection, events: Sequence[Event]) -> list[Event]:
        known = await ObservedStore(connection).known_events([event.event_id for event in events])
        return [event for event in events if event.event_id not in known]

    # --- into the database

    async def _put(self, tx: AsyncConnection, events: Sequence[Event]) -> set[str]:
        """Record ``events`` that are new, once each, in order; returns the engagements whose rooms changed."""
        store = ObservedStore(tx)
        fresh = list({event.event_id: event for event in await self._unknown(tx, events)}.values())
        state = [event for event in fresh if event.state_key is not None and not event.withheld]
        members = [event for event in state if event.type == "m.room.member"]
        before = dict(await store.memberships([(event.room_id, event.state_key or "") for event in members]))
        users = {event.sender for event in fresh} | {event.state_key or "" for event in members}
        people = await self._people(tx, users)
        await self._adoption.adopt(tx, fresh)
        drafts, touched, for_helper = [], set(), []
        for event in fresh:
            create = event.content if (event.type, event.state_key) == _CREATE else None
            room = await self._room(tx, event.room_id, create)
            at = (event.room_id, event.state_key or "")
            context = Context(bot=self._bot, people=people, room=room, before=before.get(at))
            drafts.append(draft_of(event, context))
            if not event.withheld:
                for_helper.append((event, room.engagement))
            if event in members:
                before[at] = str(event.content.get("membership"))
            if event in state and room.engagement is not None:
                touched.add(room.engagement)
        reused = await self._reuse.look(tx, list(zip(fresh, drafts, strict=True)))  # before the mirror moves on
        await store.take_events([(event.event_id, event.room_id) for event in fresh])
        await store.set_members([_member(event) for event in members])
        await store.set_state([_state(event) for event in state if event not in members])
        await DueStore(tx).seen({event.room_id for event in state})
        await self._events.put(tx, *drafts)
        await self._hub.put(tx, *reused)
        await self._mailbox.put_events(tx, for_helper)
        return touched

    async def _people(self, tx: AsyncConnection, user_ids: set[str]) -> dict[str, str]:
        found = await DocumentStore(tx).people(sorted(user_ids))
        return {user_id: record.person for user_id, record in found.items()}

    async def _room(self, tx: AsyncConnection, room_id: str, create: Mapping[str, Any] | None = None) -> RoomContext:
        """The engagement of a room, by the charter's key in the content of its ``m.room.create``."""
        known = self._rooms.get(room_id)
        if known is not None:
            return known
        if create is None:
            create = (await ObservedStore(tx).room(room_id)).state.get(_CREATE, {})
        charter = await DocumentStore(tx).charter(str(create.get(ROOM_KEY)))
        if charter is None:
            return RoomContext()
        found = RoomContext(engagement=charter.engagement, companies=charter.companies, name=charter.name)
        self._rooms[room_id] = found
        return found

    async def _refusal(self, tx: AsyncConnection, item: Any, people: Mapping[str, PersonRecord]) -> Draft:
        refusal = parse_refusal(item)
        room = await self._room(tx, refusal.room) if refusal.room else RoomContext()
        return refusal_draft(refusal, room, people, self._bot)

    async def _put_malformed(self, tx: AsyncConnection, malformed: Sequence[Malformed]) -> None:
        """Record what is no event, with its room and sender where these can be read; it counts as delivered."""
        people = await self._people(tx, {item.sender for item in malformed if item.sender is not None})
        for item in malformed:
            log.error("malformed_event", sha256=item.sha256, event_id=item.event_id)
            room = await self._room(tx, item.room_id) if item.room_id is not None else RoomContext()
            context = Context(bot=self._bot, people=people)
            draft = Draft(
                kind="event.malformed",
                actor=system_actor("feed") if item.sender is None else actor_of(item.sender, context),
                room=item.room_id,
                engagement=room.engagement,
                companies=room.companies,
                data={"sha256": item.sha256, **({} if item.event_id is None else {"event_id": item.event_id})},
            )
            await self._hub.put(tx, draft)
            if item.event_id is not None and item.room_id is not None:
                await ObservedStore(tx).take_events([(item.event_id, item.room_id)])

    async def _put_recovered(
        self, tx: AsyncConnection, events: Sequence[Event], unavailable: set[tuple[str, str]]
    ) -> None:
        if not events and not unavailable:
            return
        log.warning("events_recovered", events=len(events), unavailable=len(unavailable))
        FEED_RECOVERED.inc(len(events))
        data = {"events": len(events), "unavailable": len(unavailable)}
        await self._hub.put(tx, Draft(kind="feed.recovered", actor=system_actor("feed"), data=data))
        await ObservedStore(tx).take_events(sorted(unavailable))


def _parse(items: Sequence[Any]) -> tuple[list[Event], list[Malformed]]:
    """The events among ``items``, and what can be told of the rest."""
    events, malformed = [], []
    for item in items:
        try:
            events.append(parse_event(item))
        except MalformedEventError:
            malformed.append(malformed_event(item))
    return events, malformed


def _digest(items: Sequence[Any]) -> str:
    """What a transaction's events are, whenever it is sent: their ids; their ages differ each time."""
    ids = [item.get("event_id", item) if isinstance(item, dict) else item for item in items]
    return sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()


def _state(event: Event) -> StateEvent:
    return StateEvent(
        room_id=event.room_id,
        type=event.type,
        state_key=event.state_key or "",
        event_id=event.event_id,
        content=event.content,
        sender=event.sender,
        at=event.ts,
    )


def _member(event: Event) -> MemberEvent:
    return MemberEvent(
        room_id=event.room_id,
        user_id=event.state_key or "",
        membership=str(event.content.get("membership")),
        event_id=event.event_id,
        sender=event.sender,
        at=event.ts,
    )
