"""Answers that a committee publishes to all its vendors, and how each fared in each vendor's room.

Revision: 0015, after 0014. Adds two empty tables: no row is touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "committee_answer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("committee", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.ForeignKeyConstraint(["committee"], ["committee.id"], name="fk_committee_answer_committee_committee"),
        sa.PrimaryKeyConstraint("id", name="pk_committee_answer"),
        sa.UniqueConstraint("key", name="uq_committee_answer_key"),
    )
    op.create_index("ix_committee_answer_committee", "committee_answer", ["committee", "number"], unique=True)
    op.create_table(
        "answer_delivery",
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("pitch", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger()),
        sa.Column("event_id", sa.Text()),
        sa.Column("problem", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["answer"], ["committee_answer.id"], name="fk_answer_delivery_answer_committee_answer"),
        sa.PrimaryKeyConstraint("answer", "vendor", name="pk_answer_delivery"),
    )
    op.create_index("ix_answer_delivery_state", "answer_delivery", ["state", "pitch"])
