"""``conclave signer``: the ledger's keys, in a process and under a user of their own or the hub's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.errors import CallFailedError
from bridge.cli.output import Yes, check_parent, confirm, say
from bridge.cli.succession import former, succeed

if TYPE_CHECKING:
    from bridge.signer.folder import SignerFolder

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The ledger's signer and keys."
)
root_app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The log's root key, which is kept offline."
)
app.add_typer(root_app, name="root")
APPS = {"signer": app}

Folder = Annotated[Path, typer.Option("--dir", help="Where the signer keeps the keys and what it signed last.")]
Where = Annotated[
    Path | None, typer.Option("--dir", help="The signer's folder; without it the hub's own keys.", show_default=False)
]
DEFAULT = Path(".conclave-signer")
AWAY = "Move it to where no machine of the hub can read it, such as two USB sticks in a safe."


@app.command()
def init(
    origin: Annotated[str, typer.Argument(help="The log's origin: ledger.origin, else homeserver.name of the hub.")],
    folder: Folder = DEFAULT,
    post_quantum: Annotated[bool, typer.Option("--post-quantum", help="An ML-DSA-44 key beside the first.")] = False,
) -> None:
    """Make the keys of a new log."""
    from bridge.signer.service import create_signer

    made = create_signer(folder, origin, post_quantum=post_quantum)
    say(f"The key of the log {origin} is in {folder}/; its public key, for your auditors, in {folder}/log.vkey:")
    for key in made.known().current:
        say(f"  {key}")
    _tell_root(made)
    say("Next: conclave signer serve --socket PATH, and in the hub's settings [ledger] signer = PATH")


@app.command()
def serve(
    socket: Annotated[Path, typer.Option(help="The Unix socket to make; the hub's user needs its group.")],
    folder: Folder = DEFAULT,
) -> None:
    """Sign checkpoints that extend what was signed before, until stopped."""
    from bridge.signer.service import run_signer

    asyncio.run(run_signer(folder, socket, say=lambda text: say(f"  {text}")))


@app.command("post-quantum")
def post_quantum_(ctx: typer.Context, folder: Where = None) -> None:
    """Have an ML-DSA-44 key sign beside the log's key from now on; it stays."""
    with stopped(ctx, folder) as place:
        place.add_post_quantum()
        say("An ML-DSA-44 key signs beside the log's key. Give the public keys to your auditors:")
        say(f"  {place.vkey}")
    _tell_restart(folder)


@app.command()
def rotate(
    ctx: typer.Context,
    folder: Where = None,
    out: Annotated[Path, typer.Option(help="The request to write, for the root to sign.")] = Path("rotation.request"),
    overlap_days: Annotated[
        int, typer.Option(min=0, max=366, help="For so long the old key signs beside the new one.")
    ] = 30,
    recover: Annotated[
        bool, typer.Option("--recover", help="The old key is lost or stolen: it neither asks nor signs any more.")
    ] = False,
    apply: Annotated[
        Path | None, typer.Option(help="The request as the root signed it: take the new key into use.")
    ] = None,
) -> None:
    """Replace the log's key: ask the root for it, then apply what it signed."""
    if apply is not None:
        _apply(ctx, folder, apply)
        return
    with _place(ctx, folder) as place:
        if out.exists():
            raise CallFailedError(f"{out} exists already", code="exists", hint="name another: --out", usage=True)
        check_parent(out)
        _write_request(out, place.prepare(recover=recover, overlap_days=overlap_days))
    say(f"{out} written; nothing is changed yet. Where the root key is:")
    say(f"  conclave signer root sign {out} --root-key root.key --out rotation.signed")
    say("Back here, with hub and signer stopped:  conclave signer rotate --apply rotation.signed")


def _write_request(out: Path, request: bytes) -> None:
    from bridge.signer.statements import KeyStatementError

    try:
        out.write_bytes(request)
    except OSError as error:
        raise KeyStatementError(f"cannot write {out}: {error.strerror}") from None


