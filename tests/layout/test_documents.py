"""The documents: what is generated is as the code says; links, paths, commands and settings in them exist."""

import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from audit.kinds import KINDS
from bridge.cli.main import app
from config.settings import Settings
from tests.unit.test_settings import flat, keys

ROOT = Path(__file__).parents[2]
PACKAGES = ("audit", "bridge", "config", "partner_onboarding", "spaces")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "audit/VERIFY.md"])
SOURCES = [path for name in (*PACKAGES, "tests") for path in sorted((ROOT / name).rglob("*.py"))]
OTHERS = [ROOT / name for name in ("docker-compose.yml", "Makefile", "Dockerfile", "pyproject.toml")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
FILES = {"hub.log", "hub.url", *(f"homeserver.{end}" for end in ("db", "lock", "log", "out", "yaml"))}
"""Names of files that look like names of settings."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str | None = None) -> Iterator[str]:
    """The code blocks of a document, of one language where asked."""
    yield from (text for kind, text in FENCE.findall(path.read_text()) if language in (None, kind))


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text())


def spans(path: Path) -> Iterator[str]:
    """What stands between back-ticks in a document's prose."""
    yield from SPAN.findall(prose(path))


def test_there_are_documents() -> None:
    assert {"README.md", "ARCHITECTURE.md", "docs/operators.md", "docs/adr/README.md"} <= set(map(name, DOCUMENTS))


# --- what is generated


def test_generated_documents_are_as_the_code_says() -> None:
    documents = runpy.run_path(str(ROOT / "docs" / "generate.py"))["documents"]()
    assert len(documents) == 3
    assert [name(path) for path, text in documents.items() if path.read_text() != text] == [], "make docs"


# --- links and paths


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)}


def dead(path: Path, target: str) -> bool:
    """Whether the relative link ``target`` in ``path`` leads nowhere."""
    file, _, anchor = target.partition("#")
    found = (path.parent / file).resolve() if file else path
    return not found.exists() or (bool(anchor) and anchor not in anchors(found))


def test_every_relative_link_leads_somewhere() -> None:
    links = [(path, target) for path in DOCUMENTS for target in re.findall(r"\]\(([^)\s]+)\)", prose(path))]
    assert len(links) > 50
    assert [f"{name(path)}: {target}" for path, target in links if "://" not in target and dead(path, target)] == []


def test_every_document_that_is_mentioned_exists() -> None:
    """``docs/adr/0003`` stands for the record with that number; a path ends with a letter or digit."""
    places = [*DOCUMENTS, *SOURCES, *OTHERS]
    mentioned = [(path, found) for path in places for found in re.findall(r"\bdocs/[\w/.-]*\w", path.read_text())]
    assert len(mentioned) > 20
    lost = [f"{name(path)}: {found}" for path, found in mentioned if not (ROOT / found).exists()]
    assert [item for item in lost if not list(ROOT.glob(item.partition(": ")[2] + "-*.md"))] == []


def test_every_heading_that_the_code_refers_to_exists() -> None:
    referred = [
        (path, document, heading)
        for path in SOURCES
        for document, heading in re.findall(r"(docs/[\w/-]+\.md), '([^']+)'", path.read_text())
    ]
    assert ("docs/operators.md", "The signer refuses") in {(document, heading) for _, document, heading in referred}
    assert [
        f"{name(path)}: {document}, {heading}"
        for path, document, heading in referred
        if slug(heading) not in anchors(ROOT / document)
    ] == []


def test_every_file_of_ours_that_is_named_exists() -> None:
    """What looks like a path of the repository between back-ticks is one; ``1.p/244`` and ``q1/`` are none."""
    folders = "|".join((*PACKAGES, "tests", "docs", "benchmarks"))
    own = re.compile(rf"(?:{folders})/[\w./-]*|\.ci/\w+")
    named = {(path, span) for path in DOCUMENTS for span in spans(path) if own.fullmatch(span)}
    assert len(named) > 30
    assert [f"{name(path)}: {span}" for path, span in sorted(named) if not (ROOT / span).exists()] == []


# --- commands


def commands(text: str) -> Iterator[str]:
    """The arguments of every ``conclave`` in a block of shell lines, without what the shell does around it."""
    for line in text.replace("\\\n", " ").splitlines():
        found = re.match(r"\s*(?:\$ )?(?:\(umask \d+; )?(?:docker compose exec (?:-T )?hub )?conclave (.*)", line)
        if found:
            yield re.split(r" [<>|&#]|\s{3,}\(|\)$", found[1])[0]


