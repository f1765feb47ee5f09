"""The signer: whoever holds the database gets no second history signed."""

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.keys import SigningKey, verify_ed25519
from audit.note import Checkpoint, open_note
from audit.signer import LocalSigner, SignerRefusedError
from audit.tiles import Edge, TileHashes
from audit.tree import EMPTY_ROOT, Frontier, Head, consistency_proof, leaf_hash
from tests.ledger import signing_key

ORIGIN = "log.example/hub"
KEY = signing_key(ORIGIN)
DOCS = "the database was put back or changed; see docs/operators.md, 'The signer refuses'"


@dataclass(frozen=True, slots=True)
class History:
    """A log that has ``name`` written in every entry from number ``fork`` on."""

    name: str
    fork: int = 0

    def leaves(self, size: int) -> list[bytes]:
        return [leaf_hash(f"{self.name if at >= self.fork else ''} {at}".encode()) for at in range(size)]

    def root(self, size: int) -> bytes:
        return Frontier().extend(self.leaves(size)).root()

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(origin=ORIGIN, size=size, root=self.root(size))

    def proof(self, first: int, second: int) -> list[bytes]:
        _, tiles = Edge().append(self.leaves(second))
        return consistency_proof(min(first, second), second, TileHashes(lambda level, index: tiles[level, index]))


TRUE = History("true")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "signer.json"
    path.parent.mkdir()
    LocalSigner.initialise(path)
    return path


@pytest.fixture
async def signer(state: Path) -> LocalSigner:
    """One that has signed the first five entries."""
    found = LocalSigner(KEY, state)
    await found.sign(TRUE.checkpoint(5), [])
    return found


async def test_what_extends_the_signed_head_is_signed(signer: LocalSigner) -> None:
    note = await signer.sign(TRUE.checkpoint(9), TRUE.proof(5, 9))
    assert Checkpoint.parse(open_note(note, KEY.public, verify_ed25519)) == TRUE.checkpoint(9)
    assert await signer.head() == Head(9, TRUE.root(9))


async def test_the_signed_head_is_signed_again_the_same(signer: LocalSigner) -> None:
    assert await signer.sign(TRUE.checkpoint(5), []) == await signer.sign(TRUE.checkpoint(5), [])


async def test_a_rollback_is_refused(signer: LocalSigner) -> None:
    says = "^the log's head of size 3 does not extend the signed head of size 5: no tree of 5 within a tree of 3$"
    with pytest.raises(SignerRefusedError, match=says) as raised:
        await signer.sign(TRUE.checkpoint(3), TRUE.proof(3, 5))
    assert raised.value.hint == DOCS
    assert raised.value.code == "signer_refused"
    assert await signer.head() == Head(5, TRUE.root(5))


async def test_an_empty_log_after_a_full_one_is_refused(signer: LocalSigner) -> None:
    with pytest.raises(SignerRefusedError, match="head of size 0 does not extend the signed head of size 5"):
        await signer.sign(Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT), [])


async def test_a_head_of_nothing_is_signed_only_as_what_it_is(state: Path) -> None:
    signer = LocalSigner(KEY, state)
    with pytest.raises(SignerRefusedError, match="two roots for one size"):
        await signer.sign(Checkpoint(origin=ORIGIN, size=0, root=TRUE.root(1)), [])


async def test_a_second_head_of_one_size_is_refused(signer: LocalSigner) -> None:
    with pytest.raises(SignerRefusedError, match="does not extend the signed head of size 5: two roots for one size"):
        await signer.sign(History("forged", 4).checkpoint(5), [])


async def test_a_longer_log_with_another_past_is_refused(signer: LocalSigner) -> None:
    forged = History("forged", 4)
    for proof in (forged.proof(5, 9), TRUE.proof(5, 9), [], forged.proof(4, 9)):
        with pytest.raises(SignerRefusedError, match="head of size 9 does not extend the signed head of size 5: the"):
            await signer.sign(forged.checkpoint(9), proof)
    assert await signer.head() == Head(5, TRUE.root(5))


async def test_a_true_head_without_its_proof_is_refused(signer: LocalSigner) -> None:
    with pytest.raises(SignerRefusedError, match="the proof is empty"):
        await signer.sign(TRUE.checkpoint(9), [])


async def test_another_logs_checkpoint_is_refused(signer: LocalSigner) -> None:
    other = Checkpoint(origin="log.example/other", size=5, root=TRUE.root(5))
    with pytest.raises(SignerRefusedError, match=r"this key signs for log\.example/hub, not for log\.example/other"):
        await signer.sign(other, [])


