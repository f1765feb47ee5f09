"""An answer published to two vendors on a real Synapse, with real clients: each reads it, and nothing else."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import DEFAULT, patch
from urllib.parse import quote

import pytest

from audit.keys import verify_signature
from audit.note import VerifierKey
from audit.proof_check import Trust
from audit.removal_file import verify_removal
from bridge.cli.client import HubClient
from bridge.cli.removals import write_removal
from bridge.demo.people import Reader
from spaces.answer_store import AnswerStore
from spaces.gateway import HomeserverRefusedError
from tests.e2e.test_committee import Committee, company_of, in_pitch
from tests.helper.conversation import helper_of, metric, sent_by_helper, signed_in
from tests.live import LiveHub, User, start_live_hub, until

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
            return not any(
                [helper_of(self.live) in await members(user, room) for room, (user, _) in self.rooms.items()]
            )

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


def helpers_keys(live: LiveHub) -> set[str]:
    """The rooms that the helper has a key of."""
    with closing(sqlite3.connect(f"file:{live.state.helper / 'olm.sqlite3'}?mode=ro", uri=True)) as store:
        return {row[0] for row in store.execute("SELECT room_id FROM megolminboundsessions")}


async def keys_taken(live: LiveHub) -> float:
    """How many to-device messages the helper took."""
    lines = json.loads(await metric(live, "conclave_helper_mail_total"))
    return sum(float(line.rpartition(" ")[2]) for line in lines if '"taken"' in line and '"to-device"' in line)


async def test_each_vendor_reads_the_same_in_its_own_room_and_learns_of_nobody(hearing: Hearing) -> None:
    committee = hearing.committee
    made = await hearing.publish(TOLD, ASKED)
    assert {one["state"] for one in made["deliveries"]} == {"delivered"}, made
    heard = [await reader.hears(TOLD) for reader in (hearing.vendor, hearing.rival, hearing.chair)]
    expected = f"From the buyers, in the same words to everyone who pitches:\n\nQuestion: {ASKED}\n\nAnswer: {TOLD}"
    assert heard == [expected] * 3
    await hearing.helper_is_out()
    people = {user.user_id: await company_of(user) for user in (committee.vendor[0], committee.rival)}
    for room, (user, _) in hearing.rooms.items():
        told = str((await user.call("GET", f"/rooms/{quote(room)}/messages?dir=b&limit=100")).body)
        told += str((await user.call("GET", f"/rooms/{quote(room)}/members")).body)
        assert room in told
        assert not [
            secret
            for other, company in people.items()
            if other != user.user_id
            for secret in (other, company)
            if secret in told
        ]
        assert len(await sent_by_helper(hearing.live, user, room)) == 1
    text = str([entry for entry in await hearing.live.entries() if entry.get("engagement") == committee.name])
    assert TOLD not in text
    assert ASKED not in text


async def test_the_helper_knows_nothing_of_what_members_say(hearing: Hearing) -> None:
    """It had the key of what was said while it was there, and dropped it; of what was said later it gets none."""
    live, room, helper = hearing.live, hearing.committee.own, helper_of(hearing.live)
    await hearing.publish(TOLD)
    assert await hearing.chair.hears(TOLD)
    await hearing.helper_is_out()
    await hearing.chair.sync()
    after = await hearing.chair.say(room, "and now without the helper")
    assert after is not None
    assert await hearing.vendor.read_all({after})
    assert helpers_keys(live).isdisjoint(hearing.rooms)
    with pytest.raises(HomeserverRefusedError):
        await live.hub.services.homeserver.call_as(helper, "GET", f"/rooms/{quote(room)}/event/{quote(after)}")
    sent = await sent_by_helper(live, hearing.committee.vendor[0], room)
    await hearing.publish("once more")
    await hearing.helper_is_out()
    again = await sent_by_helper(live, hearing.committee.vendor[0], room)
    assert len({event["content"]["session_id"] for event in again}) == len(again) == len(sent) + 1


async def test_a_key_that_comes_while_the_helper_is_there_is_dropped(hearing: Hearing) -> None:
    live, room = hearing.live, hearing.committee.own
    with patch.object(AnswerStore, "waits", return_value=True):  # as if there were more to say: the helper stays
        await hearing.publish(TOLD)
    await hearing.chair.hears(TOLD)
    await hearing.chair.sync()
    assert helper_of(live) in hearing.chair.client.rooms[room].users
    before = await keys_taken(live)
    assert await hearing.chair.say(room, "with the helper here") is not None

    async def came() -> bool:
        return await keys_taken(live) > before

    await until(came)
    assert room not in helpers_keys(live)
    await hearing.publish("the last")
    await hearing.helper_is_out()


async def test_what_was_said_and_not_recorded_is_said_once(hearing: Hearing) -> None:
    """As after a kill between the two: the helper begins anew, and the homeserver knows the transaction."""
    answers = hearing.live.hub.services.answers
    once = [OSError("killed"), *[DEFAULT] * 10]
    with patch.object(answers, "delivered", side_effect=once, wraps=answers.delivered) as recording:
        made = await hearing.publish(TOLD)
    assert recording.call_count == 3, "twice for one of the rooms"
    assert {one["state"] for one in made["deliveries"]} == {"delivered"}
    for room, (user, reader) in hearing.rooms.items():
        assert len(await sent_by_helper(hearing.live, user, room)) == 1
        assert await reader.hears(TOLD)
    await hearing.helper_is_out()


@pytest.mark.synapse
@pytest.mark.long
async def test_a_homeserver_that_was_restarted_in_between_still_knows_the_message(tmp_path: Path) -> None:
    async with start_live_hub(tmp_path / "hub") as live:
        committee = await in_pitch(live)
        vendor, answers = committee.vendor[0], live.hub.services.answers
        async with signed_in(live, vendor, tmp_path / "vendor") as reader:
            hearing = Hearing(committee, reader, reader, reader)
            with patch.object(answers, "delivered", side_effect=OSError("killed")):
                path = f"/v1/committees/{committee.name}/answers"
                made = await live.api("POST", path, {"answer": TOLD})
                assert await reader.hears(TOLD)
                assert live.homeserver is not None
                await live.homeserver.stop()
            await live.homeserver.start()
            states = {one["vendor"]: one["state"] for one in (await hearing.over(made["id"]))["deliveries"]}
            assert states[await company_of(vendor)] == "delivered"
            assert len(await sent_by_helper(live, vendor, committee.own)) == 1


async def test_answers_come_in_their_order_in_every_room(hearing: Hearing) -> None:
    texts = [f"answer {number}" for number in range(4)]
    path = f"/v1/committees/{hearing.committee.name}/answers"
    made = [await hearing.live.api("POST", path, {"answer": text}) for text in texts]
    for item in made:
        await hearing.over(item["id"])
    for _, reader in hearing.rooms.values():
        assert await reader.hears(texts[-1])
        assert [text.rpartition(": ")[2] for text in reader.notices if "From the buyers" in text] == texts
    listed = await hearing.live.api("GET", path)
    assert [item["answer"] for item in listed["items"]] == texts


async def test_a_vendor_without_devices_is_shown_and_keeps_nobody_waiting(live: LiveHub, tmp_path: Path) -> None:
    committee = await in_pitch(live)
    vendor = committee.vendor[0]
    async with signed_in(live, vendor, tmp_path / "vendor") as reader:
        hearing = Hearing(committee, reader, reader, reader)
        made = await hearing.publish(TOLD)
        assert await reader.hears(TOLD)
    states = {one["vendor"]: (one["state"], one["problem"]) for one in made["deliveries"]}
    assert states == {
        await company_of(vendor): ("delivered", None),
        await company_of(committee.rival): (
            "dropped",
            "nobody of the vendor has signed in on a device that can be written to",
        ),
    }
    await hearing.helper_is_out()
    kinds = [item["kind"] for item in (await live.api("GET", f"/v1/committees/{committee.name}/timeline"))["items"]]
    assert kinds.count("answer.published") == 3
    assert kinds.count("answer.dropped") == kinds.count("answer.delivered") == 1


async def test_a_removal_proof_holds_with_answers_in_the_room(hearing: Hearing, tmp_path: Path) -> None:
    live, committee = hearing.live, hearing.committee
    await hearing.publish(TOLD)
    await committee.act("clear")
    await live.api("POST", "/v1/roles/grant", {"person": committee.buyers[1].person, "role": "compliance-officer"})
    device = {"person": committee.buyers[1].person, "device": "officer"}
    token = (await live.api("POST", "/v1/credentials", device))["token"]
    client, vendor = HubClient(url=live.settings.hub.url, token=token), await company_of(committee.vendor[0])
    proof = await asyncio.to_thread(write_removal, client, committee.name, vendor, tmp_path / "proof")
    key = VerifierKey.parse((await live.api("GET", "/v1/ledger", token=token))["vkey"])
    report = verify_removal(proof, Trust([key]), None, verify_signature).shows
    assert report.findings == []
    assert len(report.sessions) == 1, "the helper's own"
