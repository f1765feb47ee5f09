"""A hub with a real Synapse, for tests: started once for many tests, with people to act as."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from bridge.app import Hub, listening, open_hub
from bridge.demo.temporary import free_ports
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import write_homeserver_config
from config.settings import HomeserverSettings, HostSettings, HubSettings, Settings
from config.state import StateDirectory

PASSWORD = "correct horse battery"
PLENTY = {"per_second": 10_000, "burst_count": 10_000}
NO_LIMITS = {
    "rc_message": PLENTY,
    "rc_login": {"address": PLENTY, "account": PLENTY, "failed_attempts": PLENTY},
    "rc_joins": {"local": PLENTY, "remote": PLENTY},
    "rc_joins_per_room": PLENTY,
    "rc_invites": {"per_room": PLENTY, "per_user": PLENTY, "per_issuer": PLENTY},
    "rc_room_creation": PLENTY,
    "rc_admin_redaction": PLENTY,
    "rc_registration": PLENTY,
    "rc_registration_token_validity": PLENTY,
    "rc_3pid_validation": PLENTY,
    "rc_user_directory": PLENTY,
    "rc_reports": PLENTY,
    "rc_delayed_event_mgmt": PLENTY,
    "rc_media_create": PLENTY,
    "rc_profile": PLENTY,
    "rc_key_requests": PLENTY,
    "bcrypt_rounds": 4,
}
PATIENCE_S = 30
LOOK_S = 0.02
GUARD = "bridge.guard.module.Guard"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP call came back with."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body.get("org.conclave.code", ""))

    @property
    def error(self) -> str:
        return str(self.body.get("error", ""))


@dataclass(slots=True)
class User:
    """Somebody with an access token, on the plain client-server API."""

    hub: "LiveHub"
    user_id: str
    person: str
    token: str
    _transactions: Any = field(default_factory=lambda: count(1))

    async def call(self, method: str, path: str, body: Any = None, *, base: str = "/_matrix/client/v3") -> Answer:
        url = self.hub.url_for(base + path) + base + path
        return await self.hub.request(method, url, body, token=self.token)

    async def send(self, room_id: str, event_type: str, content: dict[str, Any]) -> Answer:
        path = f"/rooms/{quote(room_id)}/send/{event_type}/{self.person}{next(self._transactions)}"
        return await self.call("PUT", path, content)

    async def send_encrypted(self, room_id: str, text: str = "x") -> Answer:
        content = {
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": base64.b64encode(f"sealed {text}".encode()).decode(),
            "session_id": f"session-of-{self.person}",
            "device_id": "DEVICE",
            "sender_key": "key",
        }
        return await self.send(room_id, "m.room.encrypted", content)

    async def set_state(self, room_id: str, event_type: str, content: dict[str, Any], key: str = "") -> Answer:
        return await self.call("PUT", f"/rooms/{quote(room_id)}/state/{event_type}/{quote(key)}", content)


@dataclass(slots=True)
class LiveHub:
    """A running hub; ``request`` calls anything, ``api`` the hub's API as its administrator."""

    settings: Settings
    state: StateDirectory
    hub: Hub
    session: aiohttp.ClientSession
    homeserver: EmbeddedHomeserver | None = None
    _names: Any = field(default_factory=lambda: count(1))

    @property
    def homeserver_url(self) -> str:
        return self.settings.homeserver.internal_url

    def url_for(self, path: str) -> str:
        """The process of the homeserver that clients reach at ``path``."""
        del path
        return self.homeserver_url

    @property
    def bot(self) -> str:
        return self.hub.services.bot

    @property
    def admin_token(self) -> str:
        return self.state.admin_credential.read_text().strip()

    async def request(
        self, method: str, url: str, body: Any = None, *, token: str = "", headers: dict[str, str] | None = None
    ) -> Answer:
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        async with self.session.request(method, url, json=body, headers=sent) as response:
            return Answer(response.status, await response.json(content_type=None))

    async def api(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> dict[str, Any]:
        """A call that must succeed."""
        answer = await self.request(
            method, self.settings.hub.url + path, body, token=self.admin_token if token is None else token
        )
        assert answer.status in (200, 201), answer
        return answer.body

    def fresh(self, prefix: str) -> str:
        """A name nobody has yet."""
        return f"{prefix}{next(self._names)}"

    async def add_company(self, **more: Any) -> str:
        company = self.fresh("partner")
        await self.api("POST", "/v1/companies", {"id": company, "name": company.title(), **more})
        return company

    async def add_person(self, company: str, *, teams: tuple[str, ...] = (), sign_in: bool = True) -> User:
        name = self.fresh("person")
        body = {"company": company, "name": name.title(), "email": f"{name}@{company}.example", "teams": list(teams)}
        invited = await self.api("POST", "/v1/people", body)
        return await self.enrol(invited["link"], name, sign_in=sign_in)

    async def enrol(self, link: str, name: str, *, sign_in: bool = True) -> User:
        """Take up an invitation."""
        enrolment = {"secret": link.rpartition("/")[2], "username": name, "password": PASSWORD}
        enrolled = await self.api("POST", "/v1/enrol", enrolment, token="")
        user = User(self, enrolled["user_id"], enrolled["person"], "")
        if sign_in:
            user.token = (await self.login(enrolled["user_id"])).body["access_token"]
        return user

    async def login(self, user_id: str, password: str = PASSWORD) -> Answer:
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user_id},
            "password": password,
        }
        path = "/_matrix/client/v3/login"
        return await self.request("POST", self.url_for(path) + path, body)

    async def open_partnership(self, company: str, team: str, template: str = "reseller") -> dict[str, str]:
        """Open a partnership, wait until its rooms are ready; room ids by name, the Space under ``space``."""
        body = {"partner": company, "team": team, "template": template}
        found = await self.api("POST", "/v1/partnerships", body)
        found = await self.settled(found["id"])
        return {("space" if room["kind"] == "space" else room["name"]): room["room_id"] for room in found["rooms"]}

    async def settled(self, partnership: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = await self.api("GET", f"/v1/partnerships/{partnership}")
            return found if found["settled"] else None

        found: dict[str, Any] = await until(look)
        return found

    async def chat_of(self, user: User) -> str:
        """The room of a person's chat with the helper, once both are in it."""

        async def look() -> str | None:
            return await self.hub.helper.rooms.chat_of(user.user_id)

        return str(await until(look))

    async def stage(self) -> "Scene":
        """A fresh partnership: one person of the host, two of the partner."""
        team, company = self.fresh("team"), await self.add_company()
        host = await self.add_person(self.settings.host.id, teams=(team,))
        alice, bob = await self.add_person(company), await self.add_person(company)
        rooms = await self.open_partnership(company, team)
        return Scene(hub=self, company=company, team=team, host=host, alice=alice, bob=bob, rooms=rooms)

    async def entries(self, kind: str | None = None, room: str | None = None) -> list[dict[str, Any]]:
        """The ledger's entries, of one kind or room."""
        found: list[dict[str, Any]] = []
        start = 0
        while True:
            rows = await self.hub.services.audit.page(start=start, limit=500, kind=kind, room=room)
            found += [json.loads(row.body) for row in rows]
            if len(rows) < 500:
                return found
            start = rows[-1].position + 1


@dataclass(frozen=True, slots=True)
class Scene:
    """People and rooms of one partnership."""

    hub: LiveHub
    company: str
    team: str
    host: User
    alice: User
    bob: User
    rooms: dict[str, str]

    @property
    def room(self) -> str:
        return self.rooms["Deals"]


async def until(look: Any, patience: float = PATIENCE_S) -> Any:
    """What ``look`` finds, as soon as it finds something; tests wait for conditions, never for time."""
    async with asyncio.timeout(patience):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(LOOK_S)


def live_settings(place: Path, **homeserver: Any) -> Settings:
    hub_port, homeserver_port = free_ports(2)
    return Settings(
        state_dir=place / "state",
        host=HostSettings(id="contoso", name="Contoso Manufacturing", admin_name="Dana Fox", admin_email="d@c.example"),
        hub=HubSettings(port=hub_port),
        homeserver=HomeserverSettings(name="conclave.test", port=homeserver_port, **homeserver),
    )


@asynccontextmanager
async def start_live_hub(
    place: Path,
    *,
    guard: str = GUARD,
    settings: Settings | None = None,
    overrides: Mapping[str, Any] | None = None,
    **homeserver: Any,
) -> AsyncIterator[LiveHub]:
    """Start everything in this process, with Synapse as a child.

    ``guard`` is the module that it loads; ``overrides`` are for its configuration.
    """
    settings = settings or live_settings(place, **homeserver)
    state = StateDirectory(settings.state_dir)
    state.prepare()
    async with open_hub(settings, state, migrate=True) as hub, aiohttp.ClientSession() as session:
        files = write_homeserver_config(
            settings, state, hub.keys.document.public.public_key, {**NO_LIMITS, **(overrides or {})}
        )
        files.config.write_text(files.config.read_text().replace(GUARD, guard))
        synapse = EmbeddedHomeserver(files, settings.homeserver)
        async with listening(hub.web, settings.hub.listen, settings.hub.port):
            await synapse.start()
            work = asyncio.create_task(hub.work())
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await hub.link.established.wait()
                yield LiveHub(settings, state, hub, session, synapse)
            finally:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
                await synapse.stop()
