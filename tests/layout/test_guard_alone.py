"""The guard runs inside Synapse: with Synapse and our wheel installed, and none of our other dependencies."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOAD = """
import sys, json
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

BLOCKED = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Blocked())
import bridge.guard.module
print(json.dumps(sorted(name for name in sys.modules if name.partition(".")[0] in OURS)))
""".replace("OURS", repr({"audit", "bridge", "config", "partner_onboarding", "spaces"}))


def normal(name: str) -> str:
    """A distribution's name in the one form of PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_by(root: str) -> set[str]:
    """The distributions that installing ``root`` installs, itself included."""
    found: set[str] = set()
    todo = [root]
    while todo:
        name = normal(todo.pop())
        try:
            requires = [] if name in found else distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        requirements = [Requirement(text) for text in requires]
        todo += [item.name for item in requirements if item.marker is None or item.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def blocked() -> list[str]:
    """The top-level modules of everything here that Synapse does not bring along."""
    brought = needed_by("matrix-synapse")
    return sorted(
        module
        for module, owners in packages_distributions().items()
        if not set(map(normal, owners)) & {*brought, "conclave-hub"} and module not in sys.stdlib_module_names
    )


def test_what_is_blocked_is_what_the_hub_has_beside_synapse(blocked: list[str]) -> None:
    assert {"aiohttp", "sqlalchemy", "nio", "structlog", "typer", "pydantic_settings"} <= set(blocked)
    assert not {"synapse", "twisted", "cryptography", "pydantic", "bridge"} & set(blocked)


def load(blocked: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(blocked)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_guard_loads_with_synapse_alone(blocked: list[str]) -> None:
    run = load(blocked)
    assert run.returncode == 0, run.stderr
    names = [
        "acts", "direct", "documents", "federation", "memory", "module", "refusals", "resources", "screened",
        "sharing_store", "sign_in", "store",
    ]  # fmt: skip
    guard = {f"bridge.guard.{name}" for name in names}
    policy = {
        f"spaces.policy.{name}"
        for name in (
            "acts",
            "blueprint",
            "checkpoints",
            "decide",
            "direct",
            "documents",
            "envelope",
            "records",
            "refusal",
            "rules",
            "servers",
        )
    }
    packages = {"bridge", "bridge.guard", "spaces", "spaces.policy"}
    assert set(json.loads(run.stdout)) == {*packages, *policy, *guard}


def test_what_is_blocked_cannot_be_loaded(blocked: list[str]) -> None:
    run = load([*blocked, "synapse"])
    assert "No module named 'synapse'" in run.stderr
