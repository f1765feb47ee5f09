"""The helper on a real Synapse, with real clients of people: every word between them is encrypted."""

import asyncio
from pathlib import Path
from urllib.parse import quote

from bridge.helper.answers import GREETING, HELP, HINT, SLOWER
from bridge.helper.throttle import PER_MINUTE
from tests.helper.conversation import helper_of, nothing_waits, put_again, sent_by_helper, signed_in
from tests.live import LiveHub, until


async def test_a_person_is_greeted_and_answered_in_an_encrypted_chat(live: LiveHub, tmp_path: Path) -> None:
    scene = await live.stage()
    room_id = await live.chat_of(scene.bob)
    async with signed_in(live, scene.bob, tmp_path / "bob") as bob:
        assert await bob.hears("I am the helper of this hub") == GREETING
        assert await bob.say(room_id, "!help")
        assert await bob.hears("I answer these:") == HELP
        await bob.say(room_id, "!rules")
        assert "Deals (Contoso Manufacturing" in await bob.hears("encrypted end to end, on your device")
    sent = await sent_by_helper(live, scene.bob, room_id)
    assert {event["type"] for event in sent} == {"m.room.encrypted"}
    assert "Hello" not in repr(sent)


async def test_who_is_in_a_room_is_told_to_those_who_are_in_it_only(live: LiveHub, tmp_path: Path) -> None:
    scene, foreign = await live.stage(), await live.stage()
    room_id = await live.chat_of(scene.bob)
    async with signed_in(live, scene.bob, tmp_path / "bob") as bob:
        await bob.say(room_id, "!who deals")
        answer = await bob.hears("In Deals", scene.company.title())
        assert "3 people" in answer
        assert foreign.company.title() not in answer
        await bob.say(room_id, f"!who {scene.room}")
        await bob.say(room_id, f"!who {foreign.room}")
        await bob.say(room_id, "!who !nothing")
        theirs, nothing = await bob.hears(foreign.room), await bob.hears("!nothing")
        assert theirs.replace(foreign.room, "X") == nothing.replace("!nothing", "X")


async def test_a_refusal_is_explained_once_however_often_it_happens(live: LiveHub, tmp_path: Path) -> None:
    scene = await live.stage()
    room_id = await live.chat_of(scene.bob)
    async with signed_in(live, scene.bob, tmp_path / "bob") as bob:
        for _ in range(30):
            refused = await scene.bob.send(scene.room, "m.room.message", {"msgtype": "m.text", "body": "clear"})
            assert (refused.status, refused.code) == (403, "PLAINTEXT")
        await scene.bob.call("POST", "/createRoom", {})
        text = await bob.hears("PLAINTEXT")
        assert "Why: only encrypted messages are carried. The code is PLAINTEXT." in text
        assert "Who can lift it: nobody: the hub needs it to keep its promises." in text
        assert "in Deals (" in text
        assert "a partner manager of the host company" in await bob.hears("ROOM_BY_HUB")
        await scene.bob.send(scene.room, "m.room.message", {"msgtype": "m.text", "body": "again"})
        await scene.bob.call("POST", f"/rooms/{quote(scene.room)}/invite", {"user_id": "@x:evil.example"})
        assert await bob.hears("PERSON_UNKNOWN")
        assert len([text for text in bob.notices if "PLAINTEXT" in text]) == 1
    assert len(await sent_by_helper(live, scene.bob, room_id)) == 4, "a greeting and three explanations"


async def test_a_second_device_of_the_person_gets_the_answers_too(live: LiveHub, tmp_path: Path) -> None:
    bob = await live.add_person(await live.add_company())
    room_id = await live.chat_of(bob)
    async with signed_in(live, bob, tmp_path / "desk") as desk:
        await desk.say(room_id, "!help")
        assert await desk.hears("I answer these:")
        async with signed_in(live, bob, tmp_path / "phone") as phone:
            await phone.say(room_id, "!who")
            for device in (desk, phone):
                assert "You are in no room yet." in await device.hears("Which room?")
        await desk.say(room_id, "!rules")
        assert await desk.hears("You are in no room yet. A partner manager")


