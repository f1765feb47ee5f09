"""What the house style says and a program can check. Each test names every place that breaks its rule."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["audit", "bridge", "config", "partner_onboarding", "spaces"]
SOURCES = sorted(path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
MAX_FILE = 400
MAX_FUNCTION = 40


@cache
def lines(path: Path) -> list[str]:
    return (ROOT / path).read_text().splitlines()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse("\n".join(lines(path)))


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...], *but: str) -> Iterator[tuple[Path, ast.AST]]:
    """Every node of a kind in our sources, but for those files."""
    for path in SOURCES:
        if str(path) not in but:
            yield from ((path, node) for node in ast.walk(tree(path)) if isinstance(node, kind))


def imports() -> Iterator[tuple[Path, str, set[str]]]:
    """(file, module, names) of each import, wherever it stands."""
    for path, node in nodes((ast.Import, ast.ImportFrom)):
        if isinstance(node, ast.ImportFrom):
            yield path, str(node.module), {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            yield from ((path, alias.name, set()) for alias in node.names)


def test_there_is_something_to_look_at() -> None:
    assert {Path("bridge/guard/module.py"), Path("spaces/policy/rules.py"), Path("config/db.py")} <= set(SOURCES)
    assert len(list(imports())) > 300


# --- size


def test_no_file_is_longer_than_400_lines() -> None:
    assert [f"{path}: {len(lines(path))}" for path in (*SOURCES, *TESTS) if len(lines(path)) > MAX_FILE] == []


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_function_is_longer_than_40_lines() -> None:
    """Migrations are lists, and may be long."""
    assert [
        f"{path}:{node.lineno} {node.name}: {length(node)}"
        for path, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and length(node) > MAX_FUNCTION
        and "versions" not in path.parts
    ] == []


def test_packages_are_docstrings_only() -> None:
    packages = [path for path in SOURCES if path.name == "__init__.py"]
    assert len(packages) >= len(PACKAGES)
    assert [str(path) for path in packages if ast.get_docstring(tree(path)) is None or len(tree(path).body) > 1] == []


# --- tasks

OWNERS = {"bridge/app.py", "bridge/run.py"}
"""Where tasks that live as long as the hub are started."""
GATHERERS = {"spaces/reconciler.py"}
"""Where a few things are done side by side and waited for."""


def starts(node: ast.AST) -> list[ast.Attribute]:
    """Every ``x.create_task`` and its like in a piece of code."""
    found = [item for item in ast.walk(node) if isinstance(item, ast.Attribute)]
    return [item for item in found if item.attr in ("create_task", "ensure_future")]


def owned(path: Path) -> set[ast.Attribute]:
    """Those that are asked of a task group, inside the block that waits for it."""
    return {
        start
        for block in ast.walk(tree(path))
        if isinstance(block, ast.AsyncWith)
        for item in block.items
        if ast.unparse(item.context_expr) == "asyncio.TaskGroup()" and item.optional_vars is not None
        for start in starts(block)
        if ast.unparse(start.value) == ast.unparse(item.optional_vars)
    }


def test_every_task_belongs_to_a_group_that_is_waited_for() -> None:
    found = {(str(path), start) for path in SOURCES for start in starts(tree(path))}
    assert OWNERS <= {path for path, _ in found} <= OWNERS | GATHERERS
    assert [f"{path}:{start.lineno}" for path, start in found if start not in owned(Path(path))] == []


# --- who imports what

CONSTRUCTS = {"insert", "update", "delete", "select", "text"}


def may_hold_sql(path: Path) -> bool:
    return (
        "store" in path.stem
        or path.name in ("observed.py", "inbox.py", "idempotency.py", "tables.py")
        or path == Path("config/db.py")
        or path.is_relative_to("config/migrations")
    )


def test_sql_stands_in_stores() -> None:
    assert [
        f"{path}: {module} {sorted(names)}"
        for path, module, names in imports()
        if module.partition(".")[0] == "sqlalchemy"
        and not may_hold_sql(path)
        and (not names or names & CONSTRUCTS or module.startswith("sqlalchemy.dialects"))
    ] == []


def test_only_the_guard_imports_synapse_and_only_its_public_modules() -> None:
    found = {(str(path), module) for path, module, _ in imports() if module.partition(".")[0] in ("synapse", "twisted")}
    assert {str(Path(path).parent) for path, _ in found} == {"bridge/guard"}
    assert {module for _, module in found} == {"synapse.module_api", "synapse.module_api.errors"}


def test_the_guard_touches_no_private_member_of_synapse() -> None:
    for path in Path("bridge/guard").glob("*.py"):
        assert re.findall(r"\b_?api\._\w+", "\n".join(lines(path))) == []


def test_nothing_below_the_edges_reads_the_environment_but_the_settings() -> None:
    assert {
        str(path)
        for path, node in nodes(ast.Attribute)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and path.parts[0] != "bridge"
    } == {"config/settings.py"}


def test_nothing_is_raised_where_groups_of_errors_are_taken() -> None:
    """In Python 3.11.2, Debian 12's, what ``except*`` raises comes out as a group; nobody further up expects one."""
    assert [
        f"{path}:{inner.lineno}"
        for path, node in nodes(ast.TryStar)
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
        for inner in ast.walk(handler)
        if isinstance(inner, ast.Raise)
    ] == []


def test_nothing_ends_the_process_but_the_command_line() -> None:
    assert [
        f"{path}:{node.lineno}"
        for path, node in nodes(ast.Attribute)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("sys.exit", "os._exit")
        and not (path.is_relative_to("bridge/cli") or path.name == "__main__.py")
    ] == []


# --- exceptions to the rules

EXCEPTION = re.compile(r"#\s*(noqa|type:\s*ignore)(?P<rest>.*)")
WITH_REASON = re.compile(r"(: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*|\[[a-z-]+(, ?[a-z-]+)*\])  # \S.*")


@pytest.mark.parametrize("text", ["# noqa", "# noqa: S105", "# type: ignore", "#type: ignore[misc]", "#noqa: S1 # x"])
def test_an_exception_without_rule_or_reason_would_be_found(text: str) -> None:
    found = EXCEPTION.search(f"x = 1  {text}")
    assert found is not None
    assert not WITH_REASON.fullmatch(found["rest"])


def test_every_exception_names_its_rule_and_its_reason() -> None:
    here = Path(__file__).relative_to(ROOT)
    assert [
        f"{path}:{number}"
        for path in (*SOURCES, *TESTS)
        for number, line in enumerate(lines(path), start=1)
        if (found := EXCEPTION.search(line)) and not WITH_REASON.fullmatch(found["rest"]) and path != here
    ] == []


# --- the repository

REGISTRIES = re.compile(
    "|".join(["pypi" + r"\.org", "files.python" + "hosted", "--index" + "-url", "registry.npm" + "js"]), re.IGNORECASE
)


def tracked() -> list[str]:
    """What git tracks, and what it would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in run.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_holds_the_address_of_a_package_registry() -> None:
    names = tracked()
    assert {"requirements.lock", "requirements-dev.lock", "pyproject.toml"} <= set(names)
    assert [name for name in names if REGISTRIES.search((ROOT / name).read_text(errors="replace"))] == []


def test_nothing_that_belongs_to_one_machine_is_tracked() -> None:
    private = re.compile(r"(^|/)(\.venv|\.conclave|__pycache__|build|dist)/|\.(sqlite3?|pyc)$")
    assert [name for name in tracked() if private.search(name)] == []
