"""``conclave signer succeed`` and ``former``: a log whose end was lost, and the one that follows it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bridge.cli.errors import CallFailedError
from bridge.cli.output import check_parent, say

if TYPE_CHECKING:
    from audit.note import Checkpoint
    from config.db import Database

T = TypeVar("T")

Where = Annotated[
    Path | None, typer.Option("--dir", help="The signer's folder; without it the hub's own keys.", show_default=False)
]


def succeed(
    ctx: typer.Context,
    folder: Where = None,
    out: Annotated[Path, typer.Option(help="The request to write, for the root to sign.")] = Path("succession.request"),
    restored: Annotated[
        str | None, typer.Option(help="With --dir: what the hub's machine said the database has, SIZE ROOT.")
    ] = None,
    apply: Annotated[
        Path | None, typer.Option(help="The request as the root signed it: close the log, open the next.")
    ] = None,
) -> None:
    """After a backup of the database was put back for good: close the log, and open one that follows it."""
    if apply is not None:
        _apply(ctx, folder, apply)
        return
    if folder is None and _signer(ctx) is not None:
        found = _on_database(ctx, _head)
        say("The signer holds this log's keys. There, as its user:")
        say(f'  conclave signer succeed --dir DIR --restored "{_words(found)}"')
        return
    _prepare(ctx, folder, out, restored)


def _prepare(ctx: typer.Context, folder: Path | None, out: Path, restored: str | None) -> None:
    from audit.heads import read_head
    from bridge.cli.signer import stopped
    from bridge.signer.closing import prepare_succession
    from bridge.successor import refuse_without_need

    if out.exists():
        raise CallFailedError(f"{out} exists already", code="exists", hint="name another: --out", usage=True)
    check_parent(out)
    with stopped(ctx, folder) as place:
        if folder is None:
            memory = read_head(place.memory)
            _on_database(ctx, lambda db: refuse_without_need(db, memory))
            found = _on_database(ctx, _head)
        else:
            found = _given(place.log_keys().origin, restored)
        request = prepare_succession(place, found)
        try:
            out.write_bytes(request)
        except OSError as error:
            raise CallFailedError(f"cannot write {out}: {error.strerror}", code="out", usage=True) from None
    say(f"{out} written; nothing is changed yet. Where the root key is:")
    say(f"  conclave signer root sign {out} --root-key root.key --out succession.signed")
    say("Back here, with hub and signer stopped:  conclave signer succeed --apply succession.signed")


def _apply(ctx: typer.Context, folder: Path | None, signed: Path) -> None:
    from audit.note import NoteError, split_note
    from audit.succession import KeyStatement
    from bridge.cli.signer import read_file, stopped
    from bridge.signer.closing import apply_succession

    note = read_file(signed)
    with stopped(ctx, folder) as place:
        try:
            statement = KeyStatement.parse(split_note(note)[0])
        except NoteError as error:
            raise CallFailedError(f"{signed} is no statement: {error}", code="key_statement", usage=True) from None
        if folder is None and note not in place.notes()[-1:] and _on_database(ctx, _head) != statement.restored:
            raise CallFailedError(
                "the database is not at the head that the statement names",
                code="restored",
                hint="ask for a new one: conclave signer succeed",
            )
        done = apply_succession(place, note)
        say(f"The log {done.origin} is closed; {done.successor} follows it. Its keys, for auditors and witnesses:")
        for key in done.new:
            say(f"  {key}")
    say(f"Next: start {'the hub' if folder is None else 'the signer, then the hub'}; it opens the new log.")
    say("Then: conclave signer former --out DIR, and tell every auditor and witness.")


def former(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder to write; it must not exist.")],
) -> None:
    """Write the logs that were closed into folders: checkpoint, tiles, entries, and the statement that closed each."""
    from bridge.former import former_files, former_logs

    async def write(db: "Database") -> int:
        logs = await former_logs(db)
        for log in logs:
            async for path, content in former_files(db, log):
                target = out / f"{log.number}" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        return len(logs)

    if out.exists():
        raise CallFailedError(f"{out} exists already", code="exists", hint="name another: --out", usage=True)
    check_parent(out)
    count = _on_database(ctx, write)
    if not count:
        say("No log was closed: there is nothing to write.")
        return
    say(f"{count} closed log{'s' * (count > 1)} written to {out}/.")
    say(f"Next: conclave audit verify {out}/1 --vkey OLD    (the key that the closed log had)")


async def _head(db: "Database") -> "Checkpoint":
    from bridge.successor import signed_head

    return await signed_head(db)


def _settings(ctx: typer.Context) -> Any:
    from bridge.cli.run import local_settings

    return local_settings(ctx)


def _signer(ctx: typer.Context) -> Path | None:
    signer: Path | None = _settings(ctx).ledger.signer
    return signer


def _on_database(ctx: typer.Context, work: "Callable[[Database], Awaitable[T]]") -> T:
    from bridge.app import open_database
    from config.migrate import check_schema
    from config.state import StateDirectory

    settings = _settings(ctx)

    async def run() -> T:
        db = open_database(settings, StateDirectory(settings.state_dir))
        try:
            await check_schema(db)
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(run())


def _words(head: "Checkpoint") -> str:
    return " ".join(head.text().split("\n")[1:3])


def _given(origin: str, restored: str | None) -> "Checkpoint":
    from audit.note import Checkpoint, NoteError

    hint = "on the hub's machine, conclave signer succeed says it"
    if restored is None:
        raise CallFailedError("what does the database have? --restored", code="usage", hint=hint, usage=True)
    try:
        return Checkpoint.parse(f"{origin}\n" + "\n".join(restored.split(" ")) + "\n")
    except NoteError as error:
        raise CallFailedError(f"--restored {restored}: {error}", code="usage", hint=hint, usage=True) from None
