"""Answers published to all vendors: stored with their entries, told to the helper, and how each delivery ended.

The helper is let into a pitch room by the room's charter, while there is something to say there and no longer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.inbox import Inbox
from config.clock import Clock, Millis
from config.db import Database
from config.errors import ConclaveError, ConflictError, NotFoundError
from spaces.answer import (
    Answer,
    Delivery,
    Errand,
    VendorDelivery,
    demand_pitch,
    demand_publisher,
    demand_text,
    said,
)
from spaces.answer_store import AnswerStore, ended
from spaces.committee import Committee
from spaces.committee_entries import draft
from spaces.committee_store import CommitteeStore
from spaces.store import DocumentStore

LOOK_S = 30.0
TOO_LONG = "it could not be said for an hour"

log = structlog.get_logger()


class AnswerService:
    """What a committee publishes; ``helper`` is the account that says it, and nobody does where it is ``None``."""

    def __init__(
        self, db: Database, inbox: Inbox, clock: Clock, *, helper: str | None, new_id: Callable[[str], str]
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._helper = helper
        self._new_id = new_id

    async def publish(
        self, committee_id: str, *, question: str, answer: str, actor: str, manager: bool, key: str | None = None
    ) -> Answer:
        """Have an answer said to every vendor of a committee; asked again under the same ``key``, it is the same one.

        ``question`` may be empty; ``manager`` says that ``actor`` is a partner manager.

        Raises:
            InvalidInputError: A text is empty, too long, or no text alone.
            NotFoundError: No such committee.
            NotAPublisherError, PhaseError: Not by them, or not now.
            ConflictError: The helper is switched off.
        """
        question, answer = demand_text(question, answer)
        async with self._db.begin() as tx:
            committee = await self._locked(tx, committee_id)
            known = None if key is None else await AnswerStore(tx).by_key(key)
            if known is not None:
                return known
            demand_publisher(committee, actor, manager=manager)
            demand_pitch(committee)
            made = Answer(
                id=self._new_id("ans"),
                committee=committee.id,
                number=await AnswerStore(tx).next_number(committee.id),
                question=question,
                answer=answer,
                published_by=actor,
                published_at=self._clock(),
                key=key,
                deliveries=tuple(
                    VendorDelivery(vendor=vendor.company, pitch=vendor.pitch, tag=self._new_id("say"))
                    for vendor in committee.vendors
                ),
            )
            await AnswerStore(tx).add(made)
            await self._call_helper(tx, made)
            await self._enter(tx, committee, made)
        return made

    async def _call_helper(self, tx: AsyncConnection, made: Answer) -> None:
        """The helper into the charters of the rooms in which it has to say something."""
        if self._helper is None:
            raise ConflictError("answers are said by the helper, which is switched off", hint="helper.enabled = true")
        for pitch in sorted(delivery.pitch for delivery in made.deliveries):  # as others lock them: none waits for none
            await self._admit(tx, pitch, (self._helper,))

    async def _enter(self, tx: AsyncConnection, committee: Committee, made: Answer) -> None:
        """One entry for the buyer, and one for each vendor that names no other; the text stands beside the log."""
        about = {"answer": made.id, "vendors": len(made.deliveries)}
        drafts = [draft("answer.published", committee, made.published_by, about)]
        for one in made.deliveries:
            told = {"answer": made.id, "vendor": one.vendor, "pitch": one.pitch}
            drafts.append(draft("answer.published", committee, made.published_by, told, vendor=one.vendor))
        text = said(made.question, made.answer)
        await self._inbox.put(tx, *(replace(item, disclose={"said": text}) for item in drafts))

    # --- looking

    async def page(self, committee_id: str, *, after: int, limit: int) -> list[Answer]:
        """Up to ``limit`` answers of a committee in their order, from behind number ``after`` on."""
        async with self._db.read() as connection:
            return await AnswerStore(connection).page(committee_id, after=after, limit=limit)

    async def latest(self, committee_id: str, limit: int) -> list[Answer]:
        """The last ``limit`` answers of a committee, in their order."""
        async with self._db.read() as connection:
            store = AnswerStore(connection)
            return await store.page(committee_id, after=await store.next_number(committee_id) - 1 - limit, limit=limit)

    async def get(self, committee_id: str, answer_id: str) -> Answer:
        """One answer of a committee.

        Raises:
            NotFoundError: It has none with this id.
        """
        async with self._db.read() as connection:
            found = await AnswerStore(connection).get(answer_id)
        if found is None or found.committee != committee_id:
            hint = f"conclave committee answers {committee_id}"
            raise NotFoundError(f"{committee_id} published no answer {answer_id!r}", hint=hint)
        return found

    async def by_key(self, key: str) -> Answer | None:
        """The answer that was asked for under this key."""
        async with self._db.read() as connection:
            return await AnswerStore(connection).by_key(key)

    # --- what the helper has to say

    async def errands(self) -> list[Errand]:
        """What is due to be said, at most one thing a room: in each room answers come in their order."""
        if self._helper is None:
            return []
        async with self._db.read() as connection:
            return await AnswerStore(connection).errands(self._helper, self._clock())

    async def put_off(self, errand: Errand, problem: str, delay: Millis) -> None:
        """Try it again after ``delay``."""
        async with self._db.begin() as tx:
            until = self._clock() + delay
            await AnswerStore(tx).put_off(errand.answer.id, errand.delivery.vendor, problem, until)

    async def delivered(self, errand: Errand, event_id: str) -> None:
        """Record that it was said, also where a clearing came in between; the helper goes when it was the last."""
        done = replace(errand.delivery, state=Delivery.DELIVERED, at=self._clock(), event_id=event_id, problem=None)
        answer = errand.answer
        await self._conclude(answer.committee, answer.id, done, Delivery.WAITING, Delivery.DROPPED, event_id=event_id)

    async def dropped(self, errand: Errand, problem: str) -> None:
        """Record that it will not be said, and why."""
        await self._drop(errand.answer.committee, errand.answer.id, errand.delivery, problem)

    async def _drop(self, committee_id: str, answer_id: str, item: VendorDelivery, problem: str) -> None:
        done = replace(item, state=Delivery.DROPPED, at=self._clock(), problem=problem)
        await self._conclude(committee_id, answer_id, done, Delivery.WAITING, reason=problem)

    async def _conclude(
        self, committee_id: str, answer_id: str, done: VendorDelivery, *before: Delivery, **data: str
    ) -> None:
        async with self._db.begin() as tx:
            committee = await self._locked(tx, committee_id)
            if not await AnswerStore(tx).conclude(answer_id, done, *before):
                return
            await self._inbox.put(tx, ended(f"answer.{done.state}", committee, answer_id, done.vendor, **data))
            if not await AnswerStore(tx).waits(done.pitch):
                await self._admit(tx, done.pitch, ())

    # --- time

    async def run(self, changed: Callable[[str], None]) -> None:
        """Drop what waits too long, until cancelled: the helper leaves the rooms even where it is not at work."""
        while True:
            try:
                for committee_id in await self.expire():
                    changed(committee_id)
            except ConclaveError as error:
                log.warning("answers_wait", reason=error.message)
            await asyncio.sleep(LOOK_S)

    async def expire(self) -> list[str]:
        """Drop what waited too long; the ids of the committees."""
        async with self._db.read() as connection:
            stale = await AnswerStore(connection).stale(self._clock())
        for committee_id, answer_id, item in stale:
            await self._drop(committee_id, answer_id, item, f"{TOO_LONG}: {item.problem}" if item.problem else TOO_LONG)
        return sorted({committee_id for committee_id, *_ in stale})

    async def _admit(self, tx: AsyncConnection, pitch: str, accounts: tuple[str, ...]) -> None:
        """These accounts of the hub, and no other, into the charter of a pitch room."""
        charter = await DocumentStore(tx).charter(pitch)
        if charter is not None and charter.accounts != accounts:
            await DocumentStore(tx).put(replace(charter, accounts=accounts), self._clock())

    async def _locked(self, tx: AsyncConnection, committee_id: str) -> Committee:
        """The committee as time has made it, nobody else's to change."""
        found = await CommitteeStore(tx).get(committee_id, lock=True)
        if found is None:
            raise NotFoundError(f"no committee {committee_id!r}", hint="conclave committee list")
        return found.at(self._clock())
