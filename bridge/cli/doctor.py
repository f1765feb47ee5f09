"""``conclave doctor``."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.output import Json, say, write_json

if TYPE_CHECKING:
    from bridge.doctor import Finding

MARKS = {"ok": "✓", "warning": "!", "wrong": "✗"}


def doctor(
    ctx: typer.Context,
    state: Annotated[Path | None, typer.Option(help="State directory.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Check the installation: versions, settings that would open a hole, clock, disk, reachability."""
    from bridge.doctor import examine
    from config.settings import load_settings

    options: dict[str, Any] = ctx.find_root().obj
    settings = load_settings(options["config"])
    if state or options["state"]:
        settings = settings.model_copy(update={"state_dir": state or options["state"]})

    async def run() -> "list[Finding]":
        found = []
        async for finding in examine(settings):
            found.append(finding)
            if not as_json:
                _tell(finding)
        return found

    found = asyncio.run(run())
    wrong = sum(finding.level == "wrong" for finding in found)
    if as_json:
        names = ("what", "level", "seen", "meaning", "mend")
        write_json([{name: getattr(finding, name) for name in names} for finding in found])
    else:
        warnings = sum(finding.level == "warning" for finding in found)
        well = "All is well." if not warnings else f"Nothing is wrong; {warnings} to think about."
        say(f"{wrong} to mend." if wrong else well)
    raise typer.Exit(1 if wrong else 0)


def _tell(finding: "Finding") -> None:
    say(f"  {MARKS[finding.level]} {finding.what:<20} {finding.seen}")
    if finding.meaning:
        say(f"      means  {finding.meaning}")
        say(f"      mend   {finding.mend}")


def _single() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(doctor)
    return app


APPS = {"doctor": _single()}
