"""How many entries the rooms of each company have, counted for the index entries, and what indexes were made of.

Revision: 0012, after 0011. Adds an empty table, and counters for what is in the log already: rows of ``ledger_counter``
with the scope ``company``; no other row is touched.
"""

import json
from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

PAGE = 1_000

ENTRY = sa.table("ledger_entry", sa.column("position"), sa.column("room"), sa.column("body"))
COUNTER = sa.table("ledger_counter", sa.column("scope"), sa.column("key"), sa.column("value"))


def upgrade() -> None:
    op.create_table(
        "ledger_index",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_ledger_index"),
    )
    _count()


def _count() -> None:
    connection, counts, after = op.get_bind(), Counter[str](), -1
    while True:
        page = sa.select(ENTRY).where(ENTRY.c.room.is_not(None), ENTRY.c.position > after)
        rows = connection.execute(page.order_by(ENTRY.c.position).limit(PAGE)).all()
        if not rows:
            break
        for row in rows:
            counts.update(json.loads(row.body).get("companies", ()))
        after = rows[-1].position
    if counts:
        rows_to_add = [{"scope": "company", "key": company, "value": count} for company, count in counts.items()]
        connection.execute(sa.insert(COUNTER), rows_to_add)
