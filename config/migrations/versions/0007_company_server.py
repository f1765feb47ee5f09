"""Companies with a homeserver of their own.

Revision: 0007, after 0006. Adds an empty column and an index on it: no row is touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("company", sa.Column("server", sa.Text(), nullable=True))
    op.create_index("ix_company_server", "company", ["server"], unique=True)
