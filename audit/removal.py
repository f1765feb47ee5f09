"""The removal of a committee's vendor: that it left, and that nothing from after reached it. Pure.

Judged from every entry of the vendor's pitch room and of the deliberation room, and from single entries, the *facts*:
the clearing of this vendor, and for each person who was ever in one of the rooms, their enrolment, which says whose
they are. The hub judges what it has stored, before it writes a proof; whoever verifies judges what is shown there
(``audit.removal_file``): the same functions.

What is judged is what the log says. Whether a client kept a copy of what it had seen, no log can tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from audit.index import Scope
from audit.parts import VerificationError
from audit.removal_report import IDENTIFIER, Entry, Leave, Move, Removal, RemovalReport, Room

CLEARED, ENROLLED = "vendor.cleared", "person.enrolled"
JOINED_ONLY = sha256(b'{"history_visibility":"joined"}').hexdigest()
"""What ``state.changed`` says of a history that is for whoever was there (specification, m.room.history_visibility)."""
ALL_OF_IT = sha256(b'{"history_visibility":"shared"}').hexdigest()
"""The same of a history that is for every member, whenever they came; it may be the deliberation room's only."""
SHARED = "shared"
"""The word in the entry of the clearing that says so: that the room's charter had it so."""
HUB = {"system": "conclave"}
HELPER, THE_HELPER = {"system": "conclave-helper"}, "the helper"
INSIDE = frozenset({"member.joined", "member.updated", "member.invited", "member.knocked"})
OUTSIDE = frozenset({"member.left", "member.removed", "member.banned"})
SPEECH = frozenset({"message.sent", "message.redacted", "reaction.sent", "state.changed", "event.sent"})
"""What somebody puts into a room for others to see."""
SHORT = "the proof is not one of this removal, or something was left out of it"


def judge_removal(
    about: Removal, facts: Sequence[Entry], pitch: Room, deliberation: Room, whole_until: int
) -> RemovalReport:
    """What ``facts`` and the entries of both rooms, whole up to ``whole_until``, show of the removal ``about``.

    Raises:
        VerificationError: Something that has to be shown is not there, or something is that has no place.
    """
    try:
        cleared, entry = _one(facts, CLEARED)
        data = entry["data"]
        buyer = [company for company in entry.get("companies", ()) if company != data["vendor"]]
        if len(buyer) != 1 or (data["committee"], data["vendor"]) != (about.committee, about.vendor):
            raise _short(f"entry {cleared:,}", f"does not say that {about.vendor} was put out of {about.committee}")
        _check_id(cleared, buyer[0])
        report = RemovalReport(
            committee=about.committee,
            vendor=about.vendor,
            buyer=buyer[0],
            shut_at=_shut(entry["data"], cleared),
            cleared_at=entry["at"],
            cleared_entry=cleared,
            pitch=pitch.scope,
            deliberation=deliberation.scope,
            whole_until=whole_until,
            enrolled=_enrolled(facts),
            shared=data.get("history") == SHARED,
        )
        left = _judge_pitch(report, iter(pitch.entries), data["pitch"])
        _judge_deliberation(report, iter(deliberation.entries), data["deliberation"], left)
        _check_spare(facts, left.people | set(report.members))
    except (KeyError, TypeError, AttributeError) as error:
        raise _short("an entry", f"lacks what a removal is judged by: {error}") from None
    return report


@dataclass(slots=True)
class _Left:
    """Who of the vendor is in the pitch room, which sessions were used while any of them was, and who ever was in.

    ``people`` are all who ever were, ``guests`` those of the vendor; ``helper``: it is in.
    """

    helper: bool = False
    inside: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    guests: set[str] = field(default_factory=set)
    sessions: dict[str, int] = field(default_factory=dict)


def _judge_pitch(report: RemovalReport, entries: Iterator[Entry], key: str) -> _Left:
    """The vendor's people in and out, the history, the sessions; returns what must not be used any more."""
    left = _Left()
    for position, body, after in _after(report, _room(report, entries, report.pitch, key, JOINED_ONLY)):
        if body["kind"] in INSIDE | OUTSIDE:
            _pitch_member(report, left, body, position, after=after)
            continue
        if after:
            _pitch_after(report, left, body, position)
        if body["kind"] == "message.sent":
            _pitch_message(report, left, body, position, after=after)
    if left.helper:
        report.findings.append(f"{report.pitch}: {THE_HELPER} did not leave it")
    if not left.guests:
        raise _short(str(report.pitch), f"nobody of {report.vendor} was ever in it")
    if left.inside:
        raise _short(str(report.pitch), f"{', '.join(sorted(left.inside))} did not leave it")
    report.sessions = left.sessions
    return left


