"""The inbox: where whoever changes state leaves the ledger's entry, in the same transaction."""

import os
from collections.abc import Callable

from sqlalchemy import insert, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.canonical import canonical_json
from audit.entry import SALT_SIZE, Disclosure, Draft, draft_body
from audit.tables import inbox, inbox_source, ledger_disclosure
from config.clock import Clock


class Inbox:
    """Takes drafts of entries from one source; they are in the ledger once the transaction has committed."""

    def __init__(self, source: str, clock: Clock, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._clock = clock
        self._random_bytes = random_bytes

    async def put(self, tx: AsyncConnection, *drafts: Draft) -> None:
        """Leave ``drafts``, in order, as part of ``tx``.

        The source's counter is taken first: on PostgreSQL its row lock makes writers of one source take turns, so
        that their numbers have no gaps and their rows are in the order of their numbers.
        """
        if not drafts:
            return
        last = await self._advance(tx, len(drafts))
        now = self._clock()
        rows, disclosures = [], []
        for number, draft in enumerate(drafts, start=last - len(drafts) + 1):
            hidden = [
                Disclosure(salt=self._random_bytes(SALT_SIZE), name=name, value=value)
                for name, value in sorted(draft.disclose.items())
            ]
            digests = [item.digest() for item in hidden]
            body = canonical_json(draft_body(draft, digests, self._random_bytes(SALT_SIZE))).decode()
            rows.append({"at": now, "source": self._source, "source_seq": number, "body": body})
            disclosures += [
                {"digest": digest, "disclosure": item.encode()} for digest, item in zip(digests, hidden, strict=True)
            ]
        await tx.execute(insert(inbox), rows)
        if disclosures:
            await tx.execute(insert(ledger_disclosure), disclosures)

    async def _advance(self, tx: AsyncConnection, count: int) -> int:
        dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
        statement = (
            dialect.insert(inbox_source)
            .values(source=self._source, seq=count)
            .on_conflict_do_update(index_elements=["source"], set_={"seq": inbox_source.c.seq + literal(count)})
            .returning(inbox_source.c.seq)
        )
        return int((await tx.execute(statement)).scalar_one())
