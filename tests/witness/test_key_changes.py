"""Witnesses with two keys, and witnesses of a log whose keys are replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from audit.cosignature import cosignatures
from audit.files import read_vkeys
from audit.keys import verify_signature
from audit.note import ML_DSA_44, VerifierKey
from audit.proof import EntryProof
from audit.verify import verify_bundle
from audit.witness import WitnessRefusedError
from bridge.witness.folder import WitnessFolder
from bridge.witness.rounds import WitnessPolicyError
from bridge.witness.server import WitnessService
from config.clock import DAY
from config.errors import NotFoundError
from config.settings import LedgerSettings, WitnessSettings
from tests.api.test_access import credential_of
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.ledger import Files
from tests.store.test_rotation import Life, sqlite_copy


@pytest.fixture
async def life(tmp_path: Path, database_url: str) -> Life:
    """A hub with an ML-DSA-44 key that was started once."""
    found = Life(tmp_path, database_url, LedgerSettings(post_quantum=True))
    async with found.hub() as hub:
        await hub.entries()
    return found


def witness(life: Life) -> WitnessFolder:
    folder = WitnessFolder(life.place / "witness")
    folder.create("w.example", post_quantum=True)
    folder.add(*read_vkeys(life.folder.vkey))
    return folder


@asynccontextmanager
async def watched(
    life: Life, folder: WitnessFolder, log: VerifierKey, app: web.Application | None = None
) -> AsyncIterator[FakeHub]:
    """The hub with a policy that wants both words of the witness, which is started with it."""
    async with AsyncExitStack() as stack:
        server = TestServer(app or WitnessService(folder, life.clock).app())
        await stack.enter_async_context(server)
        first, second = (key.cosigner for key in folder.signing_keys())
        policy, url = life.place / "policy.tlog-policy", server.make_url("/")
        lines = [f"log {log}", f"witness a {first} {url}", f"witness b {second} {url}", "group g all a b", "quorum g"]
        policy.write_text("".join(f"{line}\n" for line in lines))
        yield await stack.enter_async_context(
            start_fake_hub(
                life.place,
                life.url,
                homeserver=life.homeserver,
                clock=life.clock,
                ledger=life.ledger,
                witnesses=WitnessSettings(policy=policy),
            )
        )


async def round_of(hub: FakeHub) -> bytes | None:
    await hub.add_person("contoso", prefix=f"p{hub.clock.now}x")
    hub.clock.now += 1
    await hub.entries()
    assert hub.hub.services.witnesses is not None
    row = await hub.hub.services.witnesses.go_round()
    return None if row is None else row.checkpoint


async def test_a_witness_with_both_keys_cosigns_with_both(life: Life) -> None:
    folder = witness(life)
    keys = read_vkeys(life.folder.vkey)
    for log in keys:  # the policy names either key of the log
        async with watched(life, folder, log) as hub:
            note = await round_of(hub)
            assert note is not None
            found = cosignatures(note, [key.cosigner for key in folder.signing_keys()], verify_signature)
            assert [one.witness.algorithm for one in found] == [4, ML_DSA_44]


async def test_within_the_overlap_a_witness_goes_on_and_after_it_needs_the_new_keys(life: Life) -> None:
    folder, old = witness(life), read_vkeys(life.folder.vkey)[0]
    async with watched(life, folder, old) as hub:
        assert await round_of(hub) is not None
    life.rotate(life.take_root())
    with pytest.raises(WitnessPolicyError, match="does not name this hub's log"):
        async with watched(life, folder, old):
            pass
    new = read_vkeys(life.folder.vkey)
    async with watched(life, folder, new[0]) as hub:
        assert await round_of(hub) is not None, "the old keys sign too"
        life.clock.now += 31 * DAY
        assert await round_of(hub) is None
        assert hub.hub.services.witnesses is not None
        assert "403: no signature by conclave.test" in hub.hub.services.witnesses.failures["a"]
    folder.rekey(*new)
    async with watched(life, folder, new[0]) as hub:
        assert await round_of(hub) is not None, "it remembers what it saw, and knows the new keys"


async def test_a_witness_is_asked_for_one_word_after_the_other(tmp_path: Path, sqlite_base: Path) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base), LedgerSettings(post_quantum=True))
    async with life.hub() as hub:
        await hub.entries()
    folder, under_way, most = witness(life), 0, 0
    service = WitnessService(folder, life.clock)

    async def add(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        body = await request.read()
        for _ in range(20):
            await asyncio.sleep(0)  # whoever else is there comes in now
        under_way -= 1
        try:
            return web.Response(text=await service.add_checkpoint(body))
        except WitnessRefusedError as error:
            return web.Response(status=error.status, text=f"{error.size}\n")

    app = web.Application()
    app.router.add_post("/add-checkpoint", add)
    async with watched(life, folder, read_vkeys(life.folder.vkey)[0], app) as hub:
        for _ in range(3):
            assert await round_of(hub) is not None
    assert most == 1


async def test_what_was_cosigned_before_a_recovery_proves_nothing_after_it(life: Life) -> None:
    """Until every witness was told of the new keys, entries are proven, and exports made, without their word."""
    folder, old = witness(life), read_vkeys(life.folder.vkey)
    async with watched(life, folder, old[0]) as hub:
        person, token = await credential_of(hub, "compliance-officer")
        async with hub.sequencing():
            order = (await hub.request("POST", "/v1/exports", token=token)).body
        cosigned = await round_of(hub)
        assert cosigned is not None
        assert (await hub.hub.services.audit.prove(0)).checkpoint == cosigned
    life.rotate(life.take_root(), recover=True)
    new = read_vkeys(life.folder.vkey)
    async with watched(life, folder, new[0]) as hub:
        audit = hub.hub.services.audit
        with pytest.raises(NotFoundError, match="not under a checkpoint that the log's keys of today signed yet"):
            await audit.prove(0)
        assert hub.hub.services.witnesses is not None
        assert await hub.hub.services.witnesses.go_round() is None, "it waits for what the new keys sign"
        assert await round_of(hub) is None
        assert "403: no signature by" in hub.hub.services.witnesses.failures["a"]
        found = await audit.prove(0)
        proof = EntryProof(index=0, hashes=found.proof, note=found.checkpoint, extra=found.row.body)
        assert proof.verify(new, verify_signature).size == found.size
        files = await audit.export(order["entry"], actor=person)
        bundle = Files({file.path: b"".join(file.chunks) async for file in files})
    assert list(verify_bundle(bundle, new, verify_signature).keys) == new
    folder.rekey(*new)
    async with watched(life, folder, new[0]) as hub:
        cosigned = await round_of(hub)
        assert cosigned is not None
        assert (await hub.hub.services.audit.prove(0)).checkpoint == cosigned, "their word is there again"
