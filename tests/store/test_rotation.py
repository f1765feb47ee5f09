"""Keys that change while a hub lives: by its own signer and by one apart, on both databases."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audit.files import read_vkeys
from audit.key_history import parse_statements
from audit.keys import KeyFileError, SigningKey, read_key, verify_signature
from audit.note import NoteError, VerifierKey, open_note, split_note
from audit.parts import LOG_KEY, STATEMENTS, VerificationError
from audit.proof import EntryProof
from audit.succession import follow
from audit.verify import verify_bundle
from bridge.signer.folder import SignerFolder
from bridge.signer.service import create_signer
from bridge.signer.statements import KeyStatementError, sign_as_root
from config.clock import DAY, SECOND
from config.errors import ConflictError
from config.settings import LedgerSettings
from tests.api.test_access import credential_of
from tests.fakes.hub import FakeHub, ManualClock, start_fake_hub
from tests.ledger import Files, signing_key


@dataclass(slots=True)
class Life:
    """A hub that is started again and again on one place."""

    place: Path
    url: str
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    clock: ManualClock = field(default_factory=ManualClock)
    homeserver: Any = None

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[FakeHub]:
        async with start_fake_hub(
            self.place, self.url, homeserver=self.homeserver, clock=self.clock, ledger=self.ledger
        ) as hub:
            self.homeserver = hub.homeserver
            yield hub

    async def export(self) -> Files:
        """Start the hub, have an officer export, stop it."""
        async with self.hub() as hub:
            self.clock.now += SECOND
            person, token = await credential_of(hub, "compliance-officer")
            async with hub.sequencing():
                order = (await hub.request("POST", "/v1/exports", token=token)).body
            found = await hub.hub.services.audit.export(order["entry"], actor=person)
            return Files({file.path: b"".join(file.chunks) async for file in found})

    @property
    def folder(self) -> SignerFolder:
        return SignerFolder(self.place / "state" / "keys", self.place / "state" / "log.vkey")

    def take_root(self) -> SigningKey:
        """The root key, as the operator takes it away."""
        key = read_key(self.folder.root_key)
        self.folder.root_key.unlink()
        return key

    def rotate(self, root: SigningKey, *, recover: bool = False, overlap_days: int = 30) -> None:
        folder = self.folder
        request = folder.prepare(recover=recover, overlap_days=overlap_days, clock=self.clock)
        folder.apply(sign_as_root(request, root), self.clock)


@pytest.fixture
def life(tmp_path: Path, database_url: str) -> Life:
    return Life(tmp_path, database_url)


def verified(files: Files, held: list[VerifierKey], root: VerifierKey | None = None) -> list[VerifierKey]:
    return list(verify_bundle(files, held, verify_signature, root=root).keys)


def signers(files: Files, *of: VerifierKey) -> list[bool]:
    """Which keys signed the checkpoint."""

    def holds(key: VerifierKey) -> bool:
        try:
            return bool(open_note(files.content["checkpoint"], key, verify_signature))
        except NoteError:
            return False

    return [holds(key) for key in of]


async def test_a_rotation_with_overlap_and_one_more(life: Life) -> None:
    first = await life.export()
    old, root = read_vkeys(life.folder.vkey), life.take_root()
    assert verified(first, old, root.public) == old
    life.rotate(root)
    new = read_vkeys(life.folder.vkey)
    assert new != old
    within = await life.export()
    assert signers(within, new[0], old[0]) == [True, True]
    life.clock.now += 31 * DAY
    after = await life.export()
    assert signers(after, new[0], old[0]) == [True, False]
    saved = {"first": first.content["checkpoint"], "within": within.content["checkpoint"]}
    assert verify_bundle(after, old, verify_signature, seen=saved).seen == 2, "what the old key signed is extended"
    with pytest.raises(VerificationError, match=r"no signature by|has .* entries, the export only"):
        verify_bundle(within, old, verify_signature, seen={"later": after.content["checkpoint"]})
    for files in (within, after):
        for held in (old, new):
            for by_root in (None, root.public):
                assert verified(files, held, by_root) == new
        assert files.content[LOG_KEY].decode() == f"{new[0]}\n"
    assert not (life.folder.root / "log.old.key").exists(), "the old key is destroyed"
    life.rotate(root, overlap_days=0)
    newest = read_vkeys(life.folder.vkey)
    last = await life.export()
    assert signers(last, newest[0], new[0], old[0]) == [True, False, False]
    assert verified(last, old) == verified(last, new) == verified(last, newest) == newest
    async with life.hub() as hub:
        entries = await hub.entries("key.rotated")
        assert [entry["data"]["log_key"] for entry in entries] == [str(new[0]), str(newest[0])]
        assert entries[0]["actor"] == {"system": "signer"}
        assert (await hub.api("GET", "/v1/ledger"))["vkey"] == str(newest[0])


async def test_a_proof_needs_the_statements_of_an_export(life: Life) -> None:
    await life.export()
    old, root = read_vkeys(life.folder.vkey), life.take_root()
    life.rotate(root, overlap_days=0)
    files = await life.export()
    async with life.hub() as hub:
        found = await hub.hub.services.audit.prove(0)
    proof = EntryProof(index=0, hashes=found.proof, note=found.checkpoint, extra=found.row.body)
    with pytest.raises(NoteError, match="no signature by"):
        proof.verify(old, verify_signature)
    notes = [note.encode() for _, note in parse_statements(files.content[STATEMENTS])]
    assert proof.verify(follow(old, notes, root.public, verify_signature), verify_signature).origin == "conclave.test"


async def test_the_overlap_ends_while_the_hub_runs(life: Life) -> None:
    await life.export()
    old, root = read_vkeys(life.folder.vkey)[0], life.take_root()
    life.rotate(root, overlap_days=1)
    async with life.hub() as hub:

        async def newest() -> bytes:
            await hub.add_person("contoso")
            await hub.entries()
            return bytes((await hub.hub.services.audit.status()).head.checkpoint or b"")

        assert len(split_note(await newest())[1]) == 2
        life.clock.now += DAY
        note = await newest()
        assert len(split_note(note)[1]) == 1
        with pytest.raises(NoteError):
            open_note(note, old, verify_signature)


async def test_a_lost_key_is_replaced_by_the_root_alone(life: Life) -> None:
    await life.export()
    old, root = read_vkeys(life.folder.vkey), life.take_root()
    (life.folder.root / "log.key").unlink()
    with pytest.raises(KeyFileError, match="cannot read the key file"):
        await life.export()
    with pytest.raises(KeyFileError):
        life.rotate(root)
    life.rotate(root, recover=True)
    files = await life.export()
    new = read_vkeys(life.folder.vkey)
    assert verified(files, new) == verified(files, old, root.public) == new
    with pytest.raises(VerificationError, match="no key that you hold signed the statement that replaced yours"):
        verified(files, old)
    async with life.hub() as hub:
        (entry,) = await hub.entries("key.rotated")
        assert entry["data"]["act"] == "recover"


async def test_a_stolen_key_signs_no_more_after_a_recovery_within_an_overlap(life: Life) -> None:
    await life.export()
    root = life.take_root()
    life.rotate(root)
    stolen = read_key(life.folder.root / "log.key").public
    with pytest.raises(ConflictError, match="the overlap of the last rotation still goes on"):
        life.rotate(root)
    life.rotate(root, recover=True)
    assert signers(await life.export(), stolen) == [False]
    assert not (life.folder.root / "log.old.key").exists()


@pytest.mark.parametrize("killed", ["request", "statement", "old", "swapped"])
async def test_a_rotation_that_was_cut_off_goes_on(tmp_path: Path, sqlite_base: Path, killed: str) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    await life.export()
    root, folder, keys = life.take_root(), life.folder, life.folder.root
    old = read_key(keys / "log.key")
    request = folder.prepare(recover=False, overlap_days=30, clock=life.clock)
    new = read_key(keys / "log.next.key")
    if killed == "request":  # the request was lost: the next one is for the same key
        request = folder.prepare(recover=False, overlap_days=30, clock=life.clock)
        assert str(new.public) in request.decode()
    signed = sign_as_root(request, root)
    if killed != "request":
        (keys / "statements").mkdir()
        (keys / "statements" / "0001.note").write_bytes(signed)
    if killed in ("old", "swapped"):
        (keys / "log.key").rename(keys / "log.old.key")
    if killed == "swapped":
        (keys / "log.next.key").rename(keys / "log.key")
    if killed in ("request", "statement"):
        for _ in range(2):
            assert folder.apply(signed, life.clock).new == (new.public,)
    files = await life.export()
    assert signers(files, new.public, old.public) == [True, True]
    assert verified(files, [old.public]) == [new.public] == read_vkeys(folder.vkey)


def sqlite_copy(place: Path, base: Path) -> str:
    (place / "hub.sqlite3").write_bytes(base.read_bytes())
    return f"sqlite+aiosqlite:///{place}/hub.sqlite3"


async def test_a_statement_becomes_one_entry_however_often_the_hub_starts(life: Life) -> None:
    await life.export()
    life.rotate(life.take_root())
    for _ in range(3):
        async with life.hub() as hub:
            assert await hub.hub.services.audit.page(start=0, limit=10, kind="key.rotated", room=None) == []
    async with life.hub() as hub:
        assert len(await hub.entries("key.rotated")) == 1


async def test_a_folder_that_forgot_its_statement_stops_the_hub(tmp_path: Path, sqlite_base: Path) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    await life.export()
    before = {path.name: path.read_bytes() for path in life.folder.root.iterdir() if path.is_file()}
    life.rotate(life.take_root())
    await life.export()
    (life.folder.root / "statements" / "0001.note").unlink()
    for name, content in before.items():
        (life.folder.root / name).write_bytes(content)
    with pytest.raises(KeyFileError, match="was opened with another key than the one at hand"):
        await life.export()


def other_root(request: bytes, _root: SigningKey) -> bytes:
    return sign_as_root(request, signing_key("conclave.test/root", 66))


def no_root(request: bytes, _root: SigningKey) -> bytes:
    return request


def another_log(request: bytes, root: SigningKey) -> bytes:
    return sign_as_root(request.replace(b"origin conclave.test", b"origin conclave.tess"), root)


@pytest.mark.parametrize(
    ("sign", "says"),
    [
        (other_root, "the root does not sign this: it is for the root key conclave.test/root"),
        (no_root, "cannot be applied: the statement about the log's keys is not signed by the root key"),
        (
            another_log,
            "the root does not sign this: it is not signed by old: the signature by conclave.test does not hold",
        ),
        (lambda _request, _root: b"x", "cannot be applied: the note has no signature block"),
    ],
)
async def test_what_the_root_did_not_sign_changes_nothing(
    tmp_path: Path, sqlite_base: Path, sign: Callable[[bytes, SigningKey], bytes], says: str
) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    await life.export()
    root, old = life.take_root(), read_vkeys(life.folder.vkey)
    request = life.folder.prepare(recover=False, overlap_days=1, clock=life.clock)
    with pytest.raises(KeyStatementError, match=says):
        life.folder.apply(sign(request, root), life.clock)
    assert read_vkeys(life.folder.vkey) == old
    assert verified(await life.export(), old) == old


async def test_the_request_of_another_signer_is_refused(tmp_path: Path, sqlite_base: Path) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    await life.export()
    twin = create_signer(tmp_path / "twin", "conclave.test")
    request = twin.prepare(recover=False, overlap_days=1)
    with pytest.raises(KeyStatementError, match="about other keys than those that the log has"):
        life.folder.apply(sign_as_root(request, read_key(twin.root_key)), life.clock)


@pytest.mark.parametrize("post_quantum", [False, True])
async def test_a_file_of_public_keys_that_was_cut_off_is_written_anew(
    tmp_path: Path, sqlite_base: Path, post_quantum: bool
) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base), LedgerSettings(post_quantum=post_quantum))
    await life.export()
    whole = life.folder.vkey.read_text()
    for broken in (b"", whole[:50].encode(), whole[:200].encode(), b"\xff\n"):
        life.folder.vkey.write_bytes(broken)
        async with life.hub():
            assert life.folder.vkey.read_text() == whole
    life.folder.vkey.unlink()
    async with life.hub():
        assert life.folder.vkey.read_text() == whole


async def test_a_statement_for_keys_that_are_gone_is_not_kept(tmp_path: Path, sqlite_base: Path) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    await life.export()
    root, folder = life.take_root(), life.folder
    signed = sign_as_root(folder.prepare(recover=False, overlap_days=1, clock=life.clock), root)
    (folder.root / "log.next.key").unlink()
    for _ in range(2):
        with pytest.raises(KeyFileError, match="is not the key that the statement names"):
            folder.apply(signed, life.clock)
        folder.prepare(recover=False, overlap_days=1, clock=life.clock)  # makes another
    assert folder.statements() == []


async def test_an_ml_dsa_key_from_the_beginning_or_later(life: Life) -> None:
    first = await life.export()
    held = read_vkeys(life.folder.vkey)
    life.ledger = LedgerSettings(post_quantum=True)
    files = await life.export()
    both = read_vkeys(life.folder.vkey)
    assert both[:1] == held
    assert len(both) == 2
    assert verified(files, held) == held
    assert verified(files, both) == both
    assert files.content[LOG_KEY].decode() == f"{both[0]}\n{both[1]}\n"
    with pytest.raises(VerificationError, match="no signature by"):
        verified(first, both)
    life.ledger = LedgerSettings()  # once on it stays
    assert verified(await life.export(), both) == both
    life.rotate(life.take_root())
    rotated = await life.export()
    new = read_vkeys(life.folder.vkey)
    assert signers(rotated, *new, *both) == [True] * 4
    assert verified(rotated, both) == verified(rotated, new) == new
    (life.folder.root / "log-mldsa44.key").unlink()
    with pytest.raises(KeyFileError):
        await life.export()


async def test_a_hub_that_is_founded_with_an_ml_dsa_key(life: Life) -> None:
    life.ledger = LedgerSettings(post_quantum=True)
    files = await life.export()
    keys = read_vkeys(life.folder.vkey)
    assert verified(files, keys) == keys
    async with life.hub() as hub:
        (opened,) = await hub.entries("log.opened")
        assert opened["data"]["post_quantum_key"] == str(keys[1])
        assert opened["data"]["root_key"] == life.folder.root_vkey.read_text().strip()
        assert (await hub.api("GET", "/v1/ledger"))["vkeys"] == [str(key) for key in keys]


async def test_a_log_from_before_there_were_roots_adopts_one(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    life.folder.root.mkdir(parents=True)
    life.folder.root_vkey.write_text("taken")  # what an earlier release did: no root
    with pytest.raises(KeyFileError, match=r"root\.vkey is no public key"):
        await life.export()
    monkeypatch.setattr(SignerFolder, "_create_root", lambda *_: None)
    life.folder.root_vkey.unlink()
    await life.export()
    old = read_vkeys(life.folder.vkey)
    with pytest.raises(ConflictError, match="this log has no root key"):
        life.folder.prepare(recover=False, overlap_days=1)
    life.folder.adopt_root(life.clock)
    root = life.take_root()
    files = await life.export()
    assert verified(files, old, root.public) == old
    with pytest.raises(ConflictError, match="has a root key already"):
        life.folder.adopt_root(life.clock)
    life.rotate(root)
    assert verified(await life.export(), old, root.public) == read_vkeys(life.folder.vkey)
