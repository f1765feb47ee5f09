"""The inbox: where whoever changes state leaves the ledger's entry, in the same transaction."""

import os
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.canonical import canonical_json
from audit.entry import MAX_DRAFT_SIZE, SALT_SIZE, Disclosure, Draft, EntryError, draft_body
from config.clock import Clock
from config.db import run, run_many

_ADVANCE = """INSERT INTO inbox_source (source, seq) VALUES ($1, $2)
              ON CONFLICT (source) DO UPDATE SET seq = inbox_source.seq + excluded.seq RETURNING seq"""
_LEAVE = "INSERT INTO inbox (at, source, source_seq, body) VALUES ($1, $2, $3, $4)"
_PUT = """WITH source AS (INSERT INTO inbox_source (source, seq) VALUES ($1, $2)
                          ON CONFLICT (source) DO UPDATE SET seq = inbox_source.seq + excluded.seq RETURNING seq)
          INSERT INTO inbox (at, source, source_seq, body)
          SELECT $3, $1, source.seq - $2 + draft.number, draft.body
          FROM source, unnest($4::text[]) WITH ORDINALITY AS draft (body, number) ORDER BY draft.number"""
"""PostgreSQL does both in one round trip: nobody waits for the source's row longer than the commit takes."""
_DISCLOSE = "INSERT INTO ledger_disclosure (digest, disclosure) VALUES ($1, $2)"


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

        Raises:
            EntryError: A draft is larger than an entry can be; it would stop the log for everybody.
        """
        if not drafts:
            return
        now, rows, disclosures = self._clock(), [], []
        for draft in drafts:
            hidden = [
                Disclosure(salt=self._random_bytes(SALT_SIZE), name=name, value=value)
                for name, value in sorted(draft.disclose.items())
            ]
            digests = [item.digest() for item in hidden]
            rows.append(_text(draft, digests, self._random_bytes(SALT_SIZE)))
            disclosures += [(digest, item.encode()) for digest, item in zip(digests, hidden, strict=True)]
        if tx.dialect.name == "postgresql":
            await run(tx, _PUT, self._source, len(rows), now, rows)
        else:
            last = int((await run(tx, _ADVANCE, self._source, len(rows))).scalar_one())
            first = last - len(rows) + 1
            await run_many(tx, _LEAVE, [(now, self._source, n, body) for n, body in enumerate(rows, start=first)])
        if disclosures:
            await run_many(tx, _DISCLOSE, disclosures)


def _text(draft: Draft, digests: Sequence[str], salt: bytes) -> str:
    data = canonical_json(draft_body(draft, digests, salt))
    if len(data) > MAX_DRAFT_SIZE:
        raise EntryError(f"a draft of {draft.kind} has at most {MAX_DRAFT_SIZE} bytes, not {len(data)}")
    return data.decode()
