"""``conclave config``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.output import Json, say, write_json

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Settings, and the homeserver's configuration.",
)
APPS = {"config": app}


@app.command()
def show(ctx: typer.Context, as_json: Json = False) -> None:
    """The effective settings: file and environment together, without secrets."""
    from config.settings import load_settings

    shown = load_settings(ctx.find_root().obj["config"]).shown()
    if as_json:
        write_json(shown)
        return
    for section, value in shown.items():
        if not isinstance(value, dict):
            say(f"{section} = {_toml(value)}")
    for section, value in shown.items():
        if isinstance(value, dict):
            say(f"\n[{section}]")
            for key, item in value.items():
                say(f"#{key} =" if item is None else f"{key} = {_toml(item)}")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@app.command()
def homeserver(
    ctx: typer.Context,
    state: Annotated[Path | None, typer.Option(help="State directory.", show_default=False)] = None,
) -> None:
    """Write Synapse's configuration for a homeserver that runs beside the hub, with every hardening setting."""
    from bridge.foundation import document_key
    from bridge.homeserver_config import write_homeserver_config
    from config.settings import load_settings
    from config.state import StateDirectory

    options: dict[str, Any] = ctx.find_root().obj
    settings = load_settings(options["config"])
    directory = StateDirectory(state or options["state"] or settings.state_dir)
    directory.prepare()
    key = document_key(directory, settings, founded=False)
    files = write_homeserver_config(settings, directory, key.public.public_key, supervised=True)
    say(f"{files.config} written; start Synapse with: python -m synapse.app.homeserver -c {files.config}")
