"""Timestamps by OpenSSL's TSA: our reader agrees with ``openssl ts -verify`` and with ``rfc3161-client``."""

import re
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from audit.note import Checkpoint, sign_line, sign_note
from audit.parts import CHECKPOINT
from audit.timestamps import note_name, token_name
from audit.tsa import verify_token
from audit.tsp import TimestampError, TimestampRequest, read_response
from tests.ledger import LOG_KEY, ORIGIN, Files, signing_key
from tests.stamped import SIZES, Stamped, stamped_export
from tests.tsa import OTHER_POLICY, POLICY, TIME_STAMPING, Authority, issue, needs_openssl
from tests.vectors.test_verify_md import GUIDE, check

pytestmark = needs_openssl

DATA = b"conclave.example\n7\n"


def request(**more: str) -> TimestampRequest:
    return TimestampRequest(imprint=sha256(DATA).digest(), nonce=2**64 - 1, **more)


def make(place: Path, kind: str) -> Authority:
    """Authorities as they are found: small and large chains, RSA and elliptic curves, older and newer forms."""
    if kind == "rsa":
        root = issue("Root", ca=True, key=rsa.generate_private_key(65_537, 3_072))
        signer = issue("TSA", root, usage=TIME_STAMPING, key=rsa.generate_private_key(65_537, 2_048))
        return Authority(place, root, signer, ess="sha1", digest="sha512", ordering="yes")
    # OpenSSL writes certificates as it gets them; rfc3161-client wants a SET in the order of DER: the longer, the later
    root = issue("Root " + 55 * "x", ca=True)
    if kind == "p384":
        key = ec.generate_private_key(ec.SECP384R1())
        return Authority(place, root, issue("TSA", root, usage=TIME_STAMPING, key=key), ess="sha384", digest="sha384")
    first = issue("First " + 25 * "x", root, ca=True)
    second = issue("B", first, ca=True, usage=TIME_STAMPING)
    return Authority(place, root, issue("TSA", second, usage=TIME_STAMPING), [second, first], ess="sha512")


@pytest.mark.parametrize("kind", ["rsa", "p384", "chain"])
def test_three_readers_agree_on_what_is_good(tmp_path: Path, kind: str) -> None:
    tsa = make(tmp_path / "tsa", kind)
    answer = tsa.reply(request(policy=OTHER_POLICY).encode())
    found = read_response(answer)
    found.check_request(request(policy=OTHER_POLICY))
    assert verify_token(found, [tsa.root.certificate]) == "CN=TSA"
    assert openssl(tmp_path, tsa, DATA, answer) == 0
    theirs = decode_timestamp_response(answer)
    assert client(tsa, answer, DATA)
    info = theirs.tst_info
    assert (info.policy.dotted_string, info.serial_number, info.nonce) == (found.policy, found.serial, found.nonce)
    assert found.at // 1_000 == info.gen_time.timestamp(), "theirs reads no fraction"
    assert found.accuracy_ms == 1_501


@pytest.mark.parametrize("kind", ["rsa", "p384", "chain"])
def test_three_readers_agree_that_other_data_and_another_root_are_not(tmp_path: Path, kind: str) -> None:
    tsa, other = make(tmp_path / "tsa", kind), make(tmp_path / "other", kind)
    answer = tsa.reply(request().encode())
    found = read_response(answer)
    assert found.policy == POLICY
    with pytest.raises(TimestampError):
        found.check_data(DATA + b"x")
    assert openssl(tmp_path, tsa, DATA + b"x", answer) != 0
    with pytest.raises(VerificationError):
        client(tsa, answer, DATA + b"x")
    with pytest.raises(TimestampError):
        verify_token(found, [other.root.certificate])
    assert openssl(tmp_path, other, DATA, answer) != 0
    with pytest.raises(VerificationError):
        client(other, answer, DATA)


def test_whatever_bit_of_time_imprint_or_signature_is_turned_is_found(tmp_path: Path) -> None:
    tsa = make(tmp_path / "tsa", "p384")
    answer = tsa.reply(request().encode())
    signed = read_response(answer).signed
    turned = 0
    for part in (signed.content, signed.signed_bytes[1:], signed.signature):
        start = answer.index(part)
        for at in range(start, start + len(part)):
            for bit in (0, 7):
                changed = bytearray(answer)
                changed[at] ^= 1 << bit
                with pytest.raises(TimestampError):
                    verify_token(read_response(bytes(changed)), [tsa.root.certificate])
                turned += 1
    assert turned > 500


def test_a_refusal_by_a_real_tsa_is_said_in_its_words(tmp_path: Path) -> None:
    tsa = make(tmp_path / "tsa", "p384")
    with pytest.raises(TimestampError) as error:
        read_response(tsa.reply(request(policy="1.2.3.4").encode()))
    assert str(error.value).startswith("the TSA refused: rejection; it does not have the policy that was asked for; ")


