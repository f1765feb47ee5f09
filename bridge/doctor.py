"""Looking for what is wrong with an installation: each finding says what it means and how to mend it."""

import asyncio
import platform
import shutil
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp
import yaml

from bridge.app import open_database, synapse_gateway
from bridge.homeserver_config import hardening as homeserver_hardening
from config.db import Database
from config.errors import ConclaveError
from config.migrate import check_schema
from config.settings import Settings
from config.state import StateDirectory
from spaces.gateway import HomeserverError, HomeserverRefusedError

CALL_S = 5
MIN_FREE = 1 << 30
CLOCK_TOLERANCE_S = 5
TESTED_SYNAPSE = (1, 163)
DEFAULT_SERVER = "conclave.localhost"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, what was seen, what it means, and how to mend it (both empty when all is well)."""

    what: str
    level: Level
    seen: str
    meaning: str = ""
    mend: str = ""


def _ok(what: str, seen: str) -> Finding:
    return Finding(what=what, level=Level.OK, seen=seen)


def _bad(what: str, seen: str, meaning: str, mend: str, level: Level = Level.WRONG) -> Finding:
    return Finding(what=what, level=level, seen=seen, meaning=meaning, mend=mend)


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every check, one after the other; a check that fails itself is a finding."""
    state = StateDirectory(settings.state_dir)
    for check in (python_version, synapse_version, server_name, listening_addresses):
        yield check(settings)
    if not state.root.is_dir():
        yield _bad("state directory", f"{state.root} does not exist", "no hub was started here", "conclave up")
        return
    yield disk(state)
    yield file_modes(state)
    yield hardening(settings, state)
    yield await _looked(database, settings, state)
    answers = await _looked(homeserver, settings, state)
    yield answers
    for look in (guard, registration, clock) if answers.level is Level.OK else ():
        yield await _looked(look, settings, state)
    yield await _looked(hub, settings, state)


Look = Callable[[Settings, StateDirectory], Awaitable[Finding]]


async def _looked(look: Look, settings: Settings, state: StateDirectory) -> Finding:
    name = look.__name__.replace("_", " ")
    try:
        async with asyncio.timeout(CALL_S * 2):
            return await look(settings, state)
    except (ConclaveError, aiohttp.ClientError, OSError, TimeoutError) as error:
        return _bad(name, str(error) or "no answer in time", f"the {name} could not be looked at", "see the hub's log")


def python_version(_settings: Settings) -> Finding:
    """Which Python runs this; an older one than 3.11 could not."""
    return _ok("python", platform.python_version())


def synapse_version(_settings: Settings) -> Finding:
    """The homeserver that was tested."""
    try:
        found = version("matrix-synapse")
    except PackageNotFoundError:
        return Finding(what="synapse here", level=Level.OK, seen="not installed: the homeserver runs elsewhere")
    series = tuple(int(part) for part in found.split(".")[:2])
    if series < TESTED_SYNAPSE:
        return _bad(
            "synapse here",
            found,
            "older than what this release was tested with",
            "install what requirements.lock names",
        )
    if series > TESTED_SYNAPSE:
        seen = f"{found}, tested with {TESTED_SYNAPSE[0]}.{TESTED_SYNAPSE[1]}"
        meaning = "the guard may not see what it saw in the version that was tested"
        return _bad("synapse here", seen, meaning, "install what requirements.lock names", Level.WARNING)
    return _ok("synapse here", found)


def server_name(settings: Settings) -> Finding:
    """A name of one's own."""
    if settings.homeserver.name == DEFAULT_SERVER:
        meaning = "every Matrix address ends in this name, and it can never be changed"
        mend = "before the first real use, set homeserver.name in conclave.toml and start with an empty state directory"
        return _bad("server name", DEFAULT_SERVER, meaning, mend, Level.WARNING)
    return _ok("server name", settings.homeserver.name)


def listening_addresses(settings: Settings) -> Finding:
    """Nothing open to the network without TLS in front."""
    for section, address, public in (
        ("hub", settings.hub.listen, settings.hub.public_url),
        ("homeserver", settings.homeserver.listen, settings.homeserver.public_url),
    ):
        if not _is_loopback(address) and not _is_protected(public or ""):
            meaning = "credentials and passwords cross the network readable"
            mend = f"put a TLS proxy in front and set {section}.public_url to its https address, or listen on 127.0.0.1"
            return _bad("addresses", f"{section} listens on {address} without TLS", meaning, mend)
    return _ok("addresses", f"hub {settings.hub.listen}, homeserver {settings.homeserver.listen}")


def _is_protected(public_url: str) -> bool:
    """Whether people come over TLS, or from this machine only, as to a container whose port is published there."""
    return public_url.startswith("https://") or _is_loopback(urlsplit(public_url).hostname or "")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def disk(state: StateDirectory) -> Finding:
    """Room to write."""
    free = shutil.disk_usage(state.root).free
    seen = f"{free / (1 << 30):.1f} GiB free"
    if free < MIN_FREE:
        return _bad("disk", seen, "when it is full, nothing more is accepted", "free or add space", Level.WARNING)
    return _ok("disk", seen)


