"""A rule that crashes refuses, and it is an entry: one test for each rule, against a real Synapse."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

import pytest

from bridge.homeserver_config import helper_user_id
from spaces.policy.blueprint import CALL_MEMBER
from tests.guard.attacks import ADMIN
from tests.guard.cast import deactivate, take_away, upload
from tests.guard.rules import rules
from tests.live import Answer, LiveHub, Scene, User, start_live_hub, until

pytestmark = pytest.mark.synapse

Do = Callable[[Scene], Awaitable[Answer]]


def bot(scene: Scene) -> User:
    return User(scene.hub, scene.hub.bot, "conclave", scene.hub.state.token("as_token"))


def at(scene: Scene, path: str) -> str:
    return f"/rooms/{quote(scene.room)}{path}"


async def say(scene: Scene) -> Answer:
    return await scene.bob.send_encrypted(scene.room)


async def redact(scene: Scene) -> Answer:
    events = (await scene.bob.call("GET", at(scene, "/messages?dir=b&limit=20"))).body["chunk"]
    mine = next(e for e in events if (e["type"], e["sender"]) == ("m.room.encrypted", scene.bob.user_id))
    return await scene.bob.call("PUT", at(scene, f"/redact/{quote(mine['event_id'])}/c1"), {})


async def create(scene: Scene) -> Answer:
    key = (await scene.hub.api("GET", f"/v1/rooms/{quote(scene.room, safe='')}"))["key"]
    return await bot(scene).call("POST", "/createRoom", {"creation_content": {"org.conclave.room": key}})


async def helper_says(scene: Scene) -> Answer:
    room = await scene.hub.chat_of(scene.bob)
    helper = quote(helper_user_id(scene.hub.settings))
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": "s"}
    path = f"/rooms/{quote(room)}/send/m.room.encrypted/c1?user_id={helper}"
    return await bot(scene).call("PUT", path, content)


async def uncharted(scene: Scene) -> Answer:
    """Somebody speaks in a room whose charter is gone."""
    other = await scene.hub.stage()
    key = (await scene.hub.api("GET", f"/v1/rooms/{quote(other.room, safe='')}"))["key"]
    await take_away(scene.hub, key)
    return await other.bob.send_encrypted(other.room)


async def search(scene: Scene) -> Answer:
    return await scene.bob.call("POST", "/user_directory/search", {"search_term": scene.alice.user_id[1:9]})


FAILED = (403, "M_FORBIDDEN", "GUARD_FAILED")
EXPIRED = (403, "ORG_MATRIX_EXPIRED_ACCOUNT", "")
SILENT = (403, "M_FORBIDDEN", "")

# rule → what is done, what the answer is, and the act in its entry
CASES: dict[str, tuple[Do, tuple[int, str, str], str]] = {
    **dict.fromkeys(
        (
            "decide",
            "refuse_form",
            "refuse_person",
            "refuse_admission",
            "refuse_engagement",
            "refuse_timeline",
            "refuse_frozen",
        ),
        (say, FAILED, "m.room.encrypted"),
    ),
    "refuse_account": (say, EXPIRED, "use a session"),
    "refuse_company": (say, EXPIRED, "use a session"),
    "refuse_redaction": (redact, FAILED, "m.room.redaction"),
    "refuse_state": (lambda s: s.bob.set_state(s.room, CALL_MEMBER, {}, s.bob.user_id), FAILED, CALL_MEMBER),
    "refuse_membership": (lambda s: s.bob.call("POST", at(s, "/leave"), {}), FAILED, "m.room.member/leave"),
    "refuse_hub_event": (lambda s: bot(s).set_state(s.room, "m.room.name", {"name": "x"}), FAILED, "m.room.name"),
    "refuse_account_event": (helper_says, FAILED, "m.room.encrypted"),
    "refuse_creation": (create, FAILED, "m.room.create"),
    "refuse_upgrade": (create, FAILED, "m.room.create"),
    "refuse_alias": (
        lambda s: s.bob.call("PUT", f"/directory/room/{quote('#x:conclave.test')}", {"room_id": s.room}),
        FAILED,
        "make an address",
    ),
    "refuse_publication": (
        lambda s: s.bob.call("PUT", f"/directory/list/room/{quote(s.room)}", {"visibility": "public"}),
        FAILED,
        "publish a room",
    ),
    "refuse_email_invite": (
        lambda s: s.bob.call(
            "POST", at(s, "/invite"), {"id_server": "x", "id_access_token": "x", "medium": "email", "address": "e@x.y"}
        ),
        SILENT,
        "invite by address",
    ),
    "refuse_deactivation": (lambda s: deactivate(s.bob), SILENT, "close an account"),
    "refuse_shutdown": (
        lambda s: bot(s).call("DELETE", f"/v2/rooms/{quote(s.room, safe='')}", {}, base=ADMIN),
        SILENT,
        "delete a room",
    ),
    "refuse_uncharted": (uncharted, FAILED, "m.room.encrypted"),
    "refuse_upload": (lambda s: upload(s.bob, 1), FAILED, "share a file"),
    "refuse_sight": (search, (200, "", ""), "find a person"),
    "upload_limit": (
        lambda s: s.bob.call("GET", "/media/config", base="/_matrix/client/v1"),
        (200, "", ""),
        "ask for a file's largest size",
    ),
}


@pytest.fixture(scope="module")
async def crashing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveHub]:
    place = tmp_path_factory.mktemp("crashing")
    async with start_live_hub(place, guard="tests.guard.crashing.CrashingGuard") as hub:
        yield hub


def directory_is_built(hub: LiveHub) -> bool:
    """A new Synapse empties its directory once more a while after it started, and asks about nobody then."""
    with closing(sqlite3.connect(hub.state.homeserver / "homeserver.db")) as connection:
        (left,) = connection.execute(
            "SELECT count(*) FROM background_updates WHERE update_name LIKE 'populate_user_directory%'"
        ).fetchone()
    return bool(left == 0)


@pytest.fixture(scope="module")
async def scene(crashing: LiveHub) -> Scene:
    scene = await crashing.stage()
    assert (await say(scene)).status == 200

    async def listed() -> bool:
        return directory_is_built(scene.hub) and bool((await search(scene)).body["results"])

    await until(listed)
    return scene


@contextmanager
def broken(hub: LiveHub, rule: str) -> Iterator[None]:
    path = hub.state.tokens / "crash"
    path.write_text(rule)
    try:
        yield
    finally:
        path.unlink()


ELSEWHERE = {"refuse_server"}
"""Asked about people of other servers: ``tests/federation``."""


def test_every_rule_has_its_case() -> None:
    assert CASES.keys() | ELSEWHERE == rules().keys()
    assert not CASES.keys() & ELSEWHERE


@pytest.mark.parametrize("rule", CASES)
async def test_a_rule_that_crashes_refuses_and_it_is_an_entry(crashing: LiveHub, scene: Scene, rule: str) -> None:
    do, expected, act = CASES[rule]
    before = len(await crashing.entries("guard.crashed"))
    with broken(crashing, rule):
        answer = await do(scene)
    assert (answer.status, answer.body.get("errcode", ""), answer.code) == expected, answer
    if answer.code:
        assert answer.error == "Conclave: this could not be checked, so it is refused (GUARD_FAILED)."
    if rule == "refuse_sight":
        assert answer.body["results"] == []
    if rule == "upload_limit":
        assert answer.body == {"m.upload.size": 0}

    async def recorded() -> bool:
        return any(entry["data"]["act"] == act for entry in await crashing.entries("guard.crashed"))

    await until(recorded)
    assert len(await crashing.entries("guard.crashed")) >= before
    assert (await say(scene)).status == 200, "what does not crash goes on"
