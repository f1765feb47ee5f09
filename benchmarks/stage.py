"""A hub with a real Synapse to measure, and copies of it whose Synapse differs in its configuration only."""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from bridge.app import open_hub
from bridge.demo.temporary import free_ports
from bridge.foundation import load_keys
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import write_homeserver_config
from config.settings import HomeserverSettings, HostSettings, HubSettings, Settings
from config.state import StateDirectory
from tests.live import NO_LIMITS

PASSWORD = "a password for measurements only"
PATIENCE_S = 120
LOOK_S = 0.02
CLI_LOOK_S = 0.2
QUIET_S = 1.0
TOML = """
state_dir = "{state}"
[host]
id = "{host}"
name = "{host_name}"
[hub]
port = {hub}
[homeserver]
name = "{name}"
port = {homeserver}
"""


T = TypeVar("T")


class MeasurementError(Exception):
    """Something failed that has to work for the figures to mean anything."""


async def until(look: Callable[[], Awaitable[T | None]], what: str, *, every: float = LOOK_S) -> T:
    """What ``look`` finds, as soon as it finds something; it is asked ``every`` so many seconds.

    Raises:
        MeasurementError: It found nothing for two minutes; ``what`` is what was waited for.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                seen = await look()
                if seen:
                    return seen
                await asyncio.sleep(every)
    except TimeoutError:
        raise MeasurementError(f"{what}: not within {PATIENCE_S} s") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The settings and the state directory of one hub; nothing of it need be running."""

    settings: Settings
    config: Path

    @property
    def state(self) -> StateDirectory:
        """Its state directory."""
        return StateDirectory(self.settings.state_dir)

    @property
    def homeserver(self) -> str:
        """Where its Synapse answers."""
        return self.settings.homeserver.internal_url


def new_site(folder: Path) -> Site:
    """A hub that is not founded yet, with ports of its own."""
    hub, homeserver = free_ports(2)
    settings = Settings(
        state_dir=folder / "state",
        host=HostSettings(id="contoso", name="Contoso Manufacturing"),
        hub=HubSettings(port=hub),
        homeserver=HomeserverSettings(name="conclave.test", port=homeserver),
    )
    config = folder / "conclave.toml"
    config.write_text(
        TOML.format(
            state=settings.state_dir,
            host=settings.host.id,
            host_name=settings.host.name,
            hub=hub,
            name=settings.homeserver.name,
            homeserver=homeserver,
        )
    )
    return Site(settings=settings, config=config)


def copy_of(site: Site, folder: Path) -> Site:
    """The same people, rooms and keys at other ports; ``site`` may be running but has to be idle."""
    made = new_site(folder)
    root = site.state.root
    databases = [path for path in root.rglob("*") if path.suffix in (".db", ".sqlite3")]
    shutil.copytree(root, made.state.root, ignore=shutil.ignore_patterns("*.db*", "*.sqlite3*"))
    for path in databases:
        with (
            closing(sqlite3.connect(path)) as old,
            closing(sqlite3.connect(made.state.root / path.relative_to(root))) as new,
        ):
            old.backup(new)
    return made


async def found(site: Site) -> None:
    """Give the hub its keys and its database."""
    site.state.prepare()
    async with open_hub(site.settings, site.state, migrate=True):
        pass


@asynccontextmanager
async def synapse(site: Site, **overrides: Any) -> AsyncIterator[int]:
    """Run the site's Synapse without rate limits, and give its process id.

    ``overrides`` replaces keys of the generated configuration.
    """
    keys = load_keys(site.state, site.settings, founded=True)
    files = write_homeserver_config(
        site.settings, site.state, keys.document.public.public_key, {**NO_LIMITS, **overrides}
    )
    child = EmbeddedHomeserver(files, site.settings.homeserver)
    try:
        await child.start()
        yield child.pid or 0
    finally:
        await child.stop()


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used so far (proc(5), ``stat``: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Api:
    """The hub's API as its administrator."""

    session: aiohttp.ClientSession
    site: Site

    async def __call__(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A call that must succeed."""
        token = self.site.state.admin_credential.read_text().strip()
        return await call(self.session, method, self.site.settings.hub.url + path, body, token)

    async def enrol(self, company: str, name: str, teams: tuple[str, ...] = ()) -> str:
        """Invite and enrol somebody; their Matrix user id."""
        body = {"company": company, "name": name.title(), "email": f"{name}@{company}.example", "teams": list(teams)}
        link = (await self("POST", "/v1/people", body))["link"]
        enrolment = {"secret": link.rpartition("/")[2], "username": name, "password": PASSWORD}
        return str((await self("POST", "/v1/enrol", enrolment))["user_id"])

    async def settled(self, partnership: str) -> dict[str, Any]:
        """The partnership, as soon as all of its rooms are what their charters say."""

        async def look() -> dict[str, Any] | None:
            seen = await self("GET", f"/v1/partnerships/{partnership}")
            return seen if seen["settled"] else None

        # As often as ``conclave partnership open`` asks: who asks more often measures the asking.
        return await until(look, f"the rooms of {partnership} as their charters say", every=CLI_LOOK_S)

    async def quiet(self) -> None:
        """Return when nothing came into the ledger for a second."""
        sizes = [-1]

        async def look() -> bool:
            sizes.append(int((await self("GET", "/v1/ledger"))["size"]))
            return sizes[-1] == sizes[-2]

        await until(look, "a second without an entry", every=QUIET_S)

    async def sequenced(self, size: int) -> None:
        """Return when the ledger has ``size`` signed entries."""

        async def look() -> bool:
            return int((await self("GET", "/v1/ledger"))["signed_size"]) >= size

        await until(look, f"{size} signed entries")


@asynccontextmanager
async def serving(session: aiohttp.ClientSession, site: Site) -> AsyncIterator[Api]:
    """Run the hub as ``conclave serve`` in a process of its own; ready when the block begins."""
    with (site.state.root / "serve.out").open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bridge.cli.main", "--config", str(site.config), "serve"),
            stdout=out,
            stderr=out,
        )
    try:
        await _ready(session, site, process)
        yield Api(session, site)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _ready(session: aiohttp.ClientSession, site: Site, process: asyncio.subprocess.Process) -> None:
    async def look() -> bool:
        if process.returncode is not None:
            raise MeasurementError(f"the hub ended with status {process.returncode}; see {site.state.root}/serve.out")
        with suppress(aiohttp.ClientError):
            async with session.get(f"{site.settings.hub.url}/readyz") as response:
                return response.status == 200
        return False

    await until(look, "the hub ready")


async def call(
    session: aiohttp.ClientSession, method: str, url: str, body: Any = None, token: str = ""
) -> dict[str, Any]:
    """The answer's JSON object.

    Raises:
        MeasurementError: It is not a success.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.request(method, url, json=body, headers=headers) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
    if response.status not in (200, 201):
        raise MeasurementError(f"{method} {url} was answered with {response.status}: {answer}")
    return answer


async def sign_in(session: aiohttp.ClientSession, homeserver: str, user_id: str) -> str:
    """An access token for a new device of ``user_id``."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user_id},
        "password": PASSWORD,
    }
    answer = await call(session, "POST", f"{homeserver}/_matrix/client/v3/login", body)
    return str(answer["access_token"])
