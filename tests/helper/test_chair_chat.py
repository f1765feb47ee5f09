"""``!committee``: members look at a committee, its chair moves it on, from their own chat; without a homeserver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.helper.answers import command_of
from bridge.helper.committees import CommitteeChat
from config.clock import DAY, HOUR, iso
from tests.api.test_committees import CRM, Scene
from tests.fakes.hub import start_fake_hub


class Chat:
    """What the helper answers to people of a scene."""

    def __init__(self, scene: Scene) -> None:
        services = scene.hub.hub.services
        self.scene = scene
        self.enforced: list[str] = []
        self._numbers = iter(range(1_000))

        async def person(user_id: str) -> str:
            return (await services.onboarding.person(user_id))[0].id

        async def enforce(committee: str) -> None:
            self.enforced.append(committee)

        self._chat = CommitteeChat(
            services.committees, services.answers, services.clock, person=person, enforce=enforce
        )

    async def says(self, text: str, by: str = "chair") -> str:
        return await self._chat.answer(command_of(text), self.scene.people[by], f"${next(self._numbers)}")

    async def phase(self) -> str:
        return str((await self.scene.hub.api("GET", CRM))["phase"])


@pytest.fixture
async def chat(tmp_path: Path, database_url: str) -> AsyncIterator[Chat]:
    async with start_fake_hub(tmp_path, database_url) as hub:
        scene = await Scene(hub).make()
        for name in ("chair", "buyer", "late"):
            await scene.act("declare", {"conflict": False}, by=name)
        yield Chat(scene)


async def test_the_chair_leads_a_committee_from_first_to_last(chat: Chat) -> None:
    assert "phase open" in await chat.says("!committee crm")
    for vendor in ("adatum", "fabrikam"):
        assert (await chat.says(f"!committee crm add-vendor {vendor}")).startswith("It has its pitch room;")
    shown = await chat.says("!committee crm")
    assert "• vendor adatum: 0 of 1 in its room" in shown
    assert f"• member {chat.scene.people['buyer']}: declared no conflict" in shown
    clear_at = iso(chat.scene.hub.clock.now + HOUR)
    assert "The times are set" in await chat.says(f"!committee crm schedule clear {clear_at}")
    asked = await chat.says("!committee crm start")
    assert asked == "Into their pitch rooms, now: adatum, fabrikam. To do it, write: !committee crm yes start"
    assert await chat.phase() == "open", "nothing is done before the yes"
    assert (await chat.says("!committee crm yes start")).startswith("Pitch.")
    assert await chat.phase() == "pitch"
    assert "are out" in await chat.says("!clear crm yes")
    asked = await chat.says("!committee crm decide adatum 10")
    assert "For 10 days it cannot be closed. To do it, write: !committee crm yes decide adatum 10" in asked
    assert (await chat.says("!committee crm yes decide adatum 10")).startswith("Decided.")
    assert "• decided: adatum, " in await chat.says("!committee crm")
    assert (await chat.says("!committee crm yes debrief fabrikam")).startswith("The room is opened.")
    assert "the standstill period of crm lasts until" in await chat.says("!committee crm close done")
    chat.scene.hub.clock.now += 11 * DAY
    assert "!committee crm yes close All is said" in await chat.says("!committee crm close All is said")
    assert (await chat.says("!committee crm yes close All is said")).startswith("Closed.")
    assert await chat.phase() == "closed"
    await chat.scene.hub.entries()
    told = (await chat.says("!committee crm timeline")).splitlines()
    assert [line.split()[1] for line in told][-2:] == ["vendor.debriefed", "committee.closed"]
    assert set(chat.enforced) == {"crm"}


async def test_closing_without_a_decision_says_so_first(chat: Chat) -> None:
    await chat.says("!committee crm add-vendor adatum")
    assert (await chat.says("!committee crm close no budget")).startswith("Nothing was decided. Everybody leaves")


async def test_members_look_and_do_nothing_more(chat: Chat) -> None:
    await chat.says("!committee crm add-vendor adatum")
    assert "phase open" in await chat.says("!committee crm", "buyer")
    await chat.scene.hub.entries()
    assert "committee.opened" in await chat.says("!committee crm timeline", "buyer")
    for act in ("add-vendor litware", "yes start", "yes close x", "nonsense"):
        said = await chat.says(f"!committee crm {act}", "buyer")
        assert said == "You are a member of crm; its chair alone does that.", act
    assert await chat.phase() == "open"
    assert len((await chat.scene.hub.api("GET", CRM))["vendors"]) == 1


async def test_who_is_no_member_learns_nothing(chat: Chat) -> None:
    for text in ("", " timeline", " yes start", " add-vendor litware"):
        theirs, none = (
            await chat.says(f"!committee crm{text}", "adatum"),
            await chat.says(f"!committee no{text}", "adatum"),
        )
        assert theirs.replace("crm", "no") == none == "You are a member of no committee “no”."


async def test_who_has_a_conflict_neither_looks_nor_acts(chat: Chat) -> None:
    await chat.says("!committee crm add-vendor adatum")
    await chat.says("!declare crm conflict shares in Adatum")
    for text in ("", " timeline", " yes start", " add-vendor litware"):
        assert (await chat.says(f"!committee crm{text}")).startswith("Not done: you declared a conflict of interest")
    assert await chat.phase() == "open"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("!committee", "Write !committee and its id"),
        ("!committee crm nonsense", "Write !committee and its id"),
        ("!committee crm yes", "phase open"),
        ("!committee crm add-vendor", "Not done: which company? write add-vendor and its id."),
        ("!committee crm add-vendor contoso", "Not done: contoso is the host of this hub,"),
        ("!committee crm add-vendor nobody", "Not done: no company 'nobody'."),
        ("!committee crm schedule", "Not done: write schedule pitch TIME clear TIME, or one of the two."),
        ("!committee crm schedule pitch", "Not done: write schedule"),
        ("!committee crm schedule pitch 1 pitch 2", "Not done: write schedule"),
        ("!committee crm schedule when 1", "Not done: write schedule"),
        ("!committee crm schedule clear tomorrow", "Not done: “tomorrow” is no time with its zone;"),
        ("!committee crm schedule clear 2999-01-01T00:00:00", "Not done: “2999-01-01T00:00:00” is no time with"),
        ("!committee crm schedule clear 2001-01-01T00:00:00Z", "Not done: 2001-01-01T00:00:00"),
        ("!committee crm start", "Not done: crm has no vendor."),
        ("!committee crm yes start", "Not done: crm has no vendor."),
        ("!committee crm decide adatum", "Not done: crm is in phase open;"),
        ("!committee crm decide", "Not done: which company? write decide and its id."),
        ("!committee crm decide adatum -1", "Not done: the days of the standstill period are 0 to 365."),
        ("!committee crm decide adatum 366", "Not done: the days of the standstill period are 0 to 365."),
        ("!committee crm decide adatum ten", "Not done: the days of the standstill period are 0 to 365."),
        ("!committee crm yes debrief adatum", "Not done: crm is in phase open;"),
        ("!committee crm yes close", "Not done: why? write close and the reason, at most 500 characters."),
        ("!committee crm yes close " + "x" * 501, "Not done: why? write close and the reason"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_done(chat: Chat, text: str, says: str) -> None:
    before = await chat.scene.hub.api("GET", CRM)
    said = await chat.says(text)
    assert says in said, said
    assert await chat.scene.hub.api("GET", CRM) == before