def _pitch_member(report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int, *, after: bool) -> None:
    """Somebody comes to the pitch room or goes; the helper says there what is published, until the clearing."""
    person, company = _whose(report, body, position)
    left.people.add(person)
    if person == THE_HELPER:
        left.helper = body["kind"] in INSIDE
    if company == report.vendor:
        left.guests.add(person)
        _move(report, left, body, position, person, after=after)
    elif company not in (None, report.buyer):
        report.findings.append(f"entry {position:,}: {person} of {company} was in the vendor's pitch room")
    elif person == THE_HELPER and body["kind"] in INSIDE and after:
        report.findings.append(f"entry {position:,}: {person} came into the pitch room after the clearing")


def _pitch_message(report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int, *, after: bool) -> None:
    """A message in the pitch room: its session is one of those seen before, unless the vendor is out for good."""
    if left.inside or not after:
        left.sessions.setdefault(_session(body, position), position)
    else:
        _message(report, left, body, position, after=after)


def _pitch_after(report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int) -> None:
    """Something comes to the pitch room after the clearing that is not about its members: the vendor gets none of it.

    What is not encrypted is read by whoever is in the room; the hub's own state of a room is nobody's word.
    """
    data = body["data"]
    if data.get("type") == "m.room.encryption":
        report.findings.append(f"entry {position:,}: the room's encryption was changed after the clearing")
    if not _speaks(body):
        return
    if left.inside:
        what = "was sent" if body["kind"] == "message.sent" else "came"
        report.findings.append(f"entry {position:,}: {data['event_id']} {what} before the vendor was out")
    _sender(report, body, position)


def _speaks(body: Mapping[str, Any]) -> bool:
    return body["kind"] in SPEECH and not (body["kind"] == "state.changed" and body["actor"] == HUB)


def _sender(report: RemovalReport, body: Mapping[str, Any], position: int) -> None:
    """Whoever says something is of the buyer: that somebody is in a room, only entries that are shown say."""
    ((kind, name),) = body["actor"].items()
    company, _ = report.enrolled.get(name, ("", 0)) if kind == "person" else ("", 0)
    if company == report.vendor and body["kind"] == "message.sent" and position > report.cleared_entry:
        report.findings.append(f"entry {position:,}: the vendor sent a message after the clearing")
    elif company != report.buyer:
        event = body["data"]["event_id"]
        report.findings.append(f"entry {position:,}: {event} was sent by {name}, who is not of {report.buyer}")


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
        if body["data"].get("type") == "m.room.tombstone":
            report.findings.append(f"entry {position:,}: the room was replaced by another, which is not shown")
        if body["kind"] in INSIDE | OUTSIDE | {"message.sent"}:
            _told(body, position)
        yield position, body, since


def _move(
    report: RemovalReport, left: _Left, body: Mapping[str, Any], position: int, person: str, *, after: bool
) -> None:
    """One of the vendor's people comes or goes."""
    if body["kind"] in OUTSIDE:
        left.inside.discard(person)
        report.leaves.append(Leave(person=person, position=position, **_told(body, position)))
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


def _shut(data: Mapping[str, Any], position: int) -> int:
    """The time from which the clearing shut the vendor out, in milliseconds."""
    at = data.get("clear_at")
    if type(at) is not int:
        raise _short(f"entry {position:,}", "does not say from when on the vendor was shut out")
    return at


def _session(body: Mapping[str, Any], position: int) -> str:
    """The Megolm session of a message."""
    session = body["data"].get("session_id")
    if not isinstance(session, str):
        raise _short(f"entry {position:,}", "is a message without the id of its session")
    return session


def _judge_deliberation(report: RemovalReport, entries: Iterator[Entry], key: str, left: _Left) -> None:
    """Nobody but the buyer's people, over its whole life, and no session of the pitch room."""
    members, history = set[str](), ALL_OF_IT if report.shared else JOINED_ONLY
    for position, body, after in _after(report, _room(report, entries, report.deliberation, key, history)):
        if body["kind"] in INSIDE | OUTSIDE:
            person, company = _whose(report, body, position)
            if person == THE_HELPER:
                report.findings.append(f"entry {position:,}: {person} was in the deliberation room")
            if company is None:
                continue
            members.add(person)
            report.moves.append(Move(person=person, position=position, kind=body["kind"], **_told(body, position)))
            if company != report.buyer:
                report.findings.append(f"entry {position:,}: {person} of {company} was in the deliberation room")
            continue
        if body["kind"] == "message.sent":
            _message(report, left, body, position, after=after)
        if _speaks(body):
            _sender(report, body, position)
    report.members = sorted(members)


