"""ML-DSA-44 beside Ed25519: the bytes are C2SP's, a line counts for its own key, nothing is taken for another."""

import base64
import struct
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

import audit.mldsa
from audit.cosignature import cosign, cosignatures
from audit.files import parse_vkeys
from audit.keys import (
    KeyFileError,
    SigningKey,
    create_key,
    read_key,
    verify_ed25519,
    verify_signature,
)
from audit.note import (
    COSIGNATURE,
    ED25519,
    LOG_ALGORITHMS,
    ML_DSA_44,
    WITNESS_ALGORITHMS,
    Checkpoint,
    NoteError,
    VerifierKey,
    open_note,
    open_note_of_all,
    sign_line,
    sign_note,
    signature_line,
)
from audit.quorum import PolicyError, parse_policy, witnessed
from audit.signer import FurtherKey, LocalSigner
from tests.key_statements import pq_key
from tests.ledger import signing_key

LOG, PQ_LOG = signing_key("log.example/hub", 1), pq_key(seed=1)
WITNESS, PQ_WITNESS = signing_key("witness.example/w1", 2), pq_key("witness.example/w1", 3)
CHECKPOINT = Checkpoint(origin=LOG.name, size=12, root=bytes(range(32)))
TEXT = CHECKPOINT.text()
NOTE = sign_note(TEXT, LOG.public, LOG) + sign_line(TEXT, PQ_LOG.public, PQ_LOG, at=7).encode()
AT = 1_679_315_147


def opened(note: bytes, key: VerifierKey) -> str:
    return open_note(note, key, verify_signature)


def test_the_signed_message_is_the_structure_of_the_specification() -> None:
    """tlog-cosignature, "ML-DSA-44 signed message", written down here a second time."""
    line = sign_line(TEXT, PQ_WITNESS.public, PQ_WITNESS, at=AT)
    dash, name, data = line.split(" ")
    raw = base64.b64decode(data)
    assert (dash, name, len(raw)) == ("—", PQ_WITNESS.name, 4 + 8 + 2_420)
    assert raw[:4] == PQ_WITNESS.public.key_id
    assert struct.unpack(">Q", raw[4:12]) == (AT,)
    cosigner, origin = PQ_WITNESS.name.encode(), CHECKPOINT.origin.encode()
    message = (
        b"subtree/v1\n\x00"
        + struct.pack(">B", len(cosigner))
        + cosigner
        + struct.pack(">Q", AT)
        + struct.pack(">B", len(origin))
        + origin
        + struct.pack(">QQ", 0, 12)
        + bytes(range(32))
    )
    MLDSA44PublicKey.from_public_bytes(PQ_WITNESS.public.public_key).verify(raw[12:], message)


def test_the_key_has_its_own_number_and_size() -> None:
    key = PQ_LOG.public
    text = str(key)
    data = base64.b64decode(text.split("+", 2)[2])
    assert (data[0], len(data)) == (0x06, 1 + 1_312)
    assert VerifierKey.parse(text, algorithm=LOG_ALGORITHMS) == key
    assert VerifierKey.parse(text, algorithm=WITNESS_ALGORITHMS) == key == PQ_LOG.cosigner
    with pytest.raises(NoteError, match=r"^the verifier key is not an Ed25519 key$"):
        VerifierKey.parse(text)
    with pytest.raises(
        NoteError, match=r"^the verifier key is not an Ed25519 key for cosignatures or an ML-DSA-44 key$"
    ):
        VerifierKey.parse(str(LOG.public), algorithm=WITNESS_ALGORITHMS)
    short = VerifierKey(name=LOG.name, public_key=key.public_key[:32], algorithm=ML_DSA_44)
    long = VerifierKey(name=LOG.name, public_key=key.public_key, algorithm=ED25519)
    for forged in (short, long):
        with pytest.raises(NoteError, match=r"is not an Ed25519 key or an ML-DSA-44 key"):
            VerifierKey.parse(str(forged), algorithm=LOG_ALGORITHMS)


def test_each_line_is_for_its_own_key_and_all_of_several_are_needed() -> None:
    assert opened(NOTE, LOG.public) == opened(NOTE, PQ_LOG.public) == TEXT
    assert open_note_of_all(NOTE, [LOG.public, PQ_LOG.public], verify_signature) == TEXT
    alone = sign_note(TEXT, LOG.public, LOG)
    with pytest.raises(NoteError, match=f"no signature by {LOG.name} with key id {PQ_LOG.public.key_id.hex()}"):
        open_note_of_all(alone, [LOG.public, PQ_LOG.public], verify_signature)
    with pytest.raises(NoteError, match=r"no key"):
        open_note_of_all(NOTE, [], verify_signature)


