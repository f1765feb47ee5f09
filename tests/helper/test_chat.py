"""The helper on a real Synapse, with a real client of a person: every word between them is encrypted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.demo.people import Reader
from bridge.helper.answers import GREETING, HELP
from tests.live import PASSWORD, LiveHub, User, until


async def chat_of(live: LiveHub, user: User) -> str:
    """The room of a person's chat, once it is there and they are in it."""
    helper = live.hub.helper

    async def look() -> str | None:
        return await helper._rooms.chat_of(user.user_id)

    return str(await until(look))


@asynccontextmanager
async def signed_in(live: LiveHub, user: User, place: Path) -> AsyncIterator[Reader]:
    place.mkdir()
    reader = await Reader.sign_in(live.homeserver_url, user.person, user.user_id, PASSWORD, place)
    try:
        yield reader
    finally:
        await reader.close()


async def test_a_person_is_greeted_and_answered_in_an_encrypted_chat(live: LiveHub, tmp_path: Path) -> None:
    scene = await live.stage()
    room_id = await chat_of(live, scene.bob)
    async with signed_in(live, scene.bob, tmp_path / "bob") as bob:
        assert await bob.hears("I am the helper of this hub") == GREETING
        assert await bob.say(room_id, "!help")
        assert await bob.hears("I answer these:") == HELP
        await bob.say(room_id, "!who deals")
        answer = await bob.hears("In Deals")
        assert "3 people" in answer
