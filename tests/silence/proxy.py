"""The shipped ``config/Caddyfile`` in a real Caddy, before a hub under test."""

import asyncio
import os
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bridge.demo.temporary import free_ports
from tests.live import LiveHub, until

CADDYFILE = Path(__file__).parents[2] / "config" / "Caddyfile"
CADDY = Path(sysconfig.get_path("scripts")) / "caddy"


@asynccontextmanager
async def proxied(hub: LiveHub, place: Path) -> AsyncIterator[str]:
    """Its address."""
    (port,) = free_ports(1)
    environment = {
        "HOME": str(place),
        "XDG_DATA_HOME": str(place),
        "PATH": os.environ["PATH"],
        "CONCLAVE_SITE": f":{port}",
        "CONCLAVE_HOMESERVER": hub.homeserver_url.removeprefix("http://"),
        "CONCLAVE_HUB": hub.settings.hub.url.removeprefix("http://"),
    }
    with (place / "caddy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(CADDY),
            "run",
            "--config",
            str(CADDYFILE),
            "--adapter",
            "caddyfile",
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    async def ready() -> bool:
        assert process.returncode is None, (place / "caddy.log").read_text()
        try:
            async with hub.session.get(f"{url}/healthz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    try:
        await until(ready)
        yield url
    finally:
        process.terminate()
        await process.wait()
