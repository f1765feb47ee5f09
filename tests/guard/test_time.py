"""Times in documents are enforced by the guard alone: the hub does nothing when they pass."""

import asyncio
import base64
import json
from dataclasses import replace
from urllib.parse import quote

from config.clock import system_clock
from spaces.gateway import SignedDocument
from spaces.policy.documents import Document, document_of
from spaces.policy.records import Charter, CompanyRecord
from spaces.store import DocumentStore
from tests.live import LiveHub, Scene


async def push(hub: LiveHub, record: Charter | CompanyRecord) -> None:
    """Straight to the guard, past the hub's database: so nothing of the hub reacts to it."""
    item = document_of(record, system_clock() + 1_000_000)
    signature = hub.hub.keys.document.sign(item.signed_bytes())
    await hub.hub.services.homeserver.put_documents([SignedDocument(document=item, signature=signature)])


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
    await refused_with(scene, "COMPANY_ENDED")
    assert (await live.login(scene.bob.user_id)).code == "COMPANY_ENDED"


async def test_a_document_with_a_wrong_signature_is_refused_and_changes_nothing(live: LiveHub) -> None:
    scene = await live.stage()
    charter = await charter_of(scene)
    item = document_of(replace(charter, open=False), system_clock() + 1_000_000)
    for signature in (b"", b"x" * 64, live.hub.keys.log.sign(item.signed_bytes())):
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
