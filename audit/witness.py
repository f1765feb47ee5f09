"""A witness's judgement of a checkpoint that it is asked to cosign (C2SP tlog-witness, add-checkpoint).

Pure and alone, as ``audit.note``: what the witness saw last comes in, and what it sees now goes out.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.note import Checkpoint, NoteError, VerifierKey, Verify, open_note_of_all
from audit.tree import EMPTY_ROOT, HASH_SIZE, Head, ProofError, verify_consistency

MAX_PROOF = 63
MAX_REQUEST = 65_536


class WitnessRefusedError(Exception):
    """The checkpoint is not cosigned; ``status`` is the answer's, ``size`` what the witness saw last where it says."""

    def __init__(self, status: int, detail: str, *, size: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request to cosign: the size that the log believes the witness saw last, the proof from there, the note."""

    old: int
    proof: Sequence[bytes]
    note: bytes

    @property
    def origin(self) -> str:
        """The log that the note says it is of, before anything of it is checked."""
        return self.note.partition(b"\n")[0].decode(errors="replace")

    def encode(self) -> bytes:
        """The request's body."""
        lines = [f"old {self.old}", *(base64.b64encode(item).decode() for item in self.proof)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note

    @classmethod
    def parse(cls, data: bytes) -> "Submission":
        """The request in ``data``.

        Raises:
            WitnessRefusedError: 400, it has another form.
        """
        head, blank, note = data.partition(b"\n\n")
        first, *rest = head.split(b"\n")
        number = first.removeprefix(b"old ").decode("ascii", errors="replace")
        if not blank or not first.startswith(b"old ") or not _is_number(number) or len(rest) > MAX_PROOF:
            raise WitnessRefusedError(400, "a request is: old SIZE, up to 63 hashes, an empty line, a checkpoint")
        return cls(old=int(number), proof=[_hash(line) for line in rest], note=note)


def judge(submission: Submission, logs: Mapping[str, Sequence[VerifierKey]], seen: Head, verify: Verify) -> Checkpoint:
    """The checkpoint to cosign, which extends what was ``seen`` of its log; each of the log's keys must have signed it.

    Raises:
        WitnessRefusedError: It does not, or is not signed by a log that this witness knows.
    """
    checkpoint = _signed(submission, logs, verify)
    if submission.old > checkpoint.size:
        raise WitnessRefusedError(400, f"the old size {submission.old} is beyond the checkpoint's {checkpoint.size}")
    if submission.old != seen.size:
        raise WitnessRefusedError(409, f"this witness saw {seen.size} entries last", size=seen.size)
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise WitnessRefusedError(422, "the root is not that of an empty log")
    try:
        if seen.size == 0:
            if submission.proof:
                raise ProofError("from an empty log there is nothing to prove")
        else:
            verify_consistency(seen.size, checkpoint.size, submission.proof, seen.root, checkpoint.root)
    except ProofError as error:
        raise WitnessRefusedError(422, f"the log does not extend what was seen of it: {error}") from None
    return checkpoint


def _signed(submission: Submission, logs: Mapping[str, Sequence[VerifierKey]], verify: Verify) -> Checkpoint:
    keys = logs.get(submission.origin)
    if keys is None:
        raise WitnessRefusedError(404, "this witness does not know that log")
    try:
        text = open_note_of_all(submission.note, keys, verify)
    except NoteError as error:
        raise WitnessRefusedError(403, str(error)) from None
    try:
        return Checkpoint.parse(text)
    except NoteError as error:
        raise WitnessRefusedError(400, str(error)) from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and str(int(text)) == text


def _hash(line: bytes) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except ValueError:
        data = b""
    if len(data) != HASH_SIZE or base64.b64encode(data) != line:
        raise WitnessRefusedError(400, "a line of the proof is no hash in base64")
    return data
