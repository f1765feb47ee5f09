"""The helper's box, on both databases: filled in the feed's own transaction, each thing once, whatever comes."""

import json
from typing import Any

import pytest

from bridge.helper.mailbox import EXPLAIN_EVERY, MAX_TO_DEVICE, extras_of
from bridge.helper.store import HelperStore, Mail, MailKind
from config.clock import HOUR
from tests.fakes.hub import FakeHub

HELPER = "@conclave-helper:conclave.test"
BOT = "@conclave:conclave.test"
BOB = "@person2.acme:conclave.test"


def to_device(number: int, **changes: Any) -> dict[str, Any]:
    found = {
        "type": "m.room.encrypted",
        "sender": BOB,
        "to_user_id": HELPER,
        "to_device_id": "D",
        "content": {"number": number},
    }
    return {**found, **changes}


def body(*messages: Any, changed: Any = (), **more: Any) -> dict[str, Any]:
    return {
        "de.sorunome.msc2409.to_device": list(messages),
        "org.matrix.msc3202.device_lists": {"changed": list(changed), "left": []},
        **more,
    }


async def box(hub: FakeHub) -> list[Mail]:
    async with hub.hub.services.db.read() as connection:
        return await HelperStore(connection).due(1 << 60, 10_000)


async def open_chats(hub: FakeHub) -> dict[str, str]:
    """Give everyone their chat; user id → room id."""
    opened = await hub.hub.helper.rooms.open_missing()
    hub.homeserver.accounts[HELPER] = ("", "")
    hub.hub.services.reconciler.wake(*opened)
    await hub.settle()
    people = [user for user in hub.homeserver.accounts if "." in user.split(":", 1)[0]]
    return {user: str(await hub.hub.helper.rooms.chat_of(user)) for user in people}


async def test_to_device_messages_are_kept_in_order_and_once(fake_hub: FakeHub) -> None:
    for _ in range(3):
        extras = extras_of(body(*(to_device(number) for number in range(5)), changed=[BOB, BOB, BOT, HELPER]))
        await fake_hub.hub.services.feed.accept("7", [], extras)
    found = await box(fake_hub)
    assert [mail.body["content"]["number"] for mail in found if mail.kind is MailKind.TO_DEVICE] == [0, 1, 2, 3, 4]
    assert [mail.user_id for mail in found if mail.kind is MailKind.DEVICES] == [BOB]


async def test_what_is_not_for_the_helper_or_no_message_is_passed_over(fake_hub: FakeHub) -> None:
    broken: list[Any] = [
        None,
        7,
        [],
        {},
        to_device(1, to_user_id=BOB),
        to_device(2, to_user_id=BOT),
        to_device(3, type="m.room_key_request"),
        to_device(4, sender=None),
        to_device(5, sender="@\ud800"),
        to_device(6, content={"x": "y" * MAX_TO_DEVICE}),
    ]
    changed = [None, 7, "", "bob", "@\0", "@" + "x" * 300]
    await fake_hub.hub.services.feed.accept("7", [], extras_of(body(*broken, changed=changed)))
    assert await box(fake_hub) == []
    await fake_hub.hub.services.feed.accept("8", [], extras_of(body(to_device(7, content={"\ud800": "\0"}))))
    assert len(await box(fake_hub)) == 1


@pytest.mark.parametrize(
    "strange",
    [
        {"de.sorunome.msc2409.to_device": 7},
        {"org.matrix.msc3202.device_lists": []},
        {"org.matrix.msc3202.device_lists": {"changed": 7}},
        {"org.matrix.msc3202.device_one_time_keys_count": 7},
        {"org.matrix.msc3202.device_one_time_keys_count": {HELPER: 7}},
        {"org.matrix.msc3202.device_one_time_keys_count": {HELPER: {"D": 7, "E": {"signed_curve25519": "x"}}}},
    ],
)
async def test_extras_of_another_form_never_hold_up_the_feed(sqlite_hub: FakeHub, strange: dict[str, Any]) -> None:
    answer = await sqlite_hub.request(
        "PUT", "/_matrix/app/v1/transactions/1", {"events": [], **strange}, token=sqlite_hub.state.token("hs_token")
    )
    assert answer.status == 200
    assert await box(sqlite_hub) == []
    assert sqlite_hub.hub.services.mailbox.key_counts == {}


