"""Which witnesses have to have seen a checkpoint: a policy file (C2SP tlog-policy).

Pure and alone, as ``audit.note``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audit.cosignature import cosignatures
from audit.note import LOG_ALGORITHMS, WITNESS_ALGORITHMS, NoteError, VerifierKey, Verify

NONE = "none"
MAX_GROUPS = 200


class PolicyError(Exception):
    """A policy file does not have its form; the text names the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness as a policy names it; ``url`` is its submission prefix, empty where none is given."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """At least ``least`` of ``members``, each the name of a witness or a group."""

    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Logs that are accepted, witnesses, and whose word is needed."""

    logs: tuple[VerifierKey, ...] = ()
    witnesses: Mapping[str, Witness] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str

    def met(self, cosigned_by: Iterable[VerifierKey]) -> bool:
        """Whether the quorum is met by the witnesses with these keys."""
        keys = set(cosigned_by)
        return self.quorum == NONE or self._holds(self.quorum, keys)

    def keys(self) -> list[VerifierKey]:
        """The keys of all witnesses."""
        return [witness.key for witness in self.witnesses.values()]

    def _holds(self, name: str, keys: set[VerifierKey]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name].key in keys
        group = self.groups[name]
        return sum(self._holds(member, keys) for member in group.members) >= group.least


def witnessed(note: bytes, log: VerifierKey | Sequence[VerifierKey], policy: Policy, verify: Verify) -> list[str]:
    """The names of those of the policy's witnesses who cosigned the checkpoint in ``note``, which ``log`` signed.

    Of several keys of the log, the policy has to name one.

    Raises:
        NoteError: The policy is for other logs, not enough of them did, or a cosignature is forged.
    """
    keys = [log] if isinstance(log, VerifierKey) else log
    if policy.logs and not set(keys) & set(policy.logs):
        raise NoteError(f"the policy does not accept the log {keys[0].name} with this key")
    found = [one.witness for one in cosignatures(note, policy.keys(), verify)]
    if not policy.met(found):
        names = ", ".join(key.name for key in found) or "nobody"
        raise NoteError(f"the policy's quorum {policy.quorum} is not met: cosigned by {names}")
    return [key.name for key in found]


def parse_policy(data: bytes) -> Policy:
    """The policy in the file's bytes ``data``; what is beyond ASCII in names means itself.

    Raises:
        PolicyError: A line has another form, names what stands behind it or nowhere, or the quorum is not given once.
    """
    reader, text = _Reader(), data.decode("utf-8", errors="surrogateescape")
    for number, line in enumerate(text.split("\n"), start=1):
        words = [word for word in re.split("[ \t]+", line) if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            if any((char < " " and char != "\t") or char == "\x7f" for char in line):
                raise ValueError("a control character stands here")
            reader.read(words)
        except (NoteError, ValueError) as error:
            raise PolicyError(f"line {number}: {error}") from None
    if reader.quorum is None:
        raise PolicyError("the policy has no line: quorum NAME")
    return Policy(logs=tuple(reader.logs), witnesses=reader.witnesses, groups=reader.groups, quorum=reader.quorum)


class _Reader:
    """Takes the lines of a policy in order."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._lines: dict[str, Callable[..., None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }

    def read(self, words: list[str]) -> None:
        """Take one line.

        Raises:
            ValueError, NoteError: It has another form.
        """
        line = self._lines.get(words[0])
        if line is None:
            raise ValueError(f"{words[0]} is not log, witness, group or quorum")
        try:
            line(*words[1:])
        except TypeError:
            raise ValueError(f"a line {words[0]} has another number of words") from None

    def _log(self, vkey: str, _url: str = "") -> None:
        key = VerifierKey.parse(vkey, algorithm=LOG_ALGORITHMS)
        witnesses = (witness.key for witness in self.witnesses.values())
        if key.public_key in {one.public_key for one in (*self.logs, *witnesses)}:
            raise ValueError("this log's key stands here twice")
        self.logs.append(key)

    def _witness(self, name: str, vkey: str, url: str = "") -> None:
        key = VerifierKey.parse(vkey, algorithm=WITNESS_ALGORITHMS)
        known = [*self.logs, *(witness.key for witness in self.witnesses.values())]
        if key.public_key in {one.public_key for one in known}:
            raise ValueError("this witness's key stands here twice")
        if (key.name, key.key_id) in {(one.name, one.key_id) for one in known}:
            raise ValueError("another key has this one's name and hash")
        self._new(name)
        self.witnesses[name] = Witness(name=name, key=key, url=url)

    def _group(self, name: str, least: str, *members: str) -> None:
        self._new(name)
        if len(self.groups) == MAX_GROUPS:
            raise ValueError(f"a policy has at most {MAX_GROUPS} groups")
        for member in members:
            self._known(member)
        if not members or len(set(members)) != len(members):
            raise ValueError("a group has members, each of them once")
        taken = {member for group in self.groups.values() for member in group.members}
        if again := taken & set(members):
            raise ValueError(f"{min(again)} is in another group already")
        named = {"any": 1, "all": len(members)}
        if least not in named and not (least.isascii() and least.isdigit()):
            raise ValueError(f"{least} is not any, all or a number")
        count = named[least] if least in named else int(least)
        if not 1 <= count <= len(members):
            raise ValueError(f"{count} of {len(members)} is no quorum")
        self.groups[name] = Group(least=count, members=members)

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise ValueError("the quorum stands here twice")
        if name != NONE:
            self._known(name)
        self.quorum = name

    def _new(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ValueError(f"the name {name} is taken")

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"{name} is not defined on a line above")
