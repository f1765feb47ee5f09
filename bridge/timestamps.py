"""Having an authority outside say when the log was how it is (RFC 3161); it is asked over HTTP (section 3.4)."""

import asyncio
import math
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import aiohttp
import structlog
from cryptography.x509 import Certificate

from audit.printable import printable
from audit.service import AuditService
from audit.stamped import load_authorities
from audit.store import LedgerHead, LedgerStore
from audit.timestamp_store import TimestampRow, TimestampStore
from audit.tsa import verify_token
from audit.tsp import MEDIA_REPLY, MEDIA_REQUEST, TimestampError, TimestampRequest, read_response
from bridge import metrics
from config.clock import MINUTE, SECOND, Clock, Millis, iso
from config.db import Database
from config.errors import ConclaveError
from config.settings import TimestampSettings

log = structlog.get_logger()

ANSWER_S = 20
RETRY_MS = 5 * MINUTE
MAX_ANSWER = 65_536
NONCE_BITS = 64


class TimestampFailedError(ConclaveError):
    """The authority gave no timestamp, or another one than it was asked for."""

    code = "timestamp_failed"


class TimestampSettingsError(ConclaveError):
    """The file with the authority's certificate cannot be used."""

    code = "timestamp_settings"


def open_timestamps(
    settings: TimestampSettings, audit: AuditService, db: Database, clock: Clock, new_nonce: Callable[[int], int]
) -> "TimestampRounds | None":
    """The rounds to the authority that the settings name; ``new_nonce`` makes so many random bits.

    Raises:
        TimestampSettingsError: The file with its certificate cannot be used.
    """
    if settings.url is None:
        return None
    authorities = () if settings.ca_file is None else _load(settings.ca_file)
    return TimestampRounds(settings, audit, db, clock, authorities=authorities, new_nonce=new_nonce)


def _load(path: Path) -> Sequence[Certificate]:
    try:
        return load_authorities(path)
    except (OSError, TimestampError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TimestampSettingsError(f"cannot use {path}: {reason}", hint="see timestamps.ca_file") from None


class TimestampRounds:
    """One round has the newest signed checkpoint timestamped, unless it is already; nothing waits for it."""

    def __init__(
        self,
        settings: TimestampSettings,
        audit: AuditService,
        db: Database,
        clock: Clock,
        *,
        authorities: Sequence[Certificate],
        new_nonce: Callable[[int], int],
    ) -> None:
        self._url = str(settings.url)
        self._policy = settings.policy
        self._every_ms = round(settings.every_minutes * MINUTE)
        self._audit = audit
        self._db = db
        self._clock = clock
        self._authorities = authorities
        self._new_nonce = new_nonce
        self.failure = ""

    async def run(self) -> None:
        """Go round until cancelled; after a failure sooner than else."""
        while True:
            await self.try_round()
            await asyncio.sleep((min(self._every_ms, RETRY_MS) if self.failure else self._every_ms) / SECOND)

    async def try_round(self) -> None:
        """Go round, and let nothing that goes wrong with it stop anything else."""
        try:
            await self.go_round()
            self.failure = ""
        except ConclaveError as error:
            self._failed(error.message)
        except Exception:  # the edge: whatever the authority answers, the hub goes on
            log.exception("timestamp_failed")
            self._failed("an error of the hub's own, see its log")

    def _failed(self, reason: str) -> None:
        log.warning("timestamp_failed", reason=reason)
        metrics.TIMESTAMP_FAILURES.inc()
        self.failure = reason

    async def go_round(self) -> TimestampRow | None:
        """The timestamp of the newest checkpoint; it is kept. ``None`` where there is nothing new.

        Raises:
            TimestampFailedError: The authority does not answer, refuses, or answers something else.
            DatabaseUnavailableError: Nothing is kept.
        """
        head, newest = await self._look()
        if head.checkpoint is None or (newest is not None and newest.size >= head.signed_size):
            return None
        imprint = sha256(head.checkpoint).digest()
        request = TimestampRequest(imprint=imprint, nonce=self._new_nonce(NONCE_BITS), policy=self._policy)
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._ask(request.encode())
            token = read_response(answer)
            token.check_request(request)
            if self._authorities:
                verify_token(token, self._authorities)
        except TimeoutError:
            raise TimestampFailedError(f"the TSA did not answer within {ANSWER_S} s") from None
        except (aiohttp.ClientError, TimestampError) as error:
            raise TimestampFailedError(printable(str(error) or type(error).__name__)) from None
        row = TimestampRow(size=head.signed_size, at=token.at, tsr=answer, checkpoint=head.checkpoint)
        async with self._db.begin() as tx:
            await TimestampStore(tx).keep(row)
        return row

    async def _look(self) -> tuple[LedgerHead, TimestampRow | None]:
        async with self._db.read() as connection:
            return await LedgerStore(connection).head(), await TimestampStore(connection).newest()

    async def _ask(self, query: bytes) -> bytes:
        """The body of the answer.

        Raises:
            TimestampFailedError: It is none of a TSA.
        """
        headers = {"Content-Type": MEDIA_REQUEST, "Accept": MEDIA_REPLY, "Accept-Encoding": "identity"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.post(self._url, data=query, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                where = f" and points to {response.headers['Location']}" if "Location" in response.headers else ""
                raise TimestampFailedError(printable(f"the TSA answered {response.status}{where}, expected 200"))
            if response.content_type != MEDIA_REPLY:
                said = f"the TSA answered with {response.content_type}, expected {MEDIA_REPLY}"
                raise TimestampFailedError(printable(said))
            return await _body(response)

    async def check(self) -> tuple[bool, str]:
        """Always ``True``: the hub is ready without timestamps; and a sentence about the newest one."""
        head, newest = await self._look()
        now = self._clock()
        metrics.TIMESTAMP_AGE.set(math.inf if newest is None else max(0, now - newest.at) / SECOND)
        metrics.TIMESTAMP_LAG.set(await self._lag(newest, head, now) / SECOND)
        failed = f"; the last attempt failed: {self.failure}" if self.failure else ""
        if newest is None:
            return True, f"no timestamp yet{failed}"
        return True, f"{newest.size:,} of {head.signed_size:,} entries were there at {iso(newest.at)}{failed}"

    async def _lag(self, newest: TimestampRow | None, head: LedgerHead, now: Millis) -> Millis:
        """The age of the oldest entry that no timestamp covers."""
        first = 0 if newest is None else newest.size
        if first >= head.size:
            return 0
        async with self._db.read() as connection:
            entry = await LedgerStore(connection).entry(first)
        return 0 if entry is None else max(0, now - entry.at)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole answer.

    Raises:
        TimestampFailedError: It is longer than any timestamp.
    """
    body = b""
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER:
            raise TimestampFailedError(f"the TSA answered with more than {MAX_ANSWER:,} bytes")
    return body