def parse(arguments: list[str]) -> None:
    """Go through the command line's own parser, and stop before anything is done."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("conclave", arguments)
    while getattr(command, "commands", None) is not None:
        given = [*context._protected_args, *context.args]
        found, command, rest = command.resolve_command(context, given)
        context = command.make_context(found, rest, parent=context)


def complaint(line: str) -> str | None:
    try:
        parse(shlex.split(line))
    except Exception as error:  # noqa: BLE001  # whatever the parser raises is the finding
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "company nonsense",
        "company add northwind",
        "company add northwind --name N --colour red",
        "person enrol --username dana",
        "audit verify q1",
    ],
)
def test_a_command_that_does_not_exist_would_be_found(line: str) -> None:
    assert complaint(line) is not None


def test_every_command_line_that_is_shown_exists() -> None:
    shown = {(name(path), line) for path in DOCUMENTS for text in blocks(path) for line in commands(text)}
    assert len(shown) > 40
    assert [f"{path}: conclave {line}: {wrong}" for path, line in sorted(shown) if (wrong := complaint(line))] == []


def test_every_command_that_is_named_exists() -> None:
    """In prose a command may stand without its arguments: noun, verb and options have to exist."""
    named = {(name(path), span) for path in DOCUMENTS for span in spans(path) if span.startswith("conclave ")}
    assert len(named) > 20
    assert [f"{path}: {span}" for path, span in sorted(named) if not exists(span.split()[1:])] == []


def exists(words: list[str]) -> bool:
    command: Any = typer.main.get_command(app)
    context = typer.Context(command)
    options = {option for parameter in command.params for option in parameter.opts}
    options |= {"--help", "--install-completion", "--show-completion"}
    for word in words:
        if getattr(command, "commands", None) is not None and not word.startswith(("-", "…")):
            command = command.get_command(context, word)
            if command is None:
                return False
            options |= {option for parameter in command.params for option in parameter.opts}
        elif word.startswith("-") and word not in options:
            return False
    return True


# --- settings and metrics


def test_every_setting_that_is_named_exists() -> None:
    sections = [section for section in Settings.model_fields if section != "state_dir"]
    dotted = re.compile(rf"(?:{'|'.join(sections)})\.[a-z_]+")
    known = {*keys(Settings), *KINDS, *FILES}
    named = {(name(path), span) for path in DOCUMENTS for span in spans(path) if dotted.fullmatch(span)}
    assert len(named) > 10
    assert [f"{path}: {span}" for path, span in sorted(named) if span not in known] == []


def test_every_settings_file_that_is_shown_fits() -> None:
    shown = [(path, text) for path in DOCUMENTS for text in blocks(path, "toml")]
    assert len(shown) >= 3
    for path, text in shown:
        data = tomllib.loads(text)
        assert flat(data).keys() <= set(keys(Settings)), name(path)
        Settings.model_validate(data)


def test_every_variable_that_is_named_is_used() -> None:
    known = {"CONCLAVE_" + key.upper().replace(".", "__") for key in keys(Settings)} | {"CONCLAVE_SECTION__KEY"}
    text = "".join(
        path.read_text() for path in (*SOURCES, *OTHERS, ROOT / "config/Caddyfile") if path != Path(__file__)
    )
    named = {
        (path, found) for path in DOCUMENTS for found in re.findall(r"\bCONCLAVE_[A-Z_]*[A-Z]\b", path.read_text())
    }
    assert len(named) > 10
    assert [f"{name(path)}: {found}" for path, found in sorted(named) if found not in known and found not in text] == []


def test_the_metrics_are_the_ones_there_are() -> None:
    source = (ROOT / "bridge/metrics.py").read_text()
    there = set(re.findall(r'"(conclave_\w+)"', source))
    assert set(re.findall(r"`(conclave_\w+)`", (ROOT / "docs/operators.md").read_text())) == there


# --- what does not belong into a document


def test_no_document_speaks_of_the_machine_it_was_written_on() -> None:
    private = re.compile(r"/root/|/home/|/work/|/mnt/|" + "shar" + "ed/")
    assert [f"{name(path)}: {found[0]}" for path in DOCUMENTS for found in private.finditer(path.read_text())] == []