async def test_what_is_no_command_is_hinted_at_once(live: LiveHub, tmp_path: Path) -> None:
    bob = await live.add_person(await live.add_company())
    room_id = await live.chat_of(bob)
    async with signed_in(live, bob, tmp_path / "bob") as reader:
        for text in ("hello?", "anybody there?", "!nonsense"):
            await reader.say(room_id, text)
        await reader.say(room_id, "!help")
        assert await reader.hears("I answer these:")
        await nothing_waits(live, bob)
        assert [text for text in reader.notices if text == HINT] == [HINT]


async def test_a_flood_of_commands_is_cut_off_in_words(live: LiveHub, tmp_path: Path) -> None:
    bob = await live.add_person(await live.add_company())
    room_id = await live.chat_of(bob)
    async with signed_in(live, bob, tmp_path / "bob") as reader:
        assert await reader.hears("I am the helper")
        await asyncio.gather(*(reader.say(room_id, "!help") for _ in range(PER_MINUTE + 10)))
        assert await reader.hears("a lot at once") == SLOWER
        await nothing_waits(live, bob)
    assert len(await sent_by_helper(live, bob, room_id)) == 1 + PER_MINUTE + 1


async def test_a_message_that_is_dealt_with_again_after_a_crash_is_answered_once(live: LiveHub, tmp_path: Path) -> None:
    bob = await live.add_person(await live.add_company())
    room_id = await live.chat_of(bob)
    async with signed_in(live, bob, tmp_path / "bob") as reader:
        assert await reader.hears("I am the helper")
        event_id = await reader.say(room_id, "!help")
        assert await reader.hears("I answer these:")
        await nothing_waits(live, bob)
        event = (await bob.call("GET", f"/rooms/{quote(room_id)}/event/{quote(str(event_id))}")).body
        before = len(await sent_by_helper(live, bob, room_id))
        for _ in range(3):
            await put_again(live, bob, room_id, event, tag=f"again-{event_id}")
        assert len(await sent_by_helper(live, bob, room_id)) == before + 1


async def test_a_message_without_its_key_is_said_to_be_unreadable(live: LiveHub, tmp_path: Path) -> None:
    bob = await live.add_person(await live.add_company())
    room_id = await live.chat_of(bob)
    async with signed_in(live, bob, tmp_path / "bob") as reader:
        assert await reader.hears("I am the helper")
        event_id = (await bob.send_encrypted(room_id)).body["event_id"]
        event = (await bob.call("GET", f"/rooms/{quote(room_id)}/event/{quote(event_id)}")).body
        await put_again(live, bob, room_id, event, tag="came long ago")
        assert "your client did not give me its key" in await reader.hears("I could not read your message")


async def test_the_helper_stays_and_the_chat_is_the_persons_alone(live: LiveHub) -> None:
    scene = await live.stage()
    room_id, helper = await live.chat_of(scene.bob), helper_of(live)
    kicked = await scene.bob.call("POST", f"/rooms/{quote(room_id)}/kick", {"user_id": helper})
    assert (kicked.status, kicked.code) == (403, "ACCOUNT_PROTECTED")
    invited = await scene.bob.call("POST", f"/rooms/{quote(room_id)}/invite", {"user_id": scene.alice.user_id})
    assert (invited.status, invited.code) == (403, "PERSON_UNKNOWN")
    for other in (scene.alice, scene.host):
        joined = await other.call("POST", f"/join/{quote(room_id)}", {})
        assert (joined.status, joined.code) == (403, "COMPANY_NOT_ADMITTED")
    renamed = await scene.bob.set_state(room_id, "m.room.name", {"name": "Mine"})
    assert (renamed.status, renamed.code) == (403, "STATE_FIXED")


async def test_a_suspended_person_is_out_of_the_chat_at_once(live: LiveHub) -> None:
    bob = await live.add_person(await live.add_company())
    room_id = await live.chat_of(bob)
    await live.api("POST", f"/v1/people/{bob.person}/suspend", {"reason": "x"})
    assert (await bob.send_encrypted(room_id)).status != 200  # refused, or the session has ended, or ends meanwhile

    async def out() -> bool:
        return await live.hub.helper.rooms.chat_of(bob.user_id) is None

    await until(out)
    await live.api("POST", f"/v1/people/{bob.person}/resume")
    assert await live.chat_of(bob) == room_id
