"""Statements about a log's keys: who may change them, and everybody who may not."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audit.keys import SigningKey, verify_signature
from audit.note import Checkpoint, NoteError
from audit.succession import HEADER, KINDS, KeyStatement, LogKeys, follow, open_statement, statement_data
from tests.key_statements import (
    AT,
    DAY_S,
    NEW,
    NEWER,
    OLD,
    ORIGIN,
    OTHER_ROOT,
    PQ_NEW,
    PQ_OLD,
    RECOVERED,
    ROOT,
    ROTATED,
    pq_key,
    publics,
    rotation,
    signed,
)
from tests.ledger import signing_key

FOUNDED = LogKeys(origin=ORIGIN, current=publics(OLD), root=ROOT.public)


def after(note: bytes, keys: LogKeys = FOUNDED) -> LogKeys:
    return keys.after(note, verify_signature)


def opened(**data: str) -> LogKeys:
    return LogKeys.opened({"origin": ORIGIN, "log_key": str(OLD.public), **data}, verify_signature)


def test_the_text_is_as_documented() -> None:
    assert rotation().text() == (
        f"conclave-log-keys@v1\nact rotate\norigin {ORIGIN}\nnumber 1\nat 1800000000\nold {OLD.public}\n"
        f"new {NEW.public}\nroot {ROOT.public}\nuntil 1802592000\n"
    )


@pytest.mark.parametrize("note", [ROTATED, RECOVERED], ids=["rotated", "recovered"])
def test_a_statement_is_read_back_and_replaces_the_key(note: bytes) -> None:
    assert open_statement(note, verify_signature).new == publics(NEW)
    keys = after(note)
    assert (keys.current, keys.retired, keys.number, keys.root) == (publics(NEW), publics(OLD), 1, ROOT.public)


def test_the_log_key_of_the_first_entry_is_the_first_and_a_root_is_its_own() -> None:
    assert opened(root_key=str(ROOT.public)) == FOUNDED
    assert opened().root is None
    assert opened(post_quantum_key=str(PQ_OLD.public)).current == publics(OLD, PQ_OLD)
    for data, says in (
        ({"log_key": str(PQ_OLD.public)}, "does not name its keys"),
        ({"post_quantum_key": str(NEW.public)}, "does not name its keys"),
        ({"log_key": str(signing_key("log.example/other").public)}, "keys of another log"),
        ({"root_key": str(NEW.public)}, "is not the name of this log's root key, which is log.example/hub/root"),
        ({"root_key": str(signing_key(f"{ORIGIN}/root", 1).public)}, "the root key is one of the log's own keys"),
        ({"log_key": "x"}, "a verifier key has the form"),
    ):
        with pytest.raises(NoteError, match=says):
            opened(**data)


MALLORY = signing_key(ORIGIN, 66)
OTHER_LOG = [signing_key("log.example/other", seed) for seed in (1, 11)]

REFUSED: dict[str, tuple[bytes, str]] = {
    "stolen old key without the root": (
        signed(rotation(), OLD, NEW),
        "not signed by the root key: no signature by log.example/hub/root",
    ),
    "root signature by another key": (
        signed(rotation(root=OTHER_ROOT.public), OLD, NEW, OTHER_ROOT),
        "signed by another root key than the log's",
    ),
    "root line under a foreign key id": (signed(rotation(), OLD, NEW, OTHER_ROOT), "not signed by the root key"),
    "without the old key": (signed(rotation(), NEW, ROOT), "not signed by the key before"),
    "without the new key": (signed(rotation(), OLD, ROOT), "not signed by the new key"),
    "recovery without the new key": (
        signed(rotation(act="recover", until=0), OLD, ROOT),
        "not signed by the new key",
    ),
    "recovery without the root": (
        signed(rotation(act="recover", until=0), OLD, NEW),
        "not signed by the root key",
    ),
    "another log's": (
        signed(rotation(origin="log.example/other", old=publics(OTHER_LOG[0]), new=publics(OTHER_LOG[1])), *OTHER_LOG),
        "the statement is about the log log.example/other, not about log.example/hub",
    ),
    "another log's number": (signed(rotation(number=2), OLD, NEW, ROOT), "number 2 of this log, expected 1"),
    "of another key": (
        signed(rotation(old=publics(MALLORY)), MALLORY, NEW, ROOT),
        "about other keys than those that the log has",
    ),
    "to a key of another log": (
        signed(rotation(new=publics(OTHER_LOG[1])), OLD, OTHER_LOG[1], ROOT),
        "the new keys are of another log",
    ),
    "to the same key": (signed(rotation(new=publics(OLD)), OLD, ROOT), "one that this log had before"),
    "to the root key": (
        signed(rotation(new=publics(signing_key(ORIGIN, 13))), OLD, signing_key(ORIGIN, 13), ROOT),
        "or its root key",
    ),
    "an overlap without end": (
        signed(rotation(until=AT + 367 * DAY_S), OLD, NEW, ROOT),
        "the overlap of old and new key is not between 0 and 366 days",
    ),
    "an overlap that ended before it began": (signed(rotation(until=AT - 1), OLD, NEW, ROOT), "the overlap"),
    "with an algorithm more": (
        signed(rotation(new=publics(NEW, PQ_NEW)), OLD, NEW, ROOT),
        "not of the same algorithms",
    ),
    "a second root": (
        signed(rotation(act="adopt-root", new=(), until=0, root=OTHER_ROOT.public), OLD, OTHER_ROOT),
        "the log has a root key already",
    ),
    "from no key": (signed(rotation(old=()), OLD, NEW, ROOT), "about other keys than those that the log has"),
}


@pytest.mark.parametrize(("note", "says"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_change_the_keys_does_not(note: bytes, says: str) -> None:
    with pytest.raises(NoteError, match=says):
        after(note)


def test_a_signature_of_another_statement_does_not_count() -> None:
    line = ROTATED.decode().rstrip("\n").rpartition("\n")[2]
    assert line.startswith(f"— {ORIGIN}/root ")
    forged = signed(rotation(new=publics(MALLORY)), OLD, MALLORY) + f"{line}\n".encode()
    with pytest.raises(
        NoteError, match=r"not signed by the root key: the signature by log\.example/hub/root does not hold"
    ):
        after(forged)


def test_a_rotation_back_to_an_old_key_is_refused() -> None:
    back = rotation(number=2, old=publics(NEW), new=publics(OLD))
    with pytest.raises(NoteError, match="a new key is one that this log had before"):
        after(signed(back, NEW, OLD, ROOT), after(ROTATED))


def test_two_rotations_in_a_row_and_neither_again() -> None:
    second = signed(rotation(number=2, old=publics(NEW), new=publics(NEWER)), NEW, NEWER, ROOT)
    keys = after(second, after(ROTATED))
    assert (keys.current, keys.retired) == (publics(NEWER), publics(OLD, NEW))
    for note in (ROTATED, second):
        with pytest.raises(NoteError, match="expected 3"):
            after(note, keys)
    with pytest.raises(NoteError, match="number 2 of this log, expected 1"):
        after(second)


def test_a_log_without_a_root_has_no_rotation_until_it_adopts_one() -> None:
    bare = replace(FOUNDED, root=None)
    with pytest.raises(NoteError, match="names no root key, without which its keys cannot be replaced"):
        after(ROTATED, bare)
    adoption = rotation(act="adopt-root", new=(), until=0)
    for signers, says in (((ROOT,), "the key before"), ((OLD,), "the root key")):
        with pytest.raises(NoteError, match=f"not signed by {says}"):
            after(signed(adoption, *signers), bare)
    keys = after(signed(adoption, OLD, ROOT), bare)
    assert keys == replace(FOUNDED, number=1)
    assert after(signed(rotation(number=2), OLD, NEW, ROOT), keys).current == publics(NEW)
    wrong = replace(adoption, root=signing_key("log.example/hub/office", 13).public)
    with pytest.raises(NoteError, match="is not the name of this log's root key"):
        after(signed(wrong, OLD, signing_key("log.example/hub/office", 13)), bare)


def test_an_ml_dsa_key_is_added_once_and_rotated_along() -> None:
    addition = rotation(act="add", new=publics(PQ_OLD), root=None, until=0)
    with pytest.raises(NoteError, match="not signed by the key before"):
        after(signed(addition, MALLORY))
    keys = after(signed(addition, OLD))
    assert keys.current == publics(OLD, PQ_OLD)
    again = replace(addition, number=2, old=publics(OLD, PQ_OLD), new=publics(PQ_NEW))
    with pytest.raises(NoteError, match="the log has an ML-DSA-44 key already"):
        after(signed(again, OLD), keys)
    for new in (publics(NEW), publics(pq_key("log.example/other"))):
        with pytest.raises(NoteError, match="adds a key that is not an ML-DSA-44 key of this log"):
            after(signed(replace(addition, new=new), OLD))
    both = rotation(number=2, old=publics(OLD, PQ_OLD), new=publics(NEW, PQ_NEW))
    assert after(signed(both, OLD, NEW, ROOT), keys).current == publics(NEW, PQ_NEW)
    half = rotation(number=2, old=publics(OLD, PQ_OLD))
    with pytest.raises(NoteError, match="not of the same algorithms"):
        after(signed(half, OLD, NEW, ROOT), keys)


def followed(*held: SigningKey, notes: tuple[bytes, ...] = (ROTATED,), root: SigningKey | None = None) -> Any:
    return follow(publics(*held), notes, None if root is None else root.public, verify_signature)


def test_whoever_holds_the_old_key_is_led_to_the_new_one() -> None:
    second = signed(rotation(number=2, old=publics(NEW), new=publics(NEWER)), NEW, NEWER, ROOT)
    for root in (None, ROOT):
        assert followed(OLD, root=root) == followed(NEW, root=root) == publics(NEW)
        assert followed(OLD, notes=(ROTATED, second), root=root) == publics(NEWER)
        assert followed(NEWER, notes=(ROTATED, second), root=root) == publics(NEWER)
    assert followed(MALLORY) == publics(MALLORY), "who holds a key of nowhere is led nowhere"


def test_over_the_roots_word_alone_only_who_holds_the_root_is_led() -> None:
    assert followed(OLD, notes=(RECOVERED,), root=ROOT) == publics(NEW)
    with pytest.raises(NoteError, match=r"no key that you hold signed the statement that replaced yours .* --root"):
        followed(OLD, notes=(RECOVERED,))
    assert followed(NEW, notes=(RECOVERED,)) == publics(NEW)


def test_another_root_than_the_one_that_is_held_is_refused() -> None:
    stolen = signed(rotation(root=OTHER_ROOT.public), OLD, NEW, OTHER_ROOT)
    with pytest.raises(NoteError, match="another root key than the one you hold"):
        followed(OLD, notes=(stolen,), root=ROOT)
    with pytest.raises(NoteError, match="not signed by the root key"):
        followed(OLD, notes=(signed(rotation(), OLD, NEW),))


def test_who_holds_the_ml_dsa_key_alone_is_not_led_by_a_key_that_they_do_not_know() -> None:
    """A forger names the caller's key beside one of their own, which signs."""
    theirs = rotation(old=publics(MALLORY, PQ_OLD), new=publics(NEW, PQ_NEW), root=OTHER_ROOT.public)
    note = signed(theirs, MALLORY, NEW, OTHER_ROOT)
    with pytest.raises(NoteError, match="no key that you hold signed"):
        followed(PQ_OLD, notes=(note,))
    true = signed(rotation(old=publics(OLD, PQ_OLD), new=publics(NEW, PQ_NEW)), OLD, NEW, ROOT)
    assert followed(OLD, PQ_OLD, notes=(true,)) == publics(NEW, PQ_NEW)
    assert followed(PQ_OLD, notes=(true,), root=ROOT) == publics(PQ_NEW)


