"""Running a witness until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from bridge.app import listening
from bridge.witness.folder import WitnessFolder
from bridge.witness.server import WitnessService
from config.clock import system_clock
from config.state import DirectoryLock


async def run_witness(folder: Path, host: str, port: int, *, say: Callable[[str], None]) -> None:
    """Serve the witness in ``folder`` until SIGINT or SIGTERM.

    Raises:
        ConclaveError: The folder is not as it must be or in use, or the address cannot be listened on.
    """
    keeper = WitnessFolder(folder)
    key = keeper.key()
    lock = DirectoryLock(folder / "witness.lock", "the witness")
    try:
        service = WitnessService(keeper, system_clock)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with listening(service.app(), host, port):
            watched = ", ".join(keeper.logs()) or "no log yet"
            say(f"witness {key.name} at http://{host}:{port}, watching {watched}")
            await stop.wait()
            say("stopped")
    finally:
        lock.release()
