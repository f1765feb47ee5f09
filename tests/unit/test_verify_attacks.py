"""Rewritten logs and forged exports, by whoever holds the database and the export's key too: refused, in words."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from audit.canonical import canonical_json
from audit.entry import Disclosure
from audit.key_history import OTHER_KEY
from audit.keys import verify_ed25519
from audit.note import VerifierKey, sign_note
from audit.parts import (
    CHANGED,
    CHECKPOINT,
    DISCLOSURES,
    MANIFEST,
    MANIFEST_SIGNATURE,
    SIGNERS,
    Bundle,
    VerificationError,
)
from audit.tiles import decode_bundle
from audit.verify import verify_bundle
from config.db import Database
from tests.ledger import (
    EXPORT_KEY,
    LOG_KEY,
    ORIGIN,
    Files,
    export,
    make_log,
    relogged,
    resealed,
    sample,
    signed,
    signing_key,
)

LOG_KEY_FILE = "keys/log.vkey"
GAP = "something was kept from the log, or written to it by other hands than the hub's"
MALFORMED = "the log holds a malformed entry"
ROOT = "root: the entries do not hash to the checkpoint's root"
SHORT = "entries: tile/entries/001.p/44 cannot read it: No such file or directory"

Entries = list[bytes]


def refused(bundle: Bundle, key: VerifierKey = LOG_KEY.public) -> VerificationError:
    with pytest.raises(VerificationError) as raised:
        verify_bundle(bundle, key, verify_ed25519)
    return raised.value


@pytest.fixture(scope="module")
async def bundle(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The export of a log of 300 entries."""
    place = tmp_path_factory.mktemp("attacks")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    await make_log(db, place, sample(299))
    files = await export(db)
    await db.close()
    return files


@pytest.fixture
def entries(bundle: Files) -> Entries:
    first, second = bundle.content["tile/entries/000"], bundle.content["tile/entries/001.p/44"]
    return decode_bundle(first, 256) + decode_bundle(second, 44)


def edited(entry: bytes, **change: Any) -> bytes:
    return canonical_json(json.loads(entry) | change)


def put(log: Entries, at: int, entry: bytes) -> Entries:
    return [*log[:at], entry, *log[at + 1 :]]


def test_writing_past_the_sequencer_alone_changes_nothing(bundle: Files, entries: Entries) -> None:
    """The attacks below fail for what they change, not for how they are mounted."""
    assert relogged(bundle, entries).content == bundle.content


REWRITINGS: Mapping[str, tuple[Callable[[Entries], Entries], str]] = {
    "one edited": (lambda log: put(log, 200, edited(log[200], companies=["cmp_x"])), ROOT),
    "the last one edited": (lambda log: put(log, 299, edited(log[299], companies=["cmp_x"])), ROOT),
    "one backdated": (
        lambda log: put(log, 200, edited(log[200], at=1)),
        ROOT,
    ),
    "two reordered": (
        lambda log: [*log[:20], log[21], log[20], *log[22:]],
        ROOT,
    ),
    "one replaced by its neighbour": (
        lambda log: put(log, 20, log[21]),
        ROOT,
    ),
    "one deleted": (
        lambda log: [*log[:20], *log[21:]],
        SHORT,
    ),
    "one inserted": (
        lambda log: [*log[:21], log[20], *log[21:]],
        SHORT,
    ),
    "one appended": (lambda log: [*log, edited(log[299], source="x", source_seq=1)], SHORT),
    "the last one deleted": (lambda log: log[:-1], SHORT),
    "cut to full tiles": (lambda log: log[:256], SHORT),
}


@pytest.mark.parametrize(("rewrite", "says"), REWRITINGS.values(), ids=REWRITINGS)
def test_a_rewritten_log_is_refused_under_the_old_checkpoint(
    bundle: Files, entries: Entries, rewrite: Callable[[Entries], Entries], says: str
) -> None:
    forged = relogged(bundle, rewrite(entries))
    assert str(refused(resealed(forged.but(CHECKPOINT, bundle.content[CHECKPOINT])))) == says


def test_a_log_truncated_and_signed_by_another_key_is_refused(bundle: Files, entries: Entries) -> None:
    mallory = signing_key(ORIGIN, 9)
    forged = relogged(bundle.but(LOG_KEY_FILE, f"{mallory.public}\n".encode()), entries[:100], key=mallory)
    error = refused(forged)
    says = f"checkpoint: checkpoint no signature by {ORIGIN} with key id {LOG_KEY.public.key_id.hex()}"
    assert (str(error), error.where, error.meaning) == (says, CHECKPOINT, OTHER_KEY)


