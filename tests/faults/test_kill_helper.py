"""kill -9 of the hub between a person's message and the helper's answer: answered after the restart, once."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cli.client import HubClient
from bridge.demo.people import Reader
from tests.faults.processes import Processes, start_processes
from tests.live import PASSWORD, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]


def ask(processes: Processes, statement: str) -> list[tuple[object, ...]]:
    """A question to the hub's own database."""
    with closing(sqlite3.connect(f"file:{processes.state.database}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


async def enrolled(processes: Processes) -> str:
    """Bob, of a partner; his user id."""
    client = processes.client
    await asyncio.to_thread(client.post, "/v1/companies", {"id": "acme", "name": "Acme"})
    body = {"company": "acme", "name": "Bob", "email": "bob@x.example"}
    link = (await asyncio.to_thread(client.post, "/v1/people", body))["link"]
    body = {"secret": link.rpartition("/")[2], "username": "bob", "password": PASSWORD}
    return str((await asyncio.to_thread(HubClient(url=client.url, token="").post, "/v1/enrol", body))["user_id"])


async def in_chat(reader: Reader) -> str:
    """The person's one room, as their client sees it."""

    async def look() -> str | None:
        await reader.sync()
        return next(iter(reader.client.rooms), None)

    return str(await until(look))


@pytest.mark.parametrize("kills", [1, 3])
async def test_a_kill_between_message_and_answer(tmp_path: Path, kills: int) -> None:
    async with start_processes(tmp_path) as processes:
        await processes.start_hub()
        await processes.ready()
        user_id = await enrolled(processes)
        (tmp_path / "bob").mkdir()
        homeserver = processes.settings.homeserver.internal_url
        bob = await Reader.sign_in(homeserver, "bob", user_id, PASSWORD, tmp_path / "bob")
        try:
            room_id = await in_chat(bob)
            assert await bob.hears("I am the helper of this hub")
            store = processes.state.helper / "olm.sqlite3"
            with closing(sqlite3.connect(store, isolation_level=None)) as lock:
                lock.execute("BEGIN EXCLUSIVE")  # the helper cannot so much as look at its keys
                assert await bob.say(room_id, "!help")
                for _ in range(kills):

                    async def waits() -> bool:
                        return bool(ask(processes, "SELECT 1 FROM helper_mail WHERE kind = 'message'"))

                    await until(waits)
                    await processes.kill_hub()
                    assert await waits()
                    await processes.start_hub()
                await processes.kill_hub()
            await processes.start_hub()
            await processes.ready()
            assert await bob.hears("I answer these:")

            async def dealt_with() -> bool:
                return not ask(processes, "SELECT 1 FROM helper_mail WHERE kind IN ('message', 'to-device')")

            await until(dealt_with, 60)
            await bob.say(room_id, "!rules")
            assert await bob.hears("You are in no room yet.")
            assert len([text for text in bob.notices if text.startswith("I answer these:")]) == 1
        finally:
            await bob.close()


async def test_what_was_said_while_the_hub_was_away_is_answered(tmp_path: Path) -> None:
    """Synapse drops keys that are sent to an application service that is away; the helper fetches them."""
    async with start_processes(tmp_path) as processes:
        await processes.start_hub()
        await processes.ready()
        user_id = await enrolled(processes)
        (tmp_path / "bob").mkdir()
        homeserver = processes.settings.homeserver.internal_url
        bob = await Reader.sign_in(homeserver, "bob", user_id, PASSWORD, tmp_path / "bob")
        try:
            room_id = await in_chat(bob)
            assert await bob.hears("I am the helper of this hub")
            await processes.kill_hub()
            assert await bob.say(room_id, "!help")
            await processes.start_hub()
            await processes.ready()
            assert await bob.hears("I answer these:")
            assert len([text for text in bob.notices if text.startswith("I answer these:")]) == 1
        finally:
            await bob.close()
