"""Exports of a log whose keys were changed: who is led to today's keys, and which changes nobody is told to believe."""

import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from audit.entry import Draft, system_actor
from audit.keys import SigningKey, verify_signature
from audit.note import sign_line
from audit.parts import CHECKPOINT, LOG_KEY, STATEMENTS, Report, VerificationError
from audit.succession import KINDS, statement_data
from audit.verify import verify_bundle
from config.db import Database
from tests.key_statements import (
    NEW,
    NEWER,
    OLD,
    OTHER_ROOT,
    PQ_NEW,
    PQ_OLD,
    RECOVERED,
    ROOT,
    ROTATED,
    publics,
    rotation,
    signed,
)
from tests.ledger import OPENED, Files, Ledger, export, resealed, sample, signing_key

Made = Callable[..., Awaitable[Files]]


def draft(note: bytes, **changes: str) -> Draft:
    data = {**statement_data(note.decode()), **changes}
    return Draft(kind=KINDS[data["act"]], actor=system_actor("signer"), data=data)


def by(files: Files, *keys: SigningKey, told: Sequence[SigningKey] | None = None) -> Files:
    """``files`` with a checkpoint that ``keys`` signed; ``told`` are those in ``keys/log.vkey``."""
    text = files.content[CHECKPOINT].decode().partition("\n\n")[0] + "\n"
    note = f"{text}\n{''.join(sign_line(text, key.public, key, at=5) for key in keys)}"
    lines = "".join(f"{key.public}\n" for key in (told or keys))
    return resealed(files.but(CHECKPOINT, note.encode()).but(LOG_KEY, lines.encode()))


@pytest.fixture
async def made(sqlite_base: Path, tmp_path: Path) -> Made:
    """Makes the export of a log with those entries about its keys, signed by those keys."""

    async def make(
        *drafts: Draft,
        keys: Sequence[SigningKey] = (NEW,),
        told: Sequence[SigningKey] | None = None,
        root: SigningKey | None = ROOT,
        **opening: str,
    ) -> Files:
        shutil.copy(sqlite_base, tmp_path / "hub.sqlite3")
        (tmp_path / "signer.json").unlink(missing_ok=True)
        db = Database.sqlite(tmp_path / "hub.sqlite3")
        data = {**OPENED.data, **opening, **({} if root is None else {"root_key": str(root.public)})}
        first = Draft(kind=OPENED.kind, actor=OPENED.actor, data=data)
        entries = [("hub", first), *sample(5), *(("hub", one) for one in drafts), *sample(3)[2:]]
        await Ledger(db, tmp_path).append(entries)
        files = await export(db)
        await db.close()
        return by(files, *keys, told=told)

    return make


def verified(files: Files, *held: SigningKey, root: SigningKey | None = None) -> Report:
    return verify_bundle(files, publics(*held), verify_signature, root=None if root is None else root.public)


def refused(files: Files, *held: SigningKey, root: SigningKey | None = None) -> str:
    with pytest.raises(VerificationError) as raised:
        verified(files, *held, root=root)
    return str(raised.value)


async def test_after_a_rotation_old_and_new_key_are_of_use_with_and_without_the_root(made: Made) -> None:
    for keys in ((NEW,), (NEW, OLD)):  # after the overlap, and within it
        files = await made(draft(ROTATED), keys=keys, told=(NEW,))
        for held in (OLD, NEW):
            for root in (None, ROOT):
                report = verified(files, held, root=root)
                assert report.key == NEW.public
                assert report.key_changes == [
                    "entry 6: the log's keys were replaced, as the ones before and the root say"
                ]


async def test_two_rotations_in_a_row_are_followed(made: Made) -> None:
    second = signed(rotation(number=2, old=publics(NEW), new=publics(NEWER)), NEW, NEWER, ROOT)
    files = await made(draft(ROTATED), draft(second), keys=(NEWER,))
    for held in (OLD, NEW, NEWER):
        assert verified(files, held).key == NEWER.public
    assert "no signature by" in refused(by(files, NEW, OLD, told=(NEWER,)), OLD), "keys of before do not sign any more"