def test_the_checkpoint_of_another_log_is_refused(bundle: Files, entries: Entries) -> None:
    error = refused(relogged(bundle, entries, origin="log.example/other"))
    assert str(error) == f"checkpoint: checkpoint is of the log log.example/other, your key is of {ORIGIN}"


def test_a_checkpoint_with_extension_lines_is_refused(bundle: Files) -> None:
    text = bundle.content[CHECKPOINT].decode().partition("\n\n")[0] + "\nextension\n"
    error = refused(resealed(bundle.but(CHECKPOINT, sign_note(text, LOG_KEY.public, LOG_KEY))))
    assert str(error) == "checkpoint: checkpoint a checkpoint has three lines: origin, size, root"


def test_the_same_key_under_another_name_is_another_key(bundle: Files) -> None:
    renamed = VerifierKey(name="log.example/hab", public_key=LOG_KEY.public.public_key)
    says = "checkpoint: checkpoint no signature by {} with key id {}"
    assert str(refused(bundle, renamed)) == says.format(renamed.name, renamed.key_id.hex())
    forged = bundle.content[CHECKPOINT].replace("— log.example/hub".encode(), "— log.example/hab".encode())
    error = refused(resealed(bundle.but(CHECKPOINT, forged)))
    assert str(error) == says.format(ORIGIN, LOG_KEY.public.key_id.hex())


def test_a_swapped_key_file_is_refused_though_the_export_lists_it(bundle: Files) -> None:
    mallory = f"{signing_key(ORIGIN, 9).public}\n".encode()
    error = refused(resealed(bundle.but(LOG_KEY_FILE, mallory)))
    assert (str(error), error.meaning) == ("keys: keys/log.vkey is not the key you hold", CHANGED)


def test_an_export_signed_by_another_key_than_the_log_names_is_refused(bundle: Files) -> None:
    error = refused(signed(bundle, bundle.content[MANIFEST], signing_key(EXPORT_KEY.name, 9)))
    assert error.detail == "made by another key, for another purpose, or written in another form"
    assert (error.check, error.where, error.meaning) == ("manifest", MANIFEST, CHANGED)


def test_a_log_that_names_no_export_key_is_refused(bundle: Files, entries: Entries) -> None:
    opened = json.loads(entries[0])["data"]
    for key in (None, 5, "x"):
        data = {name: value for name, value in opened.items() if name != "export_key"}
        data |= {} if key is None else {"export_key": key}
        assert refused(relogged(bundle, put(entries, 0, edited(entries[0], data=data)))).check == "manifest"


OPENINGS: Mapping[str, dict[str, Any]] = {
    "by another key": {"log_key": str(signing_key(ORIGIN, 9).public)},
    "of another log": {"origin": "log.example/other"},
    "by no key": {"log_key": None},
}


@pytest.mark.parametrize("change", OPENINGS.values(), ids=OPENINGS)
def test_a_log_is_opened_by_its_own_first_entry(bundle: Files, entries: Entries, change: dict[str, Any]) -> None:
    data = json.loads(entries[0])["data"] | change
    error = refused(relogged(bundle, put(entries, 0, edited(entries[0], data=data))))
    assert str(error) == "meaning: entry 0 does not open this log with the key you hold"
    assert error.meaning == MALFORMED


def test_an_empty_log_is_no_export(bundle: Files) -> None:
    assert refused(relogged(bundle, [])).check == "meaning"


CLAIMS: Mapping[str, dict[str, Any]] = {
    "by somebody else": {"exported_by": "prs_mallory"},
    "under another name": {"export": "exp_2"},
    "of a part": {"query": {"scope": "northwind"}},
    "of nearly everything": {"exclusions": ["northwind"]},
    "by an entry of another kind": {"entry": 3},
    "by an entry that is not there": {"entry": 300},
    "by an entry that is no number": {"entry": 2.0},
    "by an entry that is true": {"entry": True},
}


@pytest.mark.parametrize("change", CLAIMS.values(), ids=CLAIMS)
def test_who_exported_what_is_held_against_the_log(bundle: Files, change: dict[str, Any]) -> None:
    manifest = json.loads(bundle.content[MANIFEST]) | change
    says = "manifest: manifest.json does not say who exported what as the log has it"
    assert str(refused(signed(bundle, json.dumps(manifest).encode()))) == says


LOOSE: Mapping[str, Callable[[bytes], bytes]] = {
    "a name twice": lambda text: text.replace(b'{\n "format"', b'{\n "export": "exp_2",\n "format"'),
    "no number of JSON": lambda text: text.replace(b'"exclusions": []', b'"exclusions": [NaN]'),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
}


