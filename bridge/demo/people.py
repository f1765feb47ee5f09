"""The story's people: each a matrix-nio client with its own store, as any Matrix client on any machine."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from nio import AsyncClient, AsyncClientConfig, LoginResponse, RoomMessageNotice, RoomMessageText, RoomSendResponse
from nio.responses import Response

SYNC_MS = 2_000
FILTER = {"room": {"timeline": {"limit": 100}}}
PATIENCE_S = 20

logging.getLogger("nio").setLevel(logging.CRITICAL)


class ClientError(Exception):
    """A client could not do what the story needs."""


@dataclass(slots=True, kw_only=True)
class Reader:
    """A person at a client: sends, and keeps what they could read of others; ``notices`` are what programs say."""

    name: str
    user_id: str
    client: AsyncClient
    read: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @classmethod
    async def sign_in(cls, homeserver: str, name: str, user_id: str, password: str, store: Path) -> "Reader":
        """Sign in on a new device with the empty folder ``store``, and publish the device's keys."""
        config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
        client = AsyncClient(homeserver, user_id, store_path=str(store), config=config)
        answer = await client.login(password, device_name="story")
        if not isinstance(answer, LoginResponse):
            raise ClientError(f"{name} cannot sign in: {answer}")
        reader = cls(name=name, user_id=user_id, client=client)
        client.add_event_callback(reader._on_message, RoomMessageText)
        client.add_event_callback(reader._on_notice, RoomMessageNotice)
        await reader.sync()
        return reader

    async def _on_message(self, _room: object, event: RoomMessageText) -> None:
        if event.decrypted and event.sender != self.user_id:
            self.read[event.event_id] = event.body

    async def _on_notice(self, _room: object, event: RoomMessageNotice) -> None:
        if event.decrypted and event.sender != self.user_id:
            self.notices.append(event.body)

    async def hears(self, *words: str) -> str:
        """Sync until a program said something with all of ``words`` in it, and return that; empty in the end."""
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            found = next((text for text in self.notices if all(word in text for word in words)), "")
            if found:
                return found
            await self.client.sync(timeout=SYNC_MS, sync_filter=FILTER)
            if self.client.should_query_keys:
                await self.client.keys_query()
        return ""

    async def sync(self) -> None:
        """Take what is new, and answer to keys as clients do."""
        await self.client.sync(timeout=0, sync_filter=FILTER, full_state=not self.client.rooms)
        if self.client.should_upload_keys:
            await self.client.keys_upload()
        if self.client.should_query_keys:
            await self.client.keys_query()

    async def say(self, room_id: str, text: str) -> str | None:
        """Send ``text`` encrypted; its event id, or ``None`` when it was refused."""
        content = {"msgtype": "m.text", "body": text}
        answer: Response = await self.client.room_send(
            room_id, "m.room.message", content, ignore_unverified_devices=True
        )
        return answer.event_id if isinstance(answer, RoomSendResponse) else None

    async def read_all(self, event_ids: set[str]) -> bool:
        """Sync until every one of ``event_ids`` that others sent was decrypted; false when patience ends."""
        ends = time.monotonic() + PATIENCE_S
        while not event_ids <= self.read.keys():
            if time.monotonic() > ends:
                return False
            await self.client.sync(timeout=SYNC_MS, sync_filter=FILTER)
        return True

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What the homeserver answered to a forbidden act."""

    status: int
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """The plain client-server API, as somebody with a terminal and their own access token would use it."""

    homeserver: str
    token: str
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Refused:
        """One call below ``/_matrix/client/v3``."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.homeserver}/_matrix/client/v3{path}"
        async with self.session.request(method, url, json=body or {}, headers=headers) as response:
            answer = await response.json()
            code = str(answer.get("org.conclave.code", ""))
            return Refused(status=response.status, code=code, text=str(answer.get("error", "")))


async def close_all(readers: list[Reader]) -> None:
    """Close every client."""
    await asyncio.gather(*(reader.close() for reader in readers))
