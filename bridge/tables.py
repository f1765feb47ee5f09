"""Tables of the HTTP API."""

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
