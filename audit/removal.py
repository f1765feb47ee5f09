"""The removal proof of a committee's vendor: that it left, and that nothing from after reached it. Pure.

A folder of three: ``pitch/`` and ``deliberation/``, the trails of the two rooms (``audit.trail``), each with every
entry of its room; and ``facts/``, proofs of single entries (``audit.proof_check``): the clearing of this vendor, and
for each person who was ever in one of the rooms, their enrolment, which says whose they are.

What is judged is what the log says. Whether a client kept a copy of what it had seen, no log can tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from audit.index import ROOM
from audit.key_history import parse_statements
from audit.note import NoteError, Verify
from audit.parts import CHANGED, STATEMENTS, Bundle, VerificationError, read_part
from audit.proof_check import ProofReport, Trust, check_proof
from audit.quorum import Policy, witnessed
from audit.trail import TrailReport, trail_entries, verify_trail
from audit.tree import ProofError

PITCH, DELIBERATION, FACTS = "pitch/", "deliberation/", "facts/"
CLEARED, ENROLLED = "vendor.cleared", "person.enrolled"
JOINED_ONLY = sha256(b'{"history_visibility":"joined"}').hexdigest()
"""What ``state.changed`` says of a history that is for whoever was there (specification, m.room.history_visibility)."""
HUB = {"system": "conclave"}
HELPER, THE_HELPER = {"system": "conclave-helper"}, "the helper"
INSIDE = frozenset({"member.joined", "member.updated", "member.invited", "member.knocked"})
OUTSIDE = frozenset({"member.left", "member.removed", "member.banned"})
SHORT = "the proof is not one of this removal, or something was left out of it"
UNSEEN = "the log was not seen by those whom you trust, or it shows them another history than you"

Entry = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """One of the vendor's people is out of the pitch room by this event, at ``ts`` by the homeserver's clock."""

    person: str
    event_id: str
    ts: int
    position: int


@dataclass(slots=True, kw_only=True)
class RemovalReport:
    """What a removal proof shows; valid without exception where ``findings`` is empty.

    ``sessions`` counts the Megolm sessions of the pitch room before the last of the vendor's people left, ``later`` the
    messages of both rooms after that; ``members`` are the people who were ever in the deliberation room. It is true up
    to ``whole_until``, in milliseconds.
    """

    committee: str
    vendor: str
    buyer: str
    cleared_at: int
    cleared_entry: int
    pitch: TrailReport
    deliberation: TrailReport
    leaves: list[Leave] = field(default_factory=list)
    sessions: int = 0
    later: int = 0
    members: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def whole_until(self) -> int:
        """The time up to which both rooms are shown whole."""
        return min(self.pitch.whole_until, self.deliberation.whole_until)


def is_removal(bundle: Bundle) -> bool:
    """Whether ``bundle`` is a removal proof."""
    try:
        return any(name.startswith((FACTS, PITCH, DELIBERATION)) for name in bundle.names())
    except OSError:
        return False


def verify_removal(bundle: Bundle, trust: Trust, policy: Policy | None, verify: Verify) -> RemovalReport:
    """Check every file of the removal proof ``bundle`` against the caller's keys, and judge what it shows.

    Raises:
        VerificationError: A file is not what the log has, or something that has to be shown is not there.
    """
    _check_names(bundle)
    rooms = {name: _Below(bundle, name) for name in (PITCH, DELIBERATION)}
    pitch, deliberation = (verify_trail(part, trust.keys, verify, root=trust.root) for part in rooms.values())
    facts = _facts(bundle, trust, policy, verify)
    cleared = _one(facts, CLEARED)
    data = cleared.entry["data"]
    buyer = [company for company in cleared.entry.get("companies", ()) if company != data.get("vendor")]
    names = ("committee", "vendor", "pitch", "deliberation")
    if len(buyer) != 1 or not all(isinstance(data.get(name), str) for name in names):
        raise _short(f"entry {cleared.index:,}", "does not say whose removal it was")
    report = RemovalReport(
        committee=data["committee"],
        vendor=data["vendor"],
        buyer=buyer[0],
        cleared_at=cleared.entry["at"],
        cleared_entry=cleared.index,
        pitch=pitch,
        deliberation=deliberation,
    )
    for trail in (pitch, deliberation):
        _check_trail(trail, cleared, policy, verify)
    try:
        companies = _companies(facts)
        left = _judge_pitch(report, _entries(rooms[PITCH], pitch), companies, data["pitch"])
        _judge_deliberation(report, _entries(rooms[DELIBERATION], deliberation), data["deliberation"], left)
        _check_spare(facts, left.people | set(report.members))
    except (KeyError, TypeError, AttributeError) as error:
        raise _short("an entry", f"lacks what a removal is judged by: {error}") from None
    return report


def _check_trail(trail: TrailReport, cleared: ProofReport, policy: Policy | None, verify: Verify) -> None:
    """The trail is one room's, reaches beyond the clearing, and is cosigned as the single entries have to be."""
    if trail.scope.kind != ROOM:
        raise _short(str(trail.scope), "is no trail of one room, which alone shows every entry of it")
    if trail.before <= cleared.index or trail.checkpoint.origin != cleared.checkpoint.origin:
        raise _short(str(trail.scope), "is shown up to before the clearing only")
    try:
        if policy is not None:
            witnessed(trail.note, trail.keys, policy, verify)
    except NoteError as error:
        raise VerificationError("witnesses", str(error), where=str(trail.scope), meaning=UNSEEN) from None


