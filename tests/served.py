"""A hub on a fake homeserver, served from a thread of its own: for clients that are not asynchronous."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.hub import FakeHub, start_fake_hub


@dataclass(slots=True)
class ServedHub:
    """Where it is, and the administrator's token."""

    url: str
    token: str
    state: Path
    fake: FakeHub
    loop: asyncio.AbstractEventLoop


@contextmanager
def serve(place: Path, base: Path) -> Iterator[ServedHub]:
    """Serve until the block ends; the hub works by itself, as a real one does."""
    shutil.copy(base, place / "hub.sqlite3")
    found: list[ServedHub] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with start_fake_hub(place, f"sqlite+aiosqlite:///{place}/hub.sqlite3") as fake:
            url = str(fake.client.make_url("")).rstrip("/")
            (fake.state.root / "hub.url").write_text(url + "\n")
            found.append(ServedHub(url, fake.admin_token, fake.state.root, fake, loop))
            ready.set()
            work = asyncio.create_task(_work(fake))
            await stop.wait()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    if not ready.wait(30):
        raise AssertionError("the hub did not start")
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _work(fake: FakeHub) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fake.hub.work())
        tasks.create_task(_deliver(fake))


async def _deliver(fake: FakeHub) -> None:
    while True:
        await fake.homeserver.deliver(fake.hub.services.feed.accept)
        await asyncio.sleep(0.01)
