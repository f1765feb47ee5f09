"""Proof files: one entry, one place, one log."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.keys import verify_ed25519
from audit.note import Checkpoint, NoteError, sign_note
from audit.proof import EntryProof
from audit.tree import ProofError
from tests.ledger import signing_key
from tests.rfc9162 import entry, mth, path

KEY, OTHER = signing_key("log.example/hub", 1), signing_key("log.example/other", 2)


def proof_of(index: int, size: int) -> EntryProof:
    note = sign_note(Checkpoint(origin=KEY.name, size=size, root=mth(0, size)).text(), KEY.public, KEY)
    return EntryProof(index=index, hashes=path(index, 0, size), note=note, extra=entry(index))


@given(st.integers(1, 600), st.data())
def test_a_proof_is_read_back_and_holds(size: int, data: st.DataObject) -> None:
    proof = proof_of(data.draw(st.integers(0, size - 1)), size)
    read = EntryProof.parse(proof.encode())
    assert read == proof
    assert read.verify(KEY.public, verify_ed25519).size == size


def test_its_form_is_that_of_the_specification() -> None:
    lines = proof_of(1, 3).encode().decode().split("\n")
    hashes = [base64.b64encode(item).decode() for item in path(1, 0, 3)]
    extra = base64.b64encode(entry(1)).decode()
    assert lines[:6] == ["c2sp.org/tlog-proof@v1", f"extra {extra}", "index 1", *hashes, ""]
    assert lines[6:8] == [KEY.name, "3"]


def test_another_place_entry_or_log_is_refused() -> None:
    proof = proof_of(4, 9)
    for changed in (
        EntryProof(index=5, hashes=proof.hashes, note=proof.note, extra=proof.extra),
        EntryProof(index=9, hashes=proof.hashes, note=proof.note, extra=proof.extra),
        EntryProof(index=4, hashes=proof.hashes, note=proof.note, extra=entry(5)),
        EntryProof(index=4, hashes=proof.hashes[::-1], note=proof.note, extra=proof.extra),
        EntryProof(index=4, hashes=proof.hashes[:-1], note=proof.note, extra=proof.extra),
    ):
        with pytest.raises(ProofError):
            changed.verify(KEY.public, verify_ed25519)
    with pytest.raises(NoteError, match=r"no signature by log.example/other"):
        proof.verify(OTHER.public, verify_ed25519)


@given(st.data())
def test_every_changed_byte_is_noticed(data: st.DataObject) -> None:
    whole = proof_of(4, 9).encode()
    at, to = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    if whole[at] == to:
        return
    with pytest.raises((NoteError, ProofError)):
        EntryProof.parse(whole[:at] + bytes([to]) + whole[at + 1 :]).verify(KEY.public, verify_ed25519)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"proof@v1", b"proof@v2", "no proof of an entry, which begins with"),
        (b"extra ", b"EXTRA ", "has the lines extra and index"),
        (b"index 4", b"index 04", "not a decimal number"),
        (b"index 4", b"index -4", "not a decimal number"),
        (b"index 4", b"index 4" + b"0" * 40, "not a decimal number"),
        (b"index 4\n", b"index 4\nAAAA\n", "a hash has 32 bytes"),
        (b"index 4\n", b"index 4\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * 64, "at most 63 hashes"),
        (b"index 4\n", b"index 4\n!\n", "not base64"),
        (b"\n\n", b"\n", "a line of the proof is not base64"),
    ],
)
def test_what_is_no_proof_is_refused(old: bytes, new: bytes, says: str) -> None:
    whole = proof_of(4, 9).encode()
    assert old in whole
    with pytest.raises((NoteError, ProofError), match=says):
        EntryProof.parse(whole.replace(old, new, 1)).verify(KEY.public, verify_ed25519)
