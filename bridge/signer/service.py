"""The signer behind a Unix socket: holds the log's key, and signs only what extends what it signed before."""

import asyncio
import base64
import binascii
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from audit.heads import read_head
from audit.keys import KeyFileError
from audit.note import Checkpoint, NoteError
from audit.signer import CheckpointSigner, SignerRefusedError
from bridge.signer.folder import KnownKeys, SignerFolder
from config.errors import ConclaveError
from config.state import DirectoryLock

log = structlog.get_logger()

MAX_REQUEST = 65_536
SOCKET_MODE = 0o660
KEY, MEMORY = "log.key", "signer.json"


class SignerSocketError(ConclaveError):
    """The signer's socket cannot be made."""

    code = "signer_socket"


def create_signer(folder: Path, origin: str, *, post_quantum: bool = False) -> SignerFolder:
    """New keys for the log ``origin`` in ``folder``, with the memory of nothing signed.

    Raises:
        KeyFileError, SignerRefusedError: There is a signer already, or the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = signer_folder(folder)
    if (folder / KEY).exists() or made.memory.exists():
        raise KeyFileError(f"{folder} holds a signer already", hint="name another folder: --dir")
    made.create(origin, post_quantum=post_quantum)
    return made


def signer_folder(folder: Path) -> SignerFolder:
    """What the signer in ``folder`` keeps."""
    return SignerFolder(folder, folder / "log.vkey")


def signer_app(folder: Path) -> web.Application:
    """``GET /vkey``, ``GET /head``, ``POST /sign`` for the keys in ``folder``.

    Raises:
        KeyFileError, SignerRefusedError: Keys or memory are missing or broken; nothing is signed.
    """
    place = signer_folder(folder)
    calls = _Calls(place.open(), place.known())
    app = web.Application(client_max_size=MAX_REQUEST)
    app.router.add_get("/vkey", calls.vkey)
    app.router.add_get("/head", calls.head)
    app.router.add_post("/sign", calls.sign)
    return app


class _Calls:
    """What may be asked of the signer."""

    def __init__(self, signer: CheckpointSigner, known: KnownKeys) -> None:
        self._signer = signer
        self._known = known

    async def vkey(self, _request: web.Request) -> web.Response:
        known = self._known
        return web.json_response(
            {
                "vkey": str(known.current[0]),
                "vkeys": [str(key) for key in known.current],
                "root": None if known.root is None else str(known.root),
                "statements": [note.decode() for note in known.statements],
                "succession": None if known.succession is None else known.succession.decode(),
            }
        )

    async def head(self, _request: web.Request) -> web.Response:
        found = await self._signer.head()
        return web.json_response({"size": found.size, "root": _encode(found.root)})

    async def sign(self, request: web.Request) -> web.Response:
        try:
            body: dict[str, Any] = await request.json()
            checkpoint = Checkpoint.parse(str(body["checkpoint"]))
            proof = [base64.b64decode(item, validate=True) for item in body["proof"]]
        except (KeyError, TypeError, ValueError, binascii.Error, NoteError) as error:
            return web.json_response({"error": f"not a request to sign: {error}"}, status=400)
        try:
            note = await self._signer.sign(checkpoint, proof)
        except SignerRefusedError as error:
            log.error("signer_refused", reason=error.message)
            return web.json_response({"error": error.message, "hint": error.hint}, status=409)
        return web.json_response({"note": note.decode()})


async def run_signer(folder: Path, socket: Path, *, say: Callable[[str], None]) -> None:
    """Serve the signer in ``folder`` at ``socket`` until SIGINT or SIGTERM.

    The socket is for its owner and its group: the hub's user has to be in that group, and in no other way near the
    folder.

    Raises:
        ConclaveError: The folder is not as it must be or in use, or the socket cannot be made.
    """
    app, size = signer_app(folder), read_head(folder / MEMORY).size
    lock = DirectoryLock(folder / "signer.lock", "the signer")
    runner = web.AppRunner(app, access_log=None)
    try:
        await runner.setup()
        await _listen(runner, socket)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        say(f"signer at {socket}, {size:,} entries signed so far")
        await stop.wait()
        say("stopped")
    finally:
        await runner.cleanup()
        lock.release()


async def _listen(runner: web.AppRunner, socket: Path) -> None:
    """Listen at ``socket``, which a signer before may have left behind: the lock says that it is gone."""
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        _clear(socket)
        await web.UnixSite(runner, str(socket)).start()
    except OSError as error:
        raise SignerSocketError(
            f"cannot listen at {socket}: {error.strerror or error}", hint="name a file in a folder that is there"
        ) from None
    finally:
        os.umask(before)


def _clear(socket: Path) -> None:
    if socket.exists() and not socket.is_socket():
        raise OSError(None, "another file has that name")
    socket.unlink(missing_ok=True)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
