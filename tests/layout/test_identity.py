"""The five top-level names are general ones: each of them must resolve to our own folder, and no other of ours."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

NAMES = ["audit", "bridge", "config", "partner_onboarding", "spaces"]
WHERE = """
import json, sys
from importlib import import_module
print(json.dumps({name: import_module(name).__file__ for name in sys.argv[1:]}))
"""


@pytest.fixture
def project(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath


@pytest.fixture
def wheel(project: Path) -> dict[str, Any]:
    data = tomllib.loads((project / "pyproject.toml").read_text())
    found: dict[str, Any] = data["tool"]["hatch"]["build"]["targets"]["wheel"]
    return found


def resolved(where: Path, **environment: str) -> dict[str, str]:
    run = subprocess.run(
        [sys.executable, "-c", WHERE, *NAMES],
        cwd=where,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("environment", [{}, {"PYTHONSAFEPATH": "1"}], ids=["plain", "safe path"])
def test_each_name_is_ours(project: Path, environment: dict[str, str]) -> None:
    assert resolved(project, **environment) == {name: str(project / name / "__init__.py") for name in NAMES}


def test_a_file_where_a_command_is_run_takes_the_place_of_none_with_a_safe_path(project: Path, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')\n")
    found = resolved(tmp_path, PYTHONSAFEPATH="1")
    assert found == {name: str(project / name / "__init__.py") for name in NAMES}


def test_the_wheel_holds_the_five_and_nothing_else(project: Path, wheel: dict[str, Any]) -> None:
    assert sorted(wheel["packages"]) == NAMES
    assert wheel.keys() == {"packages"}, "nothing is put in by a pattern"


def test_there_is_no_sixth_package(project: Path) -> None:
    """A folder with Python in it is one of the five, or of tests and benchmarks, which no wheel holds."""
    found = {path.parent.name for path in project.glob("*/__init__.py")}
    assert found - {"tests", "benchmarks", "build"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_package_tells_type_checkers_that_it_is_typed(project: Path, name: str) -> None:
    assert (project / name / "py.typed").is_file()
