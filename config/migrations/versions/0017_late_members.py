"""What members who join a committee late get of what was said before.

Revision: 0017, after 0016. One column with a constant default, which no row is rewritten for: those that are there have
rooms whose history is for whoever was there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("late_members", sa.Text(), nullable=False, server_default="from-joining")
    op.add_column("committee", column)
