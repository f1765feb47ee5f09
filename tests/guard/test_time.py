"""Times in documents are enforced by the guard alone: the hub does nothing when they pass."""

import asyncio
import base64
import json
from dataclasses import replace
from urllib.parse import quote

from audit.keys import read_key
from config.clock import system_clock
from spaces.policy.documents import Document, document_of
from spaces.policy.records import Charter
from spaces.store import DocumentStore
from tests.guard.cast import push
from tests.live import LiveHub, Scene, until


async def charter_of(scene: Scene) -> Charter:
    found = await scene.hub.api("GET", f"/v1/rooms/{quote(scene.room, safe='')}")
    async with scene.hub.hub.services.db.read() as connection:
        charter = await DocumentStore(connection).charter(found["key"])
    assert charter is not None
    return charter


async def refused_with(scene: Scene, code: str) -> None:
    """The next message is refused; nothing but time has to pass for it."""
    async with asyncio.timeout(10):
        while (answer := await scene.bob.send_encrypted(scene.room)).status == 200:
            pass
    assert (answer.status, answer.code) == (403, code)


async def test_an_engagement_ends_on_time(live: LiveHub) -> None:
    scene = await live.stage()
    charter = await charter_of(scene)
    await push(live, replace(charter, not_after=system_clock() + 700))
    assert (await scene.bob.send_encrypted(scene.room)).status == 200
    await refused_with(scene, "ENGAGEMENT_CLOSED")


async def test_a_contract_ends_on_time(live: LiveHub) -> None:
    scene = await live.stage()
    async with live.hub.services.db.read() as connection:
        company = await DocumentStore(connection).company(scene.company)
    assert company is not None
    await push(live, replace(company, not_after=system_clock() + 700))
    assert (await scene.bob.send_encrypted(scene.room)).status == 200
    async with asyncio.timeout(10):
        while (answer := await scene.bob.send_encrypted(scene.room)).status == 200 or answer.code == "COMPANY_ENDED":
            pass  # the end may come between the check of the session and the check of the message
    assert (answer.status, answer.body["errcode"]) == (403, "ORG_MATRIX_EXPIRED_ACCOUNT")
    assert (await scene.bob.call("GET", "/sync?timeout=0")).status == 403

    async def recorded() -> bool:
        found = await live.entries("guard.refused")
        return any(
            (e["actor"], e["data"]["code"]) == ({"person": scene.bob.person}, "COMPANY_ENDED")
            and e["data"]["act"] == "use a session"
            for e in found
        )

    await until(recorded)
    assert (await live.login(scene.bob.user_id)).code == "COMPANY_ENDED"


async def test_a_document_with_a_wrong_signature_is_refused_and_changes_nothing(live: LiveHub) -> None:
    scene = await live.stage()
    charter = await charter_of(scene)
    item = document_of(replace(charter, open=False), system_clock() + 1_000_000)
    for signature in (b"", b"x" * 64, read_key(live.state.keys / "log.key").sign(item.signed_bytes())):
        answer = await live.request(
            "PUT",
            f"{live.homeserver_url}/_synapse/conclave/v1/documents",
            {"documents": [{"document": _json(item), "signature": _base64(signature)}]},
            token=live.state.token("guard_token"),
        )
        assert answer.status == 400
        assert answer.error.startswith("not a document signed by the hub")
    assert (await scene.bob.send_encrypted(scene.room)).status == 200


def _json(item: Document) -> object:
    return json.loads(item.signed_bytes().split(b"\n", 1)[1])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
