"""The log's checkpoints posted into the Space of every open engagement, so that people's own clients hold copies.

A post is an event, an event an entry, an entry a new checkpoint: so a post is due once a period and only when the log
grew by something else than posts. What was posted is known from the Spaces themselves, as the feed saw them.
"""

import asyncio
import json
from contextlib import suppress

import structlog

from audit.index import INDEX_KIND
from audit.service import AuditService
from audit.store import EntryRow, LedgerStore
from bridge import metrics
from config.clock import MINUTE, SECOND, Clock, Millis
from config.db import Database
from config.errors import ConclaveError
from config.settings import LedgerSettings
from spaces.gateway import Homeserver, HomeserverRefusedError
from spaces.policy.checkpoints import CHECKPOINT, checkpoint_content, checkpoint_size
from spaces.post_store import PostStore

log = structlog.get_logger()

LOOK_MS = MINUTE
PAGE = 200
DERIVED = frozenset({INDEX_KIND})
"""Kinds of entries that follow from others by themselves."""


def open_posts(
    settings: LedgerSettings, audit: AuditService, db: Database, homeserver: Homeserver, clock: Clock
) -> "CheckpointPosts | None":
    """The posts that the settings ask for."""
    if settings.post_minutes == 0:
        return None
    every = round(settings.post_minutes * MINUTE)
    return CheckpointPosts(audit, db, homeserver, clock, every_ms=every, cosignatures=settings.post_cosignatures)


class CheckpointPosts:
    """One round posts the newest signed checkpoint wherever it is due; nothing waits for it."""

    def __init__(
        self,
        audit: AuditService,
        db: Database,
        homeserver: Homeserver,
        clock: Clock,
        *,
        every_ms: Millis,
        cosignatures: bool,
    ) -> None:
        self._audit = audit
        self._db = db
        self._homeserver = homeserver
        self._clock = clock
        self._every_ms = every_ms
        self._cosignatures = cosignatures
        self._rests_until: dict[str, Millis] = {}

    async def run(self) -> None:
        """Go round until cancelled; on PostgreSQL one hub at a time does."""
        while True:
            await self.try_round()
            await asyncio.sleep(min(self._every_ms, LOOK_MS) / SECOND)

    async def try_round(self) -> None:
        """Go round, and let nothing that goes wrong with it stop anything else; what was not done comes next time."""
        try:
            async with self._db.leadership("posts") as leader:
                if leader:
                    await self.go_round()
        except ConclaveError as error:
            log.warning("checkpoints_not_posted", code=error.code, reason=error.message)
        except Exception:  # the edge: whatever a checkpoint looks like, the hub goes on
            log.exception("checkpoints_not_posted")

    async def go_round(self) -> int:
        """Post where it is due; returns into how many Spaces.

        Raises:
            ConclaveError: Homeserver or database does not answer; the rest comes next time.
        """
        content, now, posted = await self._newest(), self._clock(), 0
        if content is None:
            return 0
        size, grown = checkpoint_size(content) or 0, dict[int, bool]()
        async with self._db.read() as connection:
            places = await PostStore(connection).due(now - self._every_ms, self._audit.log_key.name)
        for place in places:
            if place.size not in grown:
                grown[place.size] = await self._grew(place.size, size)
            if grown[place.size] and self._rests_until.get(place.room_id, 0) <= now:
                posted += await self._post(place.room_id, content)
                self._rests_until[place.room_id] = now + self._every_ms  # also while the feed does not tell of it
        return posted

    async def _newest(self) -> dict[str, object] | None:
        """The newest checkpoint: with the log's own signature, and the witnesses' lines where they are wanted and fit.

        More of them than the guard admits in a Space are left out, all together.
        """
        note = (await self._audit.status()).head.checkpoint
        if note is None:
            return None
        if self._cosignatures:
            with suppress(ValueError):
                return checkpoint_content((await self._audit.checkpoint()).decode())
        return checkpoint_content(note.decode())

    async def _grew(self, start: int, end: int) -> bool:
        """Whether anything but posts is among the entries ``start … end - 1``."""
        while start < end:
            async with self._db.read() as connection:
                rows = await LedgerStore(connection).page(
                    start=start, limit=min(PAGE, end - start), kind=None, room=None
                )
            if not rows or not all(map(is_echo, rows)):
                return bool(rows)
            start = rows[-1].position + 1
        return False

    async def _post(self, room_id: str, content: dict[str, object]) -> bool:
        try:
            await self._homeserver.set_state(room_id, CHECKPOINT, "", content)
        except HomeserverRefusedError as error:
            log.warning("checkpoint_refused", room_id=room_id, reason=error.message)
            return False
        metrics.CHECKPOINTS_POSTED.inc()
        return True


def is_echo(row: EntryRow) -> bool:
    """Whether the entry is of a checkpoint that was posted, or is what the log makes of its own entries."""
    return row.kind in DERIVED or (row.kind == "state.changed" and json.loads(row.body)["data"]["type"] == CHECKPOINT)
