"""Tables of engagements, rooms, documents, and of what the homeserver was seen to have."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text

from config.db import metadata

document = Table(
    "document",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("company", Text),
    Column("version", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("gone", Boolean, nullable=False),
    Column("pushed_version", BigInteger, nullable=False),
)
Index("ix_document_company", document.c.company)

engagement = Table(
    "engagement",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("closed_at", BigInteger),
)
Index("ix_engagement_partner", engagement.c.partner)

committee = Table(
    "committee",
    metadata,
    Column("id", Text, ForeignKey("engagement.id"), primary_key=True),
    Column("title", Text, nullable=False),
    Column("chair", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("pitch_at", BigInteger),
    Column("clear_at", BigInteger),
    Column("decided_at", BigInteger),
    Column("winner", Text),
    Column("standstill_until", BigInteger),
    Column("late_members", Text, nullable=False, server_default="from-joining"),
)

committee_member = Table(
    "committee_member",
    metadata,
    Column("committee", Text, ForeignKey("committee.id"), primary_key=True),
    Column("person", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("declared", Text),
    Column("declared_at", BigInteger),
)

committee_vendor = Table(
    "committee_vendor",
    metadata,
    Column("committee", Text, ForeignKey("committee.id"), primary_key=True),
    Column("company", Text, primary_key=True),
    Column("pitch", Text, nullable=False),
    Column("debrief", Text),
)
Index("ix_committee_vendor_company", committee_vendor.c.company)

committee_answer = Table(
    "committee_answer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("committee", Text, ForeignKey("committee.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Column("key", Text, unique=True),
)
Index("ix_committee_answer_committee", committee_answer.c.committee, committee_answer.c.number, unique=True)

answer_delivery = Table(
    "answer_delivery",
    metadata,
    Column("answer", Text, ForeignKey("committee_answer.id"), primary_key=True),
    Column("vendor", Text, primary_key=True),
    Column("pitch", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger),
    Column("event_id", Text),
    Column("problem", Text),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
)
Index("ix_answer_delivery_state", answer_delivery.c.state, answer_delivery.c.pitch)

wall = Table(
    "wall",
    metadata,
    Column("first", Text, primary_key=True),
    Column("second", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("added_by", Text, nullable=False),
)

room = Table(
    "room",
    metadata,
    Column("key", Text, primary_key=True),
    Column("engagement", Text, ForeignKey("engagement.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("room_id", Text, unique=True),
    Column("settled", Boolean, nullable=False),
    Column("problem", Text),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
    Column("changes", BigInteger, nullable=False, server_default="0"),
    Column("asked_at", BigInteger, nullable=False, server_default="0"),
    Column("due_at", BigInteger, nullable=False, server_default="0"),
    Column("stuck_since", BigInteger),
    Column("waiting", Integer, nullable=False, server_default="0"),
)
Index("ix_room_engagement", room.c.engagement)
Index("ix_room_due_at", room.c.due_at)

room_admission = Table(
    "room_admission",
    metadata,
    Column("room", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("company", Text, nullable=False),
    Column("team", Text),
    Column("person", Text),
)
Index("ix_room_admission_company", room_admission.c.company, room_admission.c.team)

roster_team = Table(
    "roster_team",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("team", Text, primary_key=True),
    Column("company", Text, nullable=False),
)
Index("ix_roster_team_company", roster_team.c.company, roster_team.c.team)

leaving = Table(
    "leaving",
    metadata,
    Column("user_id", Text, primary_key=True),
)

drift = Table(
    "drift",
    metadata,
    Column("room", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("state_key", Text, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("found_at", BigInteger, nullable=False),
)

ended_session = Table(
    "ended_session",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("version", Text, nullable=False),
)

observed_member = Table(
    "observed_member",
    metadata,
    Column("room_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("membership", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("sender", Text, nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False, server_default="0"),
)
Index("ix_observed_member_user_id", observed_member.c.user_id)

observed_state = Table(
    "observed_state",
    metadata,
    Column("room_id", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("state_key", Text, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("sender", Text, nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False, server_default="0"),
)

megolm_session = Table(
    "megolm_session",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("room_id", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
Index("ix_megolm_session_seen_at", megolm_session.c.seen_at)

departure = Table(
    "departure",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("room_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
Index("ix_departure_room_id", departure.c.room_id, departure.c.number)
Index("ix_departure_at", departure.c.at)

feed_event = Table(
    "feed_event",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("room_id", Text, nullable=False),
)
Index("ix_feed_event_room", feed_event.c.room_id)

feed_transaction = Table(
    "feed_transaction",
    metadata,
    Column("source", Text, primary_key=True),
    Column("transaction_id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
Index("ix_feed_transaction_at", feed_transaction.c.at)
