"""One suite for the fake homeserver and the real one: what the hub may rely on."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from audit.keys import SigningKey, create_key
from bridge.gateway import Gateway
from config.clock import system_clock
from spaces.gateway import HomeserverRefusedError, RoomRequest, SignedDocument
from spaces.policy.blueprint import creation_content, fixed_state
from spaces.policy.direct import direct_charter
from spaces.policy.documents import document_of
from spaces.policy.records import (
    Admission,
    Charter,
    CompanyRecord,
    PersonRecord,
    RoomKind,
    Standing,
)
from tests.fakes.homeserver import FakeHomeserver
from tests.live import LiveHub


@dataclass(slots=True)
class Bench:
    """A gateway with a company, two people and a charter on it."""

    gateway: Gateway
    bot: str
    signer: SigningKey
    charter: Charter
    alice: str
    mallory: str
    version: int

    async def push(self, *records: Charter | CompanyRecord | PersonRecord, version: int | None = None) -> None:
        self.version += 1
        documents = [document_of(record, version or self.version) for record in records]
        await self.gateway.put_documents(
            [SignedDocument(document=item, signature=self.signer.sign(item.signed_bytes())) for item in documents]
        )

    async def room(self) -> str:
        return await self.gateway.create_room(request_of(self.charter, self.bot))


def request_of(charter: Charter, bot: str) -> RoomRequest:
    return RoomRequest(
        room_version=charter.room_version,
        creation_content=creation_content(charter),
        state=fixed_state(charter, bot),
    )


@pytest.fixture(params=["fake", "synapse"])
def real(request: pytest.FixtureRequest) -> LiveHub | None:
    """The real homeserver, or ``None`` for the fake one."""
    found: LiveHub | None = request.getfixturevalue("live") if request.param == "synapse" else None
    return found


@pytest.fixture
async def bench(real: LiveHub | None, tmp_path: Path) -> Bench:
    number = system_clock()
    company, server = f"acme{number}", "conclave.test"
    gateway: Gateway
    if real is not None:
        gateway, bot, signer = real.hub.services.homeserver, real.bot, real.hub.keys.document
    else:
        bot = f"@conclave:{server}"
        gateway = FakeHomeserver(bot, system_clock)
        signer = create_key(tmp_path / "document.key", "documents")
    charter = Charter(
        key=f"rm_{number}",
        engagement="test",
        kind=RoomKind.ROOM,
        name="Bench",
        topic="A bench.",
        admits=(Admission(company=company),),
        companies=(company,),
    )
    alice, mallory = f"@alice.{company}:{server}", f"@mallory.{company}:{server}"
    bench = Bench(gateway, bot, signer, charter, alice, mallory, number)
    await gateway.sign_up()
    for user_id in (alice, mallory):
        await gateway.create_account(user_id, "correct horse battery", user_id)
    person = PersonRecord(user_id=alice, person="prs_a", company=company, standing=Standing.ACTIVE)
    await bench.push(CompanyRecord(company=company, name="Acme", standing=Standing.ACTIVE), person, charter)
    return bench


async def test_an_account_exists_once_it_was_created(bench: Bench) -> None:
    assert await bench.gateway.account_exists(bench.alice)
    assert not await bench.gateway.account_exists("@nobody:conclave.test")


async def test_signing_up_again_changes_nothing(bench: Bench) -> None:
    await bench.gateway.sign_up()
    assert (await bench.gateway.guard_status())["administrator"]


async def test_a_room_is_created_once_for_a_charter(bench: Bench) -> None:
    assert await bench.gateway.find_room(bench.charter.key) is None
    room_id = await bench.room()
    assert await bench.gateway.find_room(bench.charter.key) == room_id
    assert await bench.gateway.room_is_joined(room_id)
    with pytest.raises(HomeserverRefusedError) as refused:
        await bench.room()
    assert refused.value.reason == "ROOM_EXISTS"


async def test_direct_rooms_are_listed_by_their_keys(bench: Bench) -> None:
    space = replace(bench.charter, key=f"{bench.charter.key}s", kind=RoomKind.SPACE, direct=True)
    people = {bench.alice: bench.charter.companies[0], bench.mallory: bench.charter.companies[0]}
    direct = direct_charter(space, people)
    assert direct is not None
    await bench.push(space)
    room_id = await bench.gateway.create_room(request_of(direct, bench.bot))
    assert await bench.gateway.find_room(direct.key) == room_id
    assert (direct.key, room_id) in await bench.gateway.direct_rooms("")
    assert (direct.key, room_id) not in await bench.gateway.direct_rooms(direct.key)


async def test_a_claim_is_not_released_while_it_is_fresh(bench: Bench) -> None:
    room_id = await bench.room()
    assert not await bench.gateway.release_room(bench.charter.key, room_id)


async def test_a_room_without_a_charter_is_refused_even_to_the_hub(bench: Bench) -> None:
    with pytest.raises(HomeserverRefusedError) as refused:
        await bench.gateway.create_room(request_of(replace(bench.charter, key="rm_unknown"), bench.bot))
    assert refused.value.reason == "CHARTER_MISSING"


async def test_a_room_made_otherwise_than_its_charter_says_is_refused_even_to_the_hub(bench: Bench) -> None:
    federated = {**creation_content(bench.charter), "m.federate": True}
    request = replace(request_of(bench.charter, bench.bot), creation_content=federated)
    with pytest.raises(HomeserverRefusedError) as refused:
        await bench.gateway.create_room(request)
    assert refused.value.reason == "STATE_FIXED"


async def test_people_are_added_and_removed_twice_without_harm(bench: Bench) -> None:
    room_id = await bench.room()
    for _ in range(2):
        await bench.gateway.add_member(room_id, bench.alice)
    for _ in range(2):
        await bench.gateway.remove_member(room_id, bench.alice, "test")


async def test_who_is_not_on_the_roster_is_not_added_even_by_the_hub(bench: Bench) -> None:
    room_id = await bench.room()
    with pytest.raises(HomeserverRefusedError) as refused:
        await bench.gateway.add_member(room_id, bench.mallory)
    assert refused.value.reason == "PERSON_UNKNOWN"


async def test_the_hub_itself_can_set_only_what_the_charter_says(bench: Bench) -> None:
    room_id = await bench.room()
    await bench.gateway.set_state(room_id, "m.room.name", "", {"name": "Bench"})
    for event_type, content, code in (
        ("m.room.name", {"name": "Other"}, "STATE_FIXED"),
        ("m.room.join_rules", {"join_rule": "public"}, "JOIN_RULES_FIXED"),
        ("m.room.history_visibility", {"history_visibility": "shared"}, "HISTORY_FIXED"),
        ("m.room.power_levels", {"users_default": 100}, "POWER_FIXED"),
        ("m.room.encryption", {"algorithm": "m.olm.v1"}, "ENCRYPTION_FIXED"),
    ):
        with pytest.raises(HomeserverRefusedError) as refused:
            await bench.gateway.set_state(room_id, event_type, "", content)
        assert refused.value.reason == code
    await bench.push(replace(bench.charter, name="Renamed"))
    await bench.gateway.set_state(room_id, "m.room.name", "", {"name": "Renamed"})


async def test_an_older_document_is_refused(bench: Bench) -> None:
    await bench.push(replace(bench.charter, topic="Newer."))
    with pytest.raises(HomeserverRefusedError):
        await bench.push(replace(bench.charter, topic="Older."), version=1)
    with pytest.raises(HomeserverRefusedError):
        await bench.push(replace(bench.charter, topic="Other."), version=bench.version - 1)


async def test_the_same_document_twice_is_no_harm(bench: Bench) -> None:
    newer = replace(bench.charter, topic="Newer.")
    await bench.push(newer)
    await bench.push(newer, version=bench.version)


async def test_what_happened_is_in_the_timeline_newest_first(bench: Bench) -> None:
    room_id = await bench.room()
    await bench.gateway.add_member(room_id, bench.alice)
    page = await bench.gateway.timeline(room_id, None)
    assert page.events[0]["type"] == "m.room.member"
    assert page.events[-1]["type"] == "m.room.create"
    assert page.events[-1]["unsigned"]["org.conclave.prev"] == []
    assert page.events[0]["unsigned"]["org.conclave.prev"] == [page.events[1]["event_id"]]
