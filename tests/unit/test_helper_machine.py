"""The helper's Olm machine: two devices that talk without any server between them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.helper.machine import Machine, MachineError, NoKeyError
from config.state import StateError

HELPER, BOB, ROOM = "@conclave-helper:hub.test", "@bob.northwind:hub.test", "!chat"


class Bob:
    """A person's device, and its one-time keys as a homeserver hands them out."""

    def __init__(self, place: Path, user_id: str = BOB) -> None:
        self.machine = Machine.opened(place, user_id, "bob's key")
        body = self.machine.upload(0)
        assert body is not None
        self._keys = list(body["one_time_keys"].items())
        self.machine.uploaded(len(self._keys))

    @property
    def published(self) -> dict[str, Any]:
        return {self.machine.device_id: self.machine.device_keys()}

    def claimed(self) -> dict[str, Any]:
        return {BOB: {self.machine.device_id: dict([self._keys.pop()])}}


@pytest.fixture
def helper(tmp_path: Path) -> Machine:
    return Machine.opened(tmp_path / "helper", HELPER, "a key")


@pytest.fixture
def bob(tmp_path: Path) -> Bob:
    return Bob(tmp_path / "bob")


def meet(helper: Machine, *devices: Bob) -> None:
    """The helper learns of the devices, and claims a one-time key of each that it has no session with."""
    helper.found(BOB, {name: keys for device in devices for name, keys in device.published.items()})
    missing = helper.missing(BOB).get(BOB, {})
    for device in devices:
        if device.machine.device_id in missing:
            helper.claimed(device.claimed())
        device.machine.found(HELPER, {helper.device_id: helper.device_keys()})


def deliver(helper: Machine, *devices: Bob) -> list[dict[str, Any]]:
    """Share the room's key; what each device was sent."""
    sent = []
    for content in helper.share(ROOM, BOB):
        for device in devices:
            mine = content["messages"][BOB].get(device.machine.device_id)
            if mine is not None:
                sent.append({"type": "m.room.encrypted", "sender": HELPER, "content": mine})
                assert device.machine.take(sent[-1])
    return sent


def event(content: dict[str, Any], number: int = 1) -> dict[str, Any]:
    return {
        "type": "m.room.encrypted",
        "event_id": f"${number}",
        "room_id": ROOM,
        "sender": HELPER,
        "origin_server_ts": number,
        "content": content,
    }


def say(helper: Machine, text: str, number: int = 1) -> dict[str, Any]:
    return event(helper.seal(ROOM, {"msgtype": "m.notice", "body": text}), number)


def test_what_one_seals_the_other_opens(helper: Machine, bob: Bob) -> None:
    meet(helper, bob)
    assert len(deliver(helper, bob)) == 1
    opened = bob.machine.open(say(helper, "hello"))
    assert (opened["type"], opened["content"]["body"]) == ("m.room.message", "hello")
    assert (helper.reached(ROOM), helper.unreached(ROOM)) == (1, 0)


def test_the_key_is_shared_once(helper: Machine, bob: Bob) -> None:
    meet(helper, bob)
    deliver(helper, bob)
    assert deliver(helper, bob) == []


def test_a_new_device_gets_a_new_key_and_so_does_the_old_one(helper: Machine, bob: Bob, tmp_path: Path) -> None:
    meet(helper, bob)
    deliver(helper, bob)
    first = say(helper, "one device")
    phone = Bob(tmp_path / "phone")
    helper.changed(BOB)
    assert not helper.is_current(BOB)
    meet(helper, bob, phone)
    assert len(deliver(helper, bob, phone)) == 2
    second = say(helper, "two devices", 2)
    assert phone.machine.open(second)["content"]["body"] == "two devices"
    assert bob.machine.open(second)["content"]["body"] == "two devices"
    with pytest.raises(NoKeyError):
        phone.machine.open(first)


def test_a_device_that_is_gone_gets_no_more(helper: Machine, bob: Bob, tmp_path: Path) -> None:
    phone = Bob(tmp_path / "phone")
    meet(helper, bob, phone)
    deliver(helper, bob, phone)
    helper.found(BOB, bob.published)
    assert [len(deliver(helper, bob, phone)), helper.devices(BOB)] == [1, [bob.machine.device_id]]
    with pytest.raises(NoKeyError):
        phone.machine.open(say(helper, "not for the phone"))


def test_a_device_without_one_time_keys_is_counted_and_not_written_to(helper: Machine, bob: Bob) -> None:
    helper.found(BOB, bob.published)
    assert helper.missing(BOB) == {BOB: {bob.machine.device_id: "signed_curve25519"}}
    helper.claimed({})
    assert deliver(helper, bob) == []
    assert (helper.reached(ROOM), helper.unreached(ROOM)) == (0, 1)
    helper.end_session(ROOM)
    meet(helper, bob)
    assert len(deliver(helper, bob)) == 1


