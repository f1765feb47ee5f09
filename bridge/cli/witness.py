"""``conclave witness``: what another party runs, to see a hub's log grow and to say so."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, listing, say

if TYPE_CHECKING:
    from audit.note import VerifierKey

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="A witness of other parties' logs."
)
APPS = {"witness": app}

Folder = Annotated[Path, typer.Option("--dir", help="Where the witness keeps its key and what it saw.")]
DEFAULT = Path(".conclave-witness")


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The witness's name for good, such as witness.partner.example.")],
    folder: Folder = DEFAULT,
    post_quantum: Annotated[
        bool, typer.Option("--post-quantum", help="A second key, ML-DSA-44; it cosigns with both.")
    ] = False,
) -> None:
    """Make a witness: a key of its own, and nothing seen yet."""
    from bridge.witness.folder import WitnessFolder

    keeper = WitnessFolder(folder)
    keeper.create(name, post_quantum=post_quantum)
    say(f"The witness {name} is in {folder}/. Its public key, for the policies of those whose logs it watches:")
    for key in keeper.signing_keys():
        say(f"  {key.cosigner}")
    say("Next: conclave witness add LOG.VKEY    (the public key of a log, from its operator)")


@app.command()
def add(
    vkey: Annotated[Path, typer.Argument(help="A file with the log's public key.")], folder: Folder = DEFAULT
) -> None:
    """Watch a log, from its beginning on."""
    from bridge.witness.folder import WitnessFolder

    keys, keeper = _read_vkeys(vkey), WitnessFolder(folder)
    keeper.signing_keys()
    keeper.add(*keys)
    say(f"The log {keys[0].name} is watched. A running witness knows of it after a restart.")


@app.command()
def rekey(
    vkey: Annotated[Path, typer.Argument(help="A file with the log's public keys as they are now.")],
    folder: Folder = DEFAULT,
) -> None:
    """Take the new keys of a log that is watched, after its operator changed them; what was seen of it stays."""
    from bridge.witness.folder import WitnessFolder

    keys, keeper = _read_vkeys(vkey), WitnessFolder(folder)
    keeper.signing_keys()
    keeper.rekey(*keys)
    say(f"The log {keys[0].name} is watched with its new keys. A running witness knows of them after a restart.")


def _read_vkeys(path: Path) -> "list[VerifierKey]":
    from audit.files import read_vkeys
    from audit.note import NoteError

    try:
        return read_vkeys(path)
    except (OSError, NoteError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CallFailedError(f"{path} is not a log's public key: {reason}", code="vkey", usage=True) from None


@app.command("list")
def list_(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """The logs that are watched, and what was seen of each last."""
    from bridge.witness.folder import WitnessFolder

    keeper = WitnessFolder(folder)
    keeper.signing_keys()
    rows = [
        {"origin": origin, "size": keeper.seen(origin).size, "vkey": str(keys[0]), "vkeys": [str(key) for key in keys]}
        for origin, keys in keeper.logs().items()
    ]
    columns = [("log", lambda row: row["origin"]), ("entries seen", lambda row: f"{row['size']:,}")]
    listing(rows, as_json, columns, empty="No log is watched. Watch one: conclave witness add LOG.VKEY")


@app.command()
def serve(
    folder: Folder = DEFAULT,
    listen: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8099,
) -> None:
    """Cosign the checkpoints of the watched logs, each where it extends the one before, until stopped."""
    from bridge.witness.run import run_witness

    asyncio.run(run_witness(folder, listen, port, say=lambda text: say(f"  {text}")))
