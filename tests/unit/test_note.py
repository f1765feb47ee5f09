"""Signed notes, verifier keys and checkpoints: one form each, and no bit without meaning."""

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.keys import verify_ed25519
from audit.note import Checkpoint, NoteError, VerifierKey, open_note, sign_note, signature_line
from tests.ledger import signing_key

KEY = signing_key("log.example/hub", 1)
OTHER = signing_key("witness.example", 2)
CHECKPOINT = Checkpoint(origin="log.example/hub", size=20852163, root=bytes(range(32)))
NOTE = sign_note(CHECKPOINT.text(), KEY.public, KEY)

# The example in the documentation of Go's golang.org/x/mod/sumdb/note.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_NOTE = f"{GO_TEXT}\n— PeterNeumann {GO_SIGNATURE}\n".encode()


def opened(note: bytes, key: VerifierKey = KEY.public) -> str:
    return open_note(note, key, verify_ed25519)


def foreign_line(name: str = "witness.example") -> str:
    return signature_line(signing_key(name, 2).public, bytes(64))


def mutations(text: str) -> Iterator[str]:
    """``text`` with one character taken out, put in, or replaced, at every place."""
    for at in range(len(text) + 1):
        if at < len(text):
            yield text[:at] + text[at + 1 :]
        for char in "\n +—A0=\x00\r\u0085é":
            yield text[:at] + char + text[at:]
            if at < len(text) and text[at] != char:
                yield text[:at] + char + text[at + 1 :]


def test_the_note_of_gos_documentation() -> None:
    key = VerifierKey.parse(GO_VKEY)
    assert opened(GO_NOTE, key) == GO_TEXT
    assert str(key) == GO_VKEY
    assert key.key_id.hex() == "c74f20a3"


@given(st.from_regex(r"[a-z0-9./-]{1,30}", fullmatch=True), st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
def test_a_signed_checkpoint_is_read_back(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin=origin, size=size, root=root)
    assert Checkpoint.parse(opened(sign_note(checkpoint.text(), KEY.public, KEY))) == checkpoint


def test_a_checkpoint_is_three_lines() -> None:
    assert CHECKPOINT.text() == "log.example/hub\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


def test_every_change_of_a_character_is_refused() -> None:
    for forged in mutations(NOTE.decode()):
        with pytest.raises(NoteError):
            opened(forged.encode())


def test_every_change_of_a_bit_is_refused() -> None:
    for at in range(8 * len(NOTE)):
        forged = bytearray(NOTE)
        forged[at // 8] ^= 1 << at % 8
        with pytest.raises(NoteError):
            opened(bytes(forged))


@pytest.mark.parametrize("foreign_first", [True, False])
def test_lines_of_other_signers_are_passed_over(foreign_first: bool) -> None:
    text, line = CHECKPOINT.text(), signature_line(KEY.public, KEY.sign(CHECKPOINT.text().encode()))
    lines = [foreign_line(), line] if foreign_first else [line, foreign_line(), foreign_line("a.example")]
    assert opened(f"{text}\n{''.join(lines)}".encode()) == text


def test_whatever_is_done_to_a_foreign_line_the_text_is_the_signed_one() -> None:
    note = NOTE.decode()
    for forged in mutations(foreign_line()):
        try:
            assert opened((note + forged).encode()) == CHECKPOINT.text()
        except NoteError:
            continue


def test_a_note_may_carry_sixteen_signatures() -> None:
    lines = "".join(foreign_line(f"w{number}.example") for number in range(16))
    assert opened(NOTE + lines.encode()) == CHECKPOINT.text()


def test_another_key_of_the_name_or_another_name_of_the_key_does_not_open_it() -> None:
    for other in (signing_key(KEY.name, 2), signing_key("log.example/other", 1), OTHER):
        says = f"^no signature by {other.name} with key id {other.public.key_id.hex()}$"
        with pytest.raises(NoteError, match=says):
            opened(NOTE, other.public)


def test_a_signature_under_a_swapped_name_or_key_id_is_refused() -> None:
    text, signature = CHECKPOINT.text(), KEY.sign(CHECKPOINT.text().encode())
    renamed = signature_line(VerifierKey(name=OTHER.name, public_key=KEY.public.public_key), signature)
    other_id = f"— {KEY.name} {base64.b64encode(OTHER.public.key_id + signature).decode()}\n"
    for line in (renamed, other_id):
        with pytest.raises(NoteError, match=f"^no signature by {KEY.name} with key id {KEY.public.key_id.hex()}$"):
            opened(f"{text}\n{line}".encode())


def test_another_keys_signature_under_this_keys_name_and_id_is_refused() -> None:
    text = CHECKPOINT.text()
    line = signature_line(KEY.public, OTHER.sign(text.encode()))
    with pytest.raises(NoteError, match=f"^the signature by {KEY.name} does not hold$"):
        opened(f"{text}\n{line}".encode())


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (b"", "the note has no signature block"),
        (CHECKPOINT.text().encode(), "the note has no signature block"),
        (CHECKPOINT.text().encode() + b"\n", "the note has no signature block"),
        (NOTE[:-1], "the note has no signature block"),
        (NOTE + b"\n", "the note has no signature block"),
        (b"\xff" + NOTE, "the note is not UTF-8"),
        (NOTE.replace(b"\n", b"\r\n"), "the note holds control characters"),
        (b"\x00" + NOTE, "the note holds control characters"),
        (NOTE.replace("— ".encode(), b"- "), "a signature line has the form — name base64"),
        (NOTE.replace("— ".encode(), "—  ".encode()), "a signature line has the form — name base64"),
        (NOTE + b"trailing\n", "a signature line has the form — name base64"),
        (NOTE + "— a+b AAAAAAAA\n".encode(), "a signature line has the form — name base64"),
        (NOTE + "— a\u2003b AAAAAAAA\n".encode(), "a signature line has the form — name base64"),
        (NOTE + "— a AAAAAAA\n".encode(), "a signature is not base64"),
        (NOTE + "— a AAAA-_AA\n".encode(), "a signature is not base64"),
        (NOTE + "— a AAAAAAB=\n".encode(), "a signature is not canonical base64"),
        (NOTE + "— a AAAAAA==\n".encode(), "a signature is too short"),
    ],
)
def test_a_malformed_note_is_refused_in_words(note: bytes, says: str) -> None:
    with pytest.raises(NoteError, match=f"^{says}$"):
        opened(note)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a checkpoint has three lines: origin, size, root"),
        ("o\n1\n", "a checkpoint has three lines: origin, size, root"),
        (f"o\n1\n{ROOT}", "a checkpoint has three lines: origin, size, root"),
        (f"\n1\n{ROOT}\n", "a checkpoint has three lines: origin, size, root"),
        (f"o\n1\n{ROOT}\nextension\n", "a checkpoint has three lines: origin, size, root"),
        (f"o\n1\n{ROOT}\n\n", "a checkpoint has three lines: origin, size, root"),
        (f"o\n\n{ROOT}\n", "the size '' is not a decimal number"),
        (f"o\n01\n{ROOT}\n", "the size '01' is not a decimal number"),
        (f"o\n-1\n{ROOT}\n", "the size '-1' is not a decimal number"),
        (f"o\n+1\n{ROOT}\n", "the size '[+]1' is not a decimal number"),
        (f"o\n1 \n{ROOT}\n", "the size '1 ' is not a decimal number"),
        (f"o\n1_0\n{ROOT}\n", "the size '1_0' is not a decimal number"),
        (f"o\n0x1\n{ROOT}\n", "the size '0x1' is not a decimal number"),
        (f"o\n١\n{ROOT}\n", "the size '١' is not a decimal number"),
        (f"o\n²\n{ROOT}\n", "the size '²' is not a decimal number"),
        (f"o\n{2**63}\n{ROOT}\n", r"the size 9223372036854775808 is beyond 2\*\*63 - 1"),
        (f"o\n{'9' * 5_000}\n{ROOT}\n", r"the size 9{20} is beyond 2\*\*63 - 1"),
        (f"o\n1\n{ROOT} \n", "the root is not base64"),
        ("o\n1\n!\n", "the root is not base64"),
        (f"o\n1\n{ROOT[:-2]}B=\n", "the root is not canonical base64"),
        (f"o\n1\n{ROOT[:-4]}AA==\n", "the root has 32 bytes, not 31"),
        ("o\n1\n\n", "the root has 32 bytes, not 0"),
    ],
)
def test_a_malformed_checkpoint_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(NoteError, match=f"^{says}$"):
        Checkpoint.parse(text)


