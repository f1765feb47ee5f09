"""A committee by the helper's chat: the chair clears the room with their own client, after a question."""

from pathlib import Path

from tests.e2e.test_committee import in_pitch, joined
from tests.helper.conversation import signed_in
from tests.live import LiveHub, User, until


async def test_the_chair_clears_the_room_after_a_question(live: LiveHub, tmp_path: Path) -> None:
    committee = await in_pitch(live)
    chair, other = committee.buyers
    room_id = await live.chat_of(chair)
    async with signed_in(live, chair, tmp_path / "chair") as client:
        await client.say(room_id, f"!clear {committee.name}")
        assert f"write: !clear {committee.name} yes" in await client.hears("Out of the pitch rooms: ")
        assert committee.own in await joined(committee.vendor[0]), "nothing is done before the yes"
        await client.say(room_id, f"!clear {committee.name} yes")
        assert await client.hears("is cleared:", "Deliberation, until decided.")

        async def out() -> bool:
            return not await joined(committee.vendor[0])

        await until(out)
        await client.say(room_id, f"!clear {committee.name} yes")
        assert await client.hears("is cleared already")
        await client.say(room_id, f"!committee {committee.name}")
        assert "phase deliberation" in await client.hears(f"{committee.name}, ")
    cleared = [entry for entry in await live.entries("committee.cleared") if entry["engagement"] == committee.name]
    assert [entry["actor"] for entry in cleared] == [{"person": chair.person}]
    assert other.person != chair.person


async def test_a_chair_with_a_conflict_is_not_even_asked(live: LiveHub, tmp_path: Path) -> None:
    committee = await in_pitch(live)
    chair = committee.buyers[0]
    room_id = await live.chat_of(chair)
    async with signed_in(live, chair, tmp_path / "torn") as client:
        await client.say(room_id, f"!declare {committee.name} conflict shares")
        await client.hears("stay shut for you")
        for more in ("", " yes"):
            await client.say(room_id, f"!clear {committee.name}{more}")
            assert await client.hears("Not done: you declared a conflict of interest")
    assert await joined(committee.vendor[0]) == {committee.own}, "the vendor is in still"


async def test_who_has_no_say_hears_nothing(live: LiveHub, tmp_path: Path) -> None:
    committee = await in_pitch(live)
    for user in (committee.buyers[1], committee.vendor[0]):
        room_id = await live.chat_of(user)
        async with signed_in(live, user, tmp_path / user.person) as client:
            await client.say(room_id, f"!clear {committee.name} yes")
            await client.say(room_id, "!clear nothing yes")
            theirs, nothing = await client.hears(committee.name), await client.hears("“nothing”")
            assert theirs.replace(committee.name, "X") == nothing.replace("nothing", "X")
    assert await joined(committee.vendor[0]) == {committee.own}


async def test_a_member_declares_in_the_chat(live: LiveHub, tmp_path: Path) -> None:
    committee, late = await in_pitch(live), await live.add_person("contoso")
    await committee.act("members", {"person": late.user_id})
    room_id = await live.chat_of(late)
    async with signed_in(live, late, tmp_path / "late") as client:
        await client.say(room_id, f"!declare {committee.name} perhaps")
        assert await client.hears("Write !declare, the committee's id,")
        await client.say(room_id, f"!declare {committee.name} none")
        assert await client.hears("You come into the rooms of")

        async def inside() -> bool:
            return await joined(late) == set(committee.rooms.values())

        await until(inside)
        await client.say(room_id, f"!declare {committee.name} conflict my brother works there")
        assert await client.hears("stay shut for you")
        await until(lambda: _is_out(late))


async def _is_out(user: User) -> bool:
    return not await joined(user)
