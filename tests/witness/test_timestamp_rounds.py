"""A hub and a TSA: what it is asked, what is kept, what is refused in words; exports; and nothing waits for it."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from audit.der import OCTET_STRING, SEQUENCE, Reader
from audit.files import Folder
from audit.keys import verify_ed25519
from audit.note import open_note, split_note
from audit.standalone import main
from audit.store import EntryRow, LedgerStore
from audit.timestamp_store import TimestampRow, TimestampStore
from audit.timestamps import note_name, token_name
from audit.tsp import MEDIA_REPLY, TimestampRequest
from audit.verify import verify_bundle
from bridge.timestamps import TimestampRounds, TimestampSettingsError, open_timestamps
from config.clock import HOUR, MINUTE
from config.settings import TimestampSettings
from tests.api.test_access import credential_of
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.ledger import Files
from tests.tokens import response
from tests.tsa import OTHER_POLICY, Answer, Served, authority, needs_openssl, serving

pytestmark = needs_openssl


class Stage:
    """A hub whose checkpoints are stamped by a TSA behind HTTP."""

    def __init__(self, hub: FakeHub, tsa: Served) -> None:
        self.hub = hub
        self.tsa = tsa

    @property
    def rounds(self) -> TimestampRounds:
        found = self.hub.hub.services.timestamps
        assert found is not None
        return found

    async def grow(self) -> None:
        await self.hub.add_person("contoso")
        await self.hub.entries()

    async def newest(self) -> TimestampRow | None:
        async with self.hub.hub.services.db.read() as connection:
            return await TimestampStore(connection).newest()

    async def export(self, place: Path) -> Path:
        _, token = await credential_of(self.hub, "compliance-officer")
        async with self.hub.sequencing():
            order = (await self.hub.request("POST", "/v1/exports", token=token)).body
        person = str((await self.hub.request("GET", "/v1/whoami", token=token)).body["person"])
        found = await self.hub.hub.services.audit.export(order["entry"], actor=person)
        return Files({file.path: b"".join(file.chunks) async for file in found}).save(place)


@asynccontextmanager
async def staged(place: Path, url: str, **more: Any) -> AsyncIterator[Stage]:
    async with serving(authority(place / "tsa")) as tsa:
        settings = TimestampSettings(url=tsa.url, ca_file=tsa.tsa.ca_file, **more)
        async with start_fake_hub(place, url, timestamps=settings) as hub:
            await hub.entries()
            yield Stage(hub, tsa)


@pytest.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[Stage]:
    async with staged(tmp_path, database_url) as found:
        yield found


@pytest.fixture
async def sqlite_stage(tmp_path: Path, sqlite_base: Path) -> AsyncIterator[Stage]:
    """A stage on SQLite alone."""
    (tmp_path / "hub.sqlite3").write_bytes(sqlite_base.read_bytes())
    async with staged(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3") as found:
        yield found


async def test_the_newest_checkpoint_is_stamped_once(stage: Stage) -> None:
    row = await stage.rounds.go_round()
    assert row == await stage.newest()
    assert row is not None
    assert len(split_note(row.checkpoint)[1]) == 1, "the log's own signature, and no other"
    assert open_note(row.checkpoint, stage.hub.hub.services.audit.log_key, verify_ed25519)
    assert await stage.rounds.go_round() is None, "there is nothing new"
    assert len(stage.tsa.queries) == 1
    await stage.grow()
    grown = await stage.rounds.go_round()
    assert grown is not None
    assert grown.size > row.size


async def test_a_request_is_of_the_checkpoint_with_a_nonce_of_its_own(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    nonces = set()
    for _ in range(3):
        await stage.grow()
        row = await stage.rounds.go_round()
        assert row is not None
        query = Reader(stage.tsa.queries[-1], "the query").inside(SEQUENCE, "the request")
        assert query.integer("the version") == 1
        imprint = query.inside(SEQUENCE, "the imprint")
        imprint.take(SEQUENCE, "the algorithm")
        assert imprint.take(OCTET_STRING, "the hash").content == sha256(row.checkpoint).digest()
        nonces.add(query.integer("the nonce"))
        assert query.any("certReq").content == b"\xff"
    assert len(nonces) == 3
    assert max(nonces) > 2**48, "64 random bits"


async def test_a_policy_is_asked_for_where_the_settings_name_one(tmp_path: Path, sqlite_base: Path) -> None:
    (tmp_path / "hub.sqlite3").write_bytes(sqlite_base.read_bytes())
    async with staged(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3", policy=OTHER_POLICY) as stage:
        assert await stage.rounds.go_round() is not None
        stage.tsa.answer = without_the_policy(stage)
        await stage.grow()
        assert f"asked for was {OTHER_POLICY}" in await failure(stage)


def without_the_policy(stage: Stage) -> Answer:
    async def answer(query: bytes) -> web.StreamResponse:
        return reply(stage.tsa.tsa.reply(TimestampRequest(imprint=imprint_of(query), nonce=nonce_of(query)).encode()))

    return answer


def imprint_of(query: bytes) -> bytes:
    request = Reader(query, "the query").inside(SEQUENCE, "the request")
    request.integer("the version")
    imprint = request.inside(SEQUENCE, "the imprint")
    imprint.take(SEQUENCE, "the algorithm")
    return imprint.take(OCTET_STRING, "the hash").content


def nonce_of(query: bytes) -> int:
    request = Reader(query, "the query").inside(SEQUENCE, "the request")
    while request.more:
        value = request.any("a value")
        if value.tag == 2 and len(value.content) > 1:
            return int.from_bytes(value.content, "big")
    raise AssertionError("the query has no nonce")


def reply(body: bytes, **more: Any) -> web.Response:
    return web.Response(body=body, content_type=more.pop("content_type", MEDIA_REPLY), **more)


async def failure(stage: Stage) -> str:
    """What is said of a round that keeps nothing."""
    before = await stage.newest()
    await stage.rounds.try_round()
    assert await stage.newest() == before
    assert stage.rounds.failure.isprintable()
    return stage.rounds.failure


BAD = {
    "garbage": "not a timestamp response: the answer ends where the TimeStampResp was expected",
    "another nonce": "the timestamp has another nonce than was asked for: it may be an old one",
    "another imprint": "the timestamp is of other bytes than were asked for",
    "another TSA": "the TSA's certificate does not lead to a trusted one: signature does not match",
    "rejected": "the TSA refused: rejection; it does not take this request; not\\x1b[2J today",
    "a page": "the TSA answered with text/html, expected application/timestamp-reply",
    "an error": "the TSA answered 503, expected 200",
    "elsewhere": "the TSA answered 307 and points to http://other.example/, expected 200",
    "50 MB": "the TSA answered with more than 65,536 bytes",
    "packed": "not a timestamp response: the TimeStampResp has a tag of more than one byte",
    "silence": "the TSA did not answer within 0.5 s",
    "broken off": "Response payload is not completed",
}


def answers(stage: Stage, other: Path) -> dict[str, Answer]:
    tsa = stage.tsa.tsa

    async def another_nonce(query: bytes) -> web.StreamResponse:
        return reply(tsa.reply(TimestampRequest(imprint=imprint_of(query), nonce=1).encode()))

    async def another_imprint(query: bytes) -> web.StreamResponse:
        return reply(tsa.reply(TimestampRequest(imprint=bytes(32), nonce=nonce_of(query)).encode()))

    async def elsewhere(_query: bytes) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://other.example/"})

    async def large(_query: bytes) -> web.StreamResponse:
        return reply(b"0" * 50_000_000)

    async def silence(_query: bytes) -> web.StreamResponse:
        await asyncio.sleep(30)
        return reply(b"")

    async def broken_off(_query: bytes) -> web.StreamResponse:
        found = web.StreamResponse(headers={"Content-Length": "100", "Content-Type": MEDIA_REPLY})
        found.force_close()
        return found

    def always(found: web.Response) -> Answer:
        async def answer(_query: bytes) -> web.StreamResponse:
            return found

        return answer

    rejected = response(status=2, texts=["not\x1b[2J today"], failure=b"\x05\x20")
    return {
        "garbage": always(reply(b"\x1b")),
        "another nonce": another_nonce,
        "another imprint": another_imprint,
        "another TSA": Served(authority(other)).honest,
        "rejected": always(reply(rejected)),
        "a page": always(reply(b"<html>buy</html>", content_type="text/html")),
        "an error": always(web.Response(status=503, text="\x1b[2J")),
        "elsewhere": elsewhere,
        "50 MB": large,
        "packed": always(reply(gzip.compress(bytes(5_000_000)), headers={"Content-Encoding": "gzip"})),
        "silence": silence,
        "broken off": broken_off,
    }


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_answer_is_refused_in_words_and_nothing_is_kept(
    sqlite_stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    stage = sqlite_stage
    monkeypatch.setattr("bridge.timestamps.ANSWER_S", 0.5 if what == "silence" else 20)
    stage.tsa.answer = answers(stage, tmp_path / "other")[what]
    assert (await failure(stage)).startswith(BAD[what])
    checks = await stage.hub.hub.services.readiness.checks()
    assert (checks["timestamps"].ok, "no timestamp yet; the last attempt failed: " in checks["timestamps"].detail) == (
        True,
        True,
    )
    stage.tsa.answer = stage.tsa.honest
    await stage.rounds.try_round()
    assert (stage.rounds.failure, await stage.newest() is not None) == ("", True)


async def test_a_tsa_that_is_away_stops_nothing_and_an_export_goes_without(
    sqlite_stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = sqlite_stage
    monkeypatch.setattr(stage.rounds, "_url", "http://127.0.0.1:1/tsa")
    assert "Cannot connect to host 127.0.0.1:1" in await failure(stage)
    folder = await stage.export(tmp_path / "export")
    key = stage.hub.hub.services.audit.log_key
    assert verify_bundle(Folder(folder), key, verify_ed25519).timestamps == []


async def test_an_error_of_our_own_stops_nothing(sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks() -> None:
        raise RuntimeError("breaks")

    monkeypatch.setattr(sqlite_stage.rounds, "go_round", breaks)
    assert await failure(sqlite_stage) == "an error of the hub's own, see its log"


async def test_the_rounds_go_on_after_a_failure_and_sooner_than_else(
    sqlite_stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise asyncio.CancelledError
        sqlite_stage.tsa.answer = sqlite_stage.tsa.honest

    monkeypatch.setattr("bridge.timestamps.asyncio.sleep", sleep)
    sqlite_stage.tsa.answer = answers(sqlite_stage, tmp_path / "other")["an error"]
    with pytest.raises(asyncio.CancelledError):
        await sqlite_stage.rounds.run()
    assert waited == [5 * 60, 60 * 60, 60 * 60]


async def test_ready_says_how_far_the_timestamps_reach(stage: Stage) -> None:
    entries = await stage.hub.entries()
    row = await stage.rounds.go_round()
    assert row is not None
    stage.hub.clock.now += HOUR
    ok, detail = await stage.rounds.check()
    assert (ok, detail.startswith(f"{row.size} of {row.size} entries were there at 20")) == (True, True)
    await stage.grow()
    assert len(await stage.hub.entries()) > len(entries)
    stage.hub.clock.now += MINUTE
    assert (await stage.rounds.check())[0]
    page = await metrics_of(stage.hub)
    assert page["conclave_timestamp_age_seconds"] == (stage.hub.clock.now - row.at) / 1_000
    async with stage.hub.hub.services.db.read() as connection:
        first = await entry_at(connection, row.size)
    assert page["conclave_timestamp_lag_seconds"] == (stage.hub.clock.now - first.at) / 1_000 == MINUTE / 1_000


async def entry_at(connection: Any, position: int) -> EntryRow:
    found = await LedgerStore(connection).entry(position)
    assert found is not None
    return found


async def metrics_of(hub: FakeHub) -> dict[str, float]:
    async with hub.client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line.startswith("conclave_timestamp_")}


async def test_an_export_is_verified_with_the_tsas_certificate(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        await stage.rounds.go_round()
        await stage.grow()
    folder = await stage.export(tmp_path / "export")
    row = await stage.newest()
    assert row is not None
    assert (folder / token_name(row.size)).read_bytes() == row.tsr
    assert (folder / note_name(row.size)).read_bytes() == row.checkpoint
    vkey, other = str(stage.hub.state.log_vkey), authority(tmp_path / "stranger").ca_file
    for more, status, says in (
        ([], 0, "claimed, not verified: name the TSA's root with --tsa-cert"),
        (["--tsa-cert", str(stage.tsa.tsa.ca_file)], 0, "✓ timestamps: 2, the newest of "),
        (["--tsa-cert", str(other)], 1, "the TSA's certificate does not lead to a trusted one"),
    ):
        assert main([str(folder), "--vkey", vkey, *more]) == status
        said = capsys.readouterr().out
        assert says in said
        assert ("VALID." in said.splitlines()) is (status == 0)


def test_a_certificate_that_cannot_be_used_is_said_at_the_start(tmp_path: Path, sqlite_stage: Stage) -> None:
    services = sqlite_stage.hub.hub.services
    (tmp_path / "no.pem").write_text("no")
    for name, says in (("no.pem", "no certificate in PEM"), ("none.pem", "No such file or directory")):
        settings = TimestampSettings(url="http://tsa.example", ca_file=tmp_path / name)
        with pytest.raises(TimestampSettingsError, match=says) as error:
            open_timestamps(settings, services.audit, services.db, services.clock, lambda _bits: 1)
        assert error.value.hint == "see timestamps.ca_file"
    assert open_timestamps(TimestampSettings(), services.audit, services.db, services.clock, lambda _bits: 1) is None
