"""How long the reconciler takes at size: pure planning, and its passes against a database full of settled rooms.

``python -m benchmarks.reconcile [--rooms 100000] [--database-rooms 20000] [--url postgresql+asyncpg://…]``. Rooms have
ten members and the hub: four of the host's team of the partnership, six of the partner; four rooms a partnership.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, event, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.inbox import Inbox
from audit.keys import create_key
from config.db import Database
from config.migrate import upgrade
from spaces.due_store import NEVER, DueStore
from spaces.gateway import Homeserver, RoomRequest, SignedDocument
from spaces.model import ManagedRoom, ObservedRoom
from spaces.passes import RoomPass
from spaces.plan import Element, plan_room
from spaces.planning import PlanService
from spaces.policy.blueprint import creation_content, fixed_state
from spaces.policy.documents import document_of
from spaces.policy.records import Admission, Charter, CompanyRecord, PersonRecord, RoomKind, Standing
from spaces.publisher import Publisher
from spaces.reconciler import PATROL_ENGAGEMENTS, Reconciler
from spaces.situation import RosterSnapshot, Situation, links_between
from spaces.store import DocumentStore
from spaces.tables import document, engagement, observed_member, observed_state, room, room_admission, roster_team

SERVER = "bench.test"
BOT = f"@conclave:{SERVER}"
NOW = 1_800_000_000_000
ROOMS, STAFF, PARTNERS = 4, 4, 6
CHUNK = 100
HOST = CompanyRecord(company="host", name="Host", standing=Standing.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partnership:
    """One partnership that is as it should be: records, rooms, and what was seen of them."""

    id: str
    company: CompanyRecord
    people: Sequence[PersonRecord]
    charters: Sequence[Charter]
    rooms: Sequence[ManagedRoom]
    links: Mapping[str, Mapping[Element, Mapping[str, Any]]]

    def seen(self, item: ManagedRoom, charter: Charter) -> ObservedRoom:
        """The room as the homeserver has it."""
        state: dict[Element, Any] = {
            ("m.room.create", ""): creation_content(charter),
            **fixed_state(charter, BOT),
            **self.links[item.key],
        }
        return ObservedRoom(state=state, members=dict.fromkeys([BOT, *(who.user_id for who in self.people)], "join"))


def partnership(number: int) -> Partnership:
    """The partnership with this number."""
    name = f"p{number:06d}"
    charters = _charters(name)
    rooms = [_room(charter, at) for at, charter in enumerate(charters)]
    return Partnership(
        id=name,
        company=CompanyRecord(company=name, name=name, standing=Standing.ACTIVE),
        people=_people(name),
        charters=charters,
        rooms=rooms,
        links=links_between(rooms, {charter.key: charter for charter in charters}, SERVER),
    )


def _people(name: str) -> list[PersonRecord]:
    return [
        PersonRecord(
            user_id=f"@{side}{at}.{name}:{SERVER}",
            person=f"prs_{side}{at}_{name}",
            company="host" if side == "h" else name,
            standing=Standing.ACTIVE,
            teams=frozenset({f"t-{name}"} if side == "h" else ()),
        )
        for side, count in (("h", STAFF), ("p", PARTNERS))
        for at in range(count)
    ]


def _charters(name: str) -> list[Charter]:
    return [
        Charter(
            key=f"rm_{name}_{at}",
            engagement=name,
            kind=RoomKind.ROOM if at else RoomKind.SPACE,
            name=f"Room {at}",
            topic="Prices, quotes, tenders.",
            admits=(Admission(company="host", team=f"t-{name}"), Admission(company=name)),
            companies=("host", name),
        )
        for at in range(ROOMS)
    ]


def _room(charter: Charter, position: int) -> ManagedRoom:
    """A room that is settled."""
    return ManagedRoom(
        key=charter.key,
        engagement=charter.engagement,
        kind=charter.kind,
        position=position,
        room_id=f"!{charter.engagement}_{position}",
        settled=True,
        asked_at=NOW,
        due_at=NEVER,
    )


def situation_of(items: Sequence[Partnership]) -> Situation:
    """What the reconciler would read of these partnerships."""
    return Situation(
        rooms=[found for item in items for found in item.rooms],
        charters={charter.key: charter for item in items for charter in item.charters},
        roster=RosterSnapshot.of([HOST, *(item.company for item in items)], [who for i in items for who in i.people]),
        seen={
            str(found.room_id): item.seen(found, charter)
            for item in items
            for found, charter in zip(item.rooms, item.charters, strict=True)
        },
        versions={},
        drifts={},
        bot=BOT,
        links={key: links for item in items for key, links in item.links.items()},
    )


def plan_in_memory(rooms: int) -> float:
    """Seconds of this processor to plan so many settled rooms, everything in memory."""
    took = 0.0
    for first in range(0, rooms // ROOMS, CHUNK):
        situation = situation_of([partnership(number) for number in range(first, first + CHUNK)])
        began = time.process_time()
        for item in situation.rooms:
            desired = situation.desired(item)
            if desired is None or plan_room(desired, situation.observed(item), NOW):
                raise AssertionError(f"{item.key} is not settled")
        took += time.process_time() - began
    return took


# --- a database full of settled rooms


async def fill(db: Database, partnerships: int) -> None:
    """Put so many partnerships into an empty, migrated database; everything is settled and the guard knows it."""
    async with db.begin() as tx:
        await tx.execute(insert(document), [_document(HOST)])
    for first in range(0, partnerships, CHUNK):
        items = [partnership(number) for number in range(first, min(first + CHUNK, partnerships))]
        async with db.begin() as tx:
            await _put(tx, items)


async def _put(tx: AsyncConnection, items: Sequence[Partnership]) -> None:
    rows: dict[Table, list[dict[str, Any]]] = {
        table: []
        for table in (engagement, document, roster_team, room, room_admission, observed_member, observed_state)
    }
    for item in items:
        rows[engagement].append(_engagement(item.id))
        records: list[Charter | CompanyRecord | PersonRecord] = [item.company, *item.people, *item.charters]
        rows[document] += [_document(record) for record in records]
        rows[roster_team] += [
            {"user_id": who.user_id, "team": team, "company": who.company} for who in item.people for team in who.teams
        ]
        for found, charter in zip(item.rooms, item.charters, strict=True):
            rows[room].append({**asdict(found), "kind": found.kind.value})
            rows[room_admission] += [
                {"room": found.key, "position": at, "company": entry.company, "team": entry.team, "person": None}
                for at, entry in enumerate(charter.admits)
            ]
            seen, place = item.seen(found, charter), {"room_id": found.room_id, "event_id": "$e"}
            rows[observed_member] += [{**place, "user_id": user, "membership": "join"} for user in seen.members]
            rows[observed_state] += [
                {**place, "type": kind, "state_key": key, "content": json.dumps(content)}
                for (kind, key), content in seen.state.items()
            ]
    for table, values in rows.items():
        await tx.execute(insert(table), values)


def _engagement(name: str) -> dict[str, Any]:
    fixed = {"kind": "partnership", "template": "reseller", "status": "open", "opened_at": NOW, "opened_by": "prs_x"}
    return {"id": name, "partner": name, "team": f"t-{name}", **fixed}


def _document(record: Charter | CompanyRecord | PersonRecord) -> dict[str, Any]:
    item = document_of(record, 1)
    company = None if isinstance(record, Charter) else record.company
    pushed = {"version": 1, "pushed_version": 1, "gone": False}
    return {"kind": item.kind.value, "key": item.key, "company": company, "body": json.dumps(item.body), **pushed}


@dataclass(slots=True)
class Recorder(Homeserver):
    """A homeserver that says yes and remembers what it was asked; every room is there, so making one is a fault."""

    calls: list[tuple[str, ...]] = field(default_factory=list)

    async def put_documents(self, documents: Sequence[SignedDocument]) -> None:
        self.calls += [("put_document", item.document.key) for item in documents]

    async def find_room(self, key: str) -> str | None:
        raise AssertionError(f"{key}: every room is there already")

    async def release_room(self, key: str, room_id: str) -> bool:
        raise AssertionError(f"{key} {room_id}: every room is there already")

    async def room_is_joined(self, room_id: str) -> bool:
        raise AssertionError(f"{room_id}: every room is there already")

    async def create_room(self, request: RoomRequest) -> str:
        raise AssertionError(f"{request.creation_content}: every room is there already")

    async def set_state(self, room_id: str, event_type: str, state_key: str, content: Mapping[str, Any]) -> None:
        self.calls.append(("set_state", room_id, event_type, state_key, json.dumps(content)))

    async def add_member(self, room_id: str, user_id: str) -> None:
        self.calls.append(("add_member", room_id, user_id))

    async def remove_member(self, room_id: str, user_id: str, reason: str) -> None:
        del reason
        self.calls.append(("remove_member", room_id, user_id))

    async def end_sessions(self, user_id: str) -> None:
        self.calls.append(("end_sessions", user_id))


@dataclass(slots=True)
class Bench:
    """A reconciler on a database, with the statements it sends counted."""

    db: Database
    homeserver: Recorder
    reconciler: Reconciler
    plans: PlanService
    statements: list[str]

    async def change(self, record: Charter | CompanyRecord | PersonRecord) -> None:
        """What a command does: one record changes."""
        async with self.db.begin() as tx:
            await DocumentStore(tx).put(record, NOW + 1)


def bench_on(db: Database, place: Path) -> Bench:
    """Build it."""
    homeserver, inbox = Recorder(), Inbox("hub", lambda: NOW + 1)
    publisher = Publisher(db, homeserver, create_key(place / "document.key", "documents"))
    passes = RoomPass(db, homeserver, inbox, lambda: NOW + 1, manual=False)
    reconciler = Reconciler(db, homeserver, publisher, passes, BOT, lambda: NOW + 1)
    statements: list[str] = []
    for engine in {db._writer, db._reader}:  # noqa: SLF001  # there is no other way to count statements

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def _count(_c: object, _cursor: object, statement: str, *_more: object) -> None:
            statements.append(statement)

    plans = PlanService(db, inbox, reconciler, publisher, lambda: NOW + 1)
    return Bench(db, homeserver, reconciler, plans, statements)


async def measure(url: str | None, rooms: int) -> Iterator[tuple[str, str]]:
    """Lines of (what, how long) for a database of so many rooms."""
    lines: list[tuple[str, str]] = []

    async def timed(what: str, work: Any) -> None:
        bench.statements.clear()
        began = time.perf_counter()
        await work
        took = (time.perf_counter() - began) * 1_000
        lines.append((what, f"{took:9.1f} ms  {len(bench.statements)} statements"))

    with tempfile.TemporaryDirectory() as folder:
        db = Database(url or f"sqlite+aiosqlite:///{folder}/hub.sqlite3")
        await upgrade(db)
        began = time.perf_counter()
        await fill(db, rooms // ROOMS)
        lines.append((f"(filling with {rooms:,} rooms)", f"{time.perf_counter() - began:9.1f} s"))
        bench = bench_on(db, Path(folder))
        await timed(f"a pass with the patrol of {PATROL_ENGAGEMENTS} engagements", bench.reconciler.run_once())
        await timed("a pass with nothing to do", bench.reconciler.run_once())
        person = partnership(7).people[-1]
        suspended = PersonRecord(**{**_fields(person), "standing": Standing.SUSPENDED})
        await timed("marking: one person is suspended", bench.change(suspended))
        await timed("a pass for it, 4 rooms", bench.reconciler.run_once())
        await timed("marking: the host company changes, every room", bench.change(HOST))
        await timed("a full pass: every room is looked at and noted", bench.reconciler.run_once())
        await timed("conclave plan over everything", bench.plans.plan())
        async with db.read() as connection:
            assert await DueStore(connection).due(NOW + 1, 1) == []
        await db.close()
    return iter(lines)


def _fields(person: PersonRecord) -> dict[str, Any]:
    return {name: getattr(person, name) for name in ("user_id", "person", "company", "standing", "teams", "held")}


def main() -> None:
    """Measure, and print a line each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconcile", description=__doc__)
    parser.add_argument("--rooms", type=int, default=100_000)
    parser.add_argument("--database-rooms", type=int, default=20_000)
    parser.add_argument("--url")
    options = parser.parse_args()
    took = plan_in_memory(options.rooms)
    print(f"planning {options.rooms:,} rooms in memory: {took:.1f} s, {took / options.rooms * 1e6:.0f} µs a room")
    for what, how_long in asyncio.run(measure(options.url, options.database_rooms)):
        print(f"{what.ljust(60)} {how_long}")


if __name__ == "__main__":
    main()
