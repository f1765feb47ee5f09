"""Whose signatures an export's checkpoint needs: from the keys that the caller holds, over the statements in the log.

Pure. Before anything is read, the way from the caller's keys to those of today is looked for in
``keys/statements.ndjson``; after the walk the log itself must say the same, entry by entry.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from audit.note import (
    ED25519,
    KEY_ID_SIZE,
    Checkpoint,
    NoteError,
    VerifierKey,
    Verify,
    open_note,
    open_note_of_all,
    split_note,
)
from audit.parts import (
    CHANGED,
    CHECKPOINT,
    MALFORMED,
    STATEMENTS,
    Bundle,
    Report,
    VerificationError,
    read_part,
    strict_json,
)
from audit.succession import ADD, ADOPT, KINDS, RECOVER, ROTATE, KeyStatement, LogKeys, follow, statement_data

WORDS = {
    ROTATE: "the log's keys were replaced, as the ones before and the root say",
    RECOVER: "the log's keys were replaced, as the root alone says: the ones before were lost or stolen",
    ADD: "an ML-DSA-44 key signs beside the log's key",
    ADOPT: "the log got a root key",
}
OTHER_KEY = "the key that you hold did not sign this: it is the wrong key, or the export is of another log or forged"
WRONG_HANDS = "the log's keys were changed by somebody who may not, or your keys are of another log"


def statement_lines(entries: Sequence[tuple[int, Mapping[str, Any]]]) -> bytes:
    """The content of ``STATEMENTS`` for the (position, entry) of each entry of ``KEY_KINDS``, and of a succession."""
    lines = [{"entry": position, "statement": _statement(entry)} for position, entry in entries]
    return "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in lines).encode()


def _statement(entry: Mapping[str, Any]) -> str:
    """The statement in an entry of ``KEY_KINDS``, or in the first entry of a log that follows another."""
    return str(entry["data"]["succession" if entry["kind"] == "log.opened" else "statement"])


def opening_checkpoint(
    bundle: Bundle, held: Sequence[VerifierKey], root: VerifierKey | None, verify: Verify
) -> tuple[bytes, tuple[VerifierKey, ...]]:
    """The note of the bundle's checkpoint, and the keys that signed it: those that are held, or their successors.

    Raises:
        VerificationError: One of them did not, or a way from a key that is held leads to nobody who did.
    """
    note = read_part(bundle, CHECKPOINT, "checkpoint")
    notes = [one.encode() for _, one in _statements(bundle)]
    try:
        keys = follow(held, notes, root, verify)
    except NoteError as error:
        raise VerificationError("keys", str(error), where=STATEMENTS, meaning=WRONG_HANDS) from None
    try:
        checkpoint = Checkpoint.parse(open_note_of_all(note, keys, verify))
    except NoteError as error:
        raise VerificationError("checkpoint", str(error), where=CHECKPOINT, meaning=_meaning(note, keys)) from None
    if checkpoint.origin != keys[0].name:
        detail = f"is of the log {checkpoint.origin}, your key is of {keys[0].name}"
        raise VerificationError("checkpoint", detail, where=CHECKPOINT, meaning=OTHER_KEY)
    return note, keys


def _meaning(note: bytes, keys: Sequence[VerifierKey]) -> str:
    """What it means that ``note`` cannot be opened with ``keys``: that others signed it, or that it was changed."""
    try:
        signed = {(name, data[:KEY_ID_SIZE]) for name, data in split_note(note)[1]}
    except NoteError:
        return CHANGED
    if all((key.name, key.key_id) in signed for key in keys):
        return CHANGED
    return OTHER_KEY + ("; each key that you name must have signed" if len(keys) > 1 else "")


def _statements(bundle: Bundle) -> list[tuple[int, str]]:
    """The (entry, statement) of each line of ``STATEMENTS``; none where the log has no statement."""
    try:
        text = bundle.read(STATEMENTS)
    except FileNotFoundError:
        return []
    except OSError:
        text = read_part(bundle, STATEMENTS, "keys")  # says why
    return parse_statements(text)


def parse_statements(text: bytes) -> list[tuple[int, str]]:
    """The (entry, statement) of each line of a file ``STATEMENTS``.

    Raises:
        VerificationError: It is none.
    """
    try:
        lines = [strict_json(line) for line in text.removesuffix(b"\n").split(b"\n")]
        found = [(line["entry"], line["statement"]) for line in lines]
        if any(len(line) != 2 or type(line["entry"]) is not int for line in lines):
            raise ValueError("a line is not an entry and its statement")
        if not all(isinstance(statement, str) and statement.encode() for _, statement in found):
            raise ValueError("a statement is not text")
    except (ValueError, KeyError, RecursionError) as error:
        raise VerificationError("keys", str(error), where=STATEMENTS, meaning=CHANGED) from None
    return found


def check_keys(
    bundle: Bundle,
    report: Report,
    first: Mapping[str, Any],
    changes: Mapping[int, Mapping[str, Any]],
    root: VerifierKey | None,
    verify: Verify,
) -> LogKeys:
    """The log's keys as its entries have them: the ``first`` one, and ``changes``, those of ``KEY_KINDS`` by position.

    Raises:
        VerificationError: They are not the ones that signed, the root is not the one that the caller holds, or a
            change is not what such a change has to be.
    """
    data = first.get("data", {})
    try:
        keys = LogKeys.opened(data, verify)
        opens = first.get("kind") == "log.opened" and keys.origin == report.checkpoint.origin
    except NoteError:
        opens = False
    if not opens:
        raise _opened_by_others()
    if "succession" in data:
        report.key_changes.append(_succession(str(data["succession"])))
    for position, entry in changes.items():
        keys = _after(keys, position, entry, verify)
        report.key_changes.append(f"entry {position:,}: {WORDS[entry['data']['act']]}")
    if not set(report.keys) <= set(keys.current):
        if not changes:
            raise _opened_by_others()
        detail = "was signed by other keys than those that the log has"
        raise VerificationError("keys", detail, where=CHECKPOINT, meaning=WRONG_HANDS)
    _check_signed(report, keys, verify)
    if root is not None and keys.root != root:
        detail = "names no root key" if keys.root is None else "names another root key than the one you hold"
        raise VerificationError("keys", f"the log {detail}", where="entry 0", meaning=WRONG_HANDS)
    told = {**({0: first} if "succession" in data else {}), **changes}
    if _statements(bundle) != [(position, _statement(entry)) for position, entry in told.items()]:
        raise VerificationError("keys", "does not have what the log has", where=STATEMENTS, meaning=CHANGED)
    return keys


def _succession(note: str) -> str:
    statement = KeyStatement.parse(split_note(note.encode())[0])
    signed, restored = statement.signed, statement.restored
    sizes = [one.size if one else 0 for one in (restored, signed)]
    return (
        f"entry 0: this log follows {statement.origin}, of which the entries from {sizes[0]:,} up to {sizes[1] - 1:,}"
        " are declared lost, on the root key's word"
    )


def _opened_by_others() -> VerificationError:
    detail = "does not open this log with the key you hold"
    return VerificationError("meaning", detail, where="entry 0", meaning=MALFORMED)


def _check_signed(report: Report, keys: LogKeys, verify: Verify) -> None:
    """Also who holds the ML-DSA-44 key alone sees that the Ed25519 key of today signed."""
    try:
        for key in keys.current:
            if key.algorithm == ED25519:
                open_note(report.note, key, verify)
    except NoteError as error:
        raise VerificationError("keys", str(error), where=CHECKPOINT, meaning=WRONG_HANDS) from None


def _after(keys: LogKeys, position: int, entry: Mapping[str, Any], verify: Verify) -> LogKeys:
    where, data = f"entry {position:,} ({entry['kind']})", entry["data"]
    try:
        after = keys.after(str(data.get("statement")).encode(), verify)
        if dict(data) != statement_data(str(data.get("statement"))) or KINDS[str(data["act"])] != entry["kind"]:
            raise NoteError("the entry says something else than the statement in it")
    except NoteError as error:
        raise VerificationError("keys", str(error), where=where, meaning=WRONG_HANDS) from None
    return after
