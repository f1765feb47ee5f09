"""Cosignatures: who says them of what and when, and nothing else under their name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.cosignature import Cosignature, cosign, cosignatures
from audit.keys import verify_ed25519
from audit.note import COSIGNATURE, Checkpoint, NoteError, VerifierKey, open_note, sign_note, signature_line
from tests.ledger import signing_key

LOG = signing_key("log.example/hub", 1)
WITNESS, OTHER = signing_key("witness.example/w1", 2), signing_key("witness.example/w2", 3)
TEXT = Checkpoint(origin=LOG.name, size=12, root=bytes(range(32))).text()
NOTE = sign_note(TEXT, LOG.public, LOG)
AT = 1_679_315_147

# The example of C2SP's tlog-cosignature: checkpoint, cosignature, and the key that fits.
SPEC_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def cosigned(note: bytes = NOTE, at: int = AT) -> bytes:
    return note + cosign(TEXT, WITNESS.cosigner, WITNESS, at).encode()


def held(note: bytes, *witnesses: VerifierKey) -> list[Cosignature]:
    return cosignatures(note, witnesses or [WITNESS.cosigner], verify_ed25519)


def test_who_cosigned_when() -> None:
    note = cosigned() + cosign(TEXT, OTHER.cosigner, OTHER, AT + 1).encode()
    assert held(note, WITNESS.cosigner, OTHER.cosigner) == [
        Cosignature(witness=WITNESS.cosigner, at=AT),
        Cosignature(witness=OTHER.cosigner, at=AT + 1),
    ]
    assert open_note(note, LOG.public, verify_ed25519) == TEXT, "the log's own signature is still there"


def test_nobody_elses_word_counts() -> None:
    assert held(cosigned(), OTHER.cosigner) == []
    assert held(NOTE) == []


def test_the_message_is_the_one_of_the_specification() -> None:
    signed = []

    class Recorder:
        def sign(self, message: bytes) -> bytes:
            signed.append(message)
            return bytes(64)

    cosign(SPEC_TEXT, WITNESS.cosigner, Recorder(), 1_679_315_147)
    assert signed == [b"cosignature/v1\ntime 1679315147\n" + SPEC_TEXT.encode()]


def test_the_key_of_a_witness_is_another_than_that_of_a_log() -> None:
    key = WITNESS.cosigner
    assert VerifierKey.parse(str(key), algorithm=COSIGNATURE) == key
    assert key.key_id != WITNESS.public.key_id
    for text, algorithm in ((str(key), 1), (str(WITNESS.public), COSIGNATURE)):
        with pytest.raises(NoteError, match=r"^the verifier key is not an Ed25519 key"):
            VerifierKey.parse(text, algorithm=algorithm)


def test_a_plain_signature_by_the_witness_is_no_cosignature() -> None:
    with pytest.raises(NoteError, match=r"^the cosignature by witness.example/w1 does not hold$"):
        held(NOTE + signature_line(WITNESS.cosigner, WITNESS.sign(TEXT.encode())).encode())


def test_a_cosignature_of_another_checkpoint_does_not_hold() -> None:
    other = Checkpoint(origin=LOG.name, size=13, root=bytes(range(32))).text()
    with pytest.raises(NoteError, match="does not hold"):
        held(NOTE + cosign(other, WITNESS.cosigner, WITNESS, AT).encode())


@given(st.integers(0, 71), st.integers(0, 7))
def test_no_bit_of_a_cosignature_is_without_meaning(byte: int, bit: int) -> None:
    data = bytearray(AT.to_bytes(8, "big") + WITNESS.sign(f"cosignature/v1\ntime {AT}\n{TEXT}".encode()))
    assert held(NOTE + signature_line(WITNESS.cosigner, bytes(data)).encode())
    data[byte] ^= 1 << bit
    with pytest.raises(NoteError, match="does not hold"):
        held(NOTE + signature_line(WITNESS.cosigner, bytes(data)).encode())


@pytest.mark.parametrize("at", [0, 2**63])
def test_a_time_out_of_bounds_does_not_hold(at: int) -> None:
    with pytest.raises(NoteError, match="does not hold"):
        held(cosigned(at=at))