@dataclass(frozen=True, slots=True)
class _Below:
    """The files below a folder of another bundle."""

    whole: Bundle
    prefix: str

    def names(self) -> list[str]:
        """See :class:`audit.parts.Bundle`."""
        return [name.removeprefix(self.prefix) for name in self.whole.names() if name.startswith(self.prefix)]

    def read(self, name: str) -> bytes:
        """See :class:`audit.parts.Bundle`."""
        return self.whole.read(self.prefix + name)

    def chunks(self, name: str) -> Iterator[bytes]:
        """See :class:`audit.parts.Bundle`."""
        return self.whole.chunks(self.prefix + name)


@dataclass(slots=True)
class _Left:
    """Who of the vendor is in the pitch room, which sessions were used while any of them was, and who ever was in.

    ``companies`` has whose each is; ``people`` are all who ever were, ``guests`` those of the vendor.
    """

    companies: Mapping[str, str]
    inside: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    guests: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)


def _judge_pitch(report: RemovalReport, entries: Iterator[Entry], companies: Mapping[str, str], key: str) -> _Left:
    """The vendor's people in and out, the history, the sessions; returns what must not be used any more."""
    left = _Left(companies)
    for position, body, after in _after(report, _room(entries, report.pitch, key)):
        if body["kind"] in INSIDE | OUTSIDE:
            _pitch_member(report, left, body, position, after=after)
        elif body["kind"] == "message.sent":
            _pitch_message(report, left, body, position, after=after)
        elif body["data"].get("type") == "m.room.encryption" and after:
            report.findings.append(f"entry {position:,}: the room's encryption was changed after the clearing")
    if not left.guests:
        raise _short(str(report.pitch.scope), f"nobody of {report.vendor} was ever in it")
    if left.inside:
        raise _short(str(report.pitch.scope), f"{', '.join(sorted(left.inside))} did not leave it")
    report.sessions = len(left.sessions)
    return left


def _pitch_member(report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int, *, after: bool) -> None:
    """Somebody comes to the pitch room or goes; the helper says there what is published, until the clearing."""
    person, company = _whose(body, position, left.companies)
    left.people.add(person)
    if company == report.vendor:
        left.guests.add(person)
        _move(report, left, body, position, person, after=after)
    elif company not in (None, report.buyer):
        report.findings.append(f"entry {position:,}: {person} of {company} was in the vendor's pitch room")
    elif person == THE_HELPER and body["kind"] in INSIDE and after:
        report.findings.append(f"entry {position:,}: {person} came into the pitch room after the clearing")