def _told(body: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Id and time of an event."""
    event_id, ts = body["data"].get("event_id"), body["data"].get("ts")
    if not isinstance(event_id, str) or type(ts) is not int:
        raise _short(f"entry {position:,}", "does not say which event it is of, and of when")
    return {"event_id": event_id, "ts": ts}


def _room(report: RemovalReport, entries: Iterator[Entry], scope: Scope, key: str, history: str) -> Iterator[Entry]:
    """The entries of a room that has this key, and whose ``history`` was this one and no other, from the first on."""
    created = shut = False
    for position, body in entries:
        kind, data = body["kind"], body["data"]
        if not created and (kind != "room.created" or data.get("room_key") != key):
            raise _short(f"entry {position:,}", f"does not create the room {key}")
        if not created and body["actor"] != HUB:
            raise _short(f"entry {position:,}", "creates the room by other hands than the hub's")
        if not created:
            _check_made(report, body, position, scope)
        created = True
        if data.get("type") == "m.room.history_visibility":
            if data.get("content_sha256") != history or data.get("state_key") != "":
                raise _short(f"entry {position:,}", "makes the history another than it has to be")
            shut = True
            report.history.append((scope, position))
        elif not shut and (kind == "message.sent" or (kind in INSIDE and data.get("subject") != HUB)):
            raise _short(f"entry {position:,}", "came before the history was shut")
        yield position, body
    if not shut:
        raise _short(str(scope), "does not show who may read its history")


def _check_made(report: RemovalReport, body: Mapping[str, Any], position: int, scope: Scope) -> None:
    """Return when a room was made for this committee: the pitch room for buyer and vendor, the other for the buyer."""
    companies = {report.buyer, report.vendor} if scope == report.pitch else {report.buyer}
    if body.get("engagement") != report.committee:
        raise _short(f"entry {position:,}", f"is of another committee than {report.committee}")
    if body.get("companies") != sorted(companies):
        raise _short(f"entry {position:,}", f"is of other companies than {', '.join(sorted(companies))}")


def _whose(report: RemovalReport, body: Mapping[str, Any], position: int) -> tuple[str, str | None]:
    """Who comes or goes, and their company; the hub's own accounts have none.

    Raises:
        VerificationError: It is nobody whose enrolment is shown, or that came later: who was in a room as somebody
            is not made another for the proof.
    """
    subject = body["data"].get("subject")
    if subject == HUB:
        return "the hub", None
    if subject == HELPER:
        return THE_HELPER, None
    person = subject.get("person") if isinstance(subject, Mapping) else None
    if not isinstance(person, str) or person not in report.enrolled:
        raise _short(f"entry {position:,}", f"is of {subject}, whose enrolment is not shown")
    company, enrolled = report.enrolled[person]
    if enrolled > position:
        raise _short(f"entry {position:,}", f"is of {person}, who was enrolled only later, by entry {enrolled:,}")
    return person, company


def _enrolled(facts: Sequence[Entry]) -> dict[str, tuple[str, int]]:
    """Person → company and entry, by their enrolments."""
    found = dict[str, tuple[str, int]]()
    for position, body in facts:
        if body["kind"] == ENROLLED:
            data = body["data"]
            if data["person"] in found or not isinstance(data.get("company"), str):
                raise _short(f"entry {position:,}", "is a second enrolment of one person, or names no company")
            _check_id(position, data["company"])
            found[data["person"]] = data["company"], position
    return found


def _check_id(position: int, company: str) -> None:
    """Return when ``company`` is an id; what only looks like one on the page could be taken for another."""
    if not IDENTIFIER.fullmatch(company):
        raise _short(f"entry {position:,}", f"{company} is no company's id")


def _check_spare(facts: Sequence[Entry], people: set[str]) -> None:
    """Nothing else is in the proof: whoever hands it on tells nothing of other vendors."""
    for position, body in facts:
        kind, data = body["kind"], body["data"]
        if kind not in (CLEARED, ENROLLED):
            raise _short(f"entry {position:,}", f"{kind} has no place in a removal proof")
        if kind == ENROLLED and data["person"] not in people:
            raise _short(f"entry {position:,}", "is of somebody who was in neither room")


def _one(facts: Sequence[Entry], kind: str) -> Entry:
    found = [fact for fact in facts if fact[1]["kind"] == kind]
    if len(found) != 1:
        raise _short("the facts", f"hold {len(found)} entries {kind}, expected one")
    return found[0]


def _short(where: str, detail: str) -> VerificationError:
    return VerificationError("removal", detail, where=where, meaning=SHORT)
