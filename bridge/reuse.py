"""Messages with a Megolm session whose key somebody has who left: found as the feed takes them, recorded beside them.

Which use of a session is wrong, and since when: ``spaces.megolm``, docs/adr/0027.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft
from bridge.events import Context, Event, RoomContext, actor_of
from bridge.metrics import SESSIONS_REUSED
from config.clock import DAY, Clock, Millis
from spaces.megolm import Departure, Reuse, Watch, left_at, sent_at
from spaces.megolm_store import MegolmStore
from spaces.observed import ObservedStore
from spaces.policy.servers import is_remote
from spaces.store import DocumentStore

KEPT_MS = 180 * DAY
"""How long a session is known after its first use: 180 times as long as a charter lets clients keep one."""
MAX_NAMED = 50
OUT = frozenset({"member.left", "member.removed", "member.banned"})

RoomOf = Callable[[AsyncConnection, str], Awaitable[RoomContext]]
Step = tuple[Event, Draft]


class ReuseWatch:
    """Looks at events of managed rooms, in the transaction that records them; ``room_of`` says whose a room is."""

    def __init__(self, clock: Clock, bot: str, room_of: RoomOf) -> None:
        self._clock = clock
        self._bot = bot
        self._room_of = room_of

    async def look(self, tx: AsyncConnection, steps: Sequence[Step]) -> list[Draft]:
        """What is to be recorded of new events, in their order; the mirror is as it was before the first of them."""
        seen = [(event, sent) for event, sent in steps if sent.engagement is not None and _matters(sent)]
        used = {(session, event.room_id) for event, sent in seen if (session := _session(sent)) is not None}
        departs = any(sent.kind in OUT for _, sent in seen)
        if not used and not departs:
            return []
        store, now = MegolmStore(tx), self._clock()
        watch = await store.watch(used, departs=departs)
        drafts = [
            draft
            for event, sent in seen
            for reuse in self._step(watch, event, sent, now)
            if (draft := await self._draft(tx, watch, reuse, (event, sent))) is not None
        ]
        await store.save(watch, now)
        SESSIONS_REUSED.inc(len(drafts))
        return drafts

    async def forget(self, tx: AsyncConnection) -> None:
        """Drop what is older than any session may be."""
        await MegolmStore(tx).forget(self._clock() - KEPT_MS)

    def _step(self, watch: Watch, event: Event, sent: Draft, now: Millis) -> list[Reuse]:
        session = _session(sent)
        if session is not None:
            at = sent_at(event.ts, now, remote=is_remote(event.sender, self._bot))
            return list(watch.use(session, event.room_id, at))
        user_id = event.state_key or ""
        if sent.kind == "member.joined":
            watch.come(event.room_id, user_id)
        elif user_id != self._bot:  # it has no device, so no key
            watch.leave(event.room_id, user_id, left_at(event.ts, now))
        return []

    async def _draft(self, tx: AsyncConnection, watch: Watch, reuse: Reuse, step: Step) -> Draft | None:
        """The entry of a finding; ``None`` where nobody is out, or the other room is none of this engagement's."""
        event, sent = step
        users, companies, whose, place = {item.user_id for item in reuse.left}, {*sent.companies}, {*sent.companies}, {}
        if reuse.elsewhere is not None:
            other = await self._room_of(tx, reuse.elsewhere)
            if other.engagement != sent.engagement:
                return None
            users |= await self._in_one_only(tx, watch, reuse.elsewhere, event.room_id)
            companies, whose = companies & {*other.companies}, companies | {*other.companies}
            place = {"place": event.room_id, "used_in": reuse.elsewhere}
        if not users:
            return None
        told = {name: sent.data[name] for name in ("session_id", "device_id") if name in sent.data}
        return Draft(
            kind="session.reused",
            actor=sent.actor,
            room=None if place else event.room_id,
            engagement=sent.engagement,
            companies=sorted(companies),
            data={
                "event_id": event.event_id,
                "ts": event.ts,
                **told,
                **place,
                **await self._named(tx, users, whose),
                **_since(reuse.left, event.ts),
            },
        )

    async def _in_one_only(self, tx: AsyncConnection, watch: Watch, room_id: str, other: str) -> set[str]:
        """Who is in the one room and not in the other, without the hub's account."""
        store = ObservedStore(tx)
        one, two = [watch.inside(room, await store.joined(room)) for room in (room_id, other)]
        return one - two - {self._bot}

    async def _named(self, tx: AsyncConnection, users: set[str], whose: set[str]) -> dict[str, Any]:
        """Who may hold the key, as people, and those of their companies that are among ``whose``."""
        people = await DocumentStore(tx).people(sorted(users))
        context = Context(bot=self._bot, people={user: record.person for user, record in people.items()})
        ids = sorted({next(iter(actor_of(user, context).values())) for user in users})
        companies = sorted({record.company for record in people.values()} & whose)
        return {"left": ids[:MAX_NAMED], "count": len(ids), "left_of": companies[:MAX_NAMED]}


def _matters(sent: Draft) -> bool:
    return (
        _session(sent) is not None
        or sent.kind == "member.joined"
        or (sent.kind in OUT and sent.data.get("before") == "join")
    )


def _session(sent: Draft) -> str | None:
    """The Megolm session of a message."""
    found = sent.data.get("session_id")
    return found if isinstance(found, str) else None


def _since(left: Sequence[Departure], ts: Millis) -> dict[str, int]:
    """How long after the first departure, by the homeserver's clock."""
    return {"after_ms": max(0, ts - min(item.at for item in left))} if left else {}
