"""What the reconciler needs to look only at what has changed, and to tell drift from its own work.

Revision: 0005, after 0001.

Short locks: four columns with constant defaults on ``room``, two on each of the mirror's tables, new tables, an index
on the mirror's members. The admissions of charters and the teams of people are copied out of the documents.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, column_type, more in (
        ("changes", sa.BigInteger(), {"nullable": False, "server_default": "0"}),
        ("asked_at", sa.BigInteger(), {"nullable": False, "server_default": "0"}),
        ("due_at", sa.BigInteger(), {"nullable": False, "server_default": "0"}),
        ("stuck_since", sa.BigInteger(), {"nullable": True}),
        ("waiting", sa.Integer(), {"nullable": False, "server_default": "0"}),
    ):
        op.add_column("room", sa.Column(name, column_type, **more))
    op.create_index("ix_room_due_at", "room", ["due_at"], unique=False)
    for table in ("observed_member", "observed_state"):
        op.add_column(table, sa.Column("sender", sa.Text(), nullable=False, server_default=""))
        op.add_column(table, sa.Column("at", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_observed_member_user_id", "observed_member", ["user_id"], unique=False)
    op.create_table(
        "room_admission",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("room", "position", name=op.f("pk_room_admission")),
    )
    op.create_index("ix_room_admission_company", "room_admission", ["company", "team"], unique=False)
    op.create_table(
        "roster_team",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "team", name=op.f("pk_roster_team")),
    )
    op.create_index("ix_roster_team_company", "roster_team", ["company", "team"], unique=False)
    op.create_table(
        "leaving",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_leaving")),
    )
    op.create_table(
        "drift",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state_key", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("room", "type", "state_key", name=op.f("pk_drift")),
    )
    _copy(op.get_bind())


def _copy(connection: sa.Connection) -> None:
    """Whom charters admit and which teams people are in, out of the documents that are there."""
    admissions: list[dict[str, Any]] = []
    teams: list[dict[str, Any]] = []
    leaving: list[dict[str, Any]] = []
    for kind, key, text in connection.execute(sa.text("SELECT kind, key, body FROM document")).all():
        body = json.loads(text)
        if kind == "charter":
            admissions += [
                {"r": key, "p": at, "c": item["company"], "t": item.get("team"), "u": item.get("person")}
                for at, item in enumerate(body["admits"])
            ]
        elif kind == "person":
            teams += [{"u": key, "t": team, "c": body["company"]} for team in body["teams"]]
            leaving += [{"u": key}] if body["standing"] != "active" else []
    for statement, rows in (
        ("INSERT INTO room_admission (room, position, company, team, person) VALUES (:r, :p, :c, :t, :u)", admissions),
        ("INSERT INTO roster_team (user_id, team, company) VALUES (:u, :t, :c)", teams),
        ("INSERT INTO leaving (user_id) VALUES (:u)", leaving),
    ):
        if rows:
            connection.execute(sa.text(statement), rows)