def _pitch_message(report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int, *, after: bool) -> None:
    """A message in the pitch room: its session is one of those seen before, unless the vendor is out for good."""
    if after and left.inside:
        report.findings.append(f"entry {position:,}: {body['data']['event_id']} was sent before the vendor was out")
    if left.inside or not after:
        left.sessions.add(_session(body, position))
    else:
        _message(report, left, body, position, after=after)


def _after(report: RemovalReport, entries: Iterator[Entry]) -> Iterator[tuple[int, Mapping[str, Any], bool]]:
    """Each entry of a room, and whether it happened after the clearing.

    An event of just before may have come into the log just behind it; not behind one from after it, whatever time it
    claims: the clock may be that of the vendor's own homeserver.
    """
    since = False
    for position, body in entries:
        ts = body["data"].get("ts")
        since = since or (position > report.cleared_entry and type(ts) is int and ts > report.cleared_at)
        if body["kind"] == "event.malformed":
            report.findings.append(f"entry {position:,}: something came that is no event; what it was is not known")
        yield position, body, since


def _move(
    report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int, person: str, *, after: bool
) -> None:
    """One of the vendor's people comes or goes."""
    data = body["data"]
    if body["kind"] in OUTSIDE:
        left.inside.discard(person)
        report.leaves.append(Leave(person=person, event_id=data["event_id"], ts=data["ts"], position=position))
        return
    left.inside.add(person)
    if after:
        report.findings.append(f"entry {position:,}: {person} came back after the clearing ({body['kind']})")


def _message(report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int, *, after: bool) -> None:
    """A message that the vendor must not read: by no session that was seen in the pitch room while it could be in."""
    report.later += after
    if _session(body, position) in left.sessions:
        event = body["data"]["event_id"]
        report.findings.append(f"entry {position:,}: {event} was sent with a session from before the vendor left")
    if after and left.companies.get(body["actor"].get("person", "")) == report.vendor:
        report.findings.append(f"entry {position:,}: the vendor sent a message after the clearing")


def _session(body: Mapping[str, Any], position: int) -> str:
    """The Megolm session of a message."""
    session = body["data"].get("session_id")
    if not isinstance(session, str):
        raise _short(f"entry {position:,}", "is a message without the id of its session")
    return session


def _judge_deliberation(report: RemovalReport, entries: Iterator[Entry], key: str, left: _Left) -> None:
    """Nobody but the buyer's people, over its whole life, and no session of the pitch room."""
    members = set[str]()
    for position, body, after in _after(report, _room(entries, report.deliberation, key)):
        if body["kind"] in INSIDE | OUTSIDE:
            person, company = _whose(body, position, left.companies)
            if person == THE_HELPER:
                report.findings.append(f"entry {position:,}: {person} was in the deliberation room")
            if company is None:
                continue
            members.add(person)
            if company != report.buyer:
                report.findings.append(f"entry {position:,}: {person} of {company} was in the deliberation room")
        elif body["kind"] == "message.sent":
            _message(report, left, body, position, after=after)
    report.members = sorted(members)


def _room(entries: Iterator[Entry], trail: TrailReport, key: str) -> Iterator[Entry]:
    """The entries of a room that has this key, and whose history was for whoever was there from the first on."""
    created = shut = False
    for position, body in entries:
        kind, data = body["kind"], body["data"]
        if not created and (kind != "room.created" or data.get("room_key") != key):
            raise _short(f"entry {position:,}", f"does not create the room {key}")
        if not created and body["actor"] != HUB:
            raise _short(f"entry {position:,}", "creates the room by other hands than the hub's")
        created = True
        if data.get("type") == "m.room.history_visibility":
            if data.get("content_sha256") != JOINED_ONLY or data.get("state_key") != "":
                raise _short(f"entry {position:,}", "opens the history to others than were there")
            shut = True
        elif not shut and (kind == "message.sent" or (kind in INSIDE and data.get("subject") != HUB)):
            raise _short(f"entry {position:,}", "came before the history was shut")
        yield position, body
    if not shut:
        raise _short(str(trail.scope), "does not show who may read its history")