async def test_the_old_key_alone_signs_nothing_after_its_rotation(made: Made) -> None:
    files = await made(draft(ROTATED), keys=(OLD,), told=(NEW,))
    assert refused(files, OLD) == (
        f"checkpoint: checkpoint no signature by {NEW.name} with key id {NEW.public.key_id.hex()}"
    )
    hidden = resealed(files.without(STATEMENTS))
    assert refused(hidden, OLD) == "keys: checkpoint was signed by other keys than those that the log has"


async def test_a_stolen_key_without_the_root_is_refused_in_words(made: Made) -> None:
    stolen = signed(rotation(), OLD, NEW)
    for held in (OLD, NEW):
        says = refused(await made(draft(stolen)), held)
        assert says.startswith(
            "keys: keys/statements.ndjson the statement about the log's keys is not signed by the root key: no"
        )
    hidden = resealed((await made(draft(stolen))).without(STATEMENTS))
    assert refused(hidden, NEW).startswith(
        "keys: entry 6 (key.rotated) the statement about the log's keys is not signed by the root key"
    )


async def test_a_root_that_the_log_does_not_name_is_none(made: Made) -> None:
    forged = signed(rotation(root=OTHER_ROOT.public), OLD, NEW, OTHER_ROOT)
    files = await made(draft(forged))
    says = "the statement is signed by another root key than the log's"
    assert refused(files, OLD) == refused(files, NEW) == f"keys: entry 6 (key.rotated) {says}"
    whole = await made(draft(forged), root=OTHER_ROOT)
    assert refused(whole, OLD, root=ROOT).endswith("signed by another root key than the one you hold")
    assert refused(whole, NEW, root=ROOT).endswith("signed by another root key than the one you hold")
    assert refused(await made(keys=(OLD,), root=None), OLD, root=ROOT) == "keys: entry 0 the log names no root key"
    assert "names another root key than the one you hold" in refused(
        await made(keys=(OLD,), root=OTHER_ROOT), OLD, root=ROOT
    )


async def test_over_the_root_alone_only_who_holds_the_root_is_led(made: Made) -> None:
    files = await made(draft(RECOVERED))
    assert verified(files, OLD, root=ROOT).key_changes == [
        "entry 6: the log's keys were replaced, as the root alone says: the ones before were lost or stolen"
    ]
    assert verified(files, NEW).key == NEW.public
    says = refused(files, OLD)
    assert "no key that you hold signed the statement that replaced yours (recover, number 1)" in says
    assert says.endswith("--root")


async def test_a_statement_of_another_log_or_for_the_second_time_is_refused(made: Made) -> None:
    other = [signing_key("log.example/other", seed) for seed in (1, 11)]
    foreign = rotation(origin="log.example/other", old=publics(other[0]), new=publics(other[1]))
    files = await made(draft(signed(foreign, *other, ROOT)), keys=(OLD,))
    assert refused(files, OLD).endswith("is about the log log.example/other, not about log.example/hub")
    twice = await made(draft(ROTATED), draft(ROTATED))
    assert refused(twice, NEW) == "keys: entry 7 (key.rotated) the statement is number 1 of this log, expected 2"
    back = signed(rotation(number=2, old=publics(NEW), new=publics(OLD)), NEW, OLD, ROOT)
    assert "such a key does not come back" in refused(await made(draft(ROTATED), draft(back), keys=(OLD,)), OLD)


async def test_what_the_entry_says_is_what_is_signed(made: Made) -> None:
    for changes in ({"log_key": str(NEWER.public)}, {"act": "recover"}, {"root_key": str(OTHER_ROOT.public)}):
        assert refused(await made(draft(ROTATED, **changes)), NEW) == (
            "keys: entry 6 (key.rotated) the entry says something else than the statement in it"
        )


