"""Bringing the hub's checkpoints to its witnesses, and keeping what enough of them cosigned (C2SP tlog-witness)."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog

from audit.cosignature import Cosignature, cosignatures
from audit.keys import verify_signature
from audit.note import Checkpoint, NoteError, VerifierKey, open_note
from audit.printable import printable
from audit.quorum import Policy, PolicyError, Witness, parse_policy
from audit.service import AuditService
from audit.store import CosignedRow
from audit.witness import Submission
from bridge import metrics
from config.clock import MINUTE, SECOND, Clock, Millis
from config.errors import ConclaveError
from config.settings import WitnessSettings

log = structlog.get_logger()

ANSWER_S = 10
MAX_ANSWER = 65_536
MAX_LINES = 8
CONFLICT = 409


class WitnessFailedError(ConclaveError):
    """A witness did not cosign, or what it said is not its cosignature."""

    code = "witness_failed"


class WitnessPolicyError(ConclaveError):
    """The file that names the witnesses cannot be used."""

    code = "witness_policy"


@dataclass(frozen=True, slots=True)
class NamedWitnesses:
    """The policy of witnesses that the settings name, and its file's bytes, which exports take along."""

    policy: Policy
    text: bytes


def named_witnesses(settings: WitnessSettings, log_keys: Sequence[VerifierKey]) -> NamedWitnesses | None:
    """The witnesses of the log with ``log_keys``, where the settings name some.

    Raises:
        WitnessPolicyError: The policy cannot be read, is malformed, or is for other logs.
    """
    return None if settings.policy is None else _load_policy(settings.policy, log_keys)


def open_rounds(
    settings: WitnessSettings, named: NamedWitnesses | None, audit: AuditService, clock: Clock
) -> "WitnessRounds | None":
    """The rounds to the witnesses that are ``named``."""
    if named is None:
        return None
    max_age = round(settings.max_age_minutes * MINUTE)
    return WitnessRounds(audit, named.policy, clock, every_s=settings.every_seconds, max_age_ms=max_age)


def _load_policy(path: Path, log_keys: Sequence[VerifierKey]) -> NamedWitnesses:
    try:
        text = path.read_bytes()
        policy = parse_policy(text)
    except OSError as error:
        raise WitnessPolicyError(f"cannot read {path}: {error.strerror}", hint="see witnesses.policy") from None
    except PolicyError as error:
        raise WitnessPolicyError(f"{path} is no policy of witnesses: {error}", hint="see docs/witnesses.md") from None
    if not set(log_keys) & set(policy.logs):
        raise WitnessPolicyError(f"{path} does not name this hub's log", hint=f"add the line: log {log_keys[0]}")
    return NamedWitnesses(policy, text)


