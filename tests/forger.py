"""What an administrator of a partner's server can make: events with its server's signature, sent to the hub's server.

Server-server API, "Signing events" and "Request authentication"; events of room version 12.
"""

import base64
import ssl
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from canonicaljson import encode_canonical_json
from signedjson.key import read_signing_keys
from signedjson.sign import sign_json
from yarl import URL

from tests.live import Answer

KEPT = ("type", "room_id", "sender", "state_key", "hashes", "depth", "prev_events", "auth_events", "origin_server_ts")
KEPT_CONTENT: dict[str, tuple[str, ...]] = {
    "m.room.member": ("membership",),
    "m.room.join_rules": ("join_rule", "allow"),
    "m.room.history_visibility": ("history_visibility",),
    "m.room.power_levels": (
        *("ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users", "users_default"),
    ),
}
"""Members that redaction leaves in an event's content (room version 11 and later)."""


class Forger:
    """Signs as the partner's server, unless told to say that it is another."""

    def __init__(self, key: Path, name: str, hub: str, session: aiohttp.ClientSession, tls: ssl.SSLContext) -> None:
        with key.open() as file:
            self._key = read_signing_keys(file)[0]
        self._name = name
        self._hub = hub
        self._session = session
        self._tls = tls
        self._transactions = count(1)

    async def call(self, method: str, path: str, body: Any = None, *, origin: str | None = None) -> Answer:
        """A request to the hub's server, signed."""
        name = origin or self._name
        signed = {"method": method, "uri": path, "origin": name, "destination": self._hub}
        if body is not None:
            signed["content"] = body
        signature = sign_json(signed, name, self._key)["signatures"][name]
        (key_id, value) = next(iter(signature.items()))
        header = f'X-Matrix origin="{name}",destination="{self._hub}",key="{key_id}",sig="{value}"'
        host, _, port = self._hub.partition(":")
        async with self._session.request(
            method,
            URL(f"https://127.0.0.1:{port}{path}", encoded=True),
            data=None if body is None else encode_canonical_json(body),
            headers={"Authorization": header, "Content-Type": "application/json", "Host": self._hub},
            ssl=self._tls,
            server_hostname=host,
        ) as response:
            return Answer(response.status, await response.json(content_type=None))

    def event(self, room_id: str, sender: str, event_type: str, content: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A signed event; ``more`` are at least ``prev_events`` and ``auth_events``."""
        event: dict[str, Any] = {
            "room_id": room_id,
            "sender": sender,
            "type": event_type,
            "content": content,
            "depth": 1_000,
        } | more
        event["hashes"] = {"sha256": _hash(event)}
        event["signatures"] = sign_json(_redacted(event), self._name, self._key)["signatures"]
        return event

    async def push(self, *events: dict[str, Any], edus: tuple[Any, ...] = ()) -> dict[str, Any]:
        """Send events in one transaction; what the hub's server says of each, by event id."""
        body = {
            "origin": self._name,
            "origin_server_ts": events[0]["origin_server_ts"] if events else 0,
            "pdus": list(events),
            "edus": list(edus),
        }
        answer = await self.call("PUT", f"/_matrix/federation/v1/send/{quote(f'f{next(self._transactions)}')}", body)
        assert answer.status == 200, answer
        return dict(answer.body["pdus"])


def event_id(event: dict[str, Any]) -> str:
    """The event's id: its reference hash."""
    return "$" + _hash(_redacted(event), alphabet=b"-_")


def _redacted(event: dict[str, Any]) -> dict[str, Any]:
    kept = KEPT_CONTENT.get(event["type"], ())
    content = {name: value for name, value in event["content"].items() if name in kept}
    return {**{name: event[name] for name in KEPT if name in event}, "content": content}


def _hash(event: dict[str, Any], alphabet: bytes | None = None) -> str:
    plain = {name: value for name, value in event.items() if name not in ("signatures", "unsigned", "hashes")}
    if alphabet is not None:  # the reference hash covers the content's hash
        plain["hashes"] = event["hashes"]
    return base64.b64encode(sha256(encode_canonical_json(plain)).digest(), alphabet).decode().rstrip("=")
