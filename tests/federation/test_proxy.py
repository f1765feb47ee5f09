"""Federation through the shipped reverse proxy: closed, and open to what servers need where the operator says so."""

import asyncio
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.demo.temporary import free_ports
from bridge.wellknown import add_well_known
from config.settings import FederationSettings, HomeserverSettings, Settings
from tests.live import until

CADDYFILE = Path(__file__).parents[2] / "config" / "Caddyfile"
CADDY = Path(sysconfig.get_path("scripts")) / "caddy"

NEEDED = (
    "key/v2/server",
    "federation/v1/version",
    "federation/v1/send/1",
    "federation/v1/make_join/!r/@u",
    "federation/v2/send_join/!r/$e",
    "federation/v2/invite/!r/$e",
    "federation/v1/get_missing_events/!r",
    "federation/v1/user/keys/query",
    "federation/v1/media/download/x",
)
CLOSED = (
    "federation/v1/query/profile",
    "federation/v1/query/directory",
    "federation/v1/publicRooms",
    "federation/v1/hierarchy/!r",
    "federation/v1/openid/userinfo",
    "federation/v1/exchange_third_party_invite/!r",
    "federation/v1/3pid/onbind",
    "federation/unstable/x",
    "key/v2/query",
)


@asynccontextmanager
async def caddy(place: Path, **more: str) -> AsyncIterator[str]:
    """The proxy before something that answers everything."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="reached")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as behind, aiohttp.ClientSession() as session:
        (port,) = free_ports(1)
        address = f"{behind.host}:{behind.port}"
        hosts = {"CONCLAVE_SITE": f":{port}", "CONCLAVE_HOMESERVER": address, "CONCLAVE_HUB": address}
        with (place / "caddy.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(str(CADDY), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"),
                env={"HOME": str(place), **hosts, **more},
                stdout=log,
                stderr=log,
            )

        async def ready() -> bool:
            assert process.returncode is None, (place / "caddy.log").read_text()
            try:
                async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        try:
            await until(ready)
            yield f"http://127.0.0.1:{port}/_matrix"
        finally:
            process.terminate()
            await process.wait()


async def reached(url: str, paths: tuple[str, ...]) -> set[str]:
    async with aiohttp.ClientSession() as session:
        found = set()
        for path in paths:
            async with session.get(f"{url}/{path}") as response:
                assert response.status in (200, 404)
                found |= {path} if response.status == 200 else set()
        return found


async def test_federation_is_closed(tmp_path: Path) -> None:
    async with caddy(tmp_path) as url:
        assert await reached(url, NEEDED + CLOSED) == set()


async def test_where_it_is_open_what_servers_need_passes_and_nothing_else(tmp_path: Path) -> None:
    async with caddy(tmp_path, CONCLAVE_FEDERATION="true") as url:
        assert await reached(url, NEEDED + CLOSED) == set(NEEDED)


@pytest.mark.parametrize(
    ("servers", "address", "found"),
    [
        (("partner.example",), "https://matrix.contoso.example", "matrix.contoso.example:443"),
        (("partner.example",), "https://matrix.contoso.example:8443", "matrix.contoso.example:8443"),
        (("partner.example",), "http://matrix.contoso.example", None),
        ((), "https://matrix.contoso.example", None),
    ],
)
async def test_other_servers_are_told_where_ours_is(servers: tuple[str, ...], address: str, found: str | None) -> None:
    app = web.Application()
    homeserver = HomeserverSettings(public_url=address)
    add_well_known(app, Settings(homeserver=homeserver, federation=FederationSettings(servers=servers)))
    async with TestClient(TestServer(app)) as client, client.get("/.well-known/matrix/server") as response:
        assert (response.status == 200) is (found is not None)
        if found is not None:
            assert await response.json() == {"m.server": found}