class WitnessRounds:
    """One round asks every witness of the policy that has an address for the newest checkpoint's cosignature."""

    def __init__(
        self, audit: AuditService, policy: Policy, clock: Clock, *, every_s: float, max_age_ms: Millis
    ) -> None:
        self._audit = audit
        self._policy = policy
        self._clock = clock
        self._every_s = every_s
        self._max_age_ms = max_age_ms
        self._sizes: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self.failures: dict[str, str] = {}

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await self.try_round()
            await asyncio.sleep(self._every_s)

    async def try_round(self) -> None:
        """Go round, and let nothing that goes wrong with it stop anything else."""
        try:
            await self.go_round()
        except ConclaveError as error:
            log.warning("witness_round_failed", code=error.code, reason=error.message)
        except Exception:  # the edge: whatever a witness answers, the hub goes on
            log.exception("witness_round_failed")

    async def go_round(self) -> CosignedRow | None:
        """The newest checkpoint with its cosignatures when the quorum is met; it is kept.

        ``None`` when it is not, or when today's keys signed nothing yet.

        Raises:
            DatabaseUnavailableError: Nothing is kept.
        """
        async with self._turn:
            note = (await self._audit.status()).head.checkpoint
            if note is None:
                return None
            try:
                checkpoint = Checkpoint.parse(open_note(note, self._audit.log_key, verify_signature))
            except NoteError as error:  # the keys were replaced, and nothing was signed with those of today yet
                log.info("witness_round_waits", reason=str(error))
                return None
            async with aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"}) as session:
                asked: dict[str, list[Witness]] = {}
                for one in self._policy.witnesses.values():
                    asked.setdefault(one.url, []).append(one)
                asked.pop("", None)
                lines = await asyncio.gather(
                    *(self._ask_all(session, they, checkpoint, note) for they in asked.values())
                )
            return await self._keep(checkpoint, note + b"".join(lines))

    async def _keep(self, checkpoint: Checkpoint, note: bytes) -> CosignedRow | None:
        found = cosignatures(note, self._policy.keys(), verify_signature)
        if not self._policy.met(one.witness for one in found):
            log.warning("quorum_missed", size=checkpoint.size, cosigned=len(found), failed=sorted(self.failures))
            return None
        at = min(self._clock(), quorum_time(found, self._policy) * SECOND)
        row = CosignedRow(size=checkpoint.size, at=at, checkpoint=note)
        await self._audit.keep_cosigned(row)
        return row

    async def _ask_all(
        self, session: aiohttp.ClientSession, witnesses: Sequence[Witness], checkpoint: Checkpoint, note: bytes
    ) -> bytes:
        """The lines of witnesses with one address, such as one with two keys: in turn, lest one overtake the other."""
        return b"".join([await self._ask(session, one, checkpoint, note) for one in witnesses])

    async def _ask(
        self, session: aiohttp.ClientSession, witness: Witness, checkpoint: Checkpoint, note: bytes
    ) -> bytes:
        """The witness's signature line; nothing, and a failure noted, where it does not cosign."""
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await self._cosignature(session, witness, checkpoint, note)
        except (ConclaveError, aiohttp.ClientError, TimeoutError, NoteError) as error:
            self.failures[witness.name] = printable(str(error) or "no answer in time", 300)
            metrics.WITNESS_FAILURES.labels(witness.name).inc()
            return b""
        self.failures.pop(witness.name, None)
        return line

    async def _cosignature(
        self, session: aiohttp.ClientSession, witness: Witness, checkpoint: Checkpoint, note: bytes
    ) -> bytes:
        old = self._sizes.get(witness.name, 0)
        for _ in range(2):
            if old > checkpoint.size:
                raise WitnessFailedError(
                    f"it saw {old:,} entries of this log, which has {checkpoint.size:,}: the log was put back or forked"
                )
            proof = await self._audit.consistency(old, checkpoint.size)
            body = Submission(old=old, proof=proof, note=note).encode()
            async with session.post(
                f"{witness.url.rstrip('/')}/add-checkpoint", data=body, allow_redirects=False
            ) as response:
                answer = await _body(response)
            if response.status != CONFLICT:
                break
            old = _size(answer)
        if response.status != 200:
            raise WitnessFailedError(f"it answered {response.status}: {answer.strip():.200}")
        self._sizes[witness.name] = checkpoint.size
        return self._own_line(witness, note, answer)

    @staticmethod
    def _own_line(witness: Witness, note: bytes, answer: str) -> bytes:
        own = [line for line in answer.split("\n") if line.startswith(f"— {witness.key.name} ")]
        for line in own[:MAX_LINES]:
            with suppress(NoteError):
                if cosignatures(note + f"{line}\n".encode(), [witness.key], verify_signature):
                    return f"{line}\n".encode()
        raise WitnessFailedError("what it answered is not its cosignature")

    async def check(self) -> tuple[bool, str]:
        """Whether the newest cosigned checkpoint is young enough, and a sentence about it."""
        row = await self._audit.cosigned()
        failed = "".join(f"; {name}: {reason}" for name, reason in sorted(self.failures.items()))
        if row is None:
            metrics.COSIGNED_AGE.set(math.inf)
            return False, f"no checkpoint was cosigned by enough witnesses yet{failed}"
        age = max(0, self._clock() - row.at)
        metrics.COSIGNED_AGE.set(age / SECOND)
        return age <= self._max_age_ms, f"{row.size:,} entries were cosigned {age // SECOND} s ago{failed}"


def quorum_time(found: Sequence[Cosignature], policy: Policy) -> int:
    """The latest time, in seconds, since which the policy's quorum has the checkpoint; ``found`` has to meet it.

    So one witness whose clock is wrong makes no checkpoint older than the others say.
    """
    times = sorted((one.at for one in found), reverse=True)
    return next(
        (at for at in times if policy.met(one.witness for one in found if one.at >= at)), times[-1] if times else 0
    )


async def _body(response: aiohttp.ClientResponse) -> str:
    """The whole answer.

    Raises:
        WitnessFailedError: It is longer than any answer of a witness.
    """
    body = b""
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER:
            raise WitnessFailedError(f"it answered with more than {MAX_ANSWER:,} bytes")
    return body.decode(errors="replace")


def _size(answer: str) -> int:
    text = answer.removesuffix("\n")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise WitnessFailedError("it says a conflict without the size that it saw")
    return int(text)
