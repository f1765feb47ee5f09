"""Checkpoints that somebody saved: a log that was cut, put back, rewritten or forked since is refused, and named."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from audit.canonical import canonical_json
from audit.keys import verify_ed25519
from audit.note import Checkpoint, sign_note
from audit.parts import CHECKPOINT, Report, VerificationError
from audit.seen import FORKED, OTHER, REWRITTEN, SHORTER
from audit.structure import Roots, tile_width
from audit.tiles import tile_widths
from audit.tree import EMPTY_ROOT, Frontier, leaf_hash
from audit.verify import verify_bundle
from config.db import Database
from tests.ledger import LOG_KEY, ORIGIN, Files, entries_of, export, make_log, relogged, sample, signing_key

SIZES = (300, 512, 700)
Entries = list[bytes]


@pytest.fixture(scope="module")
async def bundles(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Files]:
    """One log, as it grew."""
    place = tmp_path_factory.mktemp("seen")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    ledger = await make_log(db, place, sample(299))
    found = {300: await export(db)}
    for before, size in ((300, 512), (512, 700)):
        await ledger.append(sample(size - before))
        found[size] = await export(db)
    await db.close()
    return found


def check(files: Files, **seen: bytes) -> Report:
    return verify_bundle(files, LOG_KEY.public, verify_ed25519, seen=seen)


def refused(files: Files, **seen: bytes) -> tuple[str, str]:
    with pytest.raises(VerificationError) as raised:
        check(files, **seen)
    assert raised.value.check == "seen"
    return str(raised.value), raised.value.meaning


def checkpoint(entries: Entries, origin: str = ORIGIN) -> bytes:
    frontier = Frontier().extend(map(leaf_hash, entries))
    head = Checkpoint(origin=origin, size=frontier.size, root=frontier.root())
    return sign_note(head.text(), LOG_KEY.public, LOG_KEY)


def test_a_log_extends_all_that_was_seen_of_it(bundles: Mapping[int, Files]) -> None:
    notes = {f"at{size}": files.content[CHECKPOINT] for size, files in bundles.items()}
    assert check(bundles[700], **notes).seen == 3
    assert check(bundles[700]).seen == 0


def test_signatures_of_others_in_a_saved_checkpoint_are_passed_over(bundles: Mapping[int, Files]) -> None:
    note = bundles[300].content[CHECKPOINT]
    witness = signing_key("witness.example", 7)
    more = sign_note(note.decode().rpartition("\n\n")[0] + "\n", witness.public, witness).rpartition(b"\n\n")[2]
    assert check(bundles[700], saved=note + more).seen == 1


def test_every_size_of_a_log_can_have_been_seen(bundles: Mapping[int, Files]) -> None:
    frontier, bundle = Frontier(), bundles[700]
    assert Roots(bundle, 700).at(0) == EMPTY_ROOT
    for size, entry in enumerate(entries_of(bundle), start=1):
        frontier = frontier.extend([leaf_hash(entry)])
        assert Roots(bundle, 700).at(size) == frontier.root(), size


@pytest.mark.parametrize("size", [-1, 701])
def test_there_is_no_root_beyond_the_log(bundles: Mapping[int, Files], size: int) -> None:
    with pytest.raises(ValueError, match=f"no root at {size} of a log of 700 entries"):
        Roots(bundles[700], 700).at(size)


def test_the_width_of_a_tile_is_that_of_the_list_of_tiles() -> None:
    for size in (0, 1, 255, 256, 257, 65_535, 65_536, 65_800):
        for level, index, width in tile_widths(size):
            assert tile_width(size, level, index) == width
        assert tile_width(size, 0, -(-size // 256)) <= 0


def test_a_log_that_is_shorter_than_what_was_seen_is_refused(bundles: Mapping[int, Files]) -> None:
    said, meaning = refused(bundles[300], at512=bundles[512].content[CHECKPOINT])
    assert said == "seen: at512 has 512 entries, the export only 300"
    assert (
        meaning
        == SHORTER
        == ("the log was cut off or put back since you saw it, or the export is older than what you saw")
    )


def test_a_log_cut_and_signed_again_is_refused(bundles: Mapping[int, Files]) -> None:
    cut = relogged(bundles[700], entries_of(bundles[700])[:400])
    assert refused(cut, at512=bundles[512].content[CHECKPOINT])[1] == SHORTER


def test_a_log_put_back_and_continued_is_refused(bundles: Mapping[int, Files]) -> None:
    """Of the same entries up to 300, and then of others, until it is longer than what was seen."""
    log = entries_of(bundles[700])
    other = [*log[:300], *(canonical_json(json.loads(one) | {"companies": ["cmp_x"]}) for one in log[300:])]
    said, meaning = refused(relogged(bundles[700], other), at512=bundles[512].content[CHECKPOINT])
    assert said == "seen: at512 has another root over 512 entries than the export"
    assert meaning == REWRITTEN == "the log was rewritten, or put back and continued, since you saw it"
    assert check(relogged(bundles[700], other), at300=bundles[300].content[CHECKPOINT]).seen == 1


def test_two_heads_of_one_size_are_a_fork(bundles: Mapping[int, Files]) -> None:
    log = entries_of(bundles[700])
    other = [*log[:-1], canonical_json(json.loads(log[-1]) | {"companies": ["cmp_x"]})]
    said, meaning = refused(bundles[700], shown=checkpoint(other))
    assert said == "seen: shown has another root over 700 entries than the export"
    assert meaning == FORKED == "the log was forked: two histories were signed, and you were shown one of them before"


def test_each_checkpoint_counts_and_the_one_that_does_not_fit_is_named(bundles: Mapping[int, Files]) -> None:
    log = entries_of(bundles[700])
    good, forked = bundles[300].content[CHECKPOINT], checkpoint([*log[:99], b"{}"])
    assert refused(bundles[700], one=good, two=forked)[0].startswith("seen: two ")
    assert refused(bundles[700], two=forked, one=good)[0].startswith("seen: two ")


def test_what_is_no_checkpoint_of_the_log_is_refused(bundles: Mapping[int, Files]) -> None:
    log, key_id = entries_of(bundles[300]), LOG_KEY.public.key_id.hex()
    mallory, note = signing_key(ORIGIN, 9), bundles[300].content[CHECKPOINT].decode()
    forged = sign_note(note.rpartition("\n\n")[0] + "\n", mallory.public, mallory)
    assert refused(bundles[700], x=forged) == (f"seen: x no signature by {ORIGIN} with key id {key_id}", OTHER)
    assert refused(bundles[700], x=b"")[0] == "seen: x the note has no signature block"
    said = f"seen: x is of the log log.example/other, the export is of {ORIGIN}"
    assert refused(bundles[700], x=checkpoint(log, origin="log.example/other")) == (said, OTHER)
