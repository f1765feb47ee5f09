"""``conclave witness``, ``audit prove`` and what verifies it, by hand."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from audit.cosignature import cosignatures
from audit.keys import verify_ed25519
from audit.note import COSIGNATURE, VerifierKey
from audit.witness import Submission
from bridge.demo.temporary import free_ports
from tests.cli.test_commands import Run, run  # noqa: F401  # a fixture
from tests.served import ServedHub


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "w")


def test_a_witness_is_made_once_and_watches_each_log_once(run: Run, place: str, served_hub: ServedHub) -> None:  # noqa: F811  # the fixture
    made = run("witness", "init", "witness.northwind.example", "--dir", place)
    assert made.status == 0, made.err
    key = VerifierKey.parse(made.out.splitlines()[1], algorithm=COSIGNATURE)
    assert key.name == "witness.northwind.example"
    vkey = str(served_hub.state / "log.vkey")
    assert run("witness", "list", "--dir", place).err.startswith("No log is watched.")
    assert run("witness", "add", vkey, "--dir", place).out.startswith("The log conclave.test is watched.")
    assert run("witness", "list", "--dir", place, "--json").data[0]["size"] == 0
    assert "conclave.test" in run("witness", "list", "--dir", place).out
    for arguments, says in (
        (("init", "again.example"), "cannot write the key file"),
        (("init", "two words"), "cannot be a witness's name"),
        (("add", vkey), "is watched already"),
        (("add", "/nope"), "/nope is not a log's public key: No such file or directory"),
    ):
        ran = run("witness", *arguments, "--dir", place)
        assert ran.status != 0
        assert says in ran.err
    ran = run("witness", "add", vkey, "--dir", f"{place}-nowhere")
    assert (ran.status, "cannot read the key file" in ran.err) == (1, True)


def test_a_witness_serves_until_it_is_stopped(run: Run, place: str, served_hub: ServedHub) -> None:  # noqa: F811  # the fixture
    run("witness", "init", "w.example", "--dir", place)
    run("witness", "add", str(served_hub.state / "log.vkey"), "--dir", place)
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bridge.cli.main", "witness", "serve", "--dir", place, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"  witness w.example at http://127.0.0.1:{port}, watching conclave.test\n"
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (second.returncode, "is in use by process" in second.stderr) == (1, True)
        note = urllib.request.urlopen(
            urllib.request.Request(
                f"{served_hub.url}/log/checkpoint", headers={"Authorization": f"Bearer {served_hub.token}"}
            )
        ).read()
        body = Submission(old=0, proof=[], note=note).encode()
        line = urllib.request.urlopen(f"http://127.0.0.1:{port}/add-checkpoint", data=body).read()
        key = VerifierKey.parse((Path(place) / "witness.vkey").read_text(), algorithm=COSIGNATURE)
        assert len(cosignatures(note + line, [key], verify_ed25519)) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_an_entry_is_proven_and_the_proof_checked_alone(run: Run, tmp_path: Path, served_hub: ServedHub) -> None:  # noqa: F811  # the fixture
    out, vkey = tmp_path / "first.tlog-proof", str(served_hub.state / "log.vkey")
    ran = run("audit", "prove", "--entry", "0", "--out", str(out))
    assert ran.status == 0, ran.err
    assert ran.out.startswith(f"{out} written: entry 0 is in the log of ")
    ran = run("audit", "verify", str(out), "--vkey", vkey)
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "VALID.")
    assert "log.opened" in ran.out
    assert run("audit", "verify", str(out), "--vkey", vkey, "--json").data["body"]["kind"] == "log.opened"
    assert "exists already" in run("audit", "prove", "--entry", "0", "--out", str(out)).err
    assert "no entry 999999" in run("audit", "prove", "--entry", "999999").err
    policy = tmp_path / "mine"
    key = VerifierKey(name="w.example", public_key=bytes(32), algorithm=COSIGNATURE)
    policy.write_text(f"witness w {key}\nquorum w\n")
    ran = run("audit", "verify", str(out), "--vkey", vkey, "--policy", str(policy))
    assert (ran.status, ran.out) == (1, "INVALID: the policy's quorum w is not met: cosigned by nobody.\n")
    policy.write_text("quorum none\n")
    assert "none needed" in run("audit", "verify", str(out), "--vkey", vkey, "--policy", str(policy)).out
    policy.write_text("quorum w\n")
    assert (
        "is no policy of witnesses: line 1"
        in run("audit", "verify", str(out), "--vkey", vkey, "--policy", str(policy)).err
    )
    out.write_bytes(out.read_bytes().replace(b"index 0", b"index 1"))
    ran = run("audit", "verify", str(out), "--vkey", vkey, "--json")
    assert (ran.status, ran.data["valid"]) == (1, False)


def checkpoint_after(run: Run, place: Path, before: Path | None) -> bytes:  # noqa: F811  # the fixture
    """The newest checkpoint, once it is another than the one in ``before``."""
    while True:
        run("audit", "prove", "--entry", "0", "--out", str(place))
        found = place.read_bytes().partition(b"\n\n")[2]
        place.unlink()
        if before is None or found != before.read_bytes():
            return found


def test_two_checkpoints_are_held_against_each_other(run: Run, tmp_path: Path, served_hub: ServedHub) -> None:  # noqa: F811  # the fixture
    old, new, out = tmp_path / "old", tmp_path / "new", tmp_path / "growth"
    for path in (old, new):
        grown = run("company", "add", f"growth-{path.name}", "--name", "Growth")
        assert grown.status == 0
        path.write_bytes(checkpoint_after(run, tmp_path / "p", old if path is new else None))
    ran = run("audit", "prove", "--between", str(old), str(new), "--out", str(out))
    assert ran.status == 0, ran.err
    assert ran.out.startswith("The log grew from ")
    assert out.read_bytes().startswith(b"old ")
    assert run("audit", "prove", "--between", str(old), str(new), "--json").data["extends"] is True
    ran = run("audit", "prove", "--between", str(new), str(old))
    assert (ran.status, "is of a larger log than" in ran.err) == (1, True)
    (tmp_path / "broken").write_bytes(old.read_bytes()[:-5])
    ran = run("audit", "prove", "--between", str(tmp_path / "broken"), str(new))
    assert (ran.status, "is no checkpoint of this log" in ran.err) == (2, True)
    assert "name one thing to prove" in run("audit", "prove").err
    assert run("audit", "prove", "--between", str(old), str(old), "--json").data["extends"] is True


def test_a_signer_is_made_once_and_its_socket_is_where_it_was_named(run: Run, place: str) -> None:  # noqa: F811  # the fixture
    made = run("signer", "init", "log.example", "--dir", place)
    assert (made.status, made.out.splitlines()[1].strip()) == (0, (Path(place) / "log.vkey").read_text().strip())
    assert "holds a signer already" in run("signer", "init", "log.example", "--dir", place).err
    ran = run("signer", "serve", "--dir", place, "--socket", f"{place}/none/s.sock")
    assert (ran.status, "cannot listen at" in ran.err) == (1, True)
    ran = run("signer", "serve", "--dir", f"{place}-nowhere", "--socket", f"{place}/s.sock")
    assert (ran.status, "cannot read the key file" in ran.err) == (1, True)


def test_the_ledger_is_compared_with_the_homeserver(run: Run) -> None:  # noqa: F811  # the fixture
    run("person", "invite", "--company", "contoso", "--team", "compare", "--name", "C", "--email", "c@contoso.example")
    run("company", "add", "compared", "--name", "Compared")
    assert run("partnership", "open", "compared", "--team", "compare").status == 0
    ran = run("audit", "reconcile")
    assert ran.status == 0, ran.out
    assert re.search(r"^\d+ rooms, [\d,]+ events: the ledger has each of them, once\.$", ran.out.splitlines()[-1])
    assert "no room 'rm_none'" in run("audit", "reconcile", "--room", "rm_none").err
