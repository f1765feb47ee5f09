"""The embedded homeserver: Synapse as a child process, started, watched, restarted with back-off, stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import structlog

from bridge.homeserver_config import HomeserverFiles
from bridge.ports import check_port
from config.errors import ConclaveError
from config.settings import HomeserverSettings
from config.state import DirectoryLock, StateError

log = structlog.get_logger()

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 20
PROBE_S = 0.1
MAX_BACKOFF_S = 30
STABLE_S = 60

Say = Callable[[str], None]


class HomeserverStartError(ConclaveError):
    """The embedded homeserver does not start."""

    code = "homeserver"


class EmbeddedHomeserver:
    """One Synapse process.

    The child inherits a lock on ``homeserver.lock``: a Synapse whose hub was killed still holds it, and the next hub
    stops that orphan before it starts its own.
    """

    def __init__(self, files: HomeserverFiles, settings: HomeserverSettings, *, say: Say = lambda _text: None) -> None:
        self._files = files
        self._settings = settings
        self._say = say
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when Synapse answers its clients.

        Raises:
            PortError: Another program has its port.
            HomeserverStartError: It ended, or did not answer within two minutes; its log says why.
        """
        lock = await self._take_lock()
        try:
            check_port(self._settings.listen, self._settings.port, "--homeserver-port or homeserver.port")
            with (self._files.log.parent / "homeserver.out").open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "synapse.app.homeserver", "-c", str(self._files.config)),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[lock.fileno()],
                    env={**os.environ, "PYTHONSAFEPATH": "1"},
                    start_new_session=True,
                )
            lock.note(self._process.pid)
        finally:
            lock.release()
        await self._wait_ready(self._process)

    async def run(self, restarted: Callable[[], Awaitable[None]]) -> None:
        """Keep Synapse running until cancelled: a dead one is started again, after 1, 2, 4 … 30 seconds."""
        backoff = 1.0
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            status = await self._process.wait()
            backoff = 1.0 if loop.time() - began > STABLE_S else backoff
            log.error("homeserver_died", status=status, again_in_s=backoff)
            self._say(f"homeserver stopped ({_describe(status)}); starting it again in {backoff:g} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)
            with suppress(ConclaveError):
                await self.start()
                self._say("homeserver ready again")
                await restarted()

    async def stop(self) -> None:
        """End Synapse in order; by force when it takes longer than 20 seconds."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def pid(self) -> int | None:
        """The process id of the running Synapse."""
        return None if self._process is None else self._process.pid

    async def _take_lock(self) -> DirectoryLock:
        path = self._files.config.parent / "homeserver.lock"
        try:
            return DirectoryLock(path, "the embedded homeserver")
        except StateError:
            self._stop_orphan(path.read_text().strip())
        for _ in range(int(STOP_TIMEOUT_S / PROBE_S)):
            with suppress(StateError):
                return DirectoryLock(path, "the embedded homeserver")
            await asyncio.sleep(PROBE_S)
        raise HomeserverStartError("a homeserver of an earlier start does not stop", hint=f"end the process in {path}")

    def _stop_orphan(self, holder: str) -> None:
        """Ask the process that holds the lock to end; it wrote down its id, or is about to."""
        log.warning("homeserver_orphan_found", pid=holder)
        self._say("a homeserver of an earlier start is still running; stopping it")
        if holder.isdecimal() and int(holder) > 1:
            with suppress(ProcessLookupError):
                os.kill(int(holder), signal.SIGTERM)

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S), aiohttp.ClientSession() as session:
                while process.returncode is None:
                    with suppress(aiohttp.ClientError):
                        async with session.get(f"{self._settings.internal_url}/_matrix/client/versions") as response:
                            if response.status == 200:
                                return
                    await asyncio.sleep(PROBE_S)
        except TimeoutError:
            raise HomeserverStartError(
                f"the homeserver did not answer within {READY_TIMEOUT_S} s", hint=f"see {self._files.log}"
            ) from None
        out = (self._files.log.parent / "homeserver.out").read_text(errors="replace").strip().splitlines()
        reason = next((line for line in reversed(out) if any(map(str.isalpha, line))), _describe(process.returncode))
        raise HomeserverStartError(f"the homeserver ended while starting: {reason}", hint=f"see {self._files.log}")


def _describe(status: int | None) -> str:
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
