"""A committee that is told of once for the attacks on it, and where they are mounted."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.told import Told, telling
from tests.live import LiveHub
from tests.silence.proxy import proxied


@pytest.fixture(scope="session")
async def told(live: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    async with telling(live, tmp_path_factory.mktemp("told")) as found:
        yield found


@pytest.fixture(scope="session")
async def proxy(live: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where the hub is reached through Caddy."""
    async with proxied(live, tmp_path_factory.mktemp("caddy")) as url:
        yield url


@pytest.fixture(params=["homeserver", "proxy"])
def base(request: pytest.FixtureRequest, live: LiveHub, proxy: str) -> str:
    """Where the attacker calls."""
    return proxy if request.param == "proxy" else live.homeserver_url
