"""What outsiders said of logs that were closed: the checkpoint that witnesses cosigned, and timestamps.

Revision: 0013, after 0012. Adds a column, which is empty, and an empty table: no row is touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger_former", sa.Column("cosigned", sa.LargeBinary()))
    op.create_table(
        "ledger_former_timestamp",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("tsr", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", "size", name="pk_ledger_former_timestamp"),
    )