def _apply(ctx: typer.Context, folder: Path | None, signed: Path) -> None:
    note = read_file(signed)
    with stopped(ctx, folder) as place:
        statement = place.apply(note)
        say(f"The log {statement.origin} has a new key. Give {place.vkey} to auditors and witnesses:")
        for key in statement.new:
            say(f"  {key}")
        until = f"The old key signs beside it until {_day(statement.until)}."
        say(until if statement.until else "The old key signs no more.")
    _tell_restart(folder)


app.command()(succeed)
app.command()(former)


@root_app.command("create")
def create_root(ctx: typer.Context, folder: Where = None) -> None:
    """Give a root key to a log that was made without one."""
    with stopped(ctx, folder) as place:
        place.adopt_root()
        _tell_root(place)
    _tell_restart(folder)


@root_app.command("sign")
def sign_root(
    request: Annotated[Path, typer.Argument(help="What conclave signer rotate or succeed wrote.")],
    root_key: Annotated[Path, typer.Option(help="The file of the root key.")],
    out: Annotated[Path, typer.Option(help="The signed statement to write.")],
    yes: Yes = False,
) -> None:
    """Sign a request with the root key. Needs no hub and no network: do it where the root key is kept."""
    from audit.keys import read_key
    from audit.printable import printable
    from bridge.signer.statements import sign_as_root

    check_parent(out)
    note, key = read_file(request), read_key(root_key)
    signed = sign_as_root(note, key)
    for line in note.decode().partition("\n\n")[0].split("\n"):
        say(f"  {printable(line, 200)}")
    confirm("Is that what you were asked to sign?", yes)
    try:
        with out.open("xb") as file:
            file.write(signed)
    except OSError as error:
        raise CallFailedError(f"cannot write {out}: {error.strerror}", code="out", usage=True) from None
    command = "succeed" if b"\nact succeed\n" in note else "rotate"
    say(f"{out} written. Back at the signer:  conclave signer {command} --apply {out}")


@contextmanager
def _place(ctx: typer.Context, folder: Path | None) -> "Iterator[SignerFolder]":
    """The signer's folder: the one that is named, else the hub's own."""
    from bridge.cli.run import local_settings
    from bridge.signer.folder import SignerFolder
    from bridge.signer.service import signer_folder
    from config.state import StateDirectory

    if folder is not None:
        if not (folder / "signer.json").exists():
            raise CallFailedError(f"{folder} holds no signer", code="signer", hint="conclave signer init", usage=True)
        yield signer_folder(folder)
        return
    settings = local_settings(ctx)
    state = StateDirectory(settings.state_dir)
    if settings.ledger.signer is not None:
        hint = "name the signer's folder: --dir, as the signer's user"
        raise CallFailedError("this hub's keys are with a signer", code="signer", hint=hint, usage=True)
    if not (state.keys / "signer.json").exists():
        hint = "name the signer's folder: --dir, or the hub's state directory: conclave --state DIR signer"
        raise CallFailedError(f"there are no keys in {state.keys}", code="signer", hint=hint, usage=True)
    yield SignerFolder(state.keys, state.log_vkey)


@contextmanager
def stopped(ctx: typer.Context, folder: Path | None) -> "Iterator[SignerFolder]":
    """As :func:`_place`, with hub or signer kept from starting meanwhile.

    Raises:
        StateError: It runs.
    """
    from config.state import DirectoryLock, StateDirectory

    with _place(ctx, folder) as place:
        hub = StateDirectory(place.vkey.parent)
        lock = hub.lock() if folder is None else DirectoryLock(folder / "signer.lock", "the signer")
        try:
            yield place
        finally:
            lock.release()


def read_file(path: Path) -> bytes:
    """The bytes of a file that a person named.

    Raises:
        CallFailedError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallFailedError(f"cannot read {path}: {error.strerror}", code="file", usage=True) from None


def _tell_root(place: "SignerFolder") -> None:
    say(f"The log's root key is {place.root_key}. {AWAY}")
    say("Nothing but it can name the log's next key. Its public key, for your auditors:")
    say(f"  {place.root_public()}")


def _tell_restart(folder: Path | None) -> None:
    say(f"Next: start {'the hub' if folder is None else 'the signer, then the hub'}; the log then says so by an entry.")


def _day(seconds: int) -> str:
    from config.clock import SECOND, iso

    return f"{iso(seconds * SECOND)[:16].replace('T', ' ')} UTC"
