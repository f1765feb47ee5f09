"""A committee after its decision: who was put out of it, and what was said in every room since."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.demo.people import Reader
from tests.e2e.test_committee import Committee, company_of, in_pitch
from tests.helper.conversation import signed_in
from tests.live import Answer, LiveHub, User

V3, V1, UNSTABLE = "/_matrix/client/v3", "/_matrix/client/v1", "/_matrix/client/unstable"
CLOSED = {400, 403, 404}
LOOKS = count(1)
"""So that no two calls are the same: Synapse keeps first answers."""


@dataclass(slots=True)
class Told:
    """A committee after its decision, and what was said in it since the vendor left."""

    committee: Committee
    readers: dict[str, Reader]
    """Real clients of the ``chair``, the ``buyer``, and the ``vendor``, who has had every key that was ever sent."""
    rooms: dict[str, str]
    """``own`` is the vendor's; then ``pitch`` and ``debriefing`` of its rival, ``deliberation`` and ``space``."""
    before: str
    after: dict[str, str]
    """An event by room, from after the vendor left."""
    since: str
    late: User
    secrets: list[str]

    @property
    def vendor(self) -> User:
        return self.committee.vendor[0]

    @property
    def chair(self) -> User:
        return self.committee.buyers[0]

    def learns(self, answer: Answer, *asked: str) -> list[str]:
        """Which secrets stand in an answer, beside those that the caller named themselves."""
        text = json.dumps(answer.body, ensure_ascii=False)
        return [secret for secret in self.secrets if secret in text and secret not in asked]


@asynccontextmanager
async def telling(live: LiveHub, place: Path) -> AsyncIterator[Told]:
    """With real clients, from the pitch on; the folder ``place`` is empty."""
    committee = await in_pitch(live)
    async with AsyncExitStack() as stack:
        people = {"chair": committee.buyers[0], "buyer": committee.buyers[1], "vendor": committee.vendor[0]}
        readers = {
            name: await stack.enter_async_context(signed_in(live, user, place / name)) for name, user in people.items()
        }
        for reader in (*readers.values(), *readers.values()):
            await reader.sync()
        before = await readers["chair"].say(committee.own, "our budget")
        assert before is not None
        assert await readers["vendor"].read_all({before})
        assert await readers["vendor"].say(committee.own, "our offer")
        yield await _go_on(committee, readers, before)


async def _go_on(committee: Committee, readers: dict[str, Reader], before: str) -> Told:
    """Clear the room, talk in every room that can be talked in, decide, debrief the rival, take in another buyer."""
    live, chair, rival = committee.live, committee.buyers[0], committee.rival
    since = readers["vendor"].client.next_batch
    await committee.act("clear")
    late, other = await live.add_person("contoso"), await company_of(rival)
    await committee.act("members", {"person": late.user_id})
    token = (await live.api("POST", "/v1/credentials", {"person": late.person, "device": "desk"}))["token"]
    await live.api("POST", f"/v1/committees/{committee.name}/declare", {"conflict": False}, token=token)
    await committee.act("decide", {"winner": other})
    found = await committee.act("debrief", {"vendor": other})
    ids = {room["key"]: room["room_id"] for room in found["rooms"]}
    vendors = {vendor["vendor"]: vendor for vendor in found["vendors"]}
    space, deliberation, *_ = [room["room_id"] for room in found["rooms"]]
    rooms = {
        "own": committee.own,
        "pitch": ids[vendors[other]["pitch"]],
        "debriefing": ids[vendors[other]["debrief"]],
        "deliberation": deliberation,
        "space": space,
    }
    for reader in (readers["chair"], readers["buyer"]):
        await reader.sync()
    after = {"deliberation": str(await readers["chair"].say(deliberation, "the rival is cheaper"))}
    assert await readers["buyer"].read_all(set(after.values()))
    after["debriefing"] = (await rival.send_encrypted(rooms["debriefing"])).body["event_id"]
    for name in ("own", "pitch", "space"):
        answer = await chair.call("GET", f"/rooms/{quote(rooms[name])}/messages?dir=b&limit=1")
        after[name] = answer.body["chunk"][0]["event_id"]
    await _gossip(chair, deliberation, after["deliberation"])
    secrets = [*after.values(), *(room for name, room in rooms.items() if name != "own")]
    secrets += [rival.user_id, other, other.title(), late.user_id, rival.person, late.person]
    return Told(committee, readers, rooms, before, after, since, late, secrets)


async def _gossip(chair: User, room: str, event: str) -> None:
    """A thread, a reaction, a receipt, typing: what hangs on a message."""
    await chair.send(
        room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "yes"}}
    )
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AAAA", "session_id": "s"}
    await chair.send(room, "m.room.encrypted", {**content, "m.relates_to": {"rel_type": "m.thread", "event_id": event}})
    await chair.call("POST", f"/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {})


async def call(user: User, base: str, method: str, path: str, body: Any = None) -> Answer:
    return await user.hub.request(method, base + path, body, token=user.token)
