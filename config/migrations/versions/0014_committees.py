"""Committees: their phases, members and vendors.

Revision: 0014, after 0013. Adds three empty tables: no row is touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "committee",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("chair", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("pitch_at", sa.BigInteger()),
        sa.Column("clear_at", sa.BigInteger()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("winner", sa.Text()),
        sa.Column("standstill_until", sa.BigInteger()),
        sa.ForeignKeyConstraint(["id"], ["engagement.id"], name="fk_committee_id_engagement"),
        sa.PrimaryKeyConstraint("id", name="pk_committee"),
    )
    op.create_table(
        "committee_member",
        sa.Column("committee", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("declared", sa.Text()),
        sa.Column("declared_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["committee"], ["committee.id"], name="fk_committee_member_committee_committee"),
        sa.PrimaryKeyConstraint("committee", "person", name="pk_committee_member"),
    )
    op.create_table(
        "committee_vendor",
        sa.Column("committee", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("pitch", sa.Text(), nullable=False),
        sa.Column("debrief", sa.Text()),
        sa.ForeignKeyConstraint(["committee"], ["committee.id"], name="fk_committee_vendor_committee_committee"),
        sa.PrimaryKeyConstraint("committee", "company", name="pk_committee_vendor"),
    )
    op.create_index("ix_committee_vendor_company", "committee_vendor", ["company"])
