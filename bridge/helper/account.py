"""The helper's account on the homeserver: its device, its keys, and every call that it makes there."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bridge.gateway import HubAccounts
from bridge.helper.crosssigning import CrossSigningKeys
from bridge.helper.machine import Machine
from bridge.homeserver_config import HELPER_LOCALPART
from spaces.gateway import HomeserverRefusedError

DISPLAY_NAME = "Conclave helper"
CLAIM_TIMEOUT_MS = 10_000


class HelperAccount:
    """The helper as one device; every call may raise ``spaces.gateway.HomeserverError``."""

    def __init__(
        self, homeserver: HubAccounts, user_id: str, machine: Machine, keys: CrossSigningKeys, *, bot: str
    ) -> None:
        self._homeserver = homeserver
        self._bot = bot
        self.user_id = user_id
        self.machine = machine
        self._keys = keys

    async def set_up(self) -> None:
        """Bring account, device, keys and signatures to the homeserver; does nothing where they are."""
        await self._homeserver.register_account(HELPER_LOCALPART)
        await self._name()
        path = f"/devices/{quote(self.machine.device_id)}"
        await self._homeserver.call_as(self.user_id, "PUT", path, {"display_name": DISPLAY_NAME})
        await self.replenish(await self._counts({"device_keys": self.machine.device_keys()}))
        await self._cross_sign()
        await self.catch_up()

    async def _name(self) -> None:
        """The account's name, set by the hub's account: nobody changes names in this hub, the helper neither."""
        path = f"/profile/{quote(self.user_id)}/displayname"
        if (await self._homeserver.call_as(self.user_id, "GET", path)).get("displayname") != DISPLAY_NAME:
            await self._homeserver.call_as(self._bot, "PUT", path, {"displayname": DISPLAY_NAME})

    async def _cross_sign(self) -> None:
        """Upload what is not there. Before its first room the helper cannot see its own keys, and uploads them."""
        devices, master = await self._query(self.user_id)
        if master != self._keys.master_public:
            await self._call("POST", "/keys/device_signing/upload", self._keys.upload())
        device = devices.get(self.machine.device_id, self.machine.device_keys())
        if self._keys.has_signed(device):
            return
        signed = {self.user_id: {self.machine.device_id: self._keys.sign_device(device)}}
        answer = await self._call("POST", "/keys/signatures/upload", signed)
        if answer.get("failures"):
            raise HomeserverRefusedError(f"the signature was refused: {answer['failures']}", errcode="M_UNKNOWN")

    async def catch_up(self) -> int:
        """Take the to-device messages that no transaction brought; how many there were.

        Synapse drops them from its transactions while the hub is away, and keeps them for the device's own sync. A
        sync with the token of the one before also has it forget them.
        """
        taken, since = 0, ""
        while True:
            answer = await self._call("GET", f"/sync?timeout=0&filter={quote(_no_rooms())}{since}")
            events = answer.get("to_device", {}).get("events", [])
            taken += sum(self.machine.take(event) for event in events if isinstance(event, dict))
            if not events:
                return taken
            since = f"&since={quote(answer['next_batch'])}"

    async def replenish(self, count: int) -> None:
        """Upload one-time keys when the homeserver, which has ``count``, runs short of them."""
        body = self.machine.upload(count)
        if body is not None:
            self.machine.uploaded(await self._counts(body))

    async def _counts(self, body: Mapping[str, Any]) -> int:
        answer = await self._call("POST", "/keys/upload", body)
        return int(answer.get("one_time_key_counts", {}).get("signed_curve25519", 0))

    async def learn_devices(self, user_id: str) -> None:
        """Ask for the devices of ``user_id`` when they are not known, or changed."""
        if not self.machine.is_current(user_id):
            self.machine.found(user_id, (await self._query(user_id))[0])

    async def _query(self, user_id: str) -> tuple[dict[str, Any], str]:
        """The devices of ``user_id``, and the public master key."""
        answer = await self._call("POST", "/keys/query", {"device_keys": {user_id: []}})
        master = answer.get("master_keys", {}).get(user_id, {}).get("keys", {})
        return answer.get("device_keys", {}).get(user_id, {}), next(iter(master.values()), "")

    async def reach(self, room_id: str, user_id: str) -> int:
        """Give every device of ``user_id`` the key of the room's next message; how many have it."""
        await self._meet(user_id)
        for content in self.machine.share(room_id, user_id):
            await self._send_to_device(content)
        return self.machine.reached(room_id)

    async def _meet(self, user_id: str) -> None:
        """Learn the devices of ``user_id``, and begin what is missing to write to each."""
        await self.learn_devices(user_id)
        if missing := self.machine.missing(user_id):
            body = {"one_time_keys": missing, "timeout": CLAIM_TIMEOUT_MS}
            answer = await self._call("POST", "/keys/claim", body)
            self.machine.claimed(answer.get("one_time_keys", {}))
        for content in (*self.machine.waiting(),):
            await self._send_to_device(content)

    async def reach_all(self, room_id: str, user_ids: Sequence[str]) -> set[str]:
        """Begin a session of the room, and give its key to every device of all these people; who has it."""
        for user_id in user_ids:
            await self._meet(user_id)
        for content in self.machine.begin(room_id, user_ids):
            await self._send_to_device(content)
        return self.machine.reached_by_user(room_id)

    async def people_in(self, room_id: str) -> list[str]:
        """Who is in a room that the helper is in, by the homeserver's word, but for the hub's two accounts."""
        answer = await self._call("GET", f"/rooms/{quote(room_id)}/joined_members")
        return sorted(set(answer.get("joined", {})) - {self._bot, self.user_id})

    async def send(self, room_id: str, text: str, tag: str) -> str:
        """Say ``text`` in a room whose people were reached; the event's id. A repeated ``tag`` is the same message."""
        content = self.machine.seal(room_id, {"msgtype": "m.notice", "body": text})
        path = f"/rooms/{quote(room_id)}/send/m.room.encrypted/{quote(tag)}"
        return str((await self._call("PUT", path, content))["event_id"])

    async def devices(self) -> list[str]:
        """The ids of the helper's devices."""
        answer = await self._call("GET", "/devices", on_device=False)
        return [str(item["device_id"]) for item in answer.get("devices", [])]

    async def _send_to_device(self, content: Mapping[str, Any]) -> None:
        await self._call("PUT", f"/sendToDevice/m.room.encrypted/{secrets.token_hex(16)}", content)

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, on_device: bool = True
    ) -> dict[str, Any]:
        device = self.machine.device_id if on_device else ""
        return await self._homeserver.call_as(self.user_id, method, path, body, device=device)


def _no_rooms() -> str:
    """A filter for a sync that brings nothing but to-device messages.

    It differs each time: Synapse answers the same first sync from its memory for two minutes.
    """
    nothing = {"not_types": ["*"]}
    room = {"rooms": [], "timeline": {"limit": 1 + secrets.randbelow(1 << 30)}}
    return json.dumps({"room": room, "presence": nothing, "account_data": nothing})
