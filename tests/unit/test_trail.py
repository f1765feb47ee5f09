"""The trail of one company or room: whole, in the log, and nothing of anybody else's in it."""

import base64
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from audit.canonical import canonical_json
from audit.entry import Disclosure
from audit.index import Index, Scope, encode, index_data, scopes_of
from audit.keys import verify_ed25519
from audit.note import VerifierKey
from audit.parts import INDEXES, MANIFEST, Bundle, VerificationError
from audit.tiles import decode_bundle
from audit.trail import INDEX, OMITTED, TrailReport, is_trail, verify_trail
from audit.verify import verify_bundle
from config.db import Database
from tests.ledger import (
    LOG_KEY,
    ORIGIN,
    Files,
    Ledger,
    make_log,
    relogged,
    signed,
    signing_key,
)
from tests.trails import (
    NORTHWIND,
    OURS,
    PAGE,
    THEIRS,
    edited,
    entries_in,
    frame_of,
    log_entries,
    proof_of,
    recounted,
    reproven,
    traffic,
    trail,
)

FLIPS = 2_000
SHARES = [4, pytest.param(1, marks=pytest.mark.long)]
"""``make test`` turns a quarter of the bits over, others in each run; ``make test-long`` all of them."""
Change = Callable[[list[Any]], list[Any]]


def check(bundle: Bundle, key: VerifierKey = LOG_KEY.public) -> TrailReport:
    return verify_trail(bundle, key, verify_ed25519)


def refused(bundle: Bundle, key: VerifierKey = LOG_KEY.public) -> VerificationError:
    with pytest.raises(VerificationError) as raised:
        check(bundle, key)
    return raised.value


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


def expected(count: int) -> int:
    """How many of ``traffic(count)`` are in rooms of northwind."""
    return sum(1 for number in range(count) if number % 3 and number % 5 != 4)


def test_a_trail_holds_everything_up_to_its_index_and_no_more(trails: Mapping[str, Files]) -> None:
    for name, scope in (("company", NORTHWIND), ("room", Scope("room", OURS))):
        report = check(trails[name])
        assert (report.scope, report.kinds["room.created"]) == (scope, 1)
        assert report.files == len(trails[name].names())
        assert (report.disclosed, report.withheld) == (1, 0)
        assert report.checkpoint.size > report.before
    assert check(trails["older"]).kinds.total() == expected(150)
    assert check(trails["company"]).kinds.total() == expected(300)
    assert check(trails["room"]).kinds.total() == expected(400)
    assert is_trail(trails["company"])
    assert not is_trail(trails["whole"])


def test_nothing_of_another_company_is_in_a_trail(trails: Mapping[str, Files]) -> None:
    """Not in its text, not in what is in base64 in it: ids of companies, rooms, people, names."""
    strange = re.compile(rf"fabrikam|{re.escape(THEIRS)}|prs_admin|invited", re.IGNORECASE)
    for name in ("company", "room", "older"):
        for file, content in trails[name].content.items():
            readable = content + b"".join(_decoded(content))
            assert strange.search(readable.decode(errors="replace")) is None, file
    assert any(strange.search(data.decode(errors="replace")) for data in trails["other"].content.values())


