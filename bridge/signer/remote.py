"""The hub's side of a signer in another process; an :class:`audit.signer.CheckpointSigner`."""

import base64
import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from audit.files import parse_vkeys
from audit.keys import verify_signature
from audit.note import Checkpoint, NoteError, VerifierKey, open_note_of_all
from audit.signer import SignerRefusedError, SignerUnavailableError
from audit.tree import Head
from bridge.signer.folder import KnownKeys

TIMEOUT_S = 10
ADDRESS = "http://signer"


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("signer", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """See :class:`http.client.HTTPConnection`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def fetch_keys(path: Path) -> KnownKeys:
    """What the signer at ``path`` tells of its keys; for the hub's start.

    Raises:
        SignerUnavailableError: It does not answer, or is no signer.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", "/vkey")
        answer = json.loads(connection.getresponse().read())
        root, statements, succession = answer.get("root"), answer.get("statements", []), answer.get("succession")
        return KnownKeys(
            current=tuple(parse_vkeys("\n".join(answer.get("vkeys", [answer["vkey"]])))),
            root=None if root is None else VerifierKey.parse(root),
            statements=tuple(str(note).encode() for note in statements),
            succession=None if succession is None else str(succession).encode(),
        )
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError, NoteError) as error:
        raise _unavailable(path, error) from None
    finally:
        connection.close()


class RemoteSigner:
    """Asks the signer at a Unix socket; what it signs is checked with all of ``keys`` before anybody sees it."""

    def __init__(self, path: Path, *keys: VerifierKey) -> None:
        self._path = path
        self._keys = keys
        self._session: aiohttp.ClientSession | None = None

    async def head(self) -> Head:
        """What was signed last.

        Raises:
            SignerUnavailableError: The signer does not answer.
        """
        _, answer = await self._call("GET", "/head")
        try:
            return Head(int(answer["size"]), base64.b64decode(answer["root"], validate=True))
        except (KeyError, TypeError, ValueError) as error:
            raise _unavailable(self._path, error) from None

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> bytes:
        """See :class:`audit.signer.CheckpointSigner`.

        Raises:
            SignerRefusedError: It does not extend the last head.
            SignerUnavailableError: The signer does not answer, or what it answers is not its signature.
        """
        body = {"checkpoint": checkpoint.text(), "proof": [base64.b64encode(item).decode() for item in proof]}
        status, answer = await self._call("POST", "/sign", body)
        if status == 409:
            raise SignerRefusedError(str(answer.get("error")), hint=str(answer.get("hint", "")))
        note = str(answer.get("note", "")).encode()
        try:
            if open_note_of_all(note, self._keys, verify_signature) != checkpoint.text():
                raise NoteError("it signed something else")
        except NoteError as error:
            raise _unavailable(self._path, error) from None
        return note

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path)), timeout=timeout)
        try:
            async with self._session.request(method, ADDRESS + path, json=body) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _unavailable(self._path, error) from None
        if response.status not in (200, 409) or not isinstance(answer, dict):
            raise _unavailable(self._path, ValueError(f"it answered {response.status}"))
        return response.status, answer


def _unavailable(path: Path, error: Exception) -> SignerUnavailableError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return SignerUnavailableError(
        f"the signer at {path} does not sign: {reason}",
        hint="conclave signer serve; entries wait, and are signed when it is back; after a rotation restart the hub",
    )
