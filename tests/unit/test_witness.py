"""A witness cosigns what extends the log that it saw, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.keys import verify_ed25519, verify_signature
from audit.note import Checkpoint, sign_line, sign_note
from audit.tree import EMPTY_ROOT, Head
from audit.witness import Submission, WitnessRefusedError, judge
from tests.key_statements import pq_key
from tests.ledger import signing_key
from tests.rfc9162 import mth, proof

LOG, OTHER = signing_key("log.example/hub", 1), signing_key("log.example/other", 2)
LOGS = {LOG.name: [LOG.public]}


def note_of(size: int, root: bytes | None = None, origin: str = LOG.name) -> bytes:
    text = Checkpoint(origin=origin, size=size, root=mth(0, size) if root is None else root).text()
    return sign_note(text, LOG.public, LOG)


def submission(old: int, size: int) -> Submission:
    return Submission(old=old, proof=proof(old, size) if old else [], note=note_of(size))


def refused(item: Submission, seen: Head) -> WitnessRefusedError:
    with pytest.raises(WitnessRefusedError) as found:
        judge(item, LOGS, seen, verify_ed25519)
    return found.value


@given(st.integers(0, 300), st.integers(0, 300))
def test_what_extends_the_log_is_cosigned(old: int, more: int) -> None:
    item = submission(old, old + more)
    read = Submission.parse(item.encode())
    assert read == item
    assert judge(read, LOGS, Head(old, mth(0, old)), verify_ed25519).size == old + more


@given(st.integers(1, 100), st.integers(0, 100))
def test_a_fork_is_refused(old: int, more: int) -> None:
    other = Head(old, bytes(32))
    assert refused(submission(old, old + more), other).status == 422


def test_a_root_that_changed_at_the_same_size_is_refused() -> None:
    item = Submission(old=5, proof=[], note=note_of(5, bytes(32)))
    assert refused(item, Head(5, mth(0, 5))).status == 422


def test_who_does_not_know_what_was_seen_is_told() -> None:
    for old in (0, 4, 9):
        error = refused(submission(old, 12), Head(7, mth(0, 7)))
        assert (error.status, error.size) == (409, 7)


def test_a_smaller_log_is_refused_though_the_log_signed_it() -> None:
    assert refused(Submission(old=7, proof=[], note=note_of(5)), Head(7, mth(0, 7))).status == 400
    assert refused(Submission(old=5, proof=[], note=note_of(5)), Head(7, mth(0, 7))).status == 409


def test_an_unknown_log_and_a_signature_of_another_are_refused() -> None:
    assert refused(Submission(old=0, proof=[], note=note_of(5, origin="log.example/new")), Head()).status == 404
    text = Checkpoint(origin=LOG.name, size=5, root=mth(0, 5)).text()
    forged = sign_note(text, OTHER.public, OTHER)
    assert refused(Submission(old=0, proof=[], note=forged), Head()).status == 403
    assert refused(Submission(old=0, proof=[], note=note_of(5)[:-6] + b"AAA==\n"), Head()).status == 403


def test_an_empty_log_has_one_root_and_nothing_is_proven_from_it() -> None:
    assert judge(Submission(old=0, proof=[], note=note_of(0)), LOGS, Head(), verify_ed25519).root == EMPTY_ROOT
    assert refused(Submission(old=0, proof=[], note=note_of(0, bytes(32))), Head()).status == 422
    assert refused(Submission(old=0, proof=[bytes(32)], note=note_of(5)), Head()).status == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n" + note_of(5),
        b"old\n\n" + note_of(5),
        b"old -1\n\n" + note_of(5),
        b"old 007\n\n" + note_of(5),
        b"old 99999999999999999999\n\n" + note_of(5),
        b"old 1\nAAAA\n\n" + note_of(5),
        b"old 1\n!\n\n" + note_of(5),
        b"old 1\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + note_of(5),
        b"\xff\n\n" + note_of(5),
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(WitnessRefusedError) as found:
        Submission.parse(body)
    assert found.value.status == 400


def test_each_key_of_a_log_with_several_must_have_signed() -> None:
    second = pq_key(LOG.name)
    logs, note = {LOG.name: [LOG.public, second.public]}, note_of(3)
    text = note.decode().partition("\n\n")[0] + "\n"
    line = sign_line(text, second.public, second, at=5).encode()
    whole = Submission(old=0, proof=[], note=note + line)
    assert judge(whole, logs, Head(), verify_signature).size == 3
    for alone in (note, f"{text}\n".encode() + line):
        with pytest.raises(WitnessRefusedError, match="no signature by") as raised:
            judge(Submission(old=0, proof=[], note=alone), logs, Head(), verify_signature)
        assert raised.value.status == 403
