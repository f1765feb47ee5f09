"""Pushing charters and roster to the guard, signed, until it has the newest version of each."""

import asyncio
from collections.abc import Mapping, Sequence
from operator import lt
from typing import Protocol

from config.db import Database
from spaces.gateway import Homeserver, SignedDocument
from spaces.policy.documents import Document
from spaces.store import DocumentStore

BATCH = 500


class DocumentSigner(Protocol):
    """Signs with the hub's document key."""

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of ``message``."""
        ...


class Publisher:
    """Brings the guard's documents up to date; one push at a time."""

    def __init__(self, db: Database, homeserver: Homeserver, signer: DocumentSigner) -> None:
        self._db = db
        self._homeserver = homeserver
        self._signer = signer
        self._turn = asyncio.Lock()

    async def publish(self) -> int:
        """Push every version that the guard does not have; returns how many.

        Raises:
            HomeserverError: The guard did not take them; they stay to be pushed.
        """
        pushed = 0
        async with self._turn:
            while documents := await self._unpushed():
                await self._homeserver.put_documents([self._signed(item) for item in documents])
                async with self._db.begin() as tx:
                    await DocumentStore(tx).mark_pushed(documents)
                pushed += len(documents)
        return pushed

    async def compare(self, stored: Mapping[str, Sequence[int]]) -> None:
        """Push everything again when the guard does not have what it was given, as after its database was put back.

        ``stored`` is, for each kind, how many documents the guard has and the sum of their versions. A guard that has
        newer ones, as after the hub's own database was put back, keeps them: it refuses older ones, and every change
        from now on is newer.
        """
        async with self._db.read() as connection:
            pushed = await DocumentStore(connection).pushed()
        behind = [kind for kind, sums in pushed.items() if any(map(lt, stored.get(kind, (0, 0)), sums))]
        if behind:
            async with self._db.begin() as tx:
                await DocumentStore(tx).mark_all_unpushed()

    async def _unpushed(self) -> list[Document]:
        async with self._db.read() as connection:
            return await DocumentStore(connection).unpushed(BATCH)

    def _signed(self, item: Document) -> SignedDocument:
        return SignedDocument(document=item, signature=self._signer.sign(item.signed_bytes()))
