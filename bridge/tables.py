"""Tables of the HTTP API and of the helper."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from config.db import metadata

idempotency = Table(
    "idempotency",
    metadata,
    Column("person", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("status", Integer),
    Column("answer", Text),
)
Index("ix_idempotency_at", idempotency.c.at)

helper_mail = Table(
    "helper_mail",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("room_id", Text),
    Column("body", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
)
Index("ix_helper_mail_retry_at", helper_mail.c.retry_at, helper_mail.c.id)
Index("ix_helper_mail_user_id", helper_mail.c.user_id)

helper_notice = Table(
    "helper_notice",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
