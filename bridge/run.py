"""Running a hub: with its own homeserver (``up``) or beside one (``serve``), until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

import structlog

from bridge.app import Hub, listening, open_hub
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import write_homeserver_config
from bridge.version import SOFTWARE
from config.errors import ConclaveError, first_of
from config.logging import configure_logging
from config.settings import Settings
from config.state import StateDirectory

log = structlog.get_logger()

Say = Callable[[str, str], None]
READY_TIMEOUT_S = 60
LAST_DRAIN_S = 10


class _StopRequested(Exception):  # noqa: N818  # not an error: somebody asked
    """SIGINT or SIGTERM arrived."""


async def run_up(settings: Settings, *, say: Say) -> None:
    """Run homeserver and service on this machine until SIGINT or SIGTERM; ``say`` gets (part, what happened).

    Raises:
        ConclaveError: Something that is needed is not there; nothing stays running.
    """
    state = StateDirectory(settings.state_dir)
    state.prepare()
    configure_logging(settings.logging.level, state.hub_log)
    lock = state.lock()
    try:
        async with open_hub(settings, state, migrate=True) as hub:
            files = write_homeserver_config(settings, state, hub.keys.document.public.public_key)
            homeserver = EmbeddedHomeserver(files, settings.homeserver, say=lambda text: say("homeserver", text))
            async with listening(hub.web, settings.hub.listen, settings.hub.port):
                (state.root / "hub.url").write_text(settings.hub.url + "\n")
                try:
                    await _run(hub, settings, homeserver=homeserver, say=say)
                finally:
                    await homeserver.stop()
                    await _finish(hub)
    finally:
        lock.release()


async def run_serve(settings: Settings, *, say: Say) -> None:
    """Run the service beside a homeserver of its own until SIGINT or SIGTERM.

    Raises:
        ConclaveError: Something that is needed is not there.
    """
    state = StateDirectory(settings.state_dir)
    state.prepare()
    configure_logging(settings.logging.level)
    lock = state.lock()
    try:
        async with (
            open_hub(settings, state, migrate=False) as hub,
            listening(hub.web, settings.hub.listen, settings.hub.port),
        ):
            (state.root / "hub.url").write_text(settings.hub.url + "\n")
            try:
                await _run(hub, settings, homeserver=None, say=say)
            finally:
                await _finish(hub)
    finally:
        lock.release()


async def _run(hub: Hub, settings: Settings, *, homeserver: EmbeddedHomeserver | None, say: Say) -> None:
    failure: ConclaveError | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_until_stopped())
            await hub.note("hub.started", software=SOFTWARE, host=settings.host.id)
            if homeserver is not None:
                say("homeserver", "starting …")
                await homeserver.start()
                tasks.create_task(homeserver.run(lambda: _relink(hub)))
            tasks.create_task(hub.work())
            await _say_ready(hub, settings, embedded=homeserver is not None, say=say)
    except* _StopRequested:
        say("", "stopping …")
    except* ConclaveError as failures:
        failure = first_of(failures)
    if failure is not None:  # not in the clause above: what Python 3.11.2 raises there comes out as a group
        raise failure


async def _say_ready(hub: Hub, settings: Settings, *, embedded: bool, say: Say) -> None:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S if embedded else None):
            await hub.link.established.wait()
    except TimeoutError:
        raise ConclaveError(
            "homeserver and hub do not reach each other", hint=f"see {settings.state_dir}/hub.log"
        ) from None
    version = await hub.services.homeserver.version()
    status = await hub.services.audit.status()
    key = str(hub.services.audit.log_key)
    say("homeserver", f"ready   {settings.homeserver.client_url}      (Synapse {version}{', embedded' * embedded})")
    say("hub", f"ready   {settings.hub.url}")
    say(
        "ledger",
        f"{status.head.size:,} entries, key {key[: key.index('+') + 5]}…  saved to {settings.state_dir}/log.vkey:"
        " give it to your auditors",
    )
    if hub.services.readiness.signing_error is not None:
        say("ledger", f"NOT SIGNED: {hub.services.readiness.signing_error}")
    say("ready", "")


async def _relink(hub: Hub) -> None:
    with suppress(ConclaveError):
        await hub.link.look()


async def _finish(hub: Hub) -> None:
    """The last entry, and everything that waits into the log; of several hubs, the one that led does the latter."""
    try:
        async with asyncio.timeout(LAST_DRAIN_S):
            await hub.note("hub.stopped")
            while hub.sequencer.leads and await hub.sequencer.step():
                pass
    except (ConclaveError, TimeoutError) as error:
        log.warning("stopped_with_entries_waiting", reason=str(error))


async def _until_stopped() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    raise _StopRequested