async def test_the_memory_survives_a_restart(signer: LocalSigner, state: Path) -> None:
    again = LocalSigner(KEY, state)
    assert await again.head() == Head(5, TRUE.root(5))
    with pytest.raises(SignerRefusedError, match="head of size 3 does not extend the signed head of size 5"):
        await again.sign(TRUE.checkpoint(3), [])
    await again.sign(TRUE.checkpoint(9), TRUE.proof(5, 9))


async def test_a_write_that_was_cut_off_does_not_count(signer: LocalSigner, state: Path) -> None:
    state.with_suffix(".new").write_text('{"size": 9')
    assert await LocalSigner(KEY, state).head() == Head(5, TRUE.root(5))


async def test_the_head_is_on_disk_before_the_signature_is_given(state: Path) -> None:
    on_disk = []

    class Watched(SigningKey):
        def sign(self, message: bytes) -> bytes:
            on_disk.append(json.loads(state.read_bytes())["size"])
            return self.private.sign(message)

    signer = LocalSigner(Watched(name=ORIGIN, private=KEY.private), state)
    for first, second in ((0, 2), (2, 7)):
        await signer.sign(TRUE.checkpoint(second), TRUE.proof(first, second))
    assert on_disk == [2, 7]


async def test_nothing_is_signed_that_cannot_be_remembered(signer: LocalSigner, state: Path) -> None:
    shutil.rmtree(state.parent)
    with pytest.raises(FileNotFoundError):
        await signer.sign(TRUE.checkpoint(9), TRUE.proof(5, 9))
    assert await signer.head() == Head(5, TRUE.root(5))


def test_a_missing_memory_is_an_error(tmp_path: Path) -> None:
    says = f"^the signer's memory {tmp_path}/none is missing or unreadable, so nothing more is signed$"
    with pytest.raises(SignerRefusedError, match=says) as raised:
        LocalSigner(KEY, tmp_path / "none")
    assert (
        raised.value.hint
        == "see docs/operators.md, 'The signer refuses'; an older copy of the file lets an older log be signed"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"size": 5}',
        b'{"root": "AAAA"}',
        b'{"size": "five", "root": "AAAA"}',
        b'{"size": null, "root": "AAAA"}',
        b'{"size": Infinity, "root": "AAAA"}',
        b'{"size": 5, "root": 5}',
        b'{"size": 5, "root": "!"}',
        b"[" * 50_000,
    ],
)
def test_a_broken_memory_is_an_error(state: Path, data: bytes) -> None:
    state.write_bytes(data)
    with pytest.raises(SignerRefusedError, match=f"^the signer's memory {state} is missing or unreadable"):
        LocalSigner(KEY, state)


async def test_a_memory_of_nothing_sensible_signs_nothing(state: Path) -> None:
    other = base64.b64encode(TRUE.root(1)).decode()
    for size, root in ((5, "AAAA"), (-1, other), (0, "AAAA"), (0, other)):
        state.write_text(json.dumps({"size": size, "root": root}))
        with pytest.raises(SignerRefusedError, match=r"does not extend the signed head|is missing or unreadable"):
            await LocalSigner(KEY, state).sign(TRUE.checkpoint(9), TRUE.proof(5, 9))


def test_a_memory_is_not_started_anew(state: Path) -> None:
    with pytest.raises(SignerRefusedError, match=f"^{state} exists already: this key has signed before$"):
        LocalSigner.initialise(state)


def test_the_memory_is_for_its_owner_only(state: Path) -> None:
    assert state.stat().st_mode & 0o777 == 0o600


steps = st.lists(st.tuples(st.sampled_from(["true", "forged"]), st.integers(1, 12), st.booleans()), max_size=8)


@settings(max_examples=25)
@given(st.integers(0, 12), steps)
async def test_whatever_is_asked_for_one_history_is_signed(
    tmp_path_factory: pytest.TempPathFactory, fork: int, asked: list[tuple[str, int, bool]]
) -> None:
    """The model: signed is what is no shorter than the last, and of its history up to the last."""
    state = tmp_path_factory.mktemp("signer") / "signer.json"
    LocalSigner.initialise(state)
    signer = LocalSigner(KEY, state)
    last, last_root = 0, EMPTY_ROOT
    for name, size, restart in asked:
        history = History(name, fork)
        signer = LocalSigner(KEY, state) if restart else signer
        extends = size >= last and history.root(last) == last_root
        try:
            await signer.sign(history.checkpoint(size), history.proof(last, size))
            assert extends
            last, last_root = size, history.root(size)
        except SignerRefusedError:
            assert not extends
        assert await signer.head() == Head(last, last_root)
