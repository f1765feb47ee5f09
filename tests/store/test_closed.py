"""The folder of a log that was closed: what the verifier says of it, and of one that was changed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audit.closed import COSIGNED, SUCCESSION
from audit.files import read_vkeys
from audit.keys import SigningKey, verify_signature
from audit.note import Checkpoint, VerifierKey, split_note
from audit.parts import CHECKPOINT, MANIFEST_SIGNATURE, Report, VerificationError
from audit.succession import KeyStatement
from audit.verify import verify_bundle
from tests.key_statements import signed
from tests.ledger import Files, signing_key
from tests.store.test_rotation import Life, sqlite_copy
from tests.store.test_successor import backup, former, restore, succeed

HEAD = Checkpoint(origin="", size=0, root=b"")
Closed = tuple[Files, VerifierKey, SigningKey]


@pytest.fixture
async def closed(tmp_path: Path, database_url: str) -> Closed:
    """A log that lost its end and was closed, the key that it had, and the root's."""
    return await _closed(Life(tmp_path, database_url))


async def _closed(life: Life) -> Closed:
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="kept")
        await hub.entries()
    kept, key = await backup(life.url), read_vkeys(life.folder.vkey)[0]
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="lost")
        await hub.entries()
    await restore(life.url, kept)
    await succeed(life, root := life.take_root())
    await life.export()
    (files,) = await former(life)
    return files, key, root


def check(files: Files, key: VerifierKey) -> Report:
    return verify_bundle(files, key, verify_signature)


def refused(files: Files, key: VerifierKey, **changed: bytes | None) -> VerificationError:
    """What is wrong with ``files`` after some were ``changed``, or taken away."""
    content = {name: data for name, data in {**files.content, **changed}.items() if data is not None}
    with pytest.raises(VerificationError) as caught:
        check(Files(content), key)
    return caught.value


async def test_it_is_valid_with_the_key_that_it_had(closed: Closed) -> None:
    files, key, _ = closed
    report = check(files, key)
    lost = f"entries {report.checkpoint.size:,} to "
    assert report.closed.startswith(f"{key.name}/2 follows it, on the root key's word; {lost}")
    assert (report.export, report.files) == ("", len(files.content))
    assert report.kinds["person.enrolled"]


async def test_whatever_is_changed_taken_away_or_added_is_found(closed: Closed) -> None:
    files, key, _ = closed
    for name, data in files.content.items():
        for at in {0, len(data) // 2, len(data) - 1}:
            flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            assert refused(files, key, **{name: flipped}).detail, name
        assert refused(files, key, **{name: None}).detail, name
    for name in ("spare", MANIFEST_SIGNATURE, "tile/0/x001/000", "timestamps/spare"):
        assert refused(files, key, **{name: b""}).where == name


Change = Callable[[KeyStatement], KeyStatement]
FORGED: dict[str, tuple[Change, str]] = {
    "another head": (
        lambda one: replace(one, restored=replace(one.restored or HEAD, root=bytes(32))),
        "the statement closes the log at another head than the folder's checkpoint",
    ),
    "an earlier head": (
        lambda one: replace(one, restored=replace(one.restored or HEAD, size=3)),
        "the statement closes the log at another head than the folder's checkpoint",
    ),
    "keys of another": (
        lambda one: replace(one, old=(signing_key(one.origin, 5).public,)),
        "the statement closes another log, or one with other keys",
    ),
    "another root": (
        lambda one: replace(one, root=signing_key(f"{one.origin}/root", 6).public),
        "the statement is signed by another root key than the log names",
    ),
    "another act": (lambda one: replace(one, act="recover"), "the statement closes no log"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_the_statement_has_to_close_this_log_at_this_head(tmp_path: Path, sqlite_base: Path, name: str) -> None:
    """One that is signed as it should be, and says something else, is of no use."""
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    files, key, root = await _closed(life)
    change, says = FORGED[name]
    statement = change(KeyStatement.parse(split_note(files.content[SUCCESSION])[0]))
    signers = [life.folder.keys()[0], root if statement.root == root.public else signing_key(root.name, 6)]
    assert refused(files, key, **{SUCCESSION: signed(statement, *signers)}).detail == says


async def test_what_witnesses_cosigned_has_to_be_of_this_log(closed: Closed) -> None:
    files, key, _ = closed
    own = files.content[CHECKPOINT]
    assert check(Files({**files.content, COSIGNED: own}), key).closed
    assert refused(files, key, **{COSIGNED: own.replace(b"\n", b"\n\n", 1)}).where == COSIGNED
