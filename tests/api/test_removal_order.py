"""A removal proof as it is ordered and fetched through the API, on both databases."""

import asyncio
import json
from typing import Any

import pytest

from audit.keys import verify_signature
from audit.note import VerifierKey
from audit.parts import MANIFEST
from audit.proof_check import Trust
from audit.removal_file import RemovalProof, verify_removal
from config.clock import HOUR
from tests.api.test_access import credential_of
from tests.api.test_committees import CRM, Scene
from tests.fakes.hub import FakeHub
from tests.ledger import Files

ORDER = {"committee": "crm", "vendor": "adatum"}


class Removing(Scene):
    """A committee in its pitches, and a compliance officer."""

    officer: str
    officer_id: str

    async def pitch(self) -> "Removing":
        await self.make()
        await self.ready()
        await self.act("start")
        await self.hub.settle()
        self.officer_id, self.officer = await credential_of(self.hub, "compliance-officer")
        return self

    async def rooms(self) -> dict[str, str]:
        return {room["name"]: room["room_id"] for room in (await self.hub.api("GET", CRM))["rooms"]}

    async def say(self, room: str, name: str, session: str) -> None:
        """A message in an encrypted room, by the session's id."""
        content = {"algorithm": "m.megolm.v1.aes-sha2", "session_id": session, "ciphertext": "x", "device_id": "X"}
        self.hub.homeserver.send((await self.rooms())[room], self.people[name], "m.room.encrypted", content)
        self.hub.clock.now += 1_000
        await self.hub.settle()

    async def order(self, body: Any = None, *, token: str | None = None) -> Any:
        async with self.hub.sequencing():
            return await self.hub.request("POST", "/v1/exports", body or ORDER, token=token or self.officer)

    async def fetched(self, entry: int) -> Files:
        files = await self.hub.hub.services.audit.export(entry, actor=self.officer_id)
        return Files({file.path: b"".join(file.chunks) async for file in files})

    async def checked(self, files: Files) -> RemovalProof:
        key = VerifierKey.parse((await self.hub.api("GET", "/v1/ledger"))["vkey"])
        return await asyncio.to_thread(verify_removal, files, Trust([key]), None, verify_signature)


@pytest.fixture
async def scene(fake_hub: FakeHub) -> Removing:
    return await Removing(fake_hub).pitch()


PITCH, DELIBERATION = "CRM 2027: Adatum", "Deliberation"


async def test_it_is_ordered_made_and_valid(scene: Removing) -> None:
    await scene.say(PITCH, "chair", "s1")
    await scene.say(PITCH, "adatum", "s2")
    await scene.say(DELIBERATION, "buyer", "d1")
    await scene.act("clear")
    scene.hub.clock.now += HOUR
    await scene.hub.settle()
    await scene.say(DELIBERATION, "chair", "d2")
    order = await scene.order()
    assert order.status == 201, order
    await scene.say(DELIBERATION, "chair", "s1")  # behind the index: another proof has to tell
    files = await scene.fetched(order.body["entry"])
    proof = await scene.checked(files)
    assert proof.shows.findings == []
    assert (proof.shows.committee, proof.shows.vendor, proof.shows.buyer) == ("crm", "adatum", "contoso")
    assert (set(proof.shows.sessions), proof.shows.later, len(proof.shows.members)) == ({"s1", "s2"}, 1, 3)
    assert (proof.written.entry, proof.written.person) == (order.body["entry"], scene.officer_id)
    assert scene.people["adatum"] in proof.written.names.values()
    assert not any(b"fabrikam" in data for data in files.content.values()), "nothing of another vendor"
    recorded = [entry for entry in await scene.hub.entries("audit.exported") if "removal" in entry["data"]["scope"]]
    assert [(entry["data"], entry["actor"]) for entry in recorded] == [
        ({"export": order.body["export"], "scope": "removal:crm:adatum"}, {"person": scene.officer_id})
    ]
    again = await scene.order()
    found = (await scene.checked(await scene.fetched(again.body["entry"]))).shows.findings
    assert [line.partition(" was ")[2] for line in found] == ["sent with a session from before the vendor left"]


async def test_a_vendor_that_asks_to_be_let_in_does_not_spoil_the_proof(scene: Removing) -> None:
    """What an outsider tried in a room is none of the room's entries, though the ledger finds it by the room."""
    await scene.act("clear")
    scene.hub.clock.now += HOUR
    await scene.hub.settle()
    rooms = await scene.rooms()
    tried = {"act": "m.room.member/join", "count": 1, "minute": scene.hub.clock.now, "code": "COMPANY_NOT_ADMITTED"}
    acts = [
        {**tried, "actor": scene.people[who], "room": rooms[room]}
        for who, room in (("adatum", DELIBERATION), ("adatum", PITCH), ("fabrikam", PITCH), ("fabrikam", DELIBERATION))
    ]
    token = scene.hub.state.token("guard_token")
    answer = await scene.hub.request("PUT", "/_conclave/guard/v1/refusals/1", {"refusals": acts}, token=token)
    assert answer.status == 200, answer
    order = await scene.order()
    files = await scene.fetched(order.body["entry"])
    assert (await scene.checked(files)).shows.findings == []
    assert len(await scene.hub.entries("guard.refused")) == len(acts)
    assert not any(b"fabrikam" in data for data in files.content.values()), "nor name who else tried"


