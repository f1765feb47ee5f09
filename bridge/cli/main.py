"""The ``conclave`` command. Each noun's module is imported only when it is used, so that ``--help`` is quick."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

# name → (module, what it is for); the order is that of the help.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("run", "Start a hub on this machine: homeserver and service."),
    "company": ("company", "Companies of the hub."),
    "person": ("person", "People: invite, enrol, suspend."),
    "team": ("team", "Teams of the host company."),
    "partnership": ("partnership", "Partnerships: a Space with rooms, shared with one company."),
    "committee": ("committee", "Committees: buyers hear vendors, clear the room, decide."),
    "room": ("room", "Managed rooms."),
    "wall": ("wall", "Walls: companies that must never meet."),
    "hold": ("hold", "Legal holds: what they cover is neither taken back nor deleted."),
    "plan": ("plan", "What would change in the rooms; exit status 3 when something would."),
    "apply": ("plan", "Carry out a plan, exactly."),
    "audit": ("audit", "The ledger: tail, prove, export, verify."),
    "role": ("role", "Who of the host company may do what."),
    "credential": ("credential", "Credentials of people's devices."),
    "login": ("session", "Use a hub from this machine."),
    "logout": ("session", "Forget the hub, and make the credential useless."),
    "whoami": ("session", "Who this machine is signed in as."),
    "doctor": ("doctor", "Check the installation, and say how to mend it."),
    "config": ("config", "Settings, and the homeserver's configuration."),
    "serve": ("run", "Run the service alone, beside a homeserver of its own."),
    "signer": ("signer", "The ledger's signer, apart from the hub."),
    "witness": ("witness", "A witness of other parties' logs."),
    "migrate": ("run", "Bring the database to the schema of this release."),
}


class LazyGroup(TyperGroup):
    """Looks commands up in ``COMMANDS`` and imports the module of the one that is called."""

    _describing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature is Typer's
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # the signature is Typer's
        """The command; while the help is written, only its name and purpose."""
        if cmd_name not in COMMANDS:
            return None
        module, purpose = COMMANDS[cmd_name]
        if self._describing:
            return TyperCommand(cmd_name, help=purpose)
        app: typer.Typer = importlib.import_module(f"bridge.cli.{module}").APPS[cmd_name]
        command = typer.main.get_command(app)
        command.name = cmd_name
        command.help = command.help or purpose
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without importing any command."""
        self._describing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._describing = False


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Conclave: private collaboration with partner companies, on a Matrix homeserver of your own.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from bridge.version import SOFTWARE

        typer.echo(SOFTWARE)
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    hub: Annotated[
        str | None, typer.Option(help="Address of the hub.", envvar="CONCLAVE_URL", show_default=False)
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="State directory of a hub on this machine.", envvar="CONCLAVE_STATE_DIR", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file.", envvar="CONCLAVE_CONFIG", show_default=False)
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Conclave: private collaboration with partner companies, on a Matrix homeserver of your own."""
    del version
    ctx.obj = {"hub": hub, "state": state, "config": config}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process: 0 done, 1 failed, 2 used wrongly, 3 changes are to be made.

    130 where a person stopped it. With ``--json`` among the ``arguments`` an error is a JSON object, too.
    """
    from bridge.cli.errors import INTERRUPTED, reported

    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words[: words.index("--")] if "--" in words else "--json" in words
    with reported(as_json=as_json, look=lambda: _look(words)):
        try:
            ended = app(args=words, prog_name="conclave", standalone_mode=not as_json)
        except SystemExit as error:
            ended = error.code
        if ended == INTERRUPTED:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
    raise SystemExit(ended)


def _look(words: Sequence[str]) -> str:
    """Which command shows what became of the one in ``words``, where its noun has one."""
    noun = next((word for word in words if word in COMMANDS), "")
    if not noun:
        return ""
    app: typer.Typer = importlib.import_module(f"bridge.cli.{COMMANDS[noun][0]}").APPS[noun]
    verbs = getattr(typer.main.get_command(app), "commands", {})
    shows = next((verb for verb in ("show", "list") if verb in verbs), "")
    return f"conclave {noun} {shows} says whether it was; then repeat" if shows else ""


if __name__ == "__main__":
    main()
