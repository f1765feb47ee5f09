"""Publishing an answer by the helper's chat: asked first, said once, and nothing for who has no say."""

from pathlib import Path

from tests.e2e.test_answers import Hearing
from tests.e2e.test_committee import company_of, in_pitch
from tests.helper.conversation import put_again, signed_in
from tests.live import LiveHub, until

QUESTION, ANSWER = "May data leave the country?", "No.\nNever."


async def test_a_member_publishes_after_a_question_and_types_the_text_once(live: LiveHub, tmp_path: Path) -> None:
    committee = await in_pitch(live)
    member, vendor, name = committee.buyers[1], committee.vendor[0], committee.name
    room_id, path = await live.chat_of(member), f"/v1/committees/{name}/answers"
    async with (
        signed_in(live, member, tmp_path / "member") as client,
        signed_in(live, vendor, tmp_path / "vendor") as guest,
    ):
        await client.say(room_id, f"!answer {name} Q: {QUESTION}\nA: {ANSWER}")
        shown = await client.hears(f"write within ten minutes: !answer {name} yes")
        assert f"Question: {QUESTION}\n\nAnswer: {ANSWER}" in shown
        assert (await live.api("GET", path))["items"] == [], "nothing is done before the yes"
        yes = await client.say(room_id, f"!answer {name} YES")
        assert await client.hears("Published. I say it to every vendor of")
        assert f"Question: {QUESTION}\n\nAnswer: {ANSWER}" in await guest.hears(QUESTION)
        (made,) = (await live.api("GET", path))["items"]
        assert (made["question"], made["answer"], made["published_by"]) == (QUESTION, ANSWER, member.person)
        assert made["id"] not in shown
        await Hearing(committee, client, guest, guest).helper_is_out()
        await client.say(room_id, f"!answer {name}")
        fared = await client.hears("Write !answer", f"• {await company_of(vendor)}: delivered")
        assert f"• {await company_of(committee.rival)}: nobody of the vendor has signed in on a device" in fared
        await client.say(room_id, f"!answer {name} yes")
        assert await client.hears("I have nothing of yours for", "or no more"), "a second yes publishes nothing"
        assert yes is not None
        assert len((await live.api("GET", path))["items"]) == 1


async def test_a_yes_that_is_dealt_with_twice_publishes_once(live: LiveHub, tmp_path: Path) -> None:
    """As after a kill between publishing and telling so."""
    committee = await in_pitch(live)
    member, name = committee.buyers[0], committee.name
    room_id = await live.chat_of(member)
    async with signed_in(live, member, tmp_path / "member") as client:
        await client.say(room_id, f"!answer {name} {ANSWER}")
        assert await client.hears("!answer", "yes", ANSWER)
        yes = await client.say(room_id, f"!answer {name} yes")
        assert await client.hears("Published.")
        event = (await member.call("GET", f"/rooms/{room_id}/event/{yes}")).body
        (made,) = (await live.api("GET", f"/v1/committees/{name}/answers"))["items"]
        key = (await live.hub.services.answers.get(name, made["id"])).key
        assert key is not None
        await client.say(room_id, f"!answer {name} something else")
        assert await client.hears("!answer", "yes", "something else")
        await put_again(live, member, room_id, {**event, "room_id": room_id}, key)
        assert len((await live.api("GET", f"/v1/committees/{name}/answers"))["items"]) == 1
        await client.say(room_id, f"!answer {name} yes")

        async def both() -> bool:
            found = (await live.api("GET", f"/v1/committees/{name}/answers"))["items"]
            return [item["answer"] for item in found] == [ANSWER, "something else"]

        await until(both)


async def test_who_has_no_say_hears_nothing_and_a_no_is_told_in_words(live: LiveHub, tmp_path: Path) -> None:
    committee = await in_pitch(live)
    vendor, member, name = committee.vendor[0], committee.buyers[1], committee.name
    room_id = await live.chat_of(vendor)
    async with signed_in(live, vendor, tmp_path / "vendor") as client:
        await client.say(room_id, f"!answer {name} to everybody")
        await client.say(room_id, "!answer nothing to everybody")
        theirs, nothing = await client.hears(name), await client.hears("“nothing”")
        assert theirs.replace(name, "X") == nothing.replace("nothing", "X")
    room_id = await live.chat_of(member)
    async with signed_in(live, member, tmp_path / "member") as client:
        for said, heard in (
            ("!answer", "Write !answer, the committee's id, and what every vendor is to read."),
            (f"!answer {name}", "Write !answer, the committee's id, and what every vendor is to read."),
            (f"!answer {name} yes", "I have nothing of yours for"),
            (f"!answer {name} {'x' * 2_001}", "Not done: the answer has 2,001 characters; at most 2,000 are sent."),
            (f"!answer {name} a\tb", "Not done: the answer has U+0009 at character 2"),
        ):
            client.notices.clear()
            await client.say(room_id, said)
            assert await client.hears(heard), said
        credential = await live.api("POST", "/v1/credentials", {"person": member.person, "device": "second"})
        declared = {"conflict": True, "statement": "x"}
        await live.api("POST", f"/v1/committees/{name}/declare", declared, token=credential["token"])
        await client.say(room_id, f"!answer {name} anything")
        assert await client.hears("Not done: you declared a conflict of interest in")
    chair = committee.buyers[0]
    await committee.act("clear")
    room_id = await live.chat_of(chair)
    async with signed_in(live, chair, tmp_path / "chair") as client:
        await client.say(room_id, f"!answer {name} too late")
        assert await client.hears("Not done:", "is in phase deliberation; an answer is published in phase pitch.")
    assert (await live.api("GET", f"/v1/committees/{name}/answers"))["items"] == []