def _decoded(content: bytes) -> list[bytes]:
    found = re.findall(rb"[A-Za-z0-9+/_-]{16,}", content)
    return [base64.b64decode(item[: len(item) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/"))) for item in found]


def test_no_hash_in_a_trail_can_be_guessed(trails: Mapping[str, Files]) -> None:
    """An entry's hash is in the proofs of others: each entry is salted, so that guessing its text is not enough."""
    whole = trails["whole"].content
    bundles = [(name, data) for name, data in whole.items() if name.startswith("tile/entries/")]
    for name, data in bundles:
        width = int(name.partition(".p/")[2] or 256)
        salts = [json.loads(entry)["salt"] for entry in decode_bundle(data, width)]
        assert len(set(salts)) == width
        assert {len(salt) for salt in salts} == {22}


OMISSIONS: Mapping[str, tuple[Change, str]] = {
    "the first": (lambda lines: lines[1:], "completeness"),
    "the last": (lambda lines: lines[:-1], "completeness"),
    "one of the middle": (lambda lines: [*lines[:40], *lines[41:]], "completeness"),
    "all but one": (lambda lines: lines[:1], "completeness"),
    "one twice": (lambda lines: [*lines[:41], lines[40], *lines[41:]], "time"),
    "two reordered": (lambda lines: [*lines[:40], lines[41], lines[40], *lines[42:]], "time"),
    "one for another": (lambda lines: [*lines[:40], lines[41], lines[41], *lines[42:]], "time"),
}


@pytest.mark.parametrize(("change", "says"), OMISSIONS.values(), ids=OMISSIONS)
def test_what_is_left_out_of_a_trail_is_noticed_though_its_own_key_signed(
    ours: Files, change: Change, says: str
) -> None:
    error = refused(edited(ours, PAGE, change))
    assert error.check == says
    if says == "completeness":
        assert error.meaning == OMITTED


def test_every_single_omission_is_noticed(ours: Files) -> None:
    for at in range(len(entries_in(ours))):
        forged = edited(ours, PAGE, lambda lines, at=at: [*lines[:at], *lines[at + 1 :]])  # type: ignore[misc]  # at is bound
        assert refused(forged).check == "completeness"


def test_an_empty_trail_is_no_whole_one(ours: Files) -> None:
    assert refused(recounted(ours.without(PAGE))).check == "completeness"


def test_an_entry_of_another_company_does_not_fill_the_gap(trails: Mapping[str, Files]) -> None:
    whole, other = trails["whole"], trails["other"]
    assert whole.content["checkpoint"] == other.content["checkpoint"]
    entries = log_entries(whole)
    numbers = {json.loads(line)["entry"] for line in other.content[PAGE].splitlines()}
    strange = next(at for at, entry in enumerate(entries) if b"northwind" in entry and b'"room"' in entry and at > 20)
    assert strange not in numbers
    line = {"entry": strange, "bytes": encode(entries[strange]), "proof": proof_of(whole, strange, len(entries))}
    error = refused(edited(other, PAGE, lambda lines: sorted([*lines[1:], line], key=_number)))
    assert (error.check, error.meaning) == ("sequence", OMITTED) or error.check == "scope"
    error = refused(edited(other, PAGE, lambda lines: sorted([*lines[:-1], line], key=_number)))
    assert (error.check, error.meaning) == ("scope", OMITTED)


def _number(line: dict[str, Any]) -> int:
    return int(line["entry"])


def test_proving_it_again_alone_changes_nothing(trails: Mapping[str, Files]) -> None:
    """The forgeries below fail for what they change, not for how they are made."""
    for name in ("company", "older", "room"):
        forged = reproven(trails[name], trails["whole"], frame_of(trails[name]))
        assert check(forged).kinds == check(trails[name]).kinds


def test_an_older_index_does_not_make_a_newer_trail_whole(trails: Mapping[str, Files]) -> None:
    """The exporter keeps quiet about everything since the last export, and shows the index of that one."""
    older, newer = trails["older"], frame_of(trails["company"])
    stale = reproven(older, trails["whole"], [0, newer[1], frame_of(older)[2]])
    assert refused(stale).detail == "is no index behind the export"


def test_the_leaf_of_a_room_is_not_that_of_its_company(trails: Mapping[str, Files], ours: Files) -> None:
    at, entries = frame_of(ours)[2], log_entries(trails["whole"])
    counts = Counter(scope for entry in entries[:at] for scope in scopes_of(json.loads(entry)))
    lines = [json.loads(line) for line in trails["whole"].content[INDEXES].splitlines()]
    seed = next(Disclosure.decode(line["disclosure"]).value for line in lines if line["entry"] == at)
    shown = Index(counts, base64.b64decode(seed)).prove(Scope("room", OURS))
    leaf = {"leaf": encode(shown.leaf), "position": shown.position, "proof": [encode(node) for node in shown.proof]}
    error = refused(recounted(ours.but(INDEX, json.dumps(leaf).encode())))
    assert error.detail == f"is of room:{OURS}, not of company:northwind"


def test_a_changed_entry_is_not_in_the_log(ours: Files) -> None:
    def change(lines: list[Any]) -> list[Any]:
        data = base64.b64decode(lines[7]["bytes"]).replace(b"@northwind", b"@northwand")
        return [*lines[:7], {**lines[7], "bytes": encode(data)}, *lines[8:]]

    error = refused(edited(ours, PAGE, change))
    assert str(error) == f"entries: {PAGE} line 8 is not in the log: the path does not lead to the root"


OPENINGS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another key": lambda data: {**data, "log_key": str(signing_key(ORIGIN, 9).public)},
    "no key": lambda data: {name: value for name, value in data.items() if name != "log_key"},
}


@pytest.mark.parametrize("change", OPENINGS.values(), ids=OPENINGS)
def test_a_trail_is_of_the_log_that_its_first_entry_opens(
    trails: Mapping[str, Files], ours: Files, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    whole, entries = trails["whole"], log_entries(trails["whole"])
    first = json.loads(entries[0])
    entries[0] = canonical_json({**first, "data": change(first["data"])})
    error = refused(reproven(ours, relogged(whole, entries), frame_of(ours)))
    assert error.detail == "does not open this log with the key you hold"


def test_the_frame_is_what_it_has_to_be(trails: Mapping[str, Files], ours: Files) -> None:
    opened, exported, index = frame_of(ours)
    for frame in ([opened, index], [exported, exported, index], [opened, index, exported], [opened, exported, 5]):
        assert refused(reproven(ours, trails["whole"], frame)).check == "entries"
    everything = next(at for at, entry in enumerate(log_entries(trails["whole"])) if b'"scope":"all"' in entry)
    error = refused(reproven(ours, trails["whole"], [opened, everything, index]))
    assert error.detail == "records no export of one company or one room"


INDEXES_FORGED: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another count": lambda item: item | {"leaf": recount(item["leaf"], 1)},
    "another position": lambda item: item | {"position": (item["position"] + 1) % 256},
    "no proof": lambda item: item | {"proof": []},
    "a member more": lambda item: item | {"more": 1},
    "no leaf": lambda item: {"position": 0, "proof": []},
}


def recount(leaf: str, by: int) -> str:
    item = json.loads(base64.b64decode(leaf))
    return encode(canonical_json({**item, "count": item["count"] - by}))


@pytest.mark.parametrize("forge", INDEXES_FORGED.values(), ids=INDEXES_FORGED)
def test_a_forged_leaf_of_the_index_is_noticed(ours: Files, forge: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    forged = json.dumps(forge(json.loads(ours.content[INDEX]))).encode()
    assert refused(recounted(ours.but(INDEX, forged))).check == "index"


def test_other_keys_are_refused(ours: Files) -> None:
    mallory = signing_key(ORIGIN, 9)
    assert refused(ours, mallory.public).check == "checkpoint"
    assert refused(signed(ours, ours.content[MANIFEST], signing_key(f"{ORIGIN}/export", 9))).check == "manifest"
    swapped = ours.but("keys/log.vkey", f"{mallory.public}\n".encode())
    assert refused(recounted(swapped)).check == "keys"


CLAIMS: Mapping[str, dict[str, Any]] = {
    "by somebody else": {"exported_by": "prs_mallory"},
    "of everything": {"query": {"scope": "all"}},
    "by another entry": {"entry": 3},
    "up to later": {"index": 10**6},
    "with other counts": {"counts": {"entries": 1, "by_kind": {}}},
    "in another form": {"format": "conclave-bundle/1"},
}


@pytest.mark.parametrize("change", CLAIMS.values(), ids=CLAIMS)
def test_a_manifest_that_says_something_else_is_refused(ours: Files, change: dict[str, Any]) -> None:
    manifest = json.loads(ours.content[MANIFEST]) | change
    assert str(refused(signed(ours, json.dumps(manifest).encode()))) == "manifest: manifest.json is of another export"


def test_every_file_belongs_and_no_other_does(ours: Files) -> None:
    for name in ours.names():
        refused(ours.without(name))
    for name in ("trail/1.ndjson", "notes.txt", "tile/0/000"):
        refused(ours.but(name, b"x\n"))


@pytest.mark.parametrize("share", SHARES)
def test_every_flipped_bit_is_noticed(ours: Files, share: int) -> None:
    seed = random.SystemRandom().getrandbits(32)
    chance, names = random.Random(seed), sorted(ours.names())
    survivors = []
    for _ in range(FLIPS // share):
        name = chance.choice(names)
        turned = bytearray(ours.content[name])
        bit = chance.randrange(8 * len(turned))
        turned[bit // 8] ^= 1 << bit % 8
        try:
            check(ours.but(name, bytes(turned)))
        except VerificationError:
            continue
        survivors.append((name, bit))
    assert survivors == [], f"seed {seed}"


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff", b'{"entry": 1, "bytes": "x", "proof": []}', b"[" * 5_000])
def test_a_broken_line_is_refused_in_words(ours: Files, line: bytes) -> None:
    error = refused(ours.but(PAGE, line + b"\n"))
    assert (error.check, error.where) == ("entries", f"{PAGE} line 1")


# --- the index itself, which only the whole log shows


def test_the_whole_log_shows_every_index_to_be_right(trails: Mapping[str, Files]) -> None:
    report = verify_bundle(trails["whole"], LOG_KEY.public, verify_ed25519)
    assert report.kinds["index.published"] == 4
    assert report.withheld == 0


def test_an_index_that_hides_an_entry_is_found_in_the_whole_log(trails: Mapping[str, Files]) -> None:
    """The hub itself would say that the partner has less; whoever verifies everything sees it."""
    files, entries = trails["whole"], log_entries(trails["whole"])
    at = next(at for at, entry in enumerate(entries) if b'"kind":"index.published"' in entry and at > 10)
    lie = json.loads(entries[at])
    lie["data"] = index_data(Index({NORTHWIND: 1}, bytes(32)))
    entries[at] = canonical_json(lie)
    with pytest.raises(VerificationError) as raised:
        verify_bundle(relogged(files, entries), LOG_KEY.public, verify_ed25519)
    assert (raised.value.check, raised.value.where) == ("index", f"entry {at:,} (index.published)")
    assert raised.value.detail == "does not say how many entries the companies and rooms have"


SEEDS: Mapping[str, tuple[Callable[[list[Any]], list[Any]], str]] = {
    "gone": (lambda lines: lines[1:], "has no seed in indexes.ndjson"),
    "of another index": (
        lambda lines: [lines[0] | {"disclosure": lines[1]["disclosure"]}, *lines[1:]],
        "has another seed than in indexes.ndjson",
    ),
    "of no form": (lambda lines: [{}, *lines], "'entry'"),
    "twice": (lambda lines: [lines[0], *lines], "is not the number of an entry and a disclosure, or stands here twice"),
}


@pytest.mark.parametrize(("change", "says"), SEEDS.values(), ids=SEEDS)
def test_an_index_without_its_seed_is_no_index(
    trails: Mapping[str, Files], change: Callable[[list[Any]], list[Any]], says: str
) -> None:
    whole = trails["whole"]
    lines = [json.loads(line) for line in whole.content[INDEXES].splitlines()]
    text = "".join(json.dumps(line) + "\n" for line in change(lines)).encode()
    with pytest.raises(VerificationError) as raised:
        verify_bundle(relogged(whole.but(INDEXES, text), log_entries(whole)), LOG_KEY.public, verify_ed25519)
    assert (raised.value.check, raised.value.detail) == ("index", says)


async def test_a_long_trail_has_pages(db: Database, tmp_path: Path) -> None:
    ledger: Ledger = await make_log(db, tmp_path, traffic(4_000))
    files = await trail(ledger, NORTHWIND)
    pages = sorted(name for name in files.names() if name.startswith("trail/"))
    assert pages[:2] == ["trail/0.ndjson", "trail/1.ndjson"]
    assert check(files).kinds.total() == expected(4_000)
    assert refused(recounted(files.without(pages[-1]))).check == "completeness"
    assert refused(recounted(files.without(pages[0]))).check == "entries"
