"""``--out``: a file or folder is written where there is a place for it, and no folder is made of a typing error."""

from pathlib import Path

import pytest

from tests.cli.test_commands import Run, run  # noqa: F401  # a fixture

COMMANDS = [
    ("audit", "removal", "crm", "adatum"),
    ("audit", "export"),
    ("audit", "prove", "--entry", "0"),
    ("plan",),
    ("signer", "root", "sign", "request", "--root-key", "root.key", "--yes"),
    ("signer", "former"),
    ("signer", "succeed", "--dir", "{signer}", "--restored", "0 x"),
    ("signer", "rotate", "--dir", "{signer}"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_makes_a_folder_for_what_it_writes(
    run: Run,  # noqa: F811  # the fixture
    tmp_path: Path,
    command: tuple[str, ...],
) -> None:
    place, out = tmp_path / "signer", tmp_path / "typo" / "x.tar"
    run("signer", "init", "log.example", "--dir", str(place))
    before = sorted(tmp_path.rglob("*"))
    ran = run(*(word.format(signer=place) for word in command), "--out", str(out))
    said = f"conclave: cannot write {out}: there is no folder {out.parent}\n"
    assert (ran.status, ran.out, ran.err) == (2, "", f"{said}  next: make the folder, or name another place: --out\n")
    left = [path for path in sorted(tmp_path.rglob("*")) if path.name != "signer.lock"]
    assert left == [path for path in before if path.name != "signer.lock"]