def test_a_one_time_key_with_a_false_signature_begins_nothing(helper: Machine, bob: Bob, tmp_path: Path) -> None:
    helper.found(BOB, bob.published)
    other = Bob(tmp_path / "other").claimed()[BOB]
    helper.claimed({BOB: {bob.machine.device_id: next(iter(other.values()))}})
    assert helper.missing(BOB)


def test_device_keys_with_a_false_signature_are_not_believed(helper: Machine, bob: Bob, tmp_path: Path) -> None:
    theirs = Bob(tmp_path / "other").published
    ((name, keys),) = theirs.items()
    keys["user_id"] = HELPER
    helper.found(BOB, {name: keys})
    assert helper.devices(BOB) == []


def test_a_message_that_is_taken_twice_is_refused_and_its_key_is_there(helper: Machine, bob: Bob) -> None:
    """What a crash between taking and dropping leads to."""
    meet(helper, bob)
    (sent,) = deliver(helper, bob)
    assert not bob.machine.take(sent)
    assert bob.machine.open(say(helper, "still there"))["content"]["body"] == "still there"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"type": "m.room.encrypted", "sender": BOB, "content": {}},
        {"type": "m.room.encrypted", "sender": BOB, "content": {"algorithm": "m.olm.v1.curve25519-aes-sha2"}},
        {"type": "m.room.encrypted", "sender": BOB, "content": {"algorithm": 7, "ciphertext": []}},
        {"type": "m.room.encrypted", "sender": 7, "content": {"a": None}},
    ],
)
def test_what_is_no_message_is_not_taken(helper: Machine, broken: dict[str, Any]) -> None:
    assert not helper.take(broken)


def test_garbage_under_our_own_key_is_not_taken(helper: Machine) -> None:
    identity = helper.device_keys()["keys"][f"curve25519:{helper.device_id}"]
    for kind, body in ((0, "AAAA"), (0, "not base64!"), (1, "AAAA"), (2, ""), ("x", "y")):
        content = {
            "algorithm": "m.olm.v1.curve25519-aes-sha2",
            "sender_key": "k" * 43,
            "ciphertext": {identity: {"type": kind, "body": body}},
        }
        assert not helper.take({"type": "m.room.encrypted", "sender": BOB, "content": content})


