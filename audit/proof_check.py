"""The check of a proof of one entry, by whoever holds the log's keys. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.note import Checkpoint, VerifierKey, Verify
from audit.parts import strict_json
from audit.proof import EntryProof
from audit.quorum import Policy, witnessed
from audit.succession import follow


@dataclass(frozen=True, slots=True)
class Trust:
    """The log's keys and its root's key, as whoever verifies got them, and what is said of the keys' successors."""

    keys: Sequence[VerifierKey]
    root: VerifierKey | None = None
    statements: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReport:
    """What a valid proof shows: ``entry`` at ``index`` of the log of ``checkpoint``, which ``key`` signed.

    ``witnesses`` are the names of those of the policy's witnesses who cosigned, ``None`` where none was named.
    """

    index: int
    entry: dict[str, Any]
    checkpoint: Checkpoint
    key: VerifierKey
    witnesses: list[str] | None


def check_proof(data: bytes, trust: Trust, policy: Policy | None, verify: Verify) -> ProofReport:
    """What the proof in the file's bytes ``data`` shows.

    Raises:
        NoteError, ProofError: It does not hold, or not for these keys and witnesses.
        ValueError: It holds something else than an entry.
    """
    proof = EntryProof.parse(data)
    keys = follow(trust.keys, trust.statements, trust.root, verify)
    checkpoint = proof.verify(keys, verify)
    witnesses = None if policy is None else witnessed(proof.note, keys, policy, verify)
    entry = strict_json(proof.extra)
    return ProofReport(index=proof.index, entry=entry, checkpoint=checkpoint, key=keys[0], witnesses=witnesses)
