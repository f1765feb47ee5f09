"""The number of the log's leader, by which one that was overtaken is told from its successor.

Revision: 0010, after 0008. Adds a column to a table of one row. On PostgreSQL the inbox, where every row is dead soon,
is cleared of them by their number, and not by their share of a table that is mostly empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger_head", sa.Column("term", sa.BigInteger(), server_default="0", nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)")