def test_every_change_of_a_bit_is_refused() -> None:
    for at in range(8 * len(ROTATED)):
        forged = bytearray(ROTATED)
        forged[at // 8] ^= 1 << at % 8
        with pytest.raises(NoteError):
            after(bytes(forged))


LINES: dict[str, Callable[[str], str]] = {
    "another header": lambda text: text.replace(HEADER, "conclave-log-keys@v2"),
    "another act": lambda text: text.replace("act rotate", "act rule"),
    "no act": lambda text: text.replace("act rotate\n", ""),
    "a number with a zero": lambda text: text.replace("number 1", "number 01"),
    "no number": lambda text: text.replace("number 1\n", ""),
    "a line twice": lambda text: text.replace("number 1\n", "number 1\nnumber 1\n"),
    "a line more": lambda text: text + "more 1\n",
    "lines in another order": lambda text: text.replace("number 1\n", "") + "number 1\n",
    "an empty line": lambda text: text + "\n",
    "a key that is none": lambda text: text.replace("new log", "new lag"),
    "a time of too many digits": lambda text: text.replace("at 18", "at 18000000000000018"),
}


@pytest.mark.parametrize("change", LINES.values(), ids=LINES)
def test_a_statement_of_another_form_is_refused(change: Callable[[str], str]) -> None:
    text = change(rotation().text())
    assert text != rotation().text()
    with pytest.raises(NoteError):
        KeyStatement.parse(text)


NEXT = signing_key(f"{ORIGIN}/2", 21)
HEADS = {
    "signed": Checkpoint(origin=ORIGIN, size=16, root=bytes(range(32))),
    "restored": Checkpoint(origin=ORIGIN, size=14, root=bytes(range(1, 33))),
}


def succession(**changes: Any) -> KeyStatement:
    return rotation(**{"act": "succeed", "new": publics(NEXT), "until": 0, **HEADS, **changes})


def follower(note: bytes, key: SigningKey = NEXT, root: SigningKey = ROOT) -> LogKeys:
    """The log that begins with ``note``."""
    data = {"origin": key.name, "log_key": str(key.public), "root_key": str(root.public), "succession": note.decode()}
    return LogKeys.opened(data, verify_signature)


def test_a_log_that_follows_another_begins_anew_with_the_same_root() -> None:
    note = signed(succession(), NEXT, ROOT)
    keys = follower(note)
    assert (keys.origin, keys.current, keys.root, keys.number) == (NEXT.name, publics(NEXT), ROOT.public, 0)
    assert open_statement(note, verify_signature) == succession()
    assert f"signed 16 {base64.b64encode(bytes(range(32))).decode()}\nrestored 14 " in succession().text()
    third = signing_key(f"{ORIGIN}/3", 22)
    heads = {name: replace(head, origin=NEXT.name) for name, head in HEADS.items()}
    again = succession(origin=NEXT.name, old=publics(NEXT), new=publics(third), **heads)
    assert follower(signed(again, third, ROOT), third).origin == f"{ORIGIN}/3"
    newer = signing_key(NEXT.name, 23)
    turned = rotation(origin=NEXT.name, old=publics(NEXT), new=publics(newer))
    assert after(signed(turned, NEXT, newer, ROOT), keys).current == publics(newer)


FALSE_FOLLOWERS: dict[str, tuple[KeyStatement, tuple[SigningKey, ...], str]] = {
    "without the root": (succession(), (NEXT, OLD), "not signed by the root key"),
    "without the new key": (succession(), (OLD, ROOT), "not signed by the new key"),
    "nothing lost": (
        succession(restored=replace(HEADS["signed"])),
        (NEXT, ROOT),
        "does not say that entries were lost",
    ),
    "more than was signed": (
        succession(restored=replace(HEADS["restored"], size=17)),
        (NEXT, ROOT),
        "does not say that entries were lost",
    ),
    "of no log": (succession(old=()), (NEXT, ROOT), "does not say which log it follows"),
    "with keys of another": (
        succession(old=publics(OTHER_LOG[0])),
        (NEXT, ROOT),
        "names the same log twice, or keys of another",
    ),
    "a rotation": (rotation(new=publics(NEXT)), (OLD, NEXT, ROOT), "is not about this log"),
    "with the old log's key": (
        succession(old=publics(signing_key(ORIGIN, 21))),
        (NEXT, ROOT),
        "the new log has a key of the old one",
    ),
    "of a log that is not before it": (succession(origin=f"{ORIGIN}/7", old=()), (NEXT, ROOT), "which log it follows"),
    "out of turn": (
        succession(origin=f"{ORIGIN}/7", old=publics(signing_key(f"{ORIGIN}/7", 5))),
        (NEXT, ROOT),
        "do not belong together",
    ),
}


@pytest.mark.parametrize(("statement", "signers", "says"), FALSE_FOLLOWERS.values(), ids=FALSE_FOLLOWERS)
def test_a_log_that_follows_another_falsely_is_refused(
    statement: KeyStatement, signers: tuple[SigningKey, ...], says: str
) -> None:
    with pytest.raises(NoteError, match=says):
        follower(signed(statement, *signers))


def test_a_succession_is_for_the_log_that_it_names() -> None:
    note, other = signed(succession(), NEXT, ROOT), signing_key(f"{ORIGIN}/2", 99)
    with pytest.raises(NoteError, match="is not about this log"):
        follower(note, other)
    with pytest.raises(NoteError, match="is not about this log"):
        follower(note, root=OTHER_ROOT)
    with pytest.raises(NoteError, match="does not replace keys of a log that goes on"):
        after(note)


def test_who_holds_the_old_logs_key_is_led_to_the_next_log_by_the_root_alone() -> None:
    note = signed(succession(), NEXT, ROOT)
    assert followed(OLD, notes=(note,), root=ROOT) == publics(NEXT)
    with pytest.raises(NoteError, match=r"no key that you hold signed .*succeed"):
        followed(OLD, notes=(note,))
    short = signed(succession(old=publics(OLD, PQ_OLD)), NEXT, ROOT)
    with pytest.raises(NoteError, match="names no key in the place of one that you hold"):
        followed(PQ_OLD, notes=(short,), root=ROOT)


def test_what_an_entry_says_is_what_the_statement_says() -> None:
    assert statement_data(ROTATED.decode()) == {
        "act": "rotate",
        "statement": ROTATED.decode(),
        "log_key": str(NEW.public),
        "root_key": str(ROOT.public),
    }
    assert KINDS["rotate"] == KINDS["recover"] == "key.rotated"
