"""``conclave signer`` by hand: keys that are replaced, a root that stays away, and what is said when it cannot be."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audit.files import read_vkeys
from audit.keys import create_key, read_key
from bridge.cli.main import main
from bridge.signer.closing import prepare_succession
from bridge.signer.statements import sign_as_root
from config.state import StateDirectory
from tests.cli.test_commands import Ran, Run, run  # noqa: F401  # a fixture
from tests.served import ServedHub
from tests.store.test_rotation import Life, sqlite_copy
from tests.store.test_successor import head_of, lose


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "w"


def test_the_way_of_a_rotation(run: Run, place: Path, tmp_path: Path) -> None:  # noqa: F811  # the fixture
    made = run("signer", "init", "log.example", "--dir", str(place), "--post-quantum")
    assert made.status == 0, made.err
    assert f"The log's root key is {place}/root.key. Move it to where no machine of the hub can read it" in made.out
    old, at = read_vkeys(place / "log.vkey"), ("--dir", str(place))
    assert all(str(key) in made.out for key in old)
    root, request, signed = tmp_path / "root.key", tmp_path / "request", tmp_path / "signed"
    (place / "root.key").rename(root)
    asked = run("signer", "rotate", *at, "--out", str(request), "--overlap-days", "7")
    assert (asked.status, read_vkeys(place / "log.vkey")) == (0, old), asked.err
    assert f"{request} written; nothing is changed yet." in asked.out
    assert "exists already" in run("signer", "rotate", *at, "--out", str(request)).err
    sign = ("signer", "root", "sign", str(request), "--out", str(signed))
    assert run(*sign, "--root-key", str(root)).status != 0, "nothing is signed that nobody agreed to"
    shown = run(*sign, "--root-key", str(root), "--yes")
    assert (shown.status, f"  old {old[0]}"[:80] in shown.out) == (0, True), shown.err
    assert "act rotate" in shown.out
    assert "cannot write" in run(*sign, "--root-key", str(root), "--yes").err
    applied = run("signer", "rotate", *at, "--apply", str(signed))
    new = read_vkeys(place / "log.vkey")
    assert applied.status == 0, applied.err
    assert all(str(key) in applied.out for key in new)
    assert new[0] not in old
    assert "The old key signs beside it until 20" in applied.out
    assert "start the signer, then the hub" in applied.out
    again = run("signer", "rotate", *at, "--out", str(tmp_path / "more"))
    assert (again.status, "the overlap of the last rotation still goes on" in again.err) == (1, True)
    lost = run("signer", "rotate", *at, "--out", str(tmp_path / "more"), "--recover")
    assert lost.status == 0, lost.err
    run(
        "signer",
        "root",
        "sign",
        str(tmp_path / "more"),
        "--out",
        str(tmp_path / "even"),
        "--root-key",
        str(root),
        "--yes",
    )
    assert "The old key signs no more." in run("signer", "rotate", *at, "--apply", str(tmp_path / "even")).out


def test_what_cannot_be_is_said(run: Run, place: Path, tmp_path: Path, served_hub: ServedHub) -> None:  # noqa: F811  # the fixture
    at, request = ("--dir", str(place)), tmp_path / "request"
    assert "holds no signer" in run("signer", "rotate", *at).err
    run("signer", "init", "log.example", *at)
    run("signer", "rotate", *at, "--out", str(request))
    create_key(tmp_path / "wrong.key", "log.example/root")
    for key, says in (
        (str(tmp_path / "wrong.key"), "the root does not sign this: it is for the root key"),
        (str(place / "log.key"), "the root does not sign this: it is for the root key"),
        (str(tmp_path / "none.key"), "cannot read the key file"),
        (str(request), "holds no key of the form"),
    ):
        ran = run("signer", "root", "sign", str(request), "--out", str(tmp_path / "o"), "--root-key", key, "--yes")
        assert (ran.status, says in ran.err) == (1, True), ran.err
        assert not (tmp_path / "o").exists()
    for file, says in ((request, "is not signed by the root key"), (place / "log.vkey", "has no signature block")):
        ran = run("signer", "rotate", *at, "--apply", str(file))
        assert (ran.status, says in ran.err) == (1, True), ran.err
    assert "cannot read" in run("signer", "rotate", *at, "--apply", str(tmp_path / "none")).err
    assert "this log has a root key already" in run("signer", "root", "create", *at).err
    running = StateDirectory(served_hub.state).lock()
    ran = run("signer", "rotate", "--apply", str(request))
    running.release()
    assert (ran.status, "is in use by process" in ran.err) == (1, True), ran.err


def test_an_ml_dsa_key_later_and_a_root_for_an_older_log(run: Run, place: Path) -> None:  # noqa: F811  # the fixture
    at = ("--dir", str(place))
    run("signer", "init", "log.example", *at)
    (place / "root.key").unlink()
    (place / "root.vkey").unlink()  # as an earlier release left it
    assert "this log has no root key" in run("signer", "rotate", *at, "--out", str(place / "request")).err
    assert "The log's root key is" in run("signer", "root", "create", *at).out
    assert (place / "root.key").exists()
    for _ in range(2):
        ran = run("signer", "post-quantum", *at)
        assert (ran.status, len(read_vkeys(place / "log.vkey"))) == (0, 2), ran.err
    assert len(list((place / "statements").iterdir())) == 2


def test_a_witness_with_both_keys_and_a_log_with_new_ones(run: Run, place: Path, tmp_path: Path) -> None:  # noqa: F811  # the fixture
    at, log, vkey = ("--dir", str(tmp_path / "witness")), ("--dir", str(place)), str(place / "log.vkey")
    made = run("witness", "init", "w.example", *at, "--post-quantum")
    assert made.status == 0, made.err
    assert len((tmp_path / "witness" / "witness.vkey").read_text().splitlines()) == 2
    run("signer", "init", "log.example", *log, "--post-quantum")
    assert "log.example is not watched" in run("witness", "rekey", vkey, *at).err
    assert run("witness", "add", vkey, *at).status == 0
    run("signer", "rotate", *log, "--out", str(tmp_path / "r"))
    run(
        "signer",
        "root",
        "sign",
        str(tmp_path / "r"),
        "--out",
        str(tmp_path / "s"),
        "--yes",
        "--root-key",
        f"{place}/root.key",
    )
    run("signer", "rotate", *log, "--apply", str(tmp_path / "s"))
    assert "conclave witness rekey" in run("witness", "add", vkey, *at).err
    assert "is watched with its new keys" in run("witness", "rekey", vkey, *at).out
    told = run("witness", "list", *at, "--json").data[0]
    assert told["vkeys"] == [str(key) for key in read_vkeys(place / "log.vkey")]
    (tmp_path / "witness" / "witness-mldsa44.key").unlink()
    assert "cannot read the key file" in run("witness", "list", *at).err, "who was told of a key is not left without it"


@pytest.fixture
async def restored(tmp_path: Path, sqlite_base: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """A hub on this machine whose database is an older one than its keys; its root key is taken away."""
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    root = await lose(life)
    (tmp_path / "root.key").write_text(f"{root}\n")
    monkeypatch.setenv("CONCLAVE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("CONCLAVE_DATABASE__URL", life.url)
    monkeypatch.setenv("CONCLAVE_HOMESERVER__NAME", "conclave.test")
    return life


@pytest.fixture
def conclave(restored: Life, capsys: pytest.CaptureFixture[str]) -> Callable[..., Awaitable[Ran]]:
    """Runs ``conclave …`` beside that hub."""

    def ran(*arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said, status = capsys.readouterr(), ended.value.code
        return Ran(status if isinstance(status, int) else 0, said.out, said.err)

    async def call(*arguments: str) -> Ran:
        assert restored.place.exists()
        return await asyncio.to_thread(ran, *arguments)

    return call


async def test_the_way_of_a_succession(conclave: Callable[..., Awaitable[Ran]], restored: Life, tmp_path: Path) -> None:
    request, signed, out = (str(tmp_path / name) for name in ("request", "signed", "former"))
    old_key = shutil.copy(restored.folder.vkey, tmp_path / "old.vkey")
    assert "No log was closed" in (await conclave("signer", "former", "--out", out)).out
    asked = await conclave("signer", "succeed", "--out", request)
    assert (asked.status, "nothing is changed yet" in asked.out) == (0, True), asked.err
    assert "exists already" in (await conclave("signer", "succeed", "--out", request)).err
    shown = await conclave(
        "signer", "root", "sign", request, "--root-key", str(tmp_path / "root.key"), "--out", signed, "--yes"
    )
    assert "act succeed" in shown.out, shown.err
    assert "conclave signer succeed --apply" in shown.out
    assert "is no statement" in (await conclave("signer", "succeed", "--apply", str(tmp_path / "root.key"))).err
    assert "not signed by the root key" in (await conclave("signer", "succeed", "--apply", request)).err
    for _ in range(2):
        done = await conclave("signer", "succeed", "--apply", signed)
        assert "The log conclave.test is closed; conclave.test/2 follows it." in done.out, done.err
    files = await restored.export()
    place = files.save(tmp_path / "export")
    told = await conclave("audit", "verify", str(place), "--vkey", str(restored.folder.vkey))
    assert (told.status, "this log follows conclave.test" in told.out) == (0, True), told.out
    assert "1 closed log written to" in (await conclave("signer", "former", "--out", out)).out
    told = await conclave("audit", "verify", str(Path(out) / "1"), "--vkey", str(old_key))
    assert (told.status, "conclave.test/2 follows it, on the root key's word" in told.out) == (0, True), told.out
    assert {path.name for path in (Path(out) / "1").iterdir()} >= {"checkpoint", "succession.note", "tile", "keys"}
    nothing = await conclave("signer", "succeed", "--out", str(tmp_path / "more"))
    assert (nothing.status, "nothing was lost" in nothing.err) == (1, True)
    assert not (tmp_path / "more").exists()


async def test_a_succession_for_another_database_or_a_signer_apart(
    conclave: Callable[..., Awaitable[Ran]], restored: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, signed, apart = (str(tmp_path / name) for name in ("request", "signed", "apart"))
    at = await head_of(restored)
    other = prepare_succession(restored.folder, replace(at, size=at.size - 1))
    (tmp_path / "signed").write_bytes(sign_as_root(other, read_key(tmp_path / "root.key")))
    assert (
        "the database is not at the head that the statement names"
        in (await conclave("signer", "succeed", "--apply", signed)).err
    )
    monkeypatch.setenv("CONCLAVE_LEDGER__SIGNER", f"{apart}/s.sock")
    words = " ".join(at.text().split("\n")[1:3])
    assert f'--restored "{words}"' in (await conclave("signer", "succeed", "--out", request)).out
    restored.folder.root.rename(apart)
    (tmp_path / "apart" / "log.vkey").write_text((tmp_path / "state" / "log.vkey").read_text())
    for given, says in (((), "what does the database have? --restored"), (("--restored", "x"), "--restored x: ")):
        assert says in (await conclave("signer", "succeed", "--dir", apart, "--out", request, *given)).err
    ran = await conclave("signer", "succeed", "--dir", apart, "--out", request, "--restored", words)
    assert (ran.status, Path(request).exists()) == (0, True), ran.err