@pytest.mark.parametrize("content", [{}, {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y"}])
def test_what_is_not_encrypted_as_rooms_are_does_not_open(helper: Machine, content: dict[str, Any]) -> None:
    with pytest.raises(NoKeyError):
        helper.open(event(content))


def test_a_key_from_a_device_that_the_sender_is_not_known_to_have_opens_nothing(helper: Machine, bob: Bob) -> None:
    meet(helper, bob)
    deliver(helper, bob)
    bob.machine.found(HELPER, {})
    with pytest.raises(NoKeyError, match="came from a device that the sender is not known to have"):
        bob.machine.open(say(helper, "who says so?"))


def test_everything_is_there_after_a_restart(helper: Machine, bob: Bob, tmp_path: Path) -> None:
    meet(helper, bob)
    deliver(helper, bob)
    first, device = say(helper, "before"), bob.machine.device_id
    for machine in (helper, bob.machine):
        machine.close()
    again, bob.machine = (
        Machine.opened(tmp_path / "helper", HELPER, "a key"),
        Machine.opened(tmp_path / "bob", BOB, "bob's key"),
    )
    assert bob.machine.device_id == device
    assert bob.machine.open(first)["content"]["body"] == "before"
    assert again.missing(BOB) == {}
    assert len(deliver(again, bob)) == 1, "sessions for sending are not kept: no ratchet is ever used twice"
    assert bob.machine.open(say(again, "after", 2))["content"]["body"] == "after"


def test_the_store_is_unreadable_without_its_key(helper: Machine, bob: Bob, tmp_path: Path) -> None:
    meet(helper, bob)
    helper.close()
    with pytest.raises(MachineError, match="cannot be used") as error:
        Machine.opened(tmp_path / "helper", HELPER, "another key")
    assert "put state/helper and keys/helper.key back from a backup" in error.value.hint


def test_a_damaged_store_is_said(tmp_path: Path) -> None:
    Machine.opened(tmp_path, HELPER, "a key").close()
    (tmp_path / "olm.sqlite3").write_bytes(b"damaged" * 1_000)
    with pytest.raises(MachineError, match="cannot be used"):
        Machine.opened(tmp_path, HELPER, "a key")
    (tmp_path / "device_id").write_text("")
    with pytest.raises(StateError, match="is empty, expected a secret"):
        Machine.opened(tmp_path, HELPER, "a key")


def test_nobody_else_may_read_the_store(helper: Machine, tmp_path: Path) -> None:
    assert (tmp_path / "helper").stat().st_mode & 0o77 == 0
    assert (tmp_path / "helper" / "olm.sqlite3").stat().st_mode & 0o77 == 0
    assert (tmp_path / "helper" / "device_id").stat().st_mode & 0o77 == 0


def test_one_time_keys_are_replenished_below_half(helper: Machine) -> None:
    first = helper.upload(0)
    assert first is not None
    most = len(first["one_time_keys"])
    helper.uploaded(most)
    assert helper.upload(most) is None
    assert helper.upload(most // 2 + 1) is None
    again = helper.upload(most // 2)
    assert again is not None
    assert len(again["one_time_keys"]) == most - most // 2
    assert not again["one_time_keys"].keys() & first["one_time_keys"].keys()


def test_a_store_that_cannot_be_written_to_loses_no_message(helper: Machine, bob: Bob, tmp_path: Path) -> None:
    meet(helper, bob)
    (content,) = helper.share(ROOM, BOB)
    sent = {"type": "m.room.encrypted", "sender": HELPER, "content": content["messages"][BOB][bob.machine.device_id]}
    with closing(sqlite3.connect(tmp_path / "bob" / "olm.sqlite3", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MachineError, match="the helper's keys cannot be written"):
            bob.machine.take(sent)
    bob.machine.close()
    bob.machine = Machine.opened(tmp_path / "bob", BOB, "bob's key")
    assert bob.machine.take(sent)
    assert bob.machine.open(say(helper, "not lost"))["content"]["body"] == "not lost"


# --- in a room of many people


CAROL = "@carol.fabrikam:hub.test"


def begin(helper: Machine, *people: tuple[str, Bob]) -> int:
    """Begin a session with each of ``people``; how many devices were given its key."""
    given = 0
    for content in helper.begin(ROOM, [user_id for user_id, _ in people]):
        for user_id, device in people:
            mine = content["messages"].get(user_id, {}).get(device.machine.device_id)
            if mine is not None:
                assert device.machine.take({"type": "m.room.encrypted", "sender": HELPER, "content": mine})
                given += 1
    return given


def know(helper: Machine, user_id: str, device: Bob) -> None:
    helper.found(user_id, device.published)
    claimed = next(iter(device.claimed().values()))
    helper.claimed({user_id: claimed})
    device.machine.found(HELPER, {helper.device_id: helper.device_keys()})


@pytest.fixture
def carol(tmp_path: Path) -> Bob:
    """A person of another name."""
    return Bob(tmp_path / "carol", CAROL)


def test_one_session_is_for_everybody_and_the_next_message_has_another(helper: Machine, bob: Bob, carol: Bob) -> None:
    know(helper, BOB, bob)
    know(helper, CAROL, carol)
    sessions = []
    for number in (1, 2):
        assert begin(helper, (BOB, bob), (CAROL, carol)) == 2
        assert helper.reached_by_user(ROOM) == {BOB, CAROL}
        sent = say(helper, "for both", number)
        assert [one.machine.open(sent)["content"]["body"] for one in (bob, carol)] == ["for both"] * 2
        sessions.append(sent["content"]["session_id"])
    assert sessions[0] != sessions[1]


def test_who_was_not_there_gets_no_key(helper: Machine, bob: Bob, carol: Bob) -> None:
    know(helper, BOB, bob)
    know(helper, CAROL, carol)
    begin(helper, (BOB, bob), (CAROL, carol))
    assert begin(helper, (BOB, bob)) == 1
    with pytest.raises(NoKeyError):
        carol.machine.open(say(helper, "for bob alone"))


def test_keys_that_come_are_told_of_and_can_be_dropped_for_good(
    helper: Machine, bob: Bob, carol: Bob, tmp_path: Path
) -> None:
    know(helper, BOB, bob)
    know(helper, CAROL, carol)
    begin(helper, (BOB, bob), (CAROL, carol))
    sent = say(helper, "for both")
    assert (bob.machine.keyed(), bob.machine.keyed()) == ({ROOM}, set())
    bob.machine.forget("!other")
    assert bob.machine.open(sent)
    bob.machine.forget(ROOM)
    with pytest.raises(NoKeyError):
        bob.machine.open(sent)
    bob.machine.close()
    again = Machine.opened(tmp_path / "bob", BOB, "bob's key")
    again.found(HELPER, {helper.device_id: helper.device_keys()})
    with pytest.raises(NoKeyError):
        again.open(sent)
    assert carol.machine.open(sent), "one's own keys alone"