@pytest.fixture(scope="module")
async def stamped(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    return await stamped_export(sqlite_base, tmp_path_factory.mktemp("readers"))


@pytest.mark.parametrize("size", SIZES)
def test_the_timestamps_of_an_export_are_accepted_by_both(stamped: Stamped, tmp_path: Path, size: int) -> None:
    folder = stamped.files.save(tmp_path / "export")
    command = ["openssl", "ts", "-verify", "-data", note_name(size), "-in", token_name(size)]
    run = subprocess.run(
        [*command, "-CAfile", str(stamped.tsa.ca_file)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (run.returncode, "Verification: OK" in run.stdout + run.stderr) == (0, True), run.stderr
    files = stamped.files.content
    assert client(stamped.tsa, files[token_name(size)], files[note_name(size)])


def test_the_guide_of_an_export_checks_its_timestamps(stamped: Stamped, tmp_path: Path) -> None:
    text = GUIDE.read_text()
    folder = stamped.files.save(tmp_path / "export")
    block = re.findall(r"(?:^    .*\n)+", text.partition("**5.")[2], re.MULTILINE)[0]
    block = block.replace("/path/to/tsa-root.pem", str(stamped.tsa.ca_file))
    done = subprocess.run(["bash", "-euc", block], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, (done.stdout + done.stderr).count("Verification: OK")) == (0, len(SIZES)), done.stderr
    said = check(stamped.files, tmp_path / "good")
    assert (said.returncode, said.stdout.count("timestamp: of the first")) == (0, len(SIZES)), said.stderr
    wrong = stamped.files.but(note_name(256), stamped.files.content[note_name(300)].replace(b"\n300\n", b"\n256\n"))
    assert check(wrong, tmp_path / "signature").returncode != 0
    other = sign_note(Checkpoint(origin=ORIGIN, size=256, root=bytes(32)).text(), LOG_KEY.public, LOG_KEY)
    assert "256.checkpoint is of another log" in check(stamped.files.but(note_name(256), other), tmp_path / "r").stderr


def test_the_guides_program_reads_timestamps_of_before_a_change_of_keys(stamped: Stamped, tmp_path: Path) -> None:
    """It has one key: what another key signed is held against the log all the same, and said."""
    older = signing_key(ORIGIN, 5)
    files, says = stamped.files, "  its checkpoint is signed with another key than yours"
    assert says not in check(files, tmp_path / "same").stdout
    text = files.content[note_name(256)].decode().partition("\n\n")[0] + "\n"
    before = files.but(note_name(256), sign_note(text, older.public, older))
    said = check(before, tmp_path / "before")
    assert (said.returncode, said.stdout.count("timestamp: of the first")) == (0, len(SIZES)), said.stderr
    assert said.stdout.count(says) == 1
    overlap = f"{text}\n{sign_line(text, older.public, older)}{sign_line(text, LOG_KEY.public, LOG_KEY)}".encode()
    assert check(files.but(note_name(256), overlap), tmp_path / "both").stdout == check(files, tmp_path / "same").stdout
    for name, size in (("larger", 10_000), ("of another log", 256)):
        other = sign_note(Checkpoint(origin=ORIGIN, size=size, root=bytes(32)).text(), older.public, older)
        said = check(files.but(note_name(256), other), tmp_path / name)
        assert "256.checkpoint is of another log" in said.stderr
    said = check(files.but(CHECKPOINT, sign_note(newest_text(files), older.public, older)), tmp_path / "newest")
    assert "the checkpoint is signed with another key" in said.stderr
    beyond = Checkpoint(origin=ORIGIN, size=10_000, root=Checkpoint.parse(newest_text(files)).root).text()
    said = check(files.but(note_name(300), sign_note(beyond, older.public, older)), tmp_path / "beyond")
    assert "300.checkpoint is of another log" in said.stderr


def newest_text(files: Files) -> str:
    return files.content[CHECKPOINT].decode().partition("\n\n")[0] + "\n"


def openssl(place: Path, tsa: Authority, data: bytes, answer: bytes) -> int:
    (place / "data").write_bytes(data)
    (place / "answer").write_bytes(answer)
    command = ["openssl", "ts", "-verify", "-data", "data", "-in", "answer", "-CAfile", str(tsa.ca_file)]
    return subprocess.run(command, cwd=place, capture_output=True, check=False).returncode


def client(tsa: Authority, answer: bytes, data: bytes) -> bool:
    roots: list[x509.Certificate] = [tsa.root.certificate]
    return VerifierBuilder(roots=roots).build().verify_message(decode_timestamp_response(answer), data)
