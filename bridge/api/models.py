"""What goes in and out of the API, version 1. Times are RFC 3339 in UTC."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from partner_onboarding.access_store import Role
from partner_onboarding.model import PersonRole, PersonStatus
from spaces.model import EngagementStatus
from spaces.policy.records import Recording, RoomKind

Item = TypeVar("Item")
TEXT, SLUG, DATE = r"^[^\x00-\x1f\x7f]*$", r"^[a-z][a-z0-9-]{0,39}$", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
EXPECTED = {
    TEXT: "expected one line of text without control characters",
    SLUG: "expected 1 to 40 lower-case letters, digits and hyphens, beginning with a letter, such as northwind",
    DATE: "expected a day such as 2027-12-31",
}
"""What a pattern means, for people."""
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT)]
Slug = Annotated[str, Field(pattern=SLUG, examples=["northwind"])]
Date = Annotated[str, Field(pattern=DATE, examples=["2027-12-31"])]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Model):
    """An error (RFC 9457, ``application/problem+json``); ``code`` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    field: str = ""


class NoQuery(_Model):
    """No parameters."""


class PageQuery(_Model):
    """A page of a list."""

    limit: int = Field(default=100, ge=1, le=500, description="how many at most")
    cursor: str = Field(default="", max_length=200, description="`next` of the page before")


class PersonQuery(PageQuery):
    """People, of one company where asked."""

    company: Slug | None = None


class CredentialQuery(PageQuery):
    """Credentials, of one person where asked."""

    person: Text | None = None


class EntryQuery(_Model):
    """Entries from a position on."""

    start: Count = Field(default=0, description="the first position")
    limit: int = Field(default=100, ge=1, le=500)
    kind: Text | None = None
    room: Text | None = None


class Page(_Model, Generic[Item]):
    """A page of a list; ``next`` is the cursor of the one that follows, or null."""

    items: list[Item]
    next: str | None = None


class CompanyAdd(_Model):
    """A company to enter."""

    id: Slug
    name: Text
    kind: Literal["reseller", "supplier", "partner"] = "partner"
    external_id: Text | None = None
    seats: int | None = Field(default=None, ge=1, le=1_000_000)
    until: Date | None = Field(default=None, description="last day of the contract")
    max_upload: int | None = Field(default=None, ge=1, le=2**40, description="largest file in bytes")
    homeserver: Text | None = Field(default=None, description="its own homeserver, such as partner.example")


class Reason(_Model):
    """Why; it is kept in the ledger."""

    reason: Text


class NoBody(_Model):
    """Nothing."""


class CompanyView(_Model):
    """A company."""

    id: str
    name: str
    kind: str
    status: Literal["active", "suspended"]
    external_id: str | None
    seats: int | None
    until: str | None
    max_upload: int | None
    added_at: str
    homeserver: str | None


class PersonInvite(_Model):
    """A person to invite."""

    company: Slug
    name: Text
    email: Text
    role: PersonRole = PersonRole.MEMBER
    teams: list[Slug] = Field(default=[], max_length=20)


class PersonView(_Model):
    """A person."""

    id: str
    company: str
    name: str
    email: str
    role: PersonRole
    status: PersonStatus
    user_id: str | None
    invited_at: str
    enrolled_at: str | None


class PersonDetail(PersonView):
    """A person with their teams."""

    teams: list[str]


class InvitationView(_Model):
    """An enrolment link; ``link`` is shown this once."""

    person: PersonView
    link: str | None
    expires_at: str


class Enforced(_Model):
    """Whether the homeserver's guard has the change already; if not, it gets it as soon as it answers."""

    enforced: bool


class PersonChanged(Enforced):
    """A person, after a change that the guard enforces."""

    person: PersonView


class CompanyChanged(Enforced):
    """A company, after a change that the guard enforces."""

    company: CompanyView


class Enrolment(_Model):
    """An invitation taken up; ``secret`` is the last part of the link."""

    secret: Text
    username: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=512)]


class Enrolled(_Model):
    """A person with their new account, and where they sign in."""

    person: str
    user_id: str
    homeserver: str


class TeamView(_Model):
    """A team of the host company."""

    team: str
    people: int


class TeamDetail(_Model):
    """A team with its people."""

    team: str
    people: list[PersonView]


class TeamMember(_Model):
    """A person to put into a team, or to take out: by id, e-mail address or Matrix user id."""

    person: Text


class PartnershipOpen(_Model):
    """A partnership to begin with a company."""

    partner: Slug
    template: Text = "reseller"
    team: Slug = Field(description="the team of the host company that takes part")


class RoomView(_Model):
    """A managed Space or room; ``settled`` when it is what its charter says."""

    key: str
    room_id: str | None
    engagement: str
    kind: RoomKind
    name: str
    recording: Recording
    members: int
    settled: bool
    problem: str | None


class DriftView(_Model):
    """A piece of a room that differs from the charter, and that nobody asked for."""

    type: str
    state_key: str
    event_id: str
    found_at: str


class RoomDetail(RoomView):
    """A room with who is in it, what is wrong with it since when, and how many changes wait to be applied."""

    topic: str
    room_version: str
    history_visibility: str
    open: bool
    people: list[str]
    stuck_since: str | None
    next_try: str | None
    waiting: int
    drift: list[DriftView]


class PartnershipView(_Model):
    """A partnership."""

    id: str
    partner: str
    template: str
    team: str
    status: EngagementStatus
    opened_at: str
    opened_by: str
    closed_at: str | None


class PartnershipDetail(PartnershipView):
    """A partnership with its rooms; ``settled`` when all of them are."""

    settled: bool
    enforced: bool
    rooms: list[RoomView]


class RoleChange(_Model):
    """A role for a person of the host company."""

    person: Text
    role: Role


class RoleView(_Model):
    """A person's role."""

    person: str
    name: str
    role: Role


class CredentialIssue(_Model):
    """A credential to make for a person's device."""

    person: Text
    device: Text = Field(examples=["Dana's laptop"])
    days: int | None = Field(default=None, ge=1, le=3_650)


class CredentialView(_Model):
    """A credential without its secret."""

    id: str
    person: str
    device: str
    issued_at: str
    expires_at: str
    revoked_at: str | None


class CredentialIssued(_Model):
    """A new credential; ``token`` is shown this once."""

    credential: CredentialView
    token: str | None


class WhoAmI(_Model):
    """Whose credential this is."""

    person: str
    name: str
    company: str
    roles: list[Role]
    credential: str
    device: str
    expires_at: str


class EntryView(_Model):
    """A ledger entry; ``names`` of people and rooms in it, ``disclosed`` what stands beside the log for it."""

    position: int
    kind: str
    at: str
    entry: dict[str, Any]
    names: dict[str, str]
    disclosed: dict[str, str]


class EntryProof(EntryView):
    """A ledger entry with its inclusion proof (RFC 9162, section 2.1.3) in a signed checkpoint; hashes in base64."""

    bytes: str
    leaf: str
    size: int
    root: str
    proof: list[str]
    checkpoint: str


class LedgerView(_Model):
    """Where the ledger stands; ``vkey`` is its Ed25519 key, ``vkeys`` are all its keys, ``retired`` those before."""

    origin: str
    vkey: str
    vkeys: list[str]
    retired: list[str]
    size: int
    signed_size: int
    waiting: int
    checkpoint: str | None


class ExportView(_Model):
    """An export that was recorded; fetch its files with ``export-bundle``."""

    export: str
    entry: int


class StatusView(_Model):
    """How the hub is doing, and where clients sign in."""

    version: str
    host: str
    homeserver: str
    ready: bool
    checks: dict[str, str]
