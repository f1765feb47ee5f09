"""The helper's errands: it comes into a vendor's pitch room, says what the committee published, and goes again.

Each room has its answers in their order, each with a Megolm session that is begun for it and ended behind it. Killed
between saying and recording, it says the same again under the same transaction id, which is the same message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bridge import metrics
from bridge.helper.account import HelperAccount
from bridge.helper.committees import CommitteeChat
from config.clock import MINUTE, SECOND, Clock, Millis
from config.db import Database
from config.errors import ConclaveError
from spaces.answer import Errand, said
from spaces.answers import AnswerService
from spaces.gateway import HomeserverRefusedError, HomeserverUnavailableError
from spaces.store import DocumentStore

log = structlog.get_logger()

ERRAND_TIMEOUT_S = 60
PATIENCE = 2 * MINUTE
PATIENCE_OUTSIDE = 15 * MINUTE
"""Until the helper is let into a room: where the reconciler is by hand, somebody has to say ``conclave apply``."""
MAX_DELAY = 30 * SECOND
NOBODY = "nobody of the vendor is in the room"
NO_DEVICE = "nobody of the vendor has signed in on a device that can be written to"
TOO_SLOW = "it took longer than a minute: those in the room have too many devices, or the homeserver is slow"
NOT_IN = "the helper could not come into the room"


class _WaitError(Exception):
    """It cannot be said yet; ``for_good`` when waiting does not help."""

    def __init__(self, problem: str, *, for_good: bool = False) -> None:
        super().__init__(problem)
        self.for_good = for_good


class Errands:
    """Says what is due; ``enforce`` is told of the committees whose charters changed, so that the helper goes."""

    def __init__(
        self, db: Database, clock: Clock, answers: AnswerService, *, enforce: Callable[[str], Awaitable[None]]
    ) -> None:
        self._db = db
        self._clock = clock
        self._answers = answers
        self._enforce = enforce
        self._since: dict[tuple[str, bool], Millis] = {}

    async def work(self, account: HelperAccount) -> int:
        """Say everything that can be said now, in each room in order; how many answers were dealt with.

        Rooms that were in the way of it before come last: none of them holds up the others again.

        Raises:
            HomeserverRefusedError: The helper's device is gone.
        """
        done = 0
        while ended := sum([await self._run(account, errand) for errand in await self._due()]):
            done += ended
        return done

    async def _due(self) -> list[Errand]:
        return sorted(await self._answers.errands(), key=lambda errand: errand.attempts)

    async def _run(self, account: HelperAccount, errand: Errand) -> bool:
        """One errand; whether it is over, one way or the other."""
        began = self._since.setdefault((errand.delivery.tag, errand.inside), self._clock())
        try:
            async with asyncio.timeout(ERRAND_TIMEOUT_S):
                event_id = await self._say(account, errand)
        except _WaitError as reason:
            patience = PATIENCE if errand.inside else PATIENCE_OUTSIDE
            return await self._wait(errand, str(reason), over=reason.for_good or self._clock() - began > patience)
        except HomeserverUnavailableError:
            return await self._wait(errand, "the homeserver does not answer", over=False)
        except TimeoutError:
            return await self._wait(errand, TOO_SLOW, over=self._clock() - began > PATIENCE)
        except HomeserverRefusedError as error:
            if error.errcode == "M_UNKNOWN_DEVICE":
                raise
            return await self._wait(errand, error.message, over=self._clock() - began > PATIENCE)
        except ConclaveError:
            raise
        except Exception:  # one errand must not stop the others
            log.exception("errand_failed", answer=errand.answer.id, vendor=errand.delivery.vendor)
            return await self._wait(errand, "internal error; see the hub's log", over=self._clock() - began > PATIENCE)
        finally:
            if errand.room_id is not None:
                account.machine.end_session(errand.room_id)
        await self._answers.delivered(errand, event_id)
        await self._conclude(account, errand, "delivered")
        return True

    async def _say(self, account: HelperAccount, errand: Errand) -> str:
        """Say it to everybody in the room; the event's id.

        Raises:
            _WaitError: The helper is not in the room, or nobody of the vendor would read it.
        """
        if errand.room_id is None or not errand.inside:
            raise _WaitError(f"{NOT_IN}: {errand.obstacle}" if errand.obstacle else NOT_IN)
        people = await self._people(await account.people_in(errand.room_id))
        guests = {user_id for user_id, company in people.items() if company == errand.delivery.vendor}
        if not guests:
            raise _WaitError(NOBODY)
        if not await account.reach_all(errand.room_id, sorted(people)) & guests:
            known = any(account.machine.devices(guest) for guest in guests)
            raise _WaitError(NO_DEVICE, for_good=not known)
        metrics.HELPER_UNREACHED.inc(account.machine.unreached(errand.room_id))
        text = said(errand.answer.question, errand.answer.answer)
        return await account.send(errand.room_id, text, errand.delivery.tag)

    async def _people(self, user_ids: list[str]) -> dict[str, str]:
        """The enrolled people among ``user_ids``, with their companies: nobody else is given a key."""
        async with self._db.read() as connection:
            found = await DocumentStore(connection).people(user_ids)
        return {user_id: record.company for user_id, record in found.items()}

    async def _wait(self, errand: Errand, problem: str, *, over: bool) -> bool:
        """Try again after 1, 2, 4 … seconds, at most half a minute; at once when the helper comes into the room."""
        if over:
            await self._answers.dropped(errand, problem)
            log.warning("answer_dropped", answer=errand.answer.id, vendor=errand.delivery.vendor, reason=problem)
            await self._conclude(None, errand, "dropped")
            return True
        if errand.inside:
            await self._answers.put_off(errand, problem, min(SECOND << min(errand.attempts, 10), MAX_DELAY))
        return False

    async def _conclude(self, account: HelperAccount | None, errand: Errand, outcome: str) -> None:
        for inside in (False, True):
            self._since.pop((errand.delivery.tag, inside), None)
        metrics.HELPER_MAIL.labels("answer", outcome).inc()
        if account is not None and errand.room_id is not None:
            account.machine.forget(errand.room_id)
        await self._enforce(errand.answer.committee)


@dataclass(frozen=True, slots=True)
class ForCommittees:
    """What the helper does for committees: it answers their members, and runs errands."""

    chat: CommitteeChat
    errands: Errands
