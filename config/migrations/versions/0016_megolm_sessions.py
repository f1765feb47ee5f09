"""Megolm sessions as they were first used in each room, and who left a room when.

Revision: 0016, after 0015. Adds two empty tables: what was used before is not known.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "megolm_session",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "room_id", name="pk_megolm_session"),
    )
    op.create_index("ix_megolm_session_seen_at", "megolm_session", ["seen_at"])
    op.create_table(
        "departure",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_departure"),
    )
    op.create_index("ix_departure_room_id", "departure", ["room_id", "number"])
    op.create_index("ix_departure_at", "departure", ["at"])
