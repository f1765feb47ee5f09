"""The signer: signs a checkpoint only when it extends what it signed before.

It keeps its own last (size, root) in a file beside its key, off the database, so that whoever rewrites the database
cannot get the rewritten log signed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audit.heads import read_head, write_head
from audit.keys import SigningKey
from audit.note import Checkpoint, sign_line
from audit.tree import Head, ProofError, verify_consistency
from config.clock import SECOND, Clock, system_clock
from config.errors import ConclaveError, UnavailableError


class SignerRefusedError(ConclaveError):
    """The checkpoint does not extend what was signed before: the log was rolled back, forked or tampered with."""

    code = "signer_refused"


class SignerUnavailableError(UnavailableError):
    """The signer does not answer; what is not signed waits."""

    code = "signer_unavailable"


NOTHING = Head()


class CheckpointSigner(Protocol):
    """Holds the log's key and its own memory of what it signed."""

    async def head(self) -> Head:
        """What was signed last."""
        ...

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> bytes:
        """``checkpoint`` as a signed note; ``proof`` shows its consistency with :meth:`head`.

        Raises:
            SignerRefusedError: It does not extend the last head.
            SignerUnavailableError: It does not answer.
        """
        ...

    async def close(self) -> None:
        """Give up what it holds open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherKey:
    """A key that signs beside the first one: an ML-DSA-44 key, or one that was rotated away, ``until`` (seconds)."""

    key: SigningKey
    until: int | None = None


class LocalSigner:
    """A signer in this process: the key and the state are two files of one directory.

    Each key of ``further`` adds its signature line behind that of ``key``, as long as it may.
    """

    def __init__(
        self, key: SigningKey, state: Path, *, further: Sequence[FurtherKey] = (), clock: Clock = system_clock
    ) -> None:
        self._key = key
        self._further = further
        self._clock = clock
        self._state = state
        self._head = _read(state)
        self._turn = asyncio.Lock()

    @staticmethod
    def initialise(state: Path) -> None:
        """Start the memory of a new key: nothing signed yet.

        Raises:
            SignerRefusedError: There is a memory already.
        """
        if state.exists():
            raise SignerRefusedError(f"{state} exists already: this key has signed before")
        write_head(state, NOTHING)

    async def head(self) -> Head:
        """What was signed last."""
        return self._head

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> bytes:
        """See :class:`CheckpointSigner`; the new head is on disk before the signature is given out."""
        if checkpoint.origin != self._key.name:
            raise SignerRefusedError(f"this key signs for {self._key.name}, not for {checkpoint.origin}")
        async with self._turn:
            return await self._sign(checkpoint, proof)

    async def close(self) -> None:
        """Nothing is held open."""

    async def _sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> bytes:
        try:
            if self._head != NOTHING or checkpoint.size == 0:  # else it is the first head, which extends nothing
                verify_consistency(self._head.size, checkpoint.size, proof, self._head.root, checkpoint.root)
        except ProofError as error:
            raise SignerRefusedError(
                f"the log's head of size {checkpoint.size} does not extend the signed head of size"
                f" {self._head.size}: {error}",
                hint="the database was put back or changed; see docs/operators.md, 'The signer refuses'",
            ) from None
        head = Head(checkpoint.size, checkpoint.root)
        if head != self._head:
            await asyncio.to_thread(write_head, self._state, head)
            self._head = head
        text, now = checkpoint.text(), self._clock() // SECOND
        keys = [self._key, *(one.key for one in self._further if one.until is None or now < one.until)]
        lines = [sign_line(text, key.public, key, at=now) for key in keys]
        return f"{text}\n{''.join(lines)}".encode()


def _read(path: Path) -> Head:
    try:
        return read_head(path)
    except (OSError, ValueError):
        raise SignerRefusedError(
            f"the signer's memory {path} is missing or unreadable, so nothing more is signed",
            hint="see docs/operators.md, 'The signer refuses'; an older copy of the file lets an older log be signed",
        ) from None