async def test_what_was_handed_in_before_is_waited_for(scene: Removing) -> None:
    """Everybody is out, and the hub knows; the log does not have all of it yet."""
    await scene.act("clear")
    scene.hub.clock.now += HOUR
    for _ in range(3):
        scene.hub.hub.services.reconciler.wake_all()
        await scene.hub.hub.services.reconciler.run_once()
        await scene.hub.homeserver.deliver(scene.hub.hub.services.feed.accept)
    assert (await scene.hub.hub.services.audit.status()).backlog
    order = await scene.order()
    assert order.status == 201, order
    assert (await scene.checked(await scene.fetched(order.body["entry"]))).shows.findings == []


async def test_rooms_of_more_entries_than_go_into_a_file(scene: Removing) -> None:
    rooms, server = await scene.rooms(), scene.hub.homeserver
    content = {"algorithm": "m.megolm.v1.aes-sha2", "session_id": "s1", "ciphertext": "x", "device_id": "X"}
    for _ in range(1_100):
        server.send(rooms[PITCH], scene.people["adatum"], "m.room.encrypted", content)
    await scene.hub.settle()
    await scene.act("clear")
    scene.hub.clock.now += HOUR
    await scene.hub.settle()
    files = await scene.fetched((await scene.order()).body["entry"])
    assert {name for name in files.names() if name.startswith("pitch/trail/")} == {
        "pitch/trail/0.ndjson",
        "pitch/trail/1.ndjson",
    }
    proof = await scene.checked(files)
    assert (proof.shows.findings, list(proof.shows.sessions)) == ([], ["s1"])
    assert proof.kinds["message.sent"] == 1_100
    assert json.loads(files.content[MANIFEST])["counts"]["by_kind"]["message.sent"] == 1_100


async def exports(scene: Removing) -> int:
    return len(await scene.hub.entries("audit.exported"))


async def test_what_is_no_removal_is_refused_before_anything_is_recorded(scene: Removing) -> None:
    for body, status, code, text in (
        (ORDER, 409, "not_cleared", "adatum was not put out yet: crm is in phase pitch; in its room are @adatum"),
        ({**ORDER, "vendor": "litware"}, 404, "not_found", "litware is no vendor of crm"),
        ({**ORDER, "vendor": "nobody"}, 404, "not_found", "nobody"),
        ({**ORDER, "committee": "other"}, 404, "not_found", "other"),
        ({"committee": "crm"}, 422, "invalid_input", "a removal is of a vendor from a committee: name both"),
        ({"vendor": "adatum"}, 422, "invalid_input", "a removal is of a vendor from a committee: name both"),
        ({**ORDER, "company": "adatum"}, 422, "invalid_input", "both rooms whole, not of adatum"),
        ({"vendor": "adatum", "room": "x"}, 422, "invalid_input", "both rooms whole, not of x"),
        ({**ORDER, "vendor": "Adatum!"}, 422, "invalid_input", "expected 1 to 40 lower-case letters"),
    ):
        answer = await scene.order(body)
        assert (answer.status, answer.body["code"]) == (status, code), answer
        assert text in answer.body["detail"], answer
    scene.hub.homeserver.outbox.clear()
    await scene.act("clear")
    await scene.hub.entries()  # the log has the clearing, and nothing yet of what the rooms did then
    answer = await scene.order()
    assert (answer.status, answer.body["code"]) == (409, "not_cleared"), answer
    assert "there is no removal of adatum to prove" in answer.body["detail"]
    assert "did not leave it" in answer.body["detail"]
    assert answer.body["hint"] == "conclave committee show crm"
    assert await exports(scene) == 0


async def test_who_may(scene: Removing) -> None:
    await scene.act("clear")
    await scene.hub.settle()
    _, auditor = await credential_of(scene.hub, "auditor")
    _, manager = await credential_of(scene.hub, "partner-manager")
    for token, status in ((auditor, 201), (scene.officer, 201), (manager, 403), (scene.tokens["chair"], 403)):
        assert (await scene.order(token=token)).status == status
    entry = (await scene.order()).body["entry"]
    answer = await scene.hub.request("GET", f"/v1/exports/{entry}/bundle", token=auditor)
    assert (answer.status, answer.body["code"]) == (404, "not_found"), "each fetches their own"
