"""``conclave up, serve, migrate``."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.output import say

State = Annotated[Path | None, typer.Option(help="State directory.", show_default=False)]
PortOption = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the service.", show_default=False)]


def up(
    ctx: typer.Context,
    state: State = None,
    port: PortOption = None,
    homeserver_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the homeserver.", show_default=False)
    ] = None,
) -> None:
    """Start a hub on this machine: homeserver and service, with everything kept in the state directory."""
    from bridge.run import run_up

    settings = _settings(ctx, state, port, homeserver_port)
    prefix = "conclave" if settings.state_dir == Path(".conclave") else f"conclave --state {settings.state_dir}"

    def tell(part: str, text: str) -> None:
        if part == "ready":
            say(_next_steps(prefix, settings.host.id))
        else:
            say(f"  {part:<11} {text}" if part else f"  {text}")

    asyncio.run(run_up(settings, say=tell))


def _next_steps(prefix: str, host: str) -> str:
    return (
        f'Next: {prefix} person invite --company {host} --team partners --name "Dana Fox"'
        " --email dana@contoso.example\n"
        f'      {prefix} company add northwind --name "Northwind Trading" --kind reseller\n'
        f"      {prefix} partnership open northwind --team partners\n"
        "Ctrl-C stops the hub; starting it again goes on where it was."
    )


def serve(ctx: typer.Context, state: State = None, port: PortOption = None) -> None:
    """Run the service alone, beside a homeserver of its own; logs go to standard error as JSON."""
    from bridge.run import run_serve

    settings = _settings(ctx, state, port, None)
    asyncio.run(run_serve(settings, say=lambda part, text: say(f"  {part:<11} {text}") if text else None))


def migrate(ctx: typer.Context, state: State = None) -> None:
    """Bring the database to the schema of this release."""
    from bridge.app import open_database
    from config.migrate import head_revision, upgrade
    from config.state import StateDirectory

    settings = _settings(ctx, state, None, None)
    directory = StateDirectory(settings.state_dir)

    async def run() -> bool:
        db = open_database(settings, directory)
        try:
            return await upgrade(db)
        finally:
            await db.close()

    directory.prepare()
    lock = directory.lock()
    try:
        changed = asyncio.run(run())
    finally:
        lock.release()
    say(f"The database is at schema {head_revision()}" + (" now." if changed else " already."))


def local_settings(ctx: typer.Context) -> Any:
    """The settings of the hub on this machine, for commands that work without it."""
    return _settings(ctx, None, None, None)


def _settings(ctx: typer.Context, state: Path | None, port: int | None, homeserver_port: int | None) -> Any:
    """The settings, with what the command line says on top."""
    from config.settings import load_settings

    options: dict[str, Any] = ctx.find_root().obj
    settings = load_settings(options["config"])
    changes: dict[str, Any] = {}
    if state or options["state"]:
        changes["state_dir"] = state or options["state"]
    if port is not None:
        changes["hub"] = settings.hub.model_copy(update={"port": port})
    if homeserver_port is not None:
        changes["homeserver"] = settings.homeserver.model_copy(update={"port": homeserver_port})
    return settings.model_copy(update=changes)


def _single(command: Any) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(command)
    return app


APPS = {"up": _single(up), "serve": _single(serve), "migrate": _single(migrate)}
