"""Proofs that go alone: that an entry is in a log, in one small file (C2SP tlog-proof).

Pure and alone, as ``audit.note``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.note import Checkpoint, NoteError, VerifierKey, Verify, decode_base64, encode_base64, open_note_of_all
from audit.tree import HASH_SIZE, ProofError, leaf_hash, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof:
    """An entry's place in a log: ``extra`` is the entry itself, which the proof binds to ``note``, the checkpoint."""

    index: int
    hashes: Sequence[bytes]
    note: bytes
    extra: bytes

    def encode(self) -> bytes:
        """The file's bytes."""
        lines = [HEADER, f"extra {encode_base64(self.extra)}", f"index {self.index}", *map(encode_base64, self.hashes)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note

    @classmethod
    def parse(cls, data: bytes) -> "EntryProof":
        """The proof in ``data``.

        Raises:
            NoteError: It is none, or has no entry in it.
        """
        head, blank, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise NoteError("the proof is not text") from None
        if not blank or lines[0] != HEADER:
            raise NoteError(f"it is no proof of an entry, which begins with {HEADER}; of an export name the folder")
        if len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
            raise NoteError("a proof of this log has the lines extra and index")
        number = lines[2].removeprefix("index ")
        if not number.isdigit() or str(int(number[:20])) != number:
            raise NoteError(f"the index {number:.20} is not a decimal number")
        if len(lines) - 3 > MAX_HASHES:
            raise NoteError(f"a proof has at most {MAX_HASHES} hashes")
        hashes = [decode_base64(line, "a line of the proof") for line in lines[3:]]
        if any(len(item) != HASH_SIZE for item in hashes):
            raise NoteError(f"a hash has {HASH_SIZE} bytes")
        return cls(
            index=int(number),
            hashes=hashes,
            note=note,
            extra=decode_base64(lines[1].removeprefix("extra "), "a line of the proof"),
        )

    def verify(self, key: VerifierKey | Sequence[VerifierKey], verify: Verify) -> Checkpoint:
        """The checkpoint under which the entry was found, when the proof holds and ``key``, or each of them, signed it.

        Raises:
            NoteError: The checkpoint is not ``key``'s, or is of another log.
            ProofError: The entry is not where the proof says.
        """
        keys = (key,) if isinstance(key, VerifierKey) else key
        checkpoint = Checkpoint.parse(open_note_of_all(self.note, keys, verify))
        if checkpoint.origin != keys[0].name:
            raise NoteError(f"the checkpoint is of the log {checkpoint.origin}, your key is of {keys[0].name}")
        if self.index >= checkpoint.size:
            raise ProofError(f"entry {self.index} is beyond the checkpoint of {checkpoint.size} entries")
        verify_inclusion(leaf_hash(self.extra), self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint
