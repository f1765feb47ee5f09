"""No device on the hub's accounts but the helper's own: whatever else appears is recorded, said and removed.

Clients encrypt to the devices of every member. A device on ``@conclave``, which is in every room, could read them all.
"""

import asyncio
from urllib.parse import quote

import structlog

from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from bridge import metrics
from bridge.gateway import HubAccounts
from config.db import Database
from config.errors import ConclaveError

log = structlog.get_logger()

LOOK_EVERY_S = 30


class HubDevices:
    """Looks at the hub's accounts: when their devices are said to have changed, and every half minute."""

    def __init__(
        self, db: Database, inbox: Inbox, homeserver: HubAccounts, *, bot: str, changed: asyncio.Event
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._homeserver = homeserver
        self._bot = bot
        self._changed = changed
        self._recorded: set[tuple[str, str]] = set()
        self.found: list[str] = []

    async def run(self) -> None:
        """Watch ``@conclave`` until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.look(self._bot, set())
            except ConclaveError as error:
                log.info("hub_devices_not_seen", code=error.code, reason=error.message)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def look(self, user_id: str, own: set[str]) -> None:
        """Find the devices of ``user_id`` that are not its ``own``: an entry for each, then they are removed.

        Raises:
            HomeserverError, DatabaseUnavailableError: They could not be looked at, or not removed.
        """
        answer = await self._homeserver.call_as(user_id, "GET", "/devices")
        devices = {str(item.get("device_id")) for item in answer.get("devices", [])}
        for device in sorted(devices - own):
            await self._record(user_id, device)
            await self._homeserver.call_as(user_id, "DELETE", f"/devices/{quote(device, safe='')}", {})
            self._recorded.discard((user_id, device))

    async def _record(self, user_id: str, device: str) -> None:
        """An entry for each time that a device appears; one that could not be removed yet has its entry already."""
        if (user_id, device) in self._recorded:
            return
        data = {"device": device[:255], "account": user_id}
        async with self._db.begin() as tx:
            await self._inbox.put(tx, Draft(kind="device.found", actor=system_actor("hub"), data=data))
        self._recorded.add((user_id, device))
        self.found.append(f"{device} on {user_id}")
        metrics.HUB_DEVICES_FOUND.inc()
        log.error("device_found_on_hub_account", account=user_id, device=device)

    def detail(self) -> str:
        """One line for people."""
        if not self.found:
            return "no device on the hub's accounts but the helper's own"
        return f"{len(self.found)} found and removed since the start, see device.found in the ledger: {self.found[-1]}"