async def test_the_copy_of_the_statements_is_what_the_log_has(made: Made) -> None:
    files = await made(draft(ROTATED))
    line = files.content[STATEMENTS]
    says = f"keys: {STATEMENTS} does not have what the log has"
    assert refused(resealed(files.without(STATEMENTS)), NEW) == says
    assert refused(resealed(files.but(STATEMENTS, line.replace(b'"entry": 6', b'"entry": 7'))), NEW) == says
    assert refused(resealed(files.but(STATEMENTS, line + line)), NEW) == says
    for broken in (b"", b"{}\n", b"[]\n", b"\xff", line.replace(b"6", b'"6"', 1), b'{"entry": 6, "statement": 5}\n'):
        with pytest.raises(VerificationError) as raised:
            verified(resealed(files.but(STATEMENTS, broken)), NEW)
        assert raised.value.where == STATEMENTS
    assert refused(await made(keys=(OLD,)), NEW).startswith("checkpoint: checkpoint no signature by")


async def test_a_key_of_nowhere_is_refused_before_anything_is_read(made: Made) -> None:
    files = await made(draft(ROTATED))
    mallory = signing_key(OLD.name, 66)
    broken = Files({name: data for name, data in files.content.items() if not name.startswith("tile/")})
    assert refused(broken, mallory).startswith("checkpoint: checkpoint no signature by")


async def test_of_several_keys_each_must_have_signed(made: Made) -> None:
    addition = signed(rotation(act="add", new=publics(PQ_OLD), root=None, until=0), OLD)
    files = await made(draft(addition), keys=(OLD, PQ_OLD))
    for held in ((OLD,), (OLD, PQ_OLD), (PQ_OLD,)):
        assert verified(files, *held).keys == publics(*held)
    assert "no signature by" in refused(by(files, OLD, told=(OLD, PQ_OLD)), OLD, PQ_OLD)
    assert "no signature by" in refused(by(files, PQ_OLD, told=(OLD, PQ_OLD)), OLD, PQ_OLD)
    assert "no signature by" in refused(by(files, PQ_OLD, told=(OLD, PQ_OLD)), PQ_OLD)
    assert refused(by(files, OLD, PQ_OLD, told=(OLD,)), OLD) == f"keys: {LOG_KEY} is not the key you hold"
    founded = await made(keys=(OLD, PQ_OLD), post_quantum_key=str(PQ_OLD.public))
    assert verified(founded, OLD, PQ_OLD).keys == publics(OLD, PQ_OLD)
    assert refused(by(founded, OLD, PQ_NEW), OLD, PQ_NEW) == (
        "meaning: entry 0 does not open this log with the key you hold"
    )


async def test_both_keys_are_rotated_together(made: Made) -> None:
    note = signed(rotation(old=publics(OLD, PQ_OLD), new=publics(NEW, PQ_NEW)), OLD, NEW, ROOT)
    files = await made(
        draft(note), keys=(NEW, PQ_NEW, OLD, PQ_OLD), told=(NEW, PQ_NEW), post_quantum_key=str(PQ_OLD.public)
    )
    assert verified(files, OLD, PQ_OLD).keys == publics(NEW, PQ_NEW)
    assert verified(files, OLD).keys == publics(NEW)
    assert "no key that you hold signed" in refused(files, PQ_OLD)
    assert verified(files, PQ_OLD, root=ROOT).keys == publics(PQ_NEW)


async def test_a_root_that_was_adopted_later_is_the_logs(made: Made) -> None:
    adoption = signed(rotation(act="adopt-root", new=(), until=0), OLD, ROOT)
    note = signed(rotation(number=2), OLD, NEW, ROOT)
    files = await made(draft(adoption), draft(note), root=None)
    for held in (OLD, NEW):
        assert verified(files, held, root=ROOT).key == NEW.public
    assert "another root key" in refused(files, OLD, root=OTHER_ROOT)
    without = await made(draft(ROTATED), root=None)
    assert "names no root key, without which its keys cannot be replaced" in refused(without, NEW)


async def test_a_bit_of_the_statements_changed_is_refused(made: Made) -> None:
    files = await made(draft(ROTATED))
    data = files.content[STATEMENTS]
    for at in range(0, 8 * len(data), 5):
        forged = bytearray(data)
        forged[at // 8] ^= 1 << at % 8
        for held in (OLD, NEW):
            refused(files.but(STATEMENTS, bytes(forged)), held)
