"""The homeserver through HTTP: the client-server API as the hub's account, Synapse's admin API, the guard's resource.

Why not matrix-nio for these: docs/adr/0006.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import ClientTimeout

from bridge.homeserver_config import BOT_LOCALPART, SERVICE_ID
from spaces.gateway import (
    HomeserverRefusedError,
    HomeserverUnavailableError,
    RoomRequest,
    SignedDocument,
)
from spaces.policy.blueprint import creation_request
from spaces.policy.servers import is_remote

TIMEOUT_S = 30
CLIENT = "/_matrix/client/v3"
ADMIN = "/_synapse/admin"
GUARD = "/_synapse/conclave/v1"
CODE_FIELD = "org.conclave.code"
MAX_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A page of a room's events, the newest first, and where the next one begins."""

    events: list[dict[str, Any]]
    end: str | None


class SynapseGateway:
    """Implements ``spaces.gateway.Homeserver``, ``partner_onboarding.enrolment.Accounts`` and what the feed needs.

    One instance holds one connection pool; close it.
    """

    def __init__(self, url: str, *, bot: str, as_token: str, guard_token: str, timeout: float = TIMEOUT_S) -> None:
        self._url = url
        self._bot = bot
        self._as_token = as_token
        self._guard_token = guard_token
        self._session = aiohttp.ClientSession(
            timeout=ClientTimeout(total=timeout), connector=aiohttp.TCPConnector(limit=32)
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    # --- the hub's account

    async def sign_up(self) -> None:
        """Register the hub's account, and have the guard make it a server administrator; idempotent."""
        await self.register_account(BOT_LOCALPART)
        await self._call("POST", f"{GUARD}/status", {}, token=self._guard_token)
        await self._call("PUT", f"{CLIENT}/profile/{quote(self._bot)}/displayname", {"displayname": "Conclave"})

    async def ping(self) -> int:
        """Have the homeserver call the hub: milliseconds that took. A feed in back-off goes on at once."""
        answer = await self._call("POST", f"/_matrix/client/v1/appservice/{SERVICE_ID}/ping", {})
        return int(answer["duration_ms"])

    async def guard_status(self) -> dict[str, Any]:
        """The guard's instance, and how many documents it has."""
        return await self._call("GET", f"{GUARD}/status", token=self._guard_token)

    async def version(self) -> str:
        """Synapse's version, such as ``1.163.2``."""
        found = str((await self._call("GET", f"{ADMIN}/v1/server_version"))["server_version"])
        return found.split(maxsplit=1)[0]  # in a git checkout Synapse adds the branch

    # --- the hub's other accounts and their devices (MSC4190)

    async def register_account(self, localpart: str) -> None:
        """See :class:`bridge.gateway.HubAccounts`."""
        body = {"type": "m.login.application_service", "username": localpart, "inhibit_login": True}
        try:
            await self._call("POST", f"{CLIENT}/register", body)
        except HomeserverRefusedError as error:
            if error.errcode != "M_USER_IN_USE":
                raise

    async def call_as(
        self, user_id: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, device: str = ""
    ) -> dict[str, Any]:
        """See :class:`bridge.gateway.HubAccounts`."""
        who = f"user_id={quote(user_id)}" + (f"&device_id={quote(device)}" if device else "")
        return await self._call(method, f"{CLIENT}{path}{'&' if '?' in path else '?'}{who}", body)

    # --- spaces.gateway.Homeserver

    async def put_documents(self, documents: Sequence[SignedDocument]) -> None:
        """See :class:`spaces.gateway.Homeserver`."""
        items = [
            {
                "document": json.loads(item.document.signed_bytes().split(b"\n", 1)[1]),
                "signature": base64.b64encode(item.signature).decode(),
            }
            for item in documents
        ]
        await self._call("PUT", f"{GUARD}/documents", {"documents": items}, token=self._guard_token)

    async def find_room(self, key: str) -> str | None:
        """See :class:`spaces.gateway.Homeserver`."""
        answer = await self._call("GET", f"{GUARD}/rooms?key={quote(key, safe='')}", token=self._guard_token)
        return None if answer["room_id"] is None else str(answer["room_id"])

    async def direct_rooms(self, after: str) -> list[tuple[str, str]]:
        """See :class:`bridge.feed.Timelines`."""
        path = f"{GUARD}/direct?after={quote(after, safe='')}"
        answer = await self._call("GET", path, token=self._guard_token)
        return [(str(item["key"]), str(item["room_id"])) for item in answer["rooms"]]

    async def release_room(self, key: str, room_id: str) -> bool:
        """See :class:`spaces.gateway.Homeserver`."""
        path = f"{GUARD}/rooms?key={quote(key, safe='')}&room_id={quote(room_id, safe='')}"
        return bool((await self._call("DELETE", path, token=self._guard_token))["released"])

    async def room_is_joined(self, room_id: str) -> bool:
        """See :class:`spaces.gateway.Homeserver`."""
        return await self._membership(room_id, self._bot) == "join"

    async def create_room(self, request: RoomRequest) -> str:
        """See :class:`spaces.gateway.Homeserver`."""
        body = creation_request(request.room_version, request.creation_content, request.state)
        return str((await self._call("POST", f"{CLIENT}/createRoom", body))["room_id"])

    async def set_state(self, room_id: str, event_type: str, state_key: str, content: Mapping[str, Any]) -> None:
        """See :class:`spaces.gateway.Homeserver`."""
        path = f"{CLIENT}/rooms/{quote(room_id)}/state/{quote(event_type)}/{quote(state_key)}"
        await self._call("PUT", path, dict(content))

    async def add_member(self, room_id: str, user_id: str) -> None:
        """See :class:`spaces.gateway.Homeserver`."""
        remote = is_remote(user_id, self._bot)
        path = f"{CLIENT}/rooms/{quote(room_id)}/invite" if remote else f"{ADMIN}/v1/join/{quote(room_id)}"
        try:
            await self._call("POST", path, {"user_id": user_id})
        except HomeserverRefusedError:
            if await self._membership(room_id, user_id) not in (("join", "invite") if remote else ("join",)):
                raise

    async def remove_member(self, room_id: str, user_id: str, reason: str) -> None:
        """See :class:`spaces.gateway.Homeserver`."""
        try:
            await self._call("POST", f"{CLIENT}/rooms/{quote(room_id)}/kick", {"user_id": user_id, "reason": reason})
        except HomeserverRefusedError:
            if await self._membership(room_id, user_id) in ("join", "invite", "knock"):
                raise

    async def end_sessions(self, user_id: str) -> None:
        """See :class:`spaces.gateway.Homeserver`."""
        path = f"{ADMIN}/v2/users/{quote(user_id)}"
        try:
            devices = (await self._call("GET", f"{path}/devices"))["devices"]
        except HomeserverRefusedError as error:
            if error.errcode == "M_NOT_FOUND":
                return
            raise
        if devices:
            await self._call("POST", f"{path}/delete_devices", {"devices": [item["device_id"] for item in devices]})

    async def _membership(self, room_id: str, user_id: str) -> str | None:
        path = f"{CLIENT}/rooms/{quote(room_id)}/state/m.room.member/{quote(user_id)}"
        try:
            return str((await self._call("GET", path)).get("membership"))
        except HomeserverRefusedError:
            return None

    # --- partner_onboarding.enrolment.Accounts

    async def account_exists(self, user_id: str) -> bool:
        """See :class:`partner_onboarding.enrolment.Accounts`."""
        try:
            await self._call("GET", f"{ADMIN}/v2/users/{quote(user_id)}")
        except HomeserverRefusedError as error:
            if error.errcode == "M_NOT_FOUND":
                return False
            raise
        return True

    async def create_account(self, user_id: str, password: str, display_name: str) -> None:
        """See :class:`partner_onboarding.enrolment.Accounts`."""
        body = {"password": password, "displayname": display_name, "admin": False}
        await self._call("PUT", f"{ADMIN}/v2/users/{quote(user_id)}", body)

    # --- the feed's repair

    async def timeline(self, room_id: str, start: str | None) -> Timeline:
        """Up to 100 events of a room, the newest first, from ``start`` (``None``: now) backwards."""
        query = f"?dir=b&limit={MAX_PAGE}" + (f"&from={quote(start, safe='')}" if start else "")
        answer = await self._call("GET", f"{CLIENT}/rooms/{quote(room_id)}/messages{query}")
        return Timeline(events=list(answer["chunk"]), end=answer.get("end"))

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        """One request; the answer's JSON object.

        Raises:
            HomeserverUnavailableError: No answer in time, or a 5xx or 429.
            HomeserverRefusedError: A 4xx.
        """
        bearer = self._as_token if token is None else token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            async with self._session.request(method, self._url + path, json=body, headers=headers) as response:
                answer = await response.json(content_type=None)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise HomeserverUnavailableError(f"the homeserver does not answer: {reason}") from None
        if status in (200, 201) and isinstance(answer, dict):
            return answer
        said = answer if isinstance(answer, dict) else {}
        message, errcode = str(said.get("error", "no reason given")), str(said.get("errcode", "M_UNKNOWN"))
        if status >= 500 or status == 429:
            raise HomeserverUnavailableError(f"the homeserver failed ({status}): {message}")
        raise HomeserverRefusedError(
            f"the homeserver refused: {message}", errcode=errcode, reason=str(said.get(CODE_FIELD, ""))
        )
