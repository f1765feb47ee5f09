"""Two companies, Synapse's routes, and the proxy, made once for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.live import LiveHub
from tests.silence.proxy import proxied
from tests.silence.routes import specified_routes, synapse_routes
from tests.silence.world import World, make_world


@pytest.fixture(scope="session")
async def world(live: LiveHub) -> World:
    return await make_world(live)


@pytest.fixture(scope="session")
async def routes(live: LiveHub) -> list[str]:
    """What Synapse serves, and what the specification has beyond."""
    return [*await synapse_routes(live.state.homeserver / "homeserver.yaml"), *specified_routes()]


@pytest.fixture(scope="session")
async def proxy(live: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where the hub is reached through Caddy."""
    async with proxied(live, tmp_path_factory.mktemp("caddy")) as url:
        yield url
