"""The pure core: importable alone, with nothing that has a clock, a network or randomness in it."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POLICY = [f"spaces.policy.{path.stem}" for path in sorted(ROOT.glob("spaces/policy/[a-z]*.py"))]
LEDGER = [
    f"audit.{name}"
    for name in (
        *("canonical", "closed", "cms", "cosignature", "der", "digests", "disclosures", "entry", "index", "indexes"),
        *(
            "key_history",
            "kinds",
            "manifest",
            "note",
            "ordinary",
            "parts",
            "printable",
            "proof",
            "proof_check",
            "quorum",
        ),
        *(
            "removal",
            "removal_file",
            "removal_report",
            "removal_lines",
            "removal_page",
            "seen",
            "sshsig",
            "stretch",
            "structure",
            "succession",
            "tiles",
            "timestamps",
            "trail",
            "tree",
            "tsp",
            "verify",
        ),
        *("walk", "witness"),
    )
]
MODELS = [
    *(
        "bridge.events",
        "bridge.refused",
        "bridge.helper.answers",
        "partner_onboarding.model",
        "spaces.answer",
        "spaces.committee",
        "spaces.committee_seats",
        "spaces.drift",
        "spaces.expected",
        "spaces.megolm",
    ),
    *("spaces.model", "spaces.plan", "spaces.situation"),
]
PURE = [*POLICY, *LEDGER, *MODELS]

COMPUTES = {
    *(
        "base64",
        "binascii",
        "collections",
        "collections.abc",
        "dataclasses",
        "enum",
        "hashlib",
        "html",
        "json",
        "re",
        "typing",
    ),
    *("datetime", "functools", "heapq", "hmac", "html", "itertools", "math", "struct", "types"),
}
"""What of the standard library a pure module may import: it computes, and reads neither clock nor world."""
FORBIDDEN = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "getpass", "glob", "http", "locale", "logging", "multiprocessing"),
    *("pathlib", "platform", "random", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3"),
    *("ssl", "subprocess", "tempfile", "threading", "urllib", "uuid", "zoneinfo"),
}
LOAD = """
import sys, json
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
__import__(sys.argv[2])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(module: str) -> set[str]:
    """What importing ``module`` loads, in a Python without site-packages, environment and user folder."""
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOAD, str(ROOT), module], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout))


def imported(module: str) -> Iterator[str]:
    """What ``module`` imports by itself, inside functions too."""
    for node in ast.walk(ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield str(node.module)


def test_the_policy_is_not_empty() -> None:
    assert {"spaces.policy.decide", "spaces.policy.documents", "spaces.policy.rules"} <= set(POLICY)


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_loads_alone_and_loads_nothing_impure(module: str) -> None:
    found = {name.partition(".")[0] for name in loaded(module)}
    assert not found & FORBIDDEN
    assert found <= set(sys.stdlib_module_names) | {"audit", "bridge", "config", "partner_onboarding", "spaces"}


@pytest.mark.parametrize("module", POLICY)
def test_the_policy_needs_nothing_but_itself(module: str) -> None:
    ours = {name for name in loaded(module) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert ours <= {"spaces", "spaces.policy", *POLICY}
    assert {name for name in imported(module) if not name.startswith("spaces.policy.")} <= COMPUTES


@pytest.mark.parametrize("module", LEDGER)
def test_what_an_auditor_runs_needs_nothing_but_itself(module: str) -> None:
    ours = {name for name in loaded(module) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert ours <= {"audit", *LEDGER}
    assert {name for name in imported(module) if not name.startswith("audit.")} <= COMPUTES


@pytest.mark.parametrize("module", MODELS)
def test_the_state_machines_need_units_errors_and_records_only(module: str) -> None:
    ours = {name for name in loaded(module) if name.partition(".")[0] not in sys.stdlib_module_names}
    packages = {"audit", "bridge", "bridge.helper", "config", "partner_onboarding", "spaces", "spaces.policy"}
    assert ours <= {*packages, "config.clock", "config.errors", *PURE}
    assert {name for name in imported(module) if name.partition(".")[0] not in packages} <= COMPUTES


IMPURE = {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_calls_nothing_that_reaches_out(module: str) -> None:
    for node in ast.walk(ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in IMPURE, f"{module}:{node.lineno}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global), f"{module}: {node}"
