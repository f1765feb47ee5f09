"""A hub and its witnesses, each a service of its own: quorum, forks, failures, age; exports and the log's files."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from audit.cosignature import cosign, cosignatures
from audit.keys import verify_ed25519
from audit.note import Checkpoint, VerifierKey, open_note, split_note
from audit.proof import EntryProof
from audit.standalone import main
from audit.store import CosignedRow
from audit.tiles import TileHashes, decode_bundle, decode_tile, entries_path, tile_path
from audit.tree import Frontier, Head, inclusion_proof, leaf_hash
from audit.witness import Submission
from bridge.witness.folder import WitnessFolder
from bridge.witness.rounds import WitnessPolicyError, WitnessRounds
from bridge.witness.server import WitnessService
from config.settings import WitnessSettings
from tests.api.test_access import credential_of
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.ledger import Files, signing_key

HOUR = 3_600_000
STRANGER = signing_key("stranger.example", 77)


class Stage:
    """A hub with three witnesses, of whom two have to cosign."""

    def __init__(self, hub: FakeHub, folders: list[WitnessFolder], servers: list[TestServer]) -> None:
        self.hub = hub
        self.folders = folders
        self.servers = servers

    @property
    def rounds(self) -> WitnessRounds:
        found = self.hub.hub.services.witnesses
        assert found is not None
        return found

    @property
    def keys(self) -> list[VerifierKey]:
        return [folder.key().cosigner for folder in self.folders]

    async def grow(self) -> None:
        await self.hub.add_person("contoso")
        await self.hub.entries()

    async def files(self, token: str) -> dict[str, bytes]:
        """An export, as an officer gets it."""
        async with self.hub.sequencing():
            order = (await self.hub.request("POST", "/v1/exports", token=token)).body
        found = await self.hub.hub.services.audit.export(order["entry"], actor=await self._person(token))
        return {file.path: b"".join(file.chunks) async for file in found}

    async def _person(self, token: str) -> str:
        return str((await self.hub.request("GET", "/v1/whoami", token=token)).body["person"])


@asynccontextmanager
async def staged(place: Path, url: str, **limits: Any) -> AsyncIterator[Stage]:
    async with start_fake_hub(place, url) as first:
        log, homeserver, clock = first.hub.services.audit.log_key, first.homeserver, first.clock
    async with AsyncExitStack() as stack:
        folders, servers, lines = [], [], [f"log {log}"]
        for number in range(3):
            folder = WitnessFolder(place / f"w{number}")
            key = folder.create(f"w{number}.example")
            folder.add(log)
            server = TestServer(WitnessService(folder, clock).app())
            await stack.enter_async_context(server)
            lines.append(f"witness w{number} {key.cosigner} {server.make_url('/')}")
            folders.append(folder)
            servers.append(server)
        policy = place / "policy.tlog-policy"
        policy.write_text("\n".join([*lines, "group g 2 w0 w1 w2", "quorum g"]) + "\n")
        settings = WitnessSettings(policy=policy, **limits)
        hub = await stack.enter_async_context(
            start_fake_hub(place, url, homeserver=homeserver, clock=clock, witnesses=settings)
        )
        await hub.entries()
        yield Stage(hub, folders, servers)


@pytest.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[Stage]:
    async with staged(tmp_path, database_url) as found:
        yield found


async def test_every_witness_cosigns_the_log_as_it_grows(stage: Stage) -> None:
    for _ in range(3):
        row = await stage.rounds.go_round()
        assert row is not None
        assert len(cosignatures(row.checkpoint, stage.keys, verify_ed25519)) == 3
        assert open_note(row.checkpoint, stage.hub.hub.services.audit.log_key, verify_ed25519)
        assert [folder.seen("conclave.test").size for folder in stage.folders] == [row.size] * 3
        await stage.grow()
    assert (await stage.rounds.check())[0]


async def test_a_witness_that_is_away_is_missed_and_two_are_enough(stage: Stage) -> None:
    await stage.servers[0].close()
    row = await stage.rounds.go_round()
    assert row is not None
    assert {one.witness for one in cosignatures(row.checkpoint, stage.keys, verify_ed25519)} == set(stage.keys[1:])
    assert list(stage.rounds.failures) == ["w0"]
    await stage.servers[1].close()
    await stage.grow()
    assert await stage.rounds.go_round() is None, "one is not"
    kept = await stage.hub.hub.services.audit.cosigned()
    assert kept == row


async def test_a_hub_that_was_started_anew_learns_what_its_witnesses_saw(stage: Stage) -> None:
    await stage.rounds.go_round()
    await stage.grow()
    stage.rounds._sizes.clear()
    assert await stage.rounds.go_round() is not None
    assert stage.rounds.failures == {}


async def cosigns_in_1970(stage: Stage, request: web.Request) -> web.StreamResponse:
    note = Submission.parse(await request.read()).note
    text, key = split_note(note)[0], stage.folders[0].key()
    return web.Response(text=cosign(text, key.cosigner, key, 1))


async def answers_in_pieces(stage: Stage, request: web.Request) -> web.StreamResponse:
    line = (await WitnessService(stage.folders[0], stage.hub.clock).add_checkpoint(await request.read())).encode()
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"\xe2\x80\x94 somebody.else AAAAAAAA\n" + line[:20])
    await asyncio.sleep(0.05)
    await response.write(line[20:])
    return response


async def answers_without_end(_stage: Stage, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(b"\n" * 10_000)
    return response


async def answers_never(_stage: Stage, _request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def answers_packed(_stage: Stage, _request: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(b"\n" * 5_000_000), headers={"Content-Encoding": "gzip"})


async def answers_nonsense(_stage: Stage, _request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\x1b[2J\xff\n\x00", status=500)


async def conflicts_for_ever(_stage: Stage, _request: web.Request) -> web.StreamResponse:
    return web.Response(text="0\n", status=409)


async def conflicts_without_size(_stage: Stage, _request: web.Request) -> web.StreamResponse:
    return web.Response(text="many", status=409)


async def sends_elsewhere(stage: Stage, _request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": str(stage.servers[1].make_url("/add-checkpoint"))})


Answer = Callable[[Stage, web.Request], Awaitable[web.StreamResponse]]


@pytest.mark.parametrize(
    ("answer", "fails"),
    [
        (cosigns_in_1970, False),
        (answers_in_pieces, False),
        (answers_without_end, True),
        (answers_never, True),
        (answers_packed, True),
        (answers_nonsense, True),
        (conflicts_for_ever, True),
        (conflicts_without_size, True),
        (sends_elsewhere, True),
    ],
)
async def test_one_witness_of_three_can_spoil_nothing(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch, answer: Answer, fails: bool
) -> None:
    stage = sqlite_stage
    monkeypatch.setattr("bridge.witness.rounds.ANSWER_S", 0.5)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(stage, request)

    app, port = web.Application(), stage.servers[0].port
    app.router.add_post("/add-checkpoint", handle)
    await stage.servers[0].close()
    async with TestServer(app, port=port):
        row = await stage.rounds.go_round()
    assert row is not None
    assert row.at == stage.hub.clock.now // 1_000 * 1_000
    assert (await stage.rounds.check())[0]
    assert ("w0" in stage.rounds.failures) is fails, stage.rounds.failures
    assert all(reason.isprintable() for reason in stage.rounds.failures.values())


@pytest.fixture
async def sqlite_stage(tmp_path: Path, sqlite_base: Path) -> AsyncIterator[Stage]:
    """A stage on SQLite alone."""
    (tmp_path / "hub.sqlite3").write_bytes(sqlite_base.read_bytes())
    async with staged(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3") as found:
        yield found


async def test_what_goes_wrong_in_a_round_stops_nothing(sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: object) -> None:
        raise RuntimeError("breaks")

    monkeypatch.setattr(sqlite_stage.rounds, "go_round", breaks)
    await sqlite_stage.rounds.try_round()
    _, token = await credential_of(sqlite_stage.hub, "compliance-officer")
    files = await sqlite_stage.files(token)
    assert cosignatures(files["checkpoint"], sqlite_stage.keys, verify_ed25519) == []


async def test_a_cosigned_checkpoint_is_replaced_by_a_newer_one_only(stage: Stage) -> None:
    audit = stage.hub.hub.services.audit
    rows = [
        CosignedRow(size=size, at=at, checkpoint=b"%d" % number)
        for number, (size, at) in enumerate([(5, 100), (5, 99), (4, 500), (5, 101), (6, 1), (6, 1)])
    ]
    kept = []
    for row in rows:
        await audit.keep_cosigned(row)
        found = await audit.cosigned()
        assert found is not None
        kept.append(int(found.checkpoint))
    assert kept == [0, 0, 0, 3, 4, 4]


async def test_a_log_that_was_put_back_is_not_cosigned_and_it_is_said(stage: Stage) -> None:
    for folder in stage.folders:
        folder.remember("conclave.test", Head(10_000, bytes(32)))
    assert await stage.rounds.go_round() is None
    assert all("the log was put back or forked" in reason for reason in stage.rounds.failures.values())
    ok, detail = await stage.rounds.check()
    assert not ok
    assert "it saw 10,000 entries of this log" in detail


async def test_a_forked_log_is_not_cosigned(stage: Stage) -> None:
    for folder in stage.folders:
        folder.remember("conclave.test", Head(1, bytes(32)))
    assert await stage.rounds.go_round() is None
    assert all("422" in reason for reason in stage.rounds.failures.values())


async def test_when_the_newest_word_is_too_old_the_hub_is_not_ready(stage: Stage) -> None:
    checks = stage.hub.hub.services.readiness.checks
    assert not (await checks())["witnesses"].ok, "nobody cosigned yet"
    await stage.rounds.go_round()
    assert (await checks())["witnesses"].ok
    stage.hub.clock.now += HOUR + 1
    assert not (await checks())["witnesses"].ok
    await stage.rounds.go_round()
    assert (await checks())["witnesses"].ok, "also of a log that did not grow the word is renewed"


async def test_an_export_has_the_witnesses_word_and_the_policy(stage: Stage, tmp_path: Path) -> None:
    _, token = await credential_of(stage.hub, "compliance-officer")
    files = await stage.files(token)
    assert len(cosignatures(files["checkpoint"], stage.keys, verify_ed25519)) == 3
    assert files["policy.tlog-policy"] == (tmp_path / "policy.tlog-policy").read_bytes()


async def test_an_export_is_verified_with_a_policy_of_ones_own(
    sqlite_stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = sqlite_stage
    _, token = await credential_of(stage.hub, "compliance-officer")
    place = Files(await stage.files(token)).save(tmp_path / "export")
    policy, vkey = tmp_path / "mine", str(stage.hub.state.log_vkey)
    first, other = (f"witness w{number} {key}" for number, key in enumerate((stage.keys[0], STRANGER.cosigner)))
    for lines, status, says in (
        ([first, "quorum w0"], 0, "cosigned by w0.example"),
        ([first, other, "group g any w0 w1", "quorum g"], 0, "cosigned by w0.example"),
        (
            [first, other, "group g all w0 w1", "quorum g"],
            1,
            "the policy's quorum g is not met: cosigned by w0.example",
        ),
        ([other, "quorum w1"], 1, "cosigned by nobody"),
        ([f"log {STRANGER.public}", first, "quorum w0"], 1, "the policy does not accept the log conclave.test"),
    ):
        policy.write_text("\n".join(lines) + "\n")
        assert main([str(place), "--vkey", vkey, "--policy", str(policy)]) == status, lines
        said = capsys.readouterr().out
        assert says in said
        assert ("VALID." in said.splitlines()) is (status == 0)


async def test_the_proof_of_an_entry_has_the_witnesses_word(stage: Stage) -> None:
    await stage.rounds.go_round()
    await stage.grow()
    (newest,) = (await stage.hub.entries())[-1:]
    found = await stage.hub.api("GET", "/v1/ledger/entries/0")
    assert len(cosignatures(found["checkpoint"].encode(), stage.keys, verify_ed25519)) == 3
    last = await stage.hub.api("GET", f"/v1/ledger/entries/{len(await stage.hub.entries()) - 1}")
    assert last["entry"]["source_seq"] == newest["source_seq"]
    assert cosignatures(last["checkpoint"].encode(), stage.keys, verify_ed25519) == [], "nobody cosigned that far yet"


async def test_any_client_of_such_logs_can_follow_the_files(stage: Stage) -> None:
    for _ in range(60):
        await stage.hub.api("POST", "/v1/roles/grant", {"person": "dana@contoso.example", "role": "auditor"})
        await stage.hub.api("POST", "/v1/roles/revoke", {"person": "dana@contoso.example", "role": "auditor"})
    while len(await stage.hub.entries()) < 260:
        await stage.hub.add_person("contoso")
    await stage.rounds.go_round()
    _, token = await credential_of(stage.hub, "auditor")
    await stage.hub.entries()
    basic = {"Authorization": "Basic " + base64.b64encode(f"x:{token}".encode()).decode()}

    async def get(path: str) -> bytes:
        async with stage.hub.client.get(f"/log/{path}", headers=basic) as answer:
            assert answer.status == 200, (path, await answer.text())
            kept = "no-cache" if path == "checkpoint" else "immutable"
            assert kept in answer.headers["Cache-Control"]
            return bytes(await answer.read())

    key = stage.hub.hub.services.audit.log_key
    checkpoint = Checkpoint.parse(open_note(await get("checkpoint"), key, verify_ed25519))
    width = checkpoint.size - 256
    leaves = decode_tile(await get(tile_path(0, 0)), 256) + decode_tile(await get(tile_path(0, 1, width)), width)
    entries = decode_bundle(await get(entries_path(0)), 256)
    entries += decode_bundle(await get(entries_path(1, width)), width)
    assert [leaf_hash(entry) for entry in entries] == leaves
    assert Frontier().extend(leaves).root() == checkpoint.root
    tiles = {(0, 0): leaves[:256], (0, 1): leaves[256:], (1, 0): decode_tile(await get(tile_path(1, 0, 1)), 1)}
    path = inclusion_proof(7, checkpoint.size, TileHashes(lambda level, index: tiles[level, index]))
    EntryProof(index=7, hashes=path, note=await get("checkpoint"), extra=entries[7]).verify(key, verify_ed25519)


async def test_the_log_is_for_those_who_may_read_it(stage: Stage) -> None:
    _, manager = await credential_of(stage.hub, "partner-manager")
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Authorization": "Basic !"}, 401),
        ({"Authorization": f"Bearer {manager}"}, 403),
    ):
        async with stage.hub.client.get("/log/checkpoint", headers=headers) as answer:
            assert (answer.status, "WWW-Authenticate" in answer.headers) == (status, status == 401)


@pytest.mark.parametrize(
    "path",
    ["tile/0/999", "tile/0/000", "tile/9/000.p/1", "tile/entries/000.p/255", "tile/0/0", "tile/x", "tile/0/000.p/0"],
)
async def test_what_the_log_does_not_have_is_not_there(stage: Stage, path: str) -> None:
    headers = {"Authorization": f"Bearer {stage.hub.admin_token}"}
    async with stage.hub.client.get(f"/log/{path}", headers=headers) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot read"),
        ("quorum none\n", "does not name this hub's log"),
        ("quorum w9\n", "is no policy of witnesses: line 1: w9 is not defined"),
    ],
)
async def test_a_policy_that_cannot_be_used_stops_the_hub(
    tmp_path: Path, sqlite_base: Path, text: str | None, says: str
) -> None:
    policy = tmp_path / "policy"
    if text is not None:
        policy.write_text(text)
    url = f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3"
    (tmp_path / "hub.sqlite3").write_bytes(sqlite_base.read_bytes())
    with pytest.raises(WitnessPolicyError, match=says):
        async with start_fake_hub(tmp_path, url, witnesses=WitnessSettings(policy=policy)):
            pass
