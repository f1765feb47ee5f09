"""``plan`` and ``apply``: what would change, shown first and then carried out exactly so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from config.clock import Clock
from config.db import Database
from config.errors import NotFoundError
from spaces.drift import Drift
from spaces.drift_store import DriftStore
from spaces.model import ManagedRoom
from spaces.passes import Done
from spaces.plan import CreateRoom, Element, element_of
from spaces.plan_file import PlanStaleError, RoomPlan, plan_for, refuse_stale
from spaces.policy.records import RoomKind
from spaces.policy.rules import SPACE_LINKS
from spaces.publisher import Publisher
from spaces.reconciler import ROUNDS, Reconciler
from spaces.situation import Situation
from spaces.store import EngagementStore

CHUNK = 100
SHOWN = 3
NEW_PLAN = "conclave plan makes a new one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of one action of a plan: done, done already, or failed with a ``problem``."""

    room: str
    name: str
    text: str
    status: str
    problem: str | None = None


class PlanService:
    """Makes plans for people to read, and carries out the ones they bring back."""

    def __init__(self, db: Database, inbox: Inbox, reconciler: Reconciler, publisher: Publisher, clock: Clock) -> None:
        self._db = db
        self._inbox = inbox
        self._reconciler = reconciler
        self._publisher = publisher
        self._clock = clock

    async def plan(self, engagement: str | None = None) -> list[RoomPlan]:
        """What is to do to every room, or to those of one engagement; rooms that are right are not in it.

        Raises:
            NotFoundError: No such engagement.
        """
        if engagement is not None:
            async with self._db.read() as connection:
                if await EngagementStore(connection).get(engagement) is None:
                    raise NotFoundError(
                        f"no partnership or committee {engagement!r}",
                        hint="conclave partnership list, or conclave committee list",
                    )
            return self._plans(await self._reconciler.situation([engagement]))
        found: list[RoomPlan] = []
        after = ""
        while engagements := await self._reconciler.engagements(after, CHUNK):
            found += self._plans(await self._reconciler.situation(engagements))
            after = engagements[-1]
        return found

    def _plans(self, situation: Situation) -> list[RoomPlan]:
        plans = [self._plan(room, situation) for room in situation.rooms]
        return [plan for plan in plans if plan is not None]

    def _plan(self, room: ManagedRoom, situation: Situation) -> RoomPlan | None:
        """The plan of one room; digests are made only where there is something to do."""
        if not self._reconciler.passes.plan(room, situation):
            return None
        observed = self._reconciler.passes.observed(room, situation)
        return plan_for(room, situation, observed, self._clock())

    async def drift(self, room: str) -> Sequence[Drift]:
        """What drifted in a room and is not over, the oldest first."""
        async with self._db.read() as connection:
            return await DriftStore(connection).of_room(room)

    async def check(self, plans: Sequence[RoomPlan]) -> None:
        """Return when the whole plan still fits.

        Raises:
            PlanStaleError: It does not; the text names rooms and reasons.
        """
        problems: list[str] = []
        engagements = sorted({plan.engagement for plan in plans})
        for at in range(0, len(engagements), CHUNK):
            part = engagements[at : at + CHUNK]
            situation = await self._reconciler.situation(part)
            problems += self._stale([plan for plan in plans if plan.engagement in part], situation)
        if problems:
            more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
            text = "; ".join(problems[:SHOWN])
            raise PlanStaleError(f"the plan is stale, nothing was done: {text}{more}", hint=NEW_PLAN)

    def _stale(self, plans: Sequence[RoomPlan], situation: Situation) -> list[str]:
        rooms = {room.key: room for room in situation.rooms}
        found = []
        for plan in plans:
            room = rooms.get(plan.key)
            if room is None:
                found.append(f"{plan.name} ({plan.key}): there is no such room")
                continue
            observed = self._reconciler.passes.observed(room, situation)
            reason = refuse_stale(plan, room, situation, observed, self._clock())
            if reason is not None:
                found.append(f"{plan.name} ({plan.key}): {reason}")
        return found

    async def apply(self, plans: Sequence[RoomPlan], *, actor: str) -> list[Applied]:
        """Carry out exactly what the plan says: each action is tried, and one that is done already left alone.

        Raises:
            PlanStaleError: It no longer fits; nothing was done.
            ConclaveError: The guard or the database does not answer.
        """
        await self._publisher.publish()
        applied: list[Applied] = []
        async with self._reconciler.turn():
            await self.check(plans)
            for engagement in sorted({plan.engagement for plan in plans}):
                part = [plan for plan in plans if plan.engagement == engagement]
                outcome = await self._carry_out(engagement, part)
                await self._enter(engagement, part, outcome, actor)
                applied += outcome
        self._reconciler.wake()
        return applied

    async def _carry_out(self, engagement: str, plans: Sequence[RoomPlan]) -> list[Applied]:
        done: dict[str, dict[Element, Done]] = {plan.key: {} for plan in plans}
        for _ in range(ROUNDS):
            situation = await self._reconciler.situation([engagement])
            todo = [
                (room, self._left(plan, room, situation, done[plan.key])) for plan, room in _pairs(plans, situation)
            ]
            todo = [(room, left) for room, left in todo if left]
            if not todo:
                break
            spaces = [(room, left) for room, left in todo if room.kind is RoomKind.SPACE and room.room_id is None]
            for room, left in spaces or todo:
                for item in await self._reconciler.passes.run(room, situation, applying=left):
                    done[room.key][element_of(item.action)] = item
        return [item for plan in plans for item in _outcome(plan, done[plan.key])]

    def _left(self, plan: RoomPlan, room: ManagedRoom, situation: Situation, done: dict[Element, Done]) -> set[Element]:
        """The pieces that are still to be seen to and may be: those of the plan, and the links of a new room."""
        planned = {item.element for item in plan.actions}
        elements = {element_of(action) for action in self._reconciler.passes.plan(room, situation)} - done.keys()
        return {item for item in elements if item in planned or (plan.creates and item[0] in SPACE_LINKS)}

    async def _enter(self, engagement: str, plans: Sequence[RoomPlan], outcome: Sequence[Applied], actor: str) -> None:
        failed = sum(item.status == "failed" for item in outcome)
        digest = sha256("\n".join(f"{plan.key} {plan.wanted} {plan.found}" for plan in plans).encode()).hexdigest()
        data = {"plan": digest, "rooms": len(plans), "done": len(outcome) - failed, "failed": failed}
        draft = Draft(kind="plan.applied", actor=person_actor(actor), engagement=engagement, data=data)
        async with self._db.begin() as tx:
            found = await EngagementStore(tx).get(engagement)
            companies = () if found is None else (found.partner,)
            await self._inbox.put(tx, replace(draft, companies=companies))


def _pairs(plans: Sequence[RoomPlan], situation: Situation) -> list[tuple[RoomPlan, ManagedRoom]]:
    rooms = {room.key: room for room in situation.rooms}
    return [(plan, rooms[plan.key]) for plan in plans if plan.key in rooms]


def _outcome(plan: RoomPlan, done: dict[Element, Done]) -> list[Applied]:
    """What became of each action that the plan names."""
    unmade = any(item.problem is not None and isinstance(item.action, CreateRoom) for item in done.values())
    found = []
    for item in plan.actions:
        tried = done.get(item.element)
        problem = None if tried is None else tried.problem
        if tried is None and unmade:
            problem = "not tried: the room could not be made"
        status = "failed" if problem is not None else "done already" if tried is None else "done"
        found.append(Applied(room=plan.key, name=plan.name, text=item.text, status=status, problem=problem))
    return found
