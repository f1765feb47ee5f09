"""An answer published to two vendors on a real Synapse, with real clients: each reads it, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bridge.demo.people import Reader
from tests.e2e.test_committee import Committee, company_of, in_pitch
from tests.helper.conversation import helper_of, sent_by_helper, signed_in
from tests.live import LiveHub, User, until

ASKED, TOLD = "May data leave the country?", "No. It stays here,\nand so do backups."


@dataclass(slots=True)
class Hearing:
    """A committee whose vendors are in, with a client of the chair and one of each vendor."""

    committee: Committee
    chair: Reader
    vendor: Reader
    rival: Reader

    @property
    def live(self) -> LiveHub:
        return self.committee.live

    @property
    def rooms(self) -> dict[str, tuple[User, Reader]]:
        """The vendors' rooms, each with the vendor's person and their client."""
        committee = self.committee
        other = committee.rooms[f"vendor {committee.rival.user_id}"]
        return {committee.own: (committee.vendor[0], self.vendor), other: (committee.rival, self.rival)}

    async def publish(self, answer: str, question: str = "") -> dict[str, Any]:
        """Publish, and wait until it waits nowhere any more."""
        path = f"/v1/committees/{self.committee.name}/answers"
        made = await self.live.api("POST", path, {"answer": answer, "question": question})
        return await self.over(made["id"])

    async def over(self, answer: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = await self.live.api("GET", f"/v1/committees/{self.committee.name}/answers/{answer}")
            return found if all(one["state"] != "waiting" for one in found["deliveries"]) else None

        found: dict[str, Any] = await until(look)
        return found

    async def helper_is_out(self) -> None:
        async def look() -> bool:
            return not any([helper_of(self.live) in await members(user, room) for room, (user, _) in self.rooms.items()])

        await until(look)


async def members(user: User, room: str) -> set[str]:
    return set((await user.call("GET", f"/rooms/{quote(room)}/joined_members")).body["joined"])


@pytest.fixture
async def hearing(live: LiveHub, tmp_path: Path) -> AsyncIterator[Hearing]:
    committee = await in_pitch(live)
    people = {"chair": committee.buyers[0], "vendor": committee.vendor[0], "rival": committee.rival}
    async with AsyncExitStack() as opened:
        readers = {
            name: await opened.enter_async_context(signed_in(live, user, tmp_path / name))
            for name, user in people.items()
        }
        for reader in [*readers.values()] * 2:
            await reader.sync()
        yield Hearing(committee, **readers)


async def test_each_vendor_reads_the_same_in_its_own_room(hearing: Hearing) -> None:
    committee = hearing.committee
    made = await hearing.publish(TOLD, ASKED)
    assert {one["state"] for one in made["deliveries"]} == {"delivered"}, made
    heard = [await reader.hears(TOLD) for reader in (hearing.vendor, hearing.rival, hearing.chair)]
    expected = f"From the buyers, in the same words to everyone who pitches:\n\nQuestion: {ASKED}\n\nAnswer: {TOLD}"
    assert heard == [expected] * 3
    await hearing.helper_is_out()
    names = {await company_of(user) for user in (committee.vendor[0], committee.rival)}
    for room, (user, _) in hearing.rooms.items():
        others = {committee.vendor[0], committee.rival} - {user}
        told = str((await user.call("GET", f"/rooms/{quote(room)}/messages?dir=b&limit=100")).body)
        assert not any(other.user_id in told or room not in told for other in others)
        assert not any(name in told for name in names - {await company_of(user)})
        assert len(await sent_by_helper(hearing.live, user, room)) == 1