def test_a_line_of_another_key_name_time_or_checkpoint_does_not_hold() -> None:
    other = Checkpoint(origin=LOG.name, size=13, root=bytes(range(32))).text()
    elsewhere = Checkpoint(origin="log.example/other", size=12, root=bytes(range(32))).text()
    renamed = SigningKey(name="log.example/hab", private=PQ_LOG.private)
    raw = sign_line(TEXT, PQ_LOG.public, PQ_LOG, at=7).split(" ")[2]
    data = base64.b64decode(raw)[4:]
    for text, signature in (
        (other, data),
        (elsewhere, data),
        (TEXT, struct.pack(">Q", 8) + data[8:]),
        (TEXT, base64.b64decode(sign_line(TEXT, PQ_LOG.public, PQ_LOG, at=2**63).split(" ")[2])[4:]),
        (TEXT, data[:5]),
        (TEXT, data[8:]),
        (TEXT, data + b"\0"),
        (TEXT, data[:-1]),
        (TEXT, base64.b64decode(sign_line(TEXT, renamed.public, renamed, at=7).split(" ")[2])[4:]),
    ):
        note = f"{text}\n{signature_line(PQ_LOG.public, signature)}".encode()
        with pytest.raises(NoteError, match=f"^the signature by {LOG.name} does not hold$"):
            opened(note, PQ_LOG.public)