def _whose(body: Mapping[str, Any], position: int, companies: Mapping[str, str]) -> tuple[str, str | None]:
    """Who comes or goes, and their company; the hub's own accounts have none.

    Raises:
        VerificationError: It is nobody whose enrolment is shown.
    """
    subject = body["data"].get("subject")
    if subject == HUB:
        return "the hub", None
    if subject == HELPER:
        return THE_HELPER, None
    person = subject.get("person") if isinstance(subject, Mapping) else None
    if not isinstance(person, str) or person not in companies:
        raise _short(f"entry {position:,}", f"is of {subject}, whose enrolment is not shown")
    return person, companies[person]


def _companies(facts: Sequence[ProofReport]) -> dict[str, str]:
    """Person → company, by their enrolments."""
    found = {}
    for fact in facts:
        if fact.entry["kind"] == ENROLLED:
            data = fact.entry["data"]
            if data["person"] in found or not isinstance(data.get("company"), str):
                raise _short(f"entry {fact.index:,}", "is a second enrolment of one person, or names no company")
            found[data["person"]] = data["company"]
    return found


def _check_spare(facts: Sequence[ProofReport], people: set[str]) -> None:
    """Nothing else is in the proof: whoever hands it on tells nothing of other vendors."""
    for fact in facts:
        kind, data = fact.entry["kind"], fact.entry["data"]
        if kind not in (CLEARED, ENROLLED):
            raise _short(f"entry {fact.index:,}", f"{kind} has no place in a removal proof")
        if kind == ENROLLED and data["person"] not in people:
            raise _short(f"entry {fact.index:,}", "is of somebody who was in neither room")


def _facts(bundle: Bundle, trust: Trust, policy: Policy | None, verify: Verify) -> list[ProofReport]:
    """The single entries, each in the log."""
    whole = Trust(trust.keys, trust.root, _statements(bundle))
    found = []
    for name in sorted(name for name in bundle.names() if name.startswith(FACTS)):
        data = read_part(bundle, name, "facts")
        try:
            found.append(check_proof(data, whole, policy, verify))
            if not isinstance(found[-1].entry.get("data"), dict):
                raise ValueError("holds no entry")
        except (NoteError, ProofError, ValueError, RecursionError, AttributeError) as error:
            raise VerificationError("facts", f"is not in the log: {error}", where=name, meaning=CHANGED) from None
    return found


def _statements(bundle: Bundle) -> list[bytes]:
    """What the pitch room's trail says of the keys' successors."""
    if PITCH + STATEMENTS not in set(bundle.names()):
        return []
    return [note.encode() for _, note in parse_statements(read_part(bundle, PITCH + STATEMENTS, "keys"))]


def _one(facts: Sequence[ProofReport], kind: str) -> ProofReport:
    found = [fact for fact in facts if fact.entry["kind"] == kind]
    if len(found) != 1:
        raise _short(FACTS, f"holds {len(found)} entries {kind}, expected one")
    return found[0]


def _entries(bundle: Bundle, trail: TrailReport) -> Iterator[Entry]:
    return trail_entries(bundle, trail.checkpoint)


def _check_names(bundle: Bundle) -> None:
    try:
        names = list(bundle.names())
    except OSError as error:
        raise _short("the folder", f"cannot be read: {error.strerror or error}") from None
    for name in names:
        if not name.startswith((PITCH, DELIBERATION, FACTS)):
            raise _short(name, "has no place in a removal proof")


def _short(where: str, detail: str) -> VerificationError:
    return VerificationError("removal", detail, where=where, meaning=SHORT)
