"""A hub in a temporary place, started and stopped as a person would: with ``conclave up`` and Ctrl-C."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.cli.client import HubClient, local_hub
from bridge.demo.telling import Narrator, StoryError

SETTINGS = """
state_dir = "{state}"
[host]
id = "contoso"
name = "Contoso Manufacturing"
admin_name = "Dana Fox"
admin_email = "dana@contoso.example"
[hub]
port = {hub}
[homeserver]
name = "conclave.contoso.example"
port = {homeserver}
"""

START_S = 90
STOP_S = 40


@asynccontextmanager
async def temporary_hub(place: Path, narrator: Narrator) -> AsyncIterator[HubClient]:
    """A fresh hub for Contoso Manufacturing; ends with the block."""
    hub, homeserver = free_ports(2)
    state, config = place / "state", place / "conclave.toml"
    config.write_text(SETTINGS.format(state=state, hub=hub, homeserver=homeserver))
    with narrator.step("up", "conclave up: homeserver and service on an empty directory"):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bridge.cli.main", "--config", str(config), "up"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            await _until_ready(process, narrator)
        except BaseException:
            await _stop(process)
            raise
    client = local_hub(state)
    if client is None:
        raise StoryError("the hub left no credential for this machine")
    try:
        yield client
    finally:
        with narrator.step("down", "Ctrl-C: both stop in order"):
            status = await _stop(process)
    if status != 0:
        raise StoryError(f"the hub ended with status {status}")


async def _until_ready(process: asyncio.subprocess.Process, narrator: Narrator) -> None:
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    said = []
    try:
        async with asyncio.timeout(START_S):
            async for line in process.stdout:
                text = line.decode().rstrip()
                said.append(text)
                if "ready  " in text or text.startswith("  ledger"):
                    narrator.quote(text.strip())
                if text.startswith("Ctrl-C"):
                    return
    except TimeoutError:
        raise StoryError(f"the hub was not ready within {START_S} s: {said[-1:]}") from None
    raise StoryError(f"the hub did not start: {' / '.join(said[-3:])}")


async def _stop(process: asyncio.subprocess.Process) -> int:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_S):
            await process.communicate()
    except TimeoutError:
        process.kill()
    return await process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