def test_a_bit_changed_is_refused() -> None:
    note = f"{TEXT}\n{sign_line(TEXT, PQ_LOG.public, PQ_LOG, at=7)}".encode()
    for at in range(0, 8 * len(note), 11):
        forged = bytearray(note)
        forged[at // 8] ^= 1 << at % 8
        with pytest.raises(NoteError):
            opened(bytes(forged), PQ_LOG.public)


def test_a_key_of_ml_dsa_signs_checkpoints_only() -> None:
    with pytest.raises(NoteError, match=r"a checkpoint has three lines"):
        sign_line("anything\n", PQ_LOG.public, PQ_LOG)
    far = pq_key("x" * 256)
    with pytest.raises(NoteError, match=r"does not fit an ML-DSA-44 signature: 1 to 255 bytes"):
        sign_line(TEXT, far.public, far)


def test_no_algorithm_stands_in_for_another() -> None:
    message = b"message"
    signature, pq_signature = LOG.sign(message), PQ_LOG.sign(message)
    assert verify_signature(LOG.public.public_key, signature, message)
    assert verify_signature(PQ_LOG.public.public_key, pq_signature, message, ML_DSA_44)
    assert not verify_signature(PQ_LOG.public.public_key, pq_signature, message)
    assert not verify_signature(LOG.public.public_key, signature, message, ML_DSA_44)
    for algorithm in (0, 2, 5, 0xFF):
        assert not verify_signature(LOG.public.public_key, signature, message, algorithm)
    assert not verify_signature(PQ_LOG.public.public_key, pq_signature, message + b".", ML_DSA_44)
    assert verify_ed25519(LOG.public.public_key, signature, message, COSIGNATURE)
    assert not verify_ed25519(LOG.public.public_key, signature, message, ML_DSA_44)


def test_a_witness_says_when_and_its_word_counts_in_a_policy() -> None:
    lines = [cosign(TEXT, key.cosigner, key, AT) for key in (WITNESS, PQ_WITNESS)]
    note = NOTE + "".join(lines).encode()
    found = cosignatures(note, [WITNESS.cosigner, PQ_WITNESS.cosigner], verify_signature)
    assert [(one.witness.algorithm, one.at) for one in found] == [(COSIGNATURE, AT), (ML_DSA_44, AT)]
    timeless = NOTE + sign_line(TEXT, PQ_WITNESS.public, PQ_WITNESS, at=0).encode()
    with pytest.raises(NoteError, match=r"the cosignature by witness.example/w1 does not hold"):
        cosignatures(timeless, [PQ_WITNESS.cosigner], verify_signature)
    policy = parse_policy(
        f"log {PQ_LOG.public}\nwitness a {WITNESS.cosigner}\nwitness b {PQ_WITNESS.cosigner}\n"
        "group both all a b\nquorum both\n".encode()
    )
    keys = [LOG.public, PQ_LOG.public]
    assert witnessed(note, keys, policy, verify_signature) == ["witness.example/w1"] * 2
    for line in lines:
        with pytest.raises(NoteError, match=r"quorum both is not met"):
            witnessed(NOTE + line.encode(), keys, policy, verify_signature)
    with pytest.raises(NoteError, match=r"does not accept the log"):
        witnessed(note, LOG.public, policy, verify_signature)
    with pytest.raises(PolicyError, match=r"this witness's key stands here twice"):
        parse_policy(f"log {PQ_LOG.public}\nwitness a {PQ_LOG.public}\nquorum a\n".encode())


def test_a_key_in_a_file(tmp_path: Path) -> None:
    made = create_key(tmp_path / "pq.key", "log.example/hub", algorithm=ML_DSA_44)
    read = read_key(tmp_path / "pq.key", algorithm=ML_DSA_44)
    assert (str(read), read.public) == (str(made), made.public)
    assert (tmp_path / "pq.key").stat().st_mode & 0o777 == 0o600
    create_key(tmp_path / "ed.key", "log.example/hub")
    for name, algorithm in (("pq.key", ED25519), ("ed.key", ML_DSA_44)):
        with pytest.raises(KeyFileError, match=r"does not fit its own hash|holds no key of the form"):
            read_key(tmp_path / name, algorithm=algorithm)
    (tmp_path / "short.key").write_text((tmp_path / "pq.key").read_text()[:-8])
    with pytest.raises(KeyFileError, match=r"holds no key of the form"):
        read_key(tmp_path / "short.key", algorithm=ML_DSA_44)


def test_keys_of_one_log_one_a_line() -> None:
    text = f"{PQ_LOG.public}\n{LOG.public}\n"
    assert parse_vkeys(text) == [LOG.public, PQ_LOG.public]
    for lines, says in (
        ("", "has the form"),
        (f"{LOG.public}\n\n{PQ_LOG.public}\n", "has the form"),
        (f"{LOG.public}\n{signing_key(LOG.name, 9).public}\n", "two of them are for one algorithm"),
        (f"{LOG.public}\n{pq_key('log.example/other').public}\n", "their names differ"),
        (f"{WITNESS.cosigner}\n", "is not an Ed25519 key or an ML-DSA-44 key"),
    ):
        with pytest.raises(NoteError, match=says):
            parse_vkeys(lines)


async def test_the_signer_signs_with_all_of_its_keys_and_says_when(tmp_path: Path) -> None:
    LocalSigner.initialise(tmp_path / "signer.json")
    now = [5_000]
    further = [FurtherKey(key=PQ_LOG), FurtherKey(key=signing_key(LOG.name, 8), until=6)]
    signer = LocalSigner(LOG, tmp_path / "signer.json", further=further, clock=lambda: now[0])
    note = await signer.sign(CHECKPOINT, [])
    for key in (LOG.public, PQ_LOG.public, further[1].key.public):
        assert opened(note, key) == TEXT
    now[0] = 6_000
    note = await signer.sign(CHECKPOINT, [])
    assert open_note_of_all(note, [LOG.public, PQ_LOG.public], verify_signature) == TEXT
    with pytest.raises(NoteError, match=r"no signature"):
        opened(note, further[1].key.public)


@pytest.mark.parametrize("old", ["no module", "no algorithm"])
def test_where_there_is_no_ml_dsa_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str) -> None:
    create_key(tmp_path / "pq.key", "log.example/hub", algorithm=ML_DSA_44)

    class Lacking:
        def __getattr__(self, _name: str) -> None:
            raise UnsupportedAlgorithm("ML-DSA is not supported by this version of OpenSSL")

    monkeypatch.setattr(audit.mldsa, "mldsa", None if old == "no module" else Lacking())
    says = "the Python package cryptography on this machine has no ML-DSA-44: such keys can be neither made nor checked"
    with pytest.raises(NoteError, match=says):
        opened(NOTE, PQ_LOG.public)
    assert opened(NOTE, LOG.public) == TEXT, "the other key is of use all the same"
    with pytest.raises(KeyFileError, match=says):
        create_key(tmp_path / "new.key", "log.example/hub", algorithm=ML_DSA_44)
    assert not (tmp_path / "new.key").exists()
    with pytest.raises(KeyFileError, match=says):
        read_key(tmp_path / "pq.key", algorithm=ML_DSA_44)