@pytest.mark.parametrize("change", LOOSE.values(), ids=LOOSE)
def test_a_manifest_that_two_readers_may_read_in_two_ways_is_refused(
    bundle: Files, change: Callable[[bytes], bytes]
) -> None:
    manifest = bundle.content[MANIFEST]
    assert change(manifest) != manifest
    assert refused(signed(bundle, change(manifest))).check == "manifest"


def test_counts_are_numbers(bundle: Files) -> None:
    manifest = json.loads(bundle.content[MANIFEST])
    manifest["checkpoint"]["size"] = 300.0
    says = "manifest: manifest.json .checkpoint.size: float is not admitted"
    assert str(refused(signed(bundle, json.dumps(manifest).encode()))) == says


def test_the_key_that_ssh_is_told_to_trust_is_the_one_that_the_log_names(bundle: Files) -> None:
    forged = bundle.content[SIGNERS].replace(b"AAAA", b"AAAB")
    assert str(refused(resealed(bundle.but(SIGNERS, forged)))) == f"keys: {SIGNERS} is not the key that the log names"
    assert str(refused(resealed(bundle.without(SIGNERS)))) == f"files: {SIGNERS} is missing"


TRICKS = ("\x1b[2K  ✓ all files\nVALID.\x1b[8m", "\u202egnp.exe", "\ud800", "x" * 60_000)


@pytest.mark.parametrize("trick", TRICKS, ids=["escape sequences", "right to left", "half a character", "a novel"])
def test_nothing_of_a_forged_export_reaches_the_terminal_as_it_is(bundle: Files, trick: str) -> None:
    error = refused(bundle.but(trick, b"x"))
    assert error.where.isprintable()
    assert len(error.where) < 400
    assert str(error).isprintable()
    error.where.encode()
    entry = json.dumps({"v": 1, "kind": trick}).encode()[:60_000]
    first = bundle.content["tile/entries/001.p/44"]
    length = int.from_bytes(first[:2], "big")
    forged = len(entry).to_bytes(2, "big") + entry + first[2 + length :]
    error = refused(bundle.but("tile/entries/001.p/44", forged))
    assert error.where in ("entry 256 (of no known kind)", "entry 256 (not readable)")


MANIFESTS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "of another form": lambda manifest: manifest | {"format": "conclave-bundle/2"},
    "of another size": lambda manifest: manifest | {"checkpoint": manifest["checkpoint"] | {"size": 299}},
    "of another root": lambda manifest: manifest | {"checkpoint": manifest["checkpoint"] | {"root": "AAAA"}},
    "of another log": lambda manifest: manifest | {"checkpoint": manifest["checkpoint"] | {"origin": "other"}},
    "with other counts": lambda manifest: manifest | {"counts": {"entries": 300, "by_kind": {"log.opened": 300}}},
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_a_signed_manifest_of_another_log_is_refused(bundle: Files, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = change(json.loads(bundle.content[MANIFEST]))
    assert str(refused(signed(bundle, json.dumps(manifest).encode()))) == "manifest: manifest.json is of another export"


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"{}", b"null", b'"text"', b"[" * 50_000, b'{"files": 5}', b'{"files": ["x"]}', b"\xff"],
)
def test_a_signed_manifest_of_no_form_is_refused(bundle: Files, manifest: bytes) -> None:
    error = refused(signed(bundle, manifest))
    assert (error.check, error.where, error.meaning) == ("manifest", MANIFEST, CHANGED)


def test_the_manifest_of_an_older_export_does_not_fit_a_newer_one(bundle: Files, entries: Entries) -> None:
    older = relogged(bundle, entries[:290])
    mixed = bundle.but(MANIFEST, older.content[MANIFEST])
    mixed = mixed.but(MANIFEST_SIGNATURE, older.content[MANIFEST_SIGNATURE])
    assert str(refused(mixed)) == "manifest: manifest.json is of another export"


@pytest.mark.parametrize(
    ("at", "change", "says"),
    [
        (20, {"source_seq": 15}, "sequence: entry 20 (message.sent) has source_seq 15 of homeserver, expected 14"),
        (20, {"source_seq": 13}, "sequence: entry 20 (message.sent) has source_seq 13 of homeserver, expected 14"),
        (20, {"room_seq": 9}, "sequence: entry 20 (message.sent) has room_seq 9 of !room1:hub.example, expected 5"),
        (20, {"actor_seq": 0}, "sequence: entry 20 (message.sent) has actor_seq 0 of user:@u3:hub.example, expected 3"),
        (0, {"source_seq": 2}, "sequence: entry 0 (log.opened) has source_seq 2 of hub, expected 1"),
        (0, {"source_seq": 0}, "sequence: entry 0 (log.opened) has source_seq 0 of hub, expected 1"),
        (257, {"at": 1}, "time: entry 257 (message.sent) is dated before the one in front of it"),
    ],
)
def test_a_gap_in_a_rightly_signed_log_is_refused(
    bundle: Files, entries: Entries, at: int, change: dict[str, int], says: str
) -> None:
    error = refused(relogged(bundle, put(entries, at, edited(entries[at], **change))))
    assert (str(error), error.meaning) == (says, GAP)


