"""One pass over one room: note what drifted, do what has to be done, note how it went.

Every action is tried, whatever became of the others; one that failed rests for 1, 2, 4 … seconds, at most five
minutes. What a pass finds and what it leaves behind is written together with its ledger entries.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import structlog

from audit.inbox import Inbox
from config.clock import MINUTE, SECOND, Clock, Millis
from config.db import Database
from spaces.drift import Drift, drift_corrected, drift_found, origin_of_drift
from spaces.drift_store import DriftStore
from spaces.due_store import NEVER, DueStore
from spaces.expected import PATIENCE_MS, Expectations
from spaces.gateway import (
    Homeserver,
    HomeserverError,
    HomeserverRefusedError,
    HomeserverUnavailableError,
    RoomRequest,
)
from spaces.model import ManagedRoom, ObservedRoom, Origin
from spaces.plan import (
    Action,
    AddMember,
    CreateRoom,
    Desired,
    Element,
    RemoveMember,
    SetState,
    closes,
    element_of,
    foreign_state,
    plan_room,
    remove_all,
)
from spaces.policy.blueprint import creation_content
from spaces.policy.records import Admission, Charter, MappingRoster, RoomKind
from spaces.policy.refusal import Code
from spaces.policy.servers import is_remote
from spaces.situation import Situation
from spaces.store import DocumentStore, RoomStore

log = structlog.get_logger()

MAX_BACKOFF_MS = 5 * MINUTE
UNANSWERED = 2
NO_CHARTER = "the room has no charter; nobody may be in it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An action that was tried: ``problem`` says why it failed, if it did."""

    action: Action
    problem: str | None = None


