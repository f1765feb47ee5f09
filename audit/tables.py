"""Tables of the ledger."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from config.db import metadata

_Serial = BigInteger().with_variant(Integer, "sqlite")

inbox = Table(
    "inbox",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_seq", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

inbox_source = Table(
    "inbox_source",
    metadata,
    Column("source", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("room", Text),
    Column("body", LargeBinary, nullable=False),
)
Index("ix_ledger_entry_room", ledger_entry.c.room, ledger_entry.c.position)
Index("ix_ledger_entry_kind", ledger_entry.c.kind, ledger_entry.c.position)

ledger_tile = Table(
    "ledger_tile",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("tile", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("signed_size", BigInteger, nullable=False),
    Column("checkpoint", LargeBinary),
    Column("term", BigInteger, nullable=False, server_default="0"),
)

ledger_cosigned = Table(
    "ledger_cosigned",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
)

ledger_index = Table(
    "ledger_index",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("counts", Text, nullable=False),
)

ledger_counter = Table(
    "ledger_counter",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

ledger_disclosure = Table(
    "ledger_disclosure",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("disclosure", Text, nullable=False),
    Column("position", BigInteger),
)

ledger_former = Table(
    "ledger_former",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("checkpoint", LargeBinary),
    Column("succession", LargeBinary, nullable=False),
    Column("cosigned", LargeBinary),
)

ledger_former_entry = Table(
    "ledger_former_entry",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("room", Text),
    Column("body", LargeBinary, nullable=False),
)
Index("ix_ledger_former_entry_room", ledger_former_entry.c.room)

ledger_former_disclosure = Table(
    "ledger_former_disclosure",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("disclosure", Text, nullable=False),
)

ledger_former_timestamp = Table(
    "ledger_former_timestamp",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("tsr", LargeBinary, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
)

ledger_timestamp = Table(
    "ledger_timestamp",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("tsr", LargeBinary, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
)