def file_modes(state: StateDirectory) -> Finding:
    """Secrets readable by their owner only."""
    secrets = [*state.keys.glob("*"), *state.tokens.glob("*"), state.admin_credential]
    for path in [state.root, state.keys, state.tokens, *secrets]:
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            mode = oct(stat.S_IMODE(path.stat().st_mode))[2:]
            return _bad(
                "file modes", f"{path} has mode {mode}", "others on this machine can read it", f"chmod go= {path}"
            )
    return _ok("file modes", f"{len(secrets)} secrets, readable by their owner only")


def hardening(settings: Settings, state: StateDirectory) -> Finding:
    """The homeserver's settings that keep companies apart, as they were written."""
    path = state.homeserver / "homeserver.yaml"
    if not path.is_file():
        return _ok("homeserver settings", "none here: the homeserver is configured elsewhere")
    config = yaml.safe_load(path.read_text())
    wanted = homeserver_hardening(settings)
    changed = sorted(name for name, value in wanted.items() if config.get(name) != value)
    if changed:
        meaning = "companies may find, see or reach each other"
        return _bad("homeserver settings", f"changed: {', '.join(changed)}", meaning, "conclave up writes them anew")
    return _ok("homeserver settings", f"{len(wanted)} of {len(wanted)} as they must be")


async def database(settings: Settings, state: StateDirectory) -> Finding:
    """It answers, and has the schema of this release."""
    if settings.database.url is None and not state.database.exists():
        return _bad("database", f"{state.database} does not exist", "no hub was started here", "conclave up")
    db: Database = open_database(settings, state)
    try:
        await check_schema(db)
    finally:
        await db.close()
    return _ok("database", f"{db.dialect}, schema as it must be")


async def homeserver(settings: Settings, state: StateDirectory) -> Finding:
    """It answers."""
    gateway = synapse_gateway(settings, state)
    try:
        return _ok("homeserver", f"Synapse {await gateway.version()} at {settings.homeserver.internal_url}")
    except HomeserverError as error:
        return _bad("homeserver", error.message, "nobody can talk", "conclave up, or see the homeserver's log")
    finally:
        await gateway.close()


async def guard(settings: Settings, state: StateDirectory) -> Finding:
    """It is loaded, and knows the hub."""
    gateway = synapse_gateway(settings, state)
    mend = "load bridge.guard.module.Guard in homeserver.yaml: conclave config homeserver writes it"
    try:
        documents = (await gateway.guard_status())["documents"]
    except HomeserverRefusedError as error:
        if error.errcode == "M_FORBIDDEN":
            meaning = "it enforces what it knows, but takes nothing new from this hub"
            return _bad("guard", error.message, meaning, "give both the same tokens/guard_token, and restart both")
        return _bad("guard", error.message, "nothing is enforced inside the homeserver", mend)
    except HomeserverError as error:
        return _bad("guard", error.message, "nothing is enforced inside the homeserver", mend)
    finally:
        await gateway.close()
    counts = ", ".join(f"{count} {kind}" for kind, (count, _) in sorted(documents.items()))
    return _ok("guard", f"loaded, with {counts or 'nothing yet'}")


async def registration(settings: Settings, _state: StateDirectory) -> Finding:
    """Nobody can register by themselves."""
    url = f"{settings.homeserver.internal_url}/_matrix/client/v3/register"
    async with _session() as session, session.post(url, json={"username": "doctor", "password": "x"}) as response:
        answer = await response.json(content_type=None)
    if response.status == 403 and answer.get("errcode") == "M_FORBIDDEN":
        return _ok("registration", "closed")
    return _bad("registration", f"open ({response.status})", "strangers get in", "set enable_registration: false")


async def clock(settings: Settings, _state: StateDirectory) -> Finding:
    """The same time here and at the homeserver."""
    async with _session() as session:
        began = time.time()
        async with session.get(f"{settings.homeserver.internal_url}/_matrix/client/versions") as response:
            there = parsedate_to_datetime(response.headers["Date"]).timestamp()
    apart = abs((began + time.time()) / 2 - there - 0.5)
    if apart > CLOCK_TOLERANCE_S:
        meaning = "contracts end, links expire and entries are dated at the wrong time"
        return _bad("clock", f"{apart:.0f} s from the homeserver's", meaning, "run NTP on both machines")
    return _ok("clock", "within a second of the homeserver's" if apart < 1 else f"{apart:.1f} s from the homeserver's")


async def hub(settings: Settings, _state: StateDirectory) -> Finding:
    """It runs, and is ready."""
    url = f"http://{settings.hub.listen}:{settings.hub.port}/readyz"
    if urlsplit(settings.hub.url).hostname in (None, ""):
        return _bad("hub", settings.hub.url, "links in invitations lead nowhere", "set hub.public_url")
    async with _session() as session, session.get(url) as response:
        answer = await response.json()
    if answer["ready"]:
        return _ok("hub", f"ready at {settings.hub.url}")
    parts = "; ".join(f"{name}: {part['detail']}" for name, part in answer["checks"].items() if not part["ok"])
    return _bad(
        "hub", parts, "it does not do all of its work at the moment", "mend the parts named; it goes on by itself"
    )


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S))