def test_an_empty_log_has_a_checkpoint() -> None:
    assert Checkpoint.parse(f"o\n0\n{ROOT}\n").size == 0


def test_the_largest_log_has_a_checkpoint() -> None:
    assert Checkpoint.parse(f"o\n{2**63 - 1}\n{ROOT}\n").size == 2**63 - 1


VKEY = str(KEY.public)
NAME, HASH, DATA = VKEY.split("+", 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a verifier key has the form name[+]hash[+]base64"),
        (f"{NAME}+{HASH}", "a verifier key has the form name[+]hash[+]base64"),
        (f"+{HASH}+{DATA}", "a verifier key has the form name[+]hash[+]base64"),
        (f"a b+{HASH}+{DATA}", "a verifier key has the form name[+]hash[+]base64"),
        (f"x{VKEY}", f"the hash {HASH} does not belong to the key that follows it"),
        (f"{NAME}+00000000+{DATA}", "the hash 00000000 does not belong to the key that follows it"),
        (f"{NAME}+{HASH.upper()}+{DATA}", f"the hash {HASH.upper()} does not belong to the key that follows it"),
        (f"{NAME}+{HASH}+{DATA}=", "the verifier key is not canonical base64"),
        (f"{NAME}+{HASH}+{DATA[:-4]}", "the verifier key is not an Ed25519 key"),
        (f"{NAME}+{HASH}+B{DATA[1:]}", "the verifier key is not an Ed25519 key"),
        (f"{NAME}+{HASH}+{DATA}\n{VKEY}", "the verifier key is not base64"),
    ],
)
def test_a_malformed_verifier_key_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(NoteError, match=f"^{says}$"):
        VerifierKey.parse(text)


def test_every_change_of_a_character_of_a_verifier_key_is_refused_or_only_space_around_it() -> None:
    for forged in mutations(VKEY):
        try:
            assert VerifierKey.parse(forged) == KEY.public
            assert forged.strip() == VKEY
        except NoteError:
            continue


def test_every_signature_of_the_key_has_to_hold() -> None:
    forged = signature_line(KEY.public, OTHER.sign(CHECKPOINT.text().encode())).encode()
    with pytest.raises(NoteError, match="does not hold"):
        opened(NOTE + forged)
    assert opened(NOTE + foreign_line().encode()) == CHECKPOINT.text()
