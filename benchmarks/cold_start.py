"""How long ``conclave up`` takes on an empty directory until everything is ready, beside a bare Synapse."""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from benchmarks.stage import MeasurementError, Site, new_site
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import write_homeserver_config

PATIENCE_S = 180


async def run(plan: Plan) -> Sequence[Row]:
    """Pairs of starts, each on an empty directory; a first pair only warms the file cache up."""
    pairs = []
    for number in range(1 + plan.size(5, 1)):
        ours = await _up(new_site(plan.folder(f"up{number}")))
        pairs.append((ours, await _bare(new_site(plan.folder(f"bare{number}")))))
    return [compare("conclave up, empty directory until ready", "s", pairs[1:], "bare Synapse")]


async def _up(site: Site) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bridge.cli.main", "--config", str(site.config), "up"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said = await _until_ready(process)
        seconds = time.perf_counter() - began
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.communicate()
    if process.returncode != 0:
        raise MeasurementError(f"conclave up ended with status {process.returncode}: {said}")
    return seconds


async def _until_ready(process: asyncio.subprocess.Process) -> list[str]:
    """What it said until it said what to do next."""
    said: list[str] = []
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    async with asyncio.timeout(PATIENCE_S):
        async for line in process.stdout:
            said.append(line.decode().rstrip())
            if said[-1].startswith("Next:"):
                return said
    raise MeasurementError(f"conclave up did not start: {' / '.join(said[-3:])}")


async def _bare(site: Site) -> float:
    """The same configuration without guard and hub, started and asked in the same way."""
    site.state.prepare()
    bare: dict[str, list[str]] = {"modules": [], "app_service_config_files": []}
    child = EmbeddedHomeserver(write_homeserver_config(site.settings, site.state, b"", bare), site.settings.homeserver)
    began = time.perf_counter()
    try:
        await child.start()
        return time.perf_counter() - began
    finally:
        await child.stop()
