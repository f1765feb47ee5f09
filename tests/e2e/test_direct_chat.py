"""Two people, two matrix-nio clients, one direct room: asked for and used as any client does, end to end encrypted."""

from pathlib import Path

from nio import RoomCreateResponse

from bridge.demo.people import Reader
from tests.live import PASSWORD, LiveHub, Scene, User


async def reader(scene: Scene, user: User, place: Path) -> Reader:
    place.mkdir()
    return await Reader.sign_in(scene.hub.homeserver_url, user.person, user.user_id, PASSWORD, place)


async def test_both_read_what_the_other_wrote_from_the_first_message_on(live: LiveHub, tmp_path: Path) -> None:
    scene = await live.stage()
    bob, dana = await reader(scene, scene.bob, tmp_path / "bob"), await reader(scene, scene.host, tmp_path / "dana")
    try:
        answer = await bob.client.room_create(is_direct=True, invite=[dana.user_id])
        assert isinstance(answer, RoomCreateResponse)
        await bob.sync()
        room = bob.client.rooms[answer.room_id]
        assert (room.encrypted, set(room.users)) == (True, {bob.user_id, dana.user_id, live.bot})
        first = await bob.say(answer.room_id, "for your eyes")
        assert first is not None
        assert await dana.read_all({first}), "nothing was accepted, and the first message is there"
        assert dana.read[first] == "for your eyes"
        await dana.sync()
        reply = await dana.say(answer.room_id, "read")
        assert reply is not None
        assert await bob.read_all({reply})
        assert bob.read[reply] == "read"
        again = await dana.client.room_create(is_direct=True, invite=[bob.user_id])
        assert isinstance(again, RoomCreateResponse)
        assert again.room_id == answer.room_id
    finally:
        await bob.close()
        await dana.close()
