"""The hub's link to its homeserver: made at start, made again when either of them was restarted."""

import asyncio

import structlog

from bridge.feed import Feed
from bridge.gateway import Gateway
from bridge.readiness import Readiness
from config.errors import ConclaveError
from spaces.publisher import Publisher
from spaces.reconciler import Reconciler

log = structlog.get_logger()

LOOK_EVERY_S = 5
RETRY_S = 1


class HomeserverLink:
    """Watches the guard's instance; a new one means a restarted homeserver, whose feed may have lost events."""

    def __init__(
        self,
        homeserver: Gateway,
        publisher: Publisher,
        reconciler: Reconciler,
        feed: Feed,
        readiness: Readiness,
    ) -> None:
        self._homeserver = homeserver
        self._publisher = publisher
        self._reconciler = reconciler
        self._feed = feed
        self._readiness = readiness
        self._instance: str | None = None
        self._swept: str | None = None
        self.established = asyncio.Event()

    async def run(self) -> None:
        """Keep the link until cancelled."""
        while True:
            delay = LOOK_EVERY_S
            try:
                await self.look()
            except ConclaveError as error:
                delay = RETRY_S
                log.info("homeserver_link_waits", code=error.code, reason=error.message)
            await self._readiness.call()
            await asyncio.sleep(delay)

    async def look(self) -> None:
        """Make the link if the homeserver is not the instance that was linked last.

        Raises:
            ConclaveError: Homeserver or database does not answer.
        """
        status = await self._homeserver.guard_status()
        if status["instance"] != self._instance:
            await self._homeserver.sign_up()
            await self._publisher.compare(status["documents"])
            await self._publisher.publish()
            await self._readiness.call()
            self._instance = status["instance"]
            self.established.set()
            self._reconciler.wake_all()
        if self._instance != self._swept:  # also again, where an earlier sweep was cut short
            recovered = await self._feed.sweep()
            self._swept = self._instance
            log.info("homeserver_linked", instance=self._instance, recovered=recovered)
