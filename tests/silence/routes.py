"""What there is to be probed: Synapse's own addresses, enumerated at run time, and those of the specification."""

import asyncio
import re
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
LISTER = HERE / "synapse_routes.py"
# Every call of data/api/client-server/*.yaml of the Matrix specification (Apache-2.0), as of 2026-07-21.
SPECIFICATION = HERE / "specification.txt"

_VERSION = re.compile(r"^/_matrix/client/(api/v1|r0|v1|v3|unstable)/")
_MEDIA_VERSION = re.compile(r"^/_matrix/media/(r0|v1|v3)/")


async def synapse_routes(config: Path) -> list[str]:
    """Every ``METHOD /path/{name}`` that a Synapse with this configuration file serves, each version written out."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(LISTER), str(config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    routes = out.decode().split("\n")
    assert process.returncode == 0, err.decode()
    assert len(routes) > 500, "the enumeration does not see Synapse's routes any more"
    return routes


def specified_routes() -> list[str]:
    """Every call of the specification's client-server API."""
    return SPECIFICATION.read_text().splitlines()


def key(route: str) -> str:
    """``route`` without its version and without the names of what a client fills in: what the table goes by."""
    method, path = route.split(" ", 1)
    path = _MEDIA_VERSION.sub("/_matrix/media/", _VERSION.sub("/", path.rstrip()))
    return f"{method} " + re.sub(r"(\{[^}]*\})+", "{}", path)


def by_key(routes: Iterable[str]) -> dict[str, list[str]]:
    """The routes that differ in their version alone, together."""
    found: dict[str, list[str]] = {}
    for route in routes:
        found.setdefault(key(route), []).append(route)
    return found
