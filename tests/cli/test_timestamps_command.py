"""``conclave audit verify --tsa-cert``, and the offline verifier as one file, on an export with timestamps."""

from pathlib import Path

import pytest

from tests.cli.test_commands import Run, run  # noqa: F401  # a fixture
from tests.ledger import LOG_KEY, Files, resealed
from tests.stamped import Stamped, stamped_export
from tests.tsa import authority, needs_openssl
from tests.vectors.test_verifier_alone import Ran, program  # noqa: F401  # a fixture

pytestmark = needs_openssl


@pytest.fixture(scope="module")
async def stamped(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    return await stamped_export(sqlite_base, tmp_path_factory.mktemp("command"), size=301)


@pytest.fixture
def vkey(tmp_path: Path) -> str:
    (tmp_path / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    return str(tmp_path / "log.vkey")


def test_the_timestamps_of_an_export_are_told_of(run: Run, stamped: Stamped, tmp_path: Path, vkey: str) -> None:  # noqa: F811  # the fixture
    folder, root = str(stamped.files.save(tmp_path / "q1")), str(stamped.tsa.ca_file)
    ran = run("audit", "verify", folder, "--vkey", vkey)
    assert ran.status == 0, ran.out
    (line,) = [line for line in ran.out.splitlines() if line[4:].startswith("timestamps")]
    assert line.startswith("  · timestamps      3, the newest of 300 entries at 20")
    assert line.endswith("claimed, not verified: name the TSA's root with --tsa-cert")
    ran = run("audit", "verify", folder, "--vkey", vkey, "--tsa-cert", root)
    assert (ran.status, ran.out.splitlines()[-1].startswith("VALID.")) == (0, True)
    (line,) = [line for line in ran.out.splitlines() if line[4:].startswith("timestamps")]
    assert line.startswith("  ✓ timestamps      3, the newest of 300 entries at 20")
    assert line.endswith("by CN=TSA")
    told = run("audit", "verify", folder, "--vkey", vkey, "--tsa-cert", root, "--json").data
    assert ([one["size"] for one in told["timestamps"]], told["timestamps_by"]) == ([3, 256, 300], ["CN=TSA"])
    assert run("audit", "verify", folder, "--vkey", vkey, "--json").data["timestamps_by"] is None


def test_timestamps_by_a_stranger_or_none_at_all_are_not_enough(
    run: Run,  # noqa: F811  # the fixture
    stamped: Stamped,
    tmp_path: Path,
    vkey: str,
) -> None:
    folder, other = str(stamped.files.save(tmp_path / "q1")), str(authority(tmp_path / "other").ca_file)
    ran = run("audit", "verify", folder, "--vkey", vkey, "--tsa-cert", other)
    assert (ran.status, ran.out.splitlines()[-1].startswith("INVALID: ")) == (1, True)
    assert "timestamps/3.tsr  the TSA's certificate does not lead to a trusted one" in ran.out
    ran = run("audit", "verify", folder, "--vkey", vkey, "--tsa-cert", other, "--json")
    assert (ran.status, ran.data["valid"], ran.data["check"]) == (1, False, "timestamps")
    ran = run("audit", "verify", folder, "--vkey", vkey, "--tsa-cert", "/nope")
    assert (ran.status, "/nope is no certificate of a TSA: No such file or directory" in ran.err) == (2, True)
    ran = run("audit", "verify", folder, "--vkey", vkey, "--tsa-cert", vkey)
    assert (ran.status, "is no certificate of a TSA: no certificate in PEM" in ran.err) == (2, True)
    (tmp_path / "x.tlog-proof").write_text("x")
    ran = run("audit", "verify", str(tmp_path / "x.tlog-proof"), "--vkey", vkey, "--tsa-cert", other)
    assert (ran.status, "go with an export of the whole log, not with a proof" in ran.err) == (2, True)


def test_the_verifier_as_one_file_checks_them_too(program: Path, stamped: Stamped, tmp_path: Path, vkey: str) -> None:  # noqa: F811  # the fixture
    folder, root = str(stamped.files.save(tmp_path / "q1")), str(stamped.tsa.ca_file)
    ran = Ran(program, tmp_path, folder, "--vkey", vkey, "--tsa-cert", root)
    assert (ran.status, ran.said[-1]) == (0, "VALID."), ran.err
    assert any(line.startswith("✓ timestamps: 3, the newest of 300 entries") for line in ran.said)
    extra = {"_distutils_hack", "bcrypt"}
    assert set(ran.packages) <= {"cryptography", "_cffi_backend", "cffi", *extra}, "extra is loaded where it is there"
    ran = Ran(program, tmp_path, folder, "--vkey", vkey)
    assert any(line.startswith("· timestamps: 3, ") and "claimed, not verified" in line for line in ran.said)
    other = str(authority(tmp_path / "other").ca_file)
    ran = Ran(program, tmp_path, folder, "--vkey", vkey, "--tsa-cert", other)
    assert (ran.status, ran.said[-1][:8]) == (1, "INVALID:")
    ran = Ran(program, tmp_path, folder, "--vkey", vkey, "--tsa-cert", vkey)
    assert (ran.status, "no certificate in PEM" in ran.err) == (2, True)
    ran = Ran(program, tmp_path, root, "--vkey", vkey, "--tsa-cert", root)
    assert (ran.status, "go with an export of the whole log, not with a proof" in ran.err) == (2, True)


def test_an_export_without_timestamps_is_not_valid_for_who_asks_for_them(
    program: Path,  # noqa: F811  # the fixture
    stamped: Stamped,
    tmp_path: Path,
    vkey: str,
) -> None:
    bare = {name: data for name, data in stamped.files.content.items() if not name.startswith("timestamps/")}
    folder = str(resealed(Files(bare)).save(tmp_path / "bare"))
    ran = Ran(program, tmp_path, folder, "--vkey", vkey, "--tsa-cert", str(stamped.tsa.ca_file))
    assert (ran.status, ran.said) == (
        1,
        [
            "✗ timestamps/: there is none",
            "INVALID: the export holds no timestamp, and you asked for them to be checked.",
        ],
    )
    assert Ran(program, tmp_path, folder, "--vkey", vkey).status == 0
