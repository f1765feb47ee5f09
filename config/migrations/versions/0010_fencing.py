"""The number of the log's leader, by which one that was overtaken is told from its successor.

Revision: 0010, after 0008. Adds a column to a table of one row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger_head", sa.Column("term", sa.BigInteger(), server_default="0", nullable=False))
