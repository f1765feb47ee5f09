"""Two homeservers that federate: the hub's, and a partner's plain Synapse whose administrator is not on our side.

Names such as ``hub.test`` are resolved by a proxy that both send their federation through; TLS is real, with a
certificate authority of the tests.
"""

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.demo.temporary import free_ports
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import HomeserverFiles
from config.settings import FederationSettings, HomeserverSettings, Settings
from tests.forger import Forger
from tests.live import NO_LIMITS, PASSWORD, Answer, LiveHub, live_settings, start_live_hub, until

LISTENER = {"bind_addresses": ["127.0.0.1"], "type": "http"}


@dataclass(slots=True)
class RemoteUser:
    """Somebody with an account on the partner's server."""

    partner: "Partner"
    user_id: str
    token: str
    _transactions: Any = field(default_factory=lambda: count(1))

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.partner.url}/_matrix/client/v3{path}"
        async with self.partner.session.request(method, url, json=body, headers=headers) as response:
            return Answer(response.status, await response.json(content_type=None))

    async def send(self, room_id: str, event_type: str, content: dict[str, Any]) -> Answer:
        return await self.call("PUT", f"/rooms/{quote(room_id)}/send/{event_type}/t{next(self._transactions)}", content)

    async def send_encrypted(self, room_id: str, text: str = "x") -> Answer:
        sealed = {
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": base64.b64encode(f"sealed {text}".encode()).decode(),
            "session_id": "s",
            "device_id": "D",
        }
        return await self.send(room_id, "m.room.encrypted", sealed)

    async def invited(self, room_id: str) -> None:
        """Return when an invitation to the room has come."""

        async def look() -> bool:
            # Synapse answers one and the same request from memory for two minutes.
            found = await self.call("GET", f"/sync?timeout={next(self._transactions) % 100}")
            return room_id in found.body.get("rooms", {}).get("invite", {})

        await until(look)

    async def join(self, room_id: str) -> Answer:
        return await self.call("POST", f"/rooms/{quote(room_id)}/join", {})

    async def state(self, room_id: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The room's state as the partner's server has it."""
        found = await self.call("GET", f"/rooms/{quote(room_id)}/state")
        events: Any = found.body
        return {(event["type"], event["state_key"]): event for event in events}

    async def sees(self, room_id: str, event_id: str) -> bool:
        return (await self.call("GET", f"/rooms/{quote(room_id)}/event/{quote(event_id)}")).status == 200


@dataclass(slots=True)
class Partner:
    """The partner's homeserver."""

    name: str
    url: str
    session: aiohttp.ClientSession
    home: Path
    forger: Forger

    async def add_user(self, username: str) -> RemoteUser:
        body = {"username": username, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
        async with self.session.post(f"{self.url}/_matrix/client/v3/register", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
        return RemoteUser(self, answer["user_id"], answer["access_token"])


@dataclass(frozen=True, slots=True)
class Pair:
    """Hub and partner."""

    hub: LiveHub
    partner: Partner


def _certificates(place: Path, *names: str) -> dict[str, Any]:
    """An authority and one certificate for ``names``: the keys of Synapse's configuration that name the files."""
    place.mkdir()
    key, ca_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
    now = datetime.now(UTC)

    def build(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(authority).public_key(public)
        valid = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        return valid.serial_number(x509.random_serial_number())

    root = build(authority, ca_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    leaf = build(x509.Name([]), key.public_key()).add_extension(alternative, True)
    for file, certificate in (("ca.pem", root), ("cert.pem", leaf)):
        signed = certificate.sign(ca_key, hashes.SHA256())
        (place / file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (place / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return {
        "tls_certificate_path": str(place / "cert.pem"),
        "tls_private_key_path": str(place / "key.pem"),
        "federation_custom_ca_list": [str(place / "ca.pem")],
    }


@asynccontextmanager
async def _resolving_proxy() -> AsyncIterator[str]:
    """An HTTP proxy to which every host is this machine; its address."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        port = int(head.split()[1].rpartition(b":")[2])
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def _partner_files(home: Path, name: str, port: int, shared: dict[str, Any]) -> HomeserverFiles:
    """A plain Synapse: no guard, open registration."""
    home.mkdir()
    tls = int(name.rpartition(":")[2])
    (home / "signing.key").write_text(f"ed25519 a_part {base64.b64encode(os.urandom(32)).decode().rstrip('=')}\n")
    (home / "log.yaml").write_text("version: 1\nroot: {level: WARNING}\n")
    config = {
        "server_name": name,
        "listeners": [
            {**LISTENER, "port": port, "resources": [{"names": ["client"]}]},
            {**LISTENER, "port": tls, "tls": True, "resources": [{"names": ["federation"]}]},
        ],
        "database": {"name": "sqlite3", "args": {"database": str(home / "homeserver.db")}},
        "signing_key_path": str(home / "signing.key"),
        "media_store_path": str(home / "media"),
        "pid_file": str(home / "pid"),
        "log_config": str(home / "log.yaml"),
        "macaroon_secret_key": "m",
        "form_secret": "f",
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "trusted_key_servers": [],
        "report_stats": False,
        **NO_LIMITS,
        **shared,
    }
    (home / "homeserver.yaml").write_text(yaml.safe_dump(config))
    return HomeserverFiles(
        config=home / "homeserver.yaml", registration=home / "none", log_config=home / "log.yaml", log=home / "log"
    )


def _hub_settings(place: Path, name: str, partner: str) -> Settings:
    plain = live_settings(place)
    homeserver = plain.homeserver.model_copy(update={"name": name})
    return plain.model_copy(update={"homeserver": homeserver, "federation": FederationSettings(servers=(partner,))})


CRASHING = "tests.guard.crashing.CrashingGuard"
"""The guard as it is, until a test names the rule that is to crash."""


@asynccontextmanager
async def start_pair(place: Path) -> AsyncIterator[Pair]:
    """Start both."""
    port, hub_tls, partner_tls = free_ports(3)
    hub_name, partner_name = f"hub.test:{hub_tls}", f"partner.test:{partner_tls}"
    async with _resolving_proxy() as proxy, aiohttp.ClientSession() as session:
        shared = {
            **_certificates(place / "tls", "hub.test", "partner.test", "other.test"),
            "https_proxy": proxy,
            "federation_rr_transactions_per_room_per_second": 1000,
        }
        settings = _hub_settings(place / "hub", hub_name, partner_name)
        plain = {**LISTENER, "port": settings.homeserver.port, "resources": [{"names": ["client", "federation"]}]}
        tls = {**LISTENER, "port": hub_tls, "tls": True, "resources": [{"names": ["federation"]}]}
        files = _partner_files(place / "partner", partner_name, port, shared)
        synapse = EmbeddedHomeserver(files, HomeserverSettings(name=partner_name, port=port))
        starting = asyncio.ensure_future(synapse.start())
        try:
            async with start_live_hub(
                place / "hub", guard=CRASHING, settings=settings, overrides={**shared, "listeners": [plain, tls]}
            ) as hub:
                await starting
                context = ssl.create_default_context(cafile=place / "tls" / "ca.pem")
                forger = Forger(files.config.parent / "signing.key", partner_name, hub_name, session, context)
                yield Pair(hub, Partner(partner_name, f"http://127.0.0.1:{port}", session, files.config.parent, forger))
        finally:
            await synapse.stop()
