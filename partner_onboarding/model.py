"""Companies, people, invitations: frozen values and what may become of them. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

from config.clock import Millis
from config.errors import ConclaveError, InvalidInputError
from spaces.policy.records import CompanyRecord, PersonRecord, Standing

_IDENTIFIER = re.compile(r"[a-z][a-z0-9-]{0,39}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?")
RESERVED = frozenset({"admin", "administrator", "compliance", "helpdesk", "postmaster", "root", "security", "support"})
MIN_PASSWORD = 12
MAX_PASSWORD = 512
MAX_NAME = 100


class CompanyKind(StrEnum):
    """What a company is to the host."""

    HOST = "host"
    RESELLER = "reseller"
    SUPPLIER = "supplier"
    PARTNER = "partner"


class PersonRole(StrEnum):
    """What a person is in their own company."""

    MEMBER = "member"
    COMPANY_ADMIN = "company-admin"


class PersonStatus(StrEnum):
    """Where a person is on the way into the hub, or out of it."""

    INVITED = "invited"
    ACTIVE = "active"
    SUSPENDED = "suspended"


class InvitationError(ConclaveError):
    """The enrolment link cannot be used."""

    code = "invitation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """An organisation in the hub; ``seats`` bounds its people, ``not_after`` is the contract's end.

    ``max_upload`` is the largest file in bytes that its people may share, where it has a limit of its own. ``server``
    is the homeserver of its own, where its people have their accounts; fixed when it is added, because whether a room
    is open to other servers is fixed when it is made.
    """

    id: str
    name: str
    kind: CompanyKind
    external_id: str | None
    suspended: bool
    seats: int | None
    not_after: Millis | None
    added_at: Millis
    max_upload: int | None = None
    server: str | None = None

    def record(self) -> CompanyRecord:
        """What the policy needs to know."""
        standing = Standing.SUSPENDED if self.suspended else Standing.ACTIVE
        return CompanyRecord(
            company=self.id,
            name=self.name,
            standing=standing,
            not_after=self.not_after,
            max_upload=self.max_upload,
            server=self.server,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A human of exactly one company; ``user_id`` is their Matrix account once they enrolled, ``held`` a legal hold."""

    id: str
    company: str
    name: str
    email: str
    role: PersonRole
    user_id: str | None
    suspended: bool
    invited_at: Millis
    enrolled_at: Millis | None
    held: bool = False

    @property
    def status(self) -> PersonStatus:
        """Invited, active or suspended."""
        if self.suspended:
            return PersonStatus.SUSPENDED
        return PersonStatus.INVITED if self.user_id is None else PersonStatus.ACTIVE

    def record(self, teams: frozenset[str]) -> PersonRecord | None:
        """What the policy needs to know; ``None`` before enrolment."""
        if self.user_id is None:
            return None
        standing = Standing.SUSPENDED if self.suspended else Standing.ACTIVE
        return PersonRecord(
            user_id=self.user_id,
            person=self.id,
            company=self.company,
            standing=standing,
            teams=teams,
            held=self.held,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A single-use link; ``closed_at`` is set when it was used or replaced, ``claim`` while it is being used."""

    id: str
    person: str
    secret_hash: bytes
    expires_at: Millis
    closed_at: Millis | None = None
    user_id: str | None = None
    claim: str | None = None
    claimed_at: Millis | None = None

    def check(self, now: Millis) -> None:
        """Return when the link may be used.

        Raises:
            InvitationError: It was used or replaced, or has expired.
        """
        if self.closed_at is not None:
            raise InvitationError("this link was used already, or replaced by a newer one", hint=_ASK)
        if now >= self.expires_at:
            raise InvitationError("this link has expired", hint=_ASK)


_ASK = "ask the person who invited you for a new one"


def check_identifier(value: str, field: str) -> str:
    """``value`` when it may be a company's or team's id.

    Raises:
        InvalidInputError: It may not.
    """
    if not _IDENTIFIER.fullmatch(value):
        raise InvalidInputError(
            f"{field} {value!r}: expected 1 to 40 lower-case letters, digits and hyphens, a letter first", field=field
        )
    return value


def check_name(value: str, field: str) -> str:
    """``value`` without surrounding blanks when it may be a name.

    Raises:
        InvalidInputError: It is empty, too long, or holds control characters.
    """
    name = value.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInputError(f"{field} {value!r}: expected 1 to {MAX_NAME} printable characters", field=field)
    return name


def check_email(value: str) -> str:
    """``value`` in lower case when it is an e-mail address.

    Raises:
        InvalidInputError: It is not.
    """
    address = value.strip().lower()
    if not _EMAIL.fullmatch(address) or len(address) > 254:
        raise InvalidInputError(f"email {value!r} is not an address such as bob@northwind.example", field="email")
    return address


def matrix_user_id(username: str, company: str, server: str) -> str:
    """The Matrix user id for a person who chose ``username``: ``@bob.northwind:hub``.

    The company is part of every id: two companies cannot want the same name, so that a name being taken tells nobody
    anything about another company.

    Raises:
        InvalidInputError: ``username`` may not be part of a user id.
    """
    name = username.strip().lower()
    if name.startswith("conclave") or name in RESERVED:
        raise InvalidInputError(
            f"user name {username!r} would pass for the hub's own; choose another", field="username"
        )
    if not _USERNAME.fullmatch(name) or ".." in name:
        raise InvalidInputError(
            f"user name {username!r}: expected 1 to 32 letters, digits, dots, hyphens, beginning and ending with a"
            " letter or digit",
            field="username",
        )
    return f"@{name}.{company}:{server}"


def check_password(password: str) -> str:
    """``password`` when it is long enough.

    Raises:
        InvalidInputError: It is too short or absurdly long; the text never holds it.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInputError(f"password: expected at least {MIN_PASSWORD} characters", field="password")
    return password