def test_an_entry_left_out_of_a_rightly_signed_log_is_noticed(bundle: Files, entries: Entries) -> None:
    for at in range(1, 200, 9):
        assert refused(relogged(bundle, [*entries[:at], *entries[at + 1 :]])).check == "sequence"


BROKEN: Mapping[str, bytes] = {
    "empty": b"",
    "not UTF-8": b"\xff",
    "no object": b"[]",
    "not canonical": b'{"v": 1}',
    "nested": b'{"a":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    "no entry": b"{}",
}
MISSHAPEN: Mapping[str, dict[str, Any]] = {
    "version": {"v": True},
    "kind": {"kind": ["message.sent"]},
    "time": {"at": "now"},
    "source": {"source": {}},
    "number": {"source_seq": "14"},
    "actor": {"actor": "user:@u3:hub.example"},
    "two actors": {"actor": {"user": "a", "person": "b"}},
    "no actor": {"actor": {}},
    "room": {"room": None},
    "digests": {"sd": 5},
    "digest": {"sd": [[]]},
    "unknown member": {"more": 1},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_entry_in_a_rightly_signed_log_is_refused(bundle: Files, entries: Entries, broken: bytes) -> None:
    error = refused(relogged(bundle, put(entries, 20, broken)))
    assert (error.check, error.where, error.meaning) == ("meaning", "entry 20", MALFORMED)


@pytest.mark.parametrize("change", MISSHAPEN.values(), ids=MISSHAPEN)
def test_a_misshapen_entry_in_a_rightly_signed_log_is_refused(
    bundle: Files, entries: Entries, change: dict[str, Any]
) -> None:
    error = refused(relogged(bundle, put(entries, 20, edited(entries[20], **change))))
    assert (error.check, error.where, error.meaning) == ("meaning", "entry 20", MALFORMED)
    assert next(iter(change)) in error.detail


def test_a_digest_in_two_entries_is_refused(bundle: Files, entries: Entries) -> None:
    """Else one disclosure could be shown for either."""
    forged = put(entries, 20, edited(entries[20], sd=json.loads(entries[1])["sd"]))
    error = refused(relogged(bundle, forged))
    assert str(error) == "meaning: entry 20 (message.sent) repeats the digest of a disclosure of entry 1"
    assert error.meaning == MALFORMED


FOREIGN = Disclosure(salt=bytes(16), name="name", value="Mallory").encode()


@pytest.mark.parametrize(
    "forge",
    [
        lambda item: {"disclosure": FOREIGN},
        lambda item: {"disclosure": FOREIGN, "entry": None},
        lambda item: {"disclosure": FOREIGN, "entry": 1},
        lambda item: item | {"entry": 2},
        lambda item: item | {"entry": None},
        lambda item: {"disclosure": item["disclosure"]},
        lambda item: {"entry": 1},
        lambda item: item | {"disclosure": 5},
        lambda item: item | {"disclosure": item["disclosure"] + "="},
        lambda item: [item],
        lambda item: None,
    ],
)
def test_a_forged_disclosure_is_refused_though_the_export_lists_it(
    bundle: Files, forge: Callable[[dict[str, Any]], Any]
) -> None:
    first, _, rest = bundle.content[DISCLOSURES].partition(b"\n")
    forged = json.dumps(forge(json.loads(first))).encode() + b"\n" + rest
    error = refused(resealed(bundle.but(DISCLOSURES, forged)))
    assert (error.check, error.where, error.meaning) == ("disclosures", f"{DISCLOSURES} line 1", CHANGED)


@pytest.mark.parametrize("line", [b"", b"{", b"\xff", b"[" * 50_000])
def test_a_broken_disclosure_is_refused_though_the_export_lists_it(bundle: Files, line: bytes) -> None:
    error = refused(resealed(bundle.but(DISCLOSURES, line + b"\n" + bundle.content[DISCLOSURES])))
    assert (error.check, error.where) == ("disclosures", f"{DISCLOSURES} line 1")


def test_a_disclosure_shown_twice_is_refused(bundle: Files) -> None:
    doubled = bundle.content[DISCLOSURES] * 2
    error = refused(resealed(bundle.but(DISCLOSURES, doubled)))
    assert str(error) == f"disclosures: {DISCLOSURES} line 87 is not in the order of the entries"
