"""The kinds of ledger entry: one table, from which the documentation is generated. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What one kind of entry records, and which members its ``data`` may have."""

    name: str
    records: str
    data: frozenset[str] = frozenset()


_EVENT = ("event_id", "type", "ts")


def _kind(name: str, records: str, *data: str) -> Kind:
    return Kind(name=name, records=records, data=frozenset(data))


_TABLE = (
    _kind(
        "log.opened", "the log's first entry: its own keys", "origin", "log_key", "post_quantum_key", "root_key",
        "export_key", "software", "succession",
    ),
    _kind(
        "key.rotated", "the log's keys were replaced, on the root key's word", "act", "log_key",
        "post_quantum_key", "root_key", "statement",
    ),
    _kind("key.added", "an ML-DSA-44 key signs beside the log's key", "act", "post_quantum_key", "statement"),
    _kind("root.adopted", "a log that had no root key got one", "act", "root_key", "statement"),
    _kind("hub.started", "the service began to run", "software", "host"),
    _kind("hub.stopped", "the service stopped in order"),
    _kind("clock.corrected", "the clock was behind the newest entry; times were held back", "behind_ms"),
    _kind(
        "company.added", "a company entered the hub", "company", "kind", "seats", "until", "external_id", "max_upload",
        "server",
    ),
    _kind("company.changed", "what a company may do was changed", "company", "max_upload", "before"),
    _kind("company.suspended", "a company's people were shut out", "company", "reason"),
    _kind("company.resumed", "a suspension was lifted", "company"),
    _kind("person.invited", "an enrolment link was made", "person", "company", "role", "expires_at"),
    _kind("person.enrolled", "a person took up the invitation and got an account", "person", "company", "role"),
    _kind("person.suspended", "a person was shut out", "person", "company", "reason"),
    _kind("person.resumed", "a suspension was lifted", "person", "company"),
    _kind("sessions.ended", "who was shut out was signed out of every device", "person", "company"),
    _kind("hold.placed", "a legal hold began: what it covers stays", "hold", "partnership", "person", "reason"),
    _kind("hold.lifted", "a legal hold ended", "hold", "partnership", "person", "reason"),
    _kind("team.joined", "a person was put into a team of the host company", "person", "team"),
    _kind("team.left", "a person was taken out of a team", "person", "team"),
    _kind("role.granted", "a person of the host company may do more", "person", "role"),
    _kind("role.revoked", "a role was taken back", "person", "role"),
    _kind("credential.issued", "a person's device got a credential", "person", "credential", "expires_at"),
    _kind("credential.renewed", "the local credential got a later end", "person", "credential", "expires_at"),
    _kind("credential.revoked", "a credential was made useless", "person", "credential"),
    _kind("partnership.opened", "an engagement of host and partner began", "template", "team", "rooms"),
    _kind("partnership.closed", "an engagement ended: people out, rooms frozen", "reason"),
    _kind("direct.opened", "two people of an engagement began a direct room", "room_key", "people"),
    _kind(
        "committee.opened", "a buyer's committee began", "chair", "members", "pitch_at", "clear_at", "rooms",
        "late_members",
    ),
    _kind("committee.enlarged", "one more of the buyer's people became a member", "person"),
    _kind("committee.reduced", "one of the buyer's people is no member any more, and leaves its rooms", "person"),
    _kind("committee.chaired", "the chair of a committee was handed on", "chair", "before"),
    _kind("committee.declared", "a member said whether they have a conflict of interest", "person", "conflict"),
    _kind("vendor.added", "a company was asked to pitch before a committee", "vendor", "pitch"),
    _kind("committee.scheduled", "the times of a committee's phases were set", "pitch_at", "clear_at"),
    _kind("committee.started", "vendors were let into their pitch rooms", "pitch_at", "timed"),
    _kind("committee.cleared", "every vendor was put out; the pitch rooms are frozen", "clear_at", "vendors", "timed"),
    _kind(
        "vendor.cleared", "a vendor left its pitch room when a committee was cleared", "committee", "vendor",
        "pitch", "deliberation", "history", "clear_at",
    ),
    _kind("committee.decided", "a committee chose a vendor", "winner", "standstill_until"),
    _kind("vendor.debriefed", "a room was opened to debrief one vendor", "vendor", "room"),
    _kind("committee.closed", "a committee ended: people out, rooms frozen", "reason"),
    _kind(
        "answer.published", "a committee had an answer said to all vendors in the same words", "answer", "vendors",
        "vendor", "pitch",
    ),
    _kind("answer.delivered", "an answer was said in a vendor's pitch room", "answer", "vendor", "event_id"),
    _kind("answer.dropped", "an answer is not said to a vendor any more", "answer", "vendor", "reason"),
    _kind("wall.added", "two companies must never meet from now on", "first", "second", "reason"),
    _kind("wall.removed", "two companies may meet again", "first", "second", "reason"),
    _kind("room.created", "a Space or room came to be", *_EVENT, "room_key", "room_type", "room_version"),
    _kind("member.invited", "a person was invited to a room", *_EVENT, "subject", "before"),
    _kind("member.joined", "a person became a member of a room", *_EVENT, "subject", "before"),
    _kind("member.updated", "a member's profile in a room changed", *_EVENT, "subject", "before"),
    _kind("member.left", "a person left a room, or declined an invitation", *_EVENT, "subject", "before"),
    _kind("member.removed", "a person was removed from a room by another", *_EVENT, "subject", "before"),
    _kind("member.banned", "a person was banned from a room", *_EVENT, "subject", "before"),
    _kind("member.knocked", "a person asked to be let in", *_EVENT, "subject", "before"),
    _kind(
        "message.sent", "an encrypted message was sent; its content is not here", *_EVENT, "session_id", "device_id",
        "size", "relation", "relates_to",
    ),
    _kind(
        "session.reused", "a message came with a Megolm session that somebody may hold the key of who is out",
        "event_id", "ts", "session_id", "device_id", "left", "left_of", "count", "after_ms", "used_in", "place",
    ),
    _kind("message.redacted", "an event's content was taken back", *_EVENT, "redacts"),
    _kind("reaction.sent", "a reaction was set", *_EVENT, "relates_to"),
    _kind("state.changed", "a room's state changed", *_EVENT, "state_key", "content_sha256"),
    _kind("event.sent", "an event of another type was sent", *_EVENT, "content_sha256"),
    _kind("event.refused", "another server made an event that was refused here; nobody gets it", *_EVENT),
    _kind("event.malformed", "the homeserver delivered something that is no event", "sha256", "event_id"),
    _kind("guard.refused", "the homeserver refused an act", "code", "act", "count", "minute", "subject", "place"),
    _kind("guard.crashed", "a rule of the guard failed; the act was refused", "act", "count", "minute", "place"),
    _kind(
        "drift.found", "a room differed from its charter and nobody had asked for it", "type", "event_id", "subject",
        "state_key", "found", "caused_by", "waiting",
    ),
    _kind(
        "drift.corrected", "drift was put right, or what is wanted came to agree with it", "type", "event_id",
        "subject", "state_key", "outcome", "after_ms",
    ),
    _kind("plan.applied", "somebody had a plan carried out", "plan", "rooms", "done", "failed"),
    _kind("feed.recovered", "events that the homeserver had not delivered were fetched", "events", "unavailable"),
    _kind("device.found", "a device appeared on an account of the hub that must not have it", "device", "account"),
    _kind("helper.opened", "a person's chat with the helper was set up", "person"),
    _kind(
        "audit.exported", "the log was exported: all of it, the trail of a company or room, or a removal proof",
        "export", "scope",
    ),
    _kind("index.published", "how much each company and room has in the log so far, as one hash", "root", "leaves"),
)  # fmt: skip

KINDS = {kind.name: kind for kind in _TABLE}