async def test_stable_names_are_understood_too(sqlite_hub: FakeHub) -> None:
    extras = extras_of(
        {
            "to_device": [to_device(1)],
            "device_lists": {"changed": [BOB]},
            "device_one_time_keys_count": {HELPER: {"D": {"signed_curve25519": 3}}},
        }
    )
    await sqlite_hub.hub.services.feed.accept("1", [], extras)
    assert len(await box(sqlite_hub)) == 2
    assert sqlite_hub.hub.services.mailbox.key_counts == {"D": 3}


async def test_a_changed_device_of_the_hubs_account_wakes_the_watch(sqlite_hub: FakeHub) -> None:
    mailbox = sqlite_hub.hub.services.mailbox
    await sqlite_hub.hub.services.feed.accept("1", [], extras_of(body(changed=[BOB])))
    assert not mailbox.accounts_changed.is_set()
    await sqlite_hub.hub.services.feed.accept("2", [], extras_of(body(changed=[BOT])))
    assert mailbox.accounts_changed.is_set()


def refusal(code: str, **changes: Any) -> dict[str, Any]:
    found = {"actor": BOB, "room": "!r", "code": code, "act": "m.room.message", "minute": 0, "count": 1}
    return {**found, **changes}


async def test_a_flood_of_refusals_is_one_explanation_a_code(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    feed = fake_hub.hub.services.feed
    before = len(await box(fake_hub))
    for batch in range(20):
        many = [refusal(code, room=f"!{number}") for code in ("PLAINTEXT", "ROOM_BY_HUB") for number in range(50)]
        await feed.accept_refusals(f"b{batch}", many)
    found = (await box(fake_hub))[before:]
    assert sorted(mail.body["code"] for mail in found) == ["PLAINTEXT", "ROOM_BY_HUB"]
    assert len(await fake_hub.entries("guard.refused")) == 2_000, "the ledger has every one of them"


async def test_after_some_hours_the_same_refusal_is_explained_again(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    feed = fake_hub.hub.services.feed
    counts = []
    for batch, step in enumerate((0, EXPLAIN_EVERY - 1, 1, HOUR)):
        fake_hub.clock.now += step
        await feed.accept_refusals(f"b{batch}", [refusal("PLAINTEXT")])
        counts.append(len([mail for mail in await box(fake_hub) if mail.kind is MailKind.REFUSAL]))
    assert counts == [1, 1, 2, 2]


async def test_refusals_of_strangers_and_of_the_hub_are_explained_to_nobody(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    before = await box(fake_hub)
    await fake_hub.hub.services.feed.accept_refusals(
        "b1", [refusal("PLAINTEXT", actor=BOT), refusal("PLAINTEXT", actor="@mallory:evil.example")]
    )
    assert await box(fake_hub) == before


async def test_a_batch_of_refusals_that_is_sent_again_is_taken_once(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    fake_hub.clock.now += 1
    for _ in range(2):
        await fake_hub.hub.services.feed.accept_refusals("b1", [refusal("PLAINTEXT")])
        fake_hub.clock.now += 2 * EXPLAIN_EVERY
    assert len([mail for mail in await box(fake_hub) if mail.kind is MailKind.REFUSAL]) == 1


async def test_everyone_gets_a_chat_of_their_own_and_nobody_else_is_in_it(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    chats = await open_chats(fake_hub)
    assert len(set(chats.values())) == len(chats) == 3
    for user, room_id in chats.items():
        assert fake_hub.homeserver.members(room_id) == {BOT, HELPER, user}
        assert fake_hub.homeserver.rooms[room_id].state["m.room.encryption", ""]["algorithm"]
    assert await fake_hub.hub.helper.rooms.open_missing() == []
    assert len(await fake_hub.entries("helper.opened")) == 3


async def test_chats_are_no_partnerships(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    await open_chats(fake_hub)
    listed = await fake_hub.api("GET", "/v1/partnerships")
    assert [item["id"] for item in listed["items"]] == ["acme"]
    rooms = (await fake_hub.api("GET", "/v1/rooms"))["items"]
    (chat, *_) = [room for room in rooms if room["engagement"].startswith("helper.")]
    for method, path, sent in (("GET", "", None), ("POST", "/close", {"reason": "x"})):
        answer = await fake_hub.request(method, f"/v1/partnerships/{chat['engagement']}{path}", sent)
        assert (answer.status, answer.body["code"]) == (404, "not_found")
    again = await fake_hub.request("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
    assert (again.status, again.body["code"]) == (409, "conflict")


async def test_a_suspended_person_loses_the_chat_at_once_and_gets_it_back(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = (await open_chats(fake_hub))[BOB]
    for action, wanted in (("suspend", {BOT, HELPER}), ("resume", {BOT, HELPER, BOB})):
        await fake_hub.api("POST", f"/v1/people/{BOB}/{action}", {"reason": "x"} if action == "suspend" else None)
        await fake_hub.hub.services.reconciler.run_once()
        await fake_hub.settle()
        assert fake_hub.homeserver.members(room_id) == wanted
    greetings = [mail for mail in await box(fake_hub) if mail.kind is MailKind.GREETING and mail.user_id == BOB]
    assert len(greetings) == 1, "nobody is greeted twice"


async def test_what_a_person_says_in_their_chat_is_kept_for_the_helper_and_nothing_else_is(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    chats = await open_chats(fake_hub)
    sealed = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": "s"}
    fake_hub.homeserver.send(rooms["Deals"], BOB, "m.room.encrypted", sealed)
    asked = fake_hub.homeserver.send(chats[BOB], BOB, "m.room.encrypted", sealed)
    fake_hub.homeserver.send(chats[BOB], HELPER, "m.room.encrypted", sealed)
    await fake_hub.settle()
    messages = [mail for mail in await box(fake_hub) if mail.kind is MailKind.MESSAGE]
    assert [(mail.user_id, mail.room_id, mail.body["event_id"]) for mail in messages] == [(BOB, chats[BOB], asked)]
    assert messages[0].body["content"] == sealed


async def test_the_ledger_names_the_helper_as_a_part_of_the_hub(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = (await open_chats(fake_hub))[BOB]
    entries = [entry for entry in await fake_hub.entries("member.joined") if entry["room"] == room_id]
    assert {json.dumps(entry["data"]["subject"]) for entry in entries} >= {'{"system": "conclave-helper"}'}


async def test_a_person_sees_the_rooms_that_they_are_in_and_no_other(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    await fake_hub.api("POST", "/v1/companies", {"id": "umbra", "name": "Umbra"})
    other = await fake_hub.add_person("umbra")
    await fake_hub.api("POST", "/v1/partnerships", {"partner": "umbra", "team": "north"})
    await fake_hub.settle()
    await open_chats(fake_hub)
    rooms = fake_hub.hub.helper.rooms
    assert {(room.name, room.companies) for room in await rooms.seen_by(BOB) if room.name == "Deals"} == {
        ("Deals", ("Acme", "Contoso"))
    }
    assert {room.companies for room in await rooms.seen_by(other)} == {("Contoso", "Umbra")}
    deals = next(room for room in await rooms.seen_by(BOB) if room.name == "Deals")
    assert [(person.name, person.company) for person in await rooms.people_in(deals.room_id)] == [
        ("Person2", "Acme"),
        ("Person3", "Acme"),
        ("Person1", "Contoso"),
    ]


async def test_what_was_put_off_waits_and_can_be_hurried(fake_hub: FakeHub) -> None:
    db, now = fake_hub.hub.services.db, fake_hub.clock.now
    mail = Mail(kind=MailKind.GREETING, user_id=BOB, body={"x": 1}, tag="t", at=now)
    async with db.begin() as tx:
        await HelperStore(tx).put([mail])
        (stored,) = await HelperStore(tx).due(now, 10)
        await HelperStore(tx).put_off(stored, now + 5)
        assert await HelperStore(tx).due(now + 4, 10) == []
        assert [item.attempts for item in await HelperStore(tx).due(now + 5, 10)] == [1]
        await HelperStore(tx).hurry(BOB)
        assert len(await HelperStore(tx).due(now, 10)) == 1
        assert await HelperStore(tx).counts() == {"greeting": 1}
        await HelperStore(tx).remove([stored.id])
        assert await HelperStore(tx).counts() == {}