class RoomPass:
    """Carries out passes; ``manual`` leaves to ``conclave apply`` whatever does not close a door."""

    def __init__(self, db: Database, homeserver: Homeserver, inbox: Inbox, clock: Clock, *, manual: bool) -> None:
        self._db = db
        self._homeserver = homeserver
        self._inbox = inbox
        self._clock = clock
        self._manual = manual
        self._expected = Expectations()
        self._resting: dict[tuple[str, Element], tuple[Millis, str]] = {}

    def plan(self, room: ManagedRoom, situation: Situation) -> list[Action]:
        """What has to be done, over what was seen and what was done and is not seen yet."""
        desired = situation.desired(room)
        observed = self.observed(room, situation)
        if desired is not None:
            return plan_room(desired, observed, self._clock())
        return [] if observed is None else remove_all(observed, situation.bot, NO_CHARTER)

    def observed(self, room: ManagedRoom, situation: Situation) -> ObservedRoom | None:
        """The room as it was seen, with what was done since on top."""
        seen = situation.observed(room)
        return seen if seen is None or room.room_id is None else self._expected.over(room.room_id, seen, self._clock())

    async def run(
        self, room: ManagedRoom, situation: Situation, *, applying: Collection[Element] | None = None
    ) -> list[Done]:
        """Do what has to be done to ``room``: all of it, or what is about the pieces that somebody is ``applying``."""
        actions, desired, now = self.plan(room, situation), situation.desired(room), self._clock()
        drifts = list(situation.drifts.get(room.key, ()))
        if desired is not None:
            drifts = await self._note_drift(room, situation, actions, drifts)
        chosen = [action for action in actions if self._chosen(room, action, applying)]
        done = await self._carry_out(room, situation, chosen)
        if not any(isinstance(item.action, CreateRoom) and item.problem is None for item in done):
            left = self.plan(room, situation)
            problem = self._problem(room, desired, left, done, now)
            failed = any(item.problem is not None for item in done)
            await self._conclude(room, situation, self._after(room, situation, left, problem, failed=failed), drifts)
        return done

    def is_quiet(self, room: ManagedRoom, situation: Situation) -> bool:
        """Whether there is nothing to do to a room, and nothing to tell of it."""
        desired, seen = situation.desired(room), situation.observed(room)
        if desired is None or seen is None or situation.drifts.get(room.key) or foreign_state(desired, seen):
            return False
        return not self.plan(room, situation)

    async def settle(self, rooms: Sequence[ManagedRoom], situation: Situation) -> None:
        """Note that these rooms are quiet: one transaction for all of them."""
        async with self._db.begin() as tx:
            await RoomStore(tx).settle([self._after(room, situation, [], None, failed=False) for room in rooms])

    def _chosen(self, room: ManagedRoom, action: Action, applying: Collection[Element] | None) -> bool:
        if applying is not None and element_of(action) in applying:
            return True
        rests_until, _ = self._resting.get((room.key, element_of(action)), (0, ""))
        # A direct room is there already: to take it in opens nothing, and without it nobody could be taken out of it.
        taken_in = isinstance(action, CreateRoom) and room.kind is RoomKind.DIRECT
        return rests_until <= self._clock() and (closes(action) or taken_in or not self._manual)

    # --- drift

    async def _note_drift(
        self, room: ManagedRoom, situation: Situation, actions: Sequence[Action], known: Sequence[Drift]
    ) -> list[Drift]:
        """Enter the drift that was not known; returns all that is open."""
        desired, seen, now = situation.desired(room), situation.observed(room), self._clock()
        if desired is None or seen is None:
            return list(known)
        found: dict[Element, tuple[Origin, bool]] = {}
        for action in actions:
            origin = origin_of_drift(action, desired, seen, room.asked_at)
            if origin is not None:
                found[element_of(action)] = (origin, self._manual and not closes(action))
        for element in foreign_state(desired, seen):
            if element in seen.origins and seen.origins[element].at > room.asked_at:
                found[element] = (seen.origins[element], True)
        old = {(item.element, item.event_id) for item in known}
        fresh = {element: item for element, item in found.items() if (element, item[0].event_id) not in old}
        drifts = {item.element: item for item in known}
        if not fresh:
            return list(known)
        async with self._db.begin() as tx:
            senders = await DocumentStore(tx).people(sorted({origin.sender for origin, _ in fresh.values()}))
            roster = situation.roster
            named = replace(
                desired, roster=MappingRoster(companies=roster.companies, people={**roster.people, **senders})
            )
            for element, (origin, waiting) in fresh.items():
                kind, key = element
                drift = Drift(room=room.key, type=kind, state_key=key, event_id=origin.event_id, found_at=now)
                drifts[element] = drift
                await DriftStore(tx).open(drift)
                await self._inbox.put(tx, drift_found(drift, room, named, seen, origin.sender, waiting=waiting))
        log.warning("drift_found", room=room.key, pieces=len(fresh))
        return list(drifts.values())

    # --- doing

    async def _carry_out(self, room: ManagedRoom, situation: Situation, actions: Sequence[Action]) -> list[Done]:
        """Try each action; after two in a row without an answer the homeserver is left alone."""
        done: list[Done] = []
        unanswered = 0
        for action in actions:
            if unanswered == UNANSWERED:
                done.append(Done(action=action, problem="not tried: the homeserver does not answer"))
                continue
            problem, answered = await self._try(action, room, situation)
            unanswered = 0 if answered else unanswered + 1
            done.append(Done(action=action, problem=problem))
        return done

    async def _try(self, action: Action, room: ManagedRoom, situation: Situation) -> tuple[str | None, bool]:
        """Why the action failed, if it did, and whether there was an answer at all."""
        try:
            await self._apply(action, room, situation)
        except HomeserverError as error:
            return error.message, not isinstance(error, HomeserverUnavailableError)
        except Exception:  # one action's failure must not stop the others
            log.exception("reconcile_failed", room=room.key)
            return "internal error; see the hub's log", True
        return None, True

    async def _apply(self, action: Action, room: ManagedRoom, situation: Situation) -> None:
        room_id, now = room.room_id, self._clock()
        if isinstance(action, CreateRoom):
            charter = situation.charters.get(room.key)
            if charter is None:
                raise HomeserverRefusedError(NO_CHARTER, errcode="M_UNKNOWN")
            await self._create(action, room, charter)
        elif room_id is None:
            raise HomeserverRefusedError("the room does not exist yet", errcode="M_NOT_FOUND")
        elif isinstance(action, SetState):
            await self._homeserver.set_state(room_id, action.type, action.state_key, action.content)
            self._expected.expect_state(room_id, (action.type, action.state_key), action.content, now)
        elif isinstance(action, AddMember):
            await self._homeserver.add_member(room_id, action.user_id)
            membership = "invite" if is_remote(action.user_id, situation.bot) else "join"
            self._expected.expect_member(room_id, action.user_id, membership, now)
        elif isinstance(action, RemoveMember):
            await self._homeserver.remove_member(room_id, action.user_id, action.reason)
            self._expected.expect_member(room_id, action.user_id, "leave", now)

    async def _create(self, action: CreateRoom, room: ManagedRoom, charter: Charter) -> None:
        """Adopt the room that an earlier, interrupted pass made, else make it; the guard admits one for a charter."""
        room_id = await self._adopt(room)
        created = room_id is None
        if room_id is None:
            request = RoomRequest(
                room_version=charter.room_version, creation_content=creation_content(charter), state=action.state
            )
            try:
                room_id = await self._homeserver.create_room(request)
            except HomeserverRefusedError as error:
                if error.reason == Code.ROOM_EXISTS:
                    raise HomeserverUnavailableError("an earlier creation of this room is still under way") from None
                raise
        made = replace(room, room_id=room_id, due_at=0, problem=None, stuck_since=None, attempts=0, retry_at=0)
        async with self._db.begin() as tx:
            await DueStore(tx).linked(room.engagement)
            await RoomStore(tx).save(replace(made, settled=False))
        log.info("room_created", room=room.key, room_id=room_id, adopted=not created)
        if created:
            for key, content in action.state.items():
                self._expected.expect_state(room_id, key, content, self._clock())

    async def _adopt(self, room: ManagedRoom) -> str | None:
        room_id = await self._homeserver.find_room(room.key)
        if room_id is None or await self._homeserver.room_is_joined(room_id):
            return room_id
        if await self._homeserver.release_room(room.key, room_id):
            log.warning("unfinished_room_released", room=room.key, room_id=room_id)
            return None
        raise HomeserverUnavailableError("an earlier creation of this room is still under way")

    # --- how it went

    def _problem(
        self, room: ManagedRoom, desired: Desired | None, left: Sequence[Action], done: Sequence[Done], now: Millis
    ) -> str | None:
        """Why something is left to do, and until when each of it rests."""
        problems: list[str] = [] if desired is not None else [NO_CHARTER]
        failed = {element_of(item.action): item.problem for item in done}
        for action in left:
            piece = (room.key, element_of(action))
            problem = failed.get(element_of(action))
            if problem is not None:
                self._resting[piece] = (now + _delay(room), problem)
            if piece in self._resting:
                problems.append(self._resting[piece][1])
        remaining = {element_of(action) for action in left}
        for piece in [piece for piece in self._resting if piece[0] == room.key and piece[1] not in remaining]:
            del self._resting[piece]
        if not problems:
            return None
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return problems[0] + more

    async def _conclude(
        self, room: ManagedRoom, situation: Situation, after: ManagedRoom, drifts: Sequence[Drift]
    ) -> None:
        """Note how it went, and which drift is over."""
        desired, seen, over = situation.desired(room), situation.observed(room), list[Drift]()
        if drifts and desired is not None and seen is not None:
            left = {element_of(action) for action in self.plan(room, situation)} | set(foreign_state(desired, seen))
            over = [drift for drift in drifts if drift.element not in left]
        async with self._db.begin() as tx:
            await RoomStore(tx).save(after)
            for drift in over:
                await DriftStore(tx).close(drift)
                if desired is not None and seen is not None:
                    await self._inbox.put(tx, drift_corrected(drift, room, desired, seen, self._clock()))

    def _after(
        self, room: ManagedRoom, situation: Situation, left: Sequence[Action], problem: str | None, *, failed: bool
    ) -> ManagedRoom:
        now = self._clock()
        if problem is not None:
            return self._put_off(room, problem, failed=failed)
        pending = room.room_id is not None and self._expected.pending(room.room_id)
        return replace(
            room,
            settled=not (pending or left),
            problem=None,
            attempts=0,
            retry_at=0,
            due_at=now + PATIENCE_MS if pending else _next_end(room, situation, now),
            stuck_since=None,
            waiting=len(left),
        )

    def _put_off(self, room: ManagedRoom, problem: str, *, failed: bool) -> ManagedRoom:
        """Note the problem; where something ``failed`` just now, try again after 1, 2, 4 … seconds."""
        now = self._clock()
        retry_at = now + _delay(room) if failed else max(room.retry_at, now + SECOND)
        return replace(
            room,
            settled=False,
            problem=problem,
            attempts=room.attempts + failed,
            retry_at=retry_at,
            due_at=retry_at,
            stuck_since=room.stuck_since or now,
            waiting=0,
        )

    async def put_off(self, room: ManagedRoom, problem: str) -> None:
        """Note that a pass over ``room`` could not even be made, and try again later."""
        async with self._db.begin() as tx:
            await RoomStore(tx).save(self._put_off(room, problem, failed=True))


def _delay(room: ManagedRoom) -> Millis:
    return min(SECOND << min(room.attempts, 20), MAX_BACKOFF_MS)


def _next_end(room: ManagedRoom, situation: Situation, now: Millis) -> Millis:
    """When time alone changes what is wanted of a room: the next end of its engagement or of a company's contract."""
    charter = situation.charters.get(room.key)
    if charter is None:
        return NEVER
    companies = [situation.roster.company(item.company) for item in charter.admits]
    ends = [charter.not_after, *(time for item in charter.admits for time in _times(item))]
    ends += [company.not_after for company in companies if company is not None]
    return min((end for end in ends if end is not None and end > now), default=NEVER)


def _times(admission: Admission) -> tuple[Millis | None, Millis | None]:
    return admission.not_before, admission.not_after
