"""``conclave signer``: the ledger's key in a process, and under a user, of its own."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.output import say

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The ledger's signer, apart from the hub."
)
APPS = {"signer": app}

Folder = Annotated[Path, typer.Option("--dir", help="Where the signer keeps the key and what it signed last.")]
DEFAULT = Path(".conclave-signer")


@app.command()
def init(
    origin: Annotated[str, typer.Argument(help="The log's origin: ledger.origin, else homeserver.name of the hub.")],
    folder: Folder = DEFAULT,
) -> None:
    """Make the key of a new log."""
    from bridge.signer.service import create_signer

    key = create_signer(folder, origin)
    say(f"The key of the log {origin} is in {folder}/; its public key, for your auditors, in {folder}/log.vkey:")
    say(f"  {key}")
    say("Next: conclave signer serve --socket PATH, and in the hub's settings [ledger] signer = PATH")


@app.command()
def serve(
    socket: Annotated[Path, typer.Option(help="The Unix socket to make; the hub's user needs its group.")],
    folder: Folder = DEFAULT,
) -> None:
    """Sign checkpoints that extend what was signed before, until stopped."""
    from bridge.signer.service import run_signer

    asyncio.run(run_signer(folder, socket, say=lambda text: say(f"  {text}")))
