"""Whether the hub does its work at this moment: database, homeserver, feed, ledger."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from audit.service import AuditService
from bridge import metrics
from bridge.feed import Feed
from bridge.gateway import Gateway
from config.clock import Clock, Millis
from config.db import Database
from config.errors import ConclaveError
from config.settings import ReadinessSettings

log = structlog.get_logger()

CALL_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part of the hub; ``detail`` is for people."""

    ok: bool
    detail: str


class Watched(Protocol):
    """What knows how old the newest word from outside is."""

    async def check(self) -> tuple[bool, str]:
        """Whether it is young enough, and a sentence about it."""
        ...


class Readiness:
    """Looks at each part every few seconds and when asked.

    ``details`` and ``told`` are parts that are told of, but without which the hub is ready all the same.
    """

    def __init__(
        self,
        db: Database,
        homeserver: Gateway,
        audit: AuditService,
        feed: Feed,
        clock: Clock,
        limits: ReadinessSettings,
        witnesses: Watched | None,
    ) -> None:
        self._db = db
        self._homeserver = homeserver
        self._audit = audit
        self._feed = feed
        self._clock = clock
        self._limits = limits
        self._witnesses = witnesses
        self._called_at: Millis | None = None
        self._call_error = "not tried yet"
        self.signing_error: str | None = None
        self.details: Mapping[str, Callable[[], str]] = {}
        self.told: Mapping[str, Watched] = {}

    async def call(self) -> None:
        """Have the homeserver call the hub, as the feed does; this also ends its back-off after the hub was away."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._homeserver.ping()
            self._called_at, self._call_error = self._clock(), ""
        except (ConclaveError, TimeoutError) as error:
            self._call_error = str(error) or "no answer in time"

    async def checks(self) -> dict[str, Check]:
        """Every part by name."""
        database = await self._database()
        if not database.ok:
            return {"database": database}
        return {
            "database": database,
            "homeserver": self._homeserver_check(),
            "feed": self._feed_check(),
            "ledger": await self._ledger(),
            **await self._witnessed(),
            **{name: Check(ok=True, detail=(await part.check())[1]) for name, part in self.told.items()},
            **{name: Check(ok=True, detail=detail()) for name, detail in self.details.items()},
        }

    async def _database(self) -> Check:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._db.ping()
        except (ConclaveError, TimeoutError) as error:
            return Check(ok=False, detail=str(error) or "no answer in time")
        return Check(ok=True, detail="answers")

    def _homeserver_check(self) -> Check:
        if self._called_at is None or self._call_error:
            return Check(ok=False, detail=f"does not reach the hub: {self._call_error}")
        return Check(ok=True, detail="answers, and reaches the hub")

    def _feed_check(self) -> Check:
        lag = self._feed.lag_ms / 1_000
        metrics.FEED_LAG.set(lag)
        ok = lag <= self._limits.feed_lag_seconds
        return Check(ok=ok, detail=f"the newest event was {lag:.3f} s old when it came")

    async def _witnessed(self) -> dict[str, Check]:
        if self._witnesses is None:
            return {}
        ok, detail = await self._witnesses.check()
        return {"witnesses": Check(ok=ok, detail=detail)}

    async def _ledger(self) -> Check:
        status = await self._audit.status()
        lag = 0.0 if status.oldest_at is None else max(0.0, (self._clock() - status.oldest_at) / 1_000)
        metrics.LEDGER_ENTRIES.set(status.head.size)
        metrics.LEDGER_BACKLOG.set(status.backlog)
        metrics.LEDGER_LAG.set(lag)
        if self.signing_error is not None:
            return Check(ok=False, detail=self.signing_error)
        unsigned = status.head.size - status.head.signed_size
        detail = f"{status.head.size} entries, {status.backlog} waiting for {lag:.3f} s, {unsigned} unsigned"
        return Check(ok=lag <= self._limits.ledger_lag_seconds, detail=detail)
