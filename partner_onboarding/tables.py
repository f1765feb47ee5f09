"""Tables of companies, people, teams, invitations, roles and credentials."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, false

from config.db import metadata

company = Table(
    "company",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("external_id", Text, unique=True),
    Column("suspended", Boolean, nullable=False),
    Column("seats", Integer),
    Column("not_after", BigInteger),
    Column("added_at", BigInteger, nullable=False),
    Column("max_upload", BigInteger),
    Column("server", Text),
)
Index("ix_company_server", company.c.server, unique=True)

person = Table(
    "person",
    metadata,
    Column("id", Text, primary_key=True),
    Column("company", Text, ForeignKey("company.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("user_id", Text, unique=True),
    Column("suspended", Boolean, nullable=False),
    Column("invited_at", BigInteger, nullable=False),
    Column("enrolled_at", BigInteger),
    Column("held", Boolean, nullable=False, server_default=false()),
)
Index("ix_person_company", person.c.company)

hold = Table(
    "hold",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partnership", Text),
    Column("person", Text, ForeignKey("person.id")),
    Column("reason", Text, nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("lifted_at", BigInteger),
    Column("lifted_by", Text),
)
Index("ix_hold_partnership", hold.c.partnership)
Index("ix_hold_person", hold.c.person)

team_member = Table(
    "team_member",
    metadata,
    Column("team", Text, primary_key=True),
    Column("person", Text, ForeignKey("person.id"), primary_key=True),
)

invitation = Table(
    "invitation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, ForeignKey("person.id"), nullable=False),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("user_id", Text),
    Column("claim", Text),
    Column("claimed_at", BigInteger),
)
Index("ix_invitation_person", invitation.c.person)

role_grant = Table(
    "role_grant",
    metadata,
    Column("person", Text, ForeignKey("person.id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("granted_at", BigInteger, nullable=False),
)

credential = Table(
    "credential",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, ForeignKey("person.id"), nullable=False),
    Column("device", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)
Index("ix_credential_person", credential.c.person)
