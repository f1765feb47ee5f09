"""What the policy says when it says no: stable codes, each with who can lift it. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Why something was refused. The names never change; ``docs/policy.md`` lists them."""

    ACCOUNT_PROTECTED = "ACCOUNT_PROTECTED"
    ADDRESS_CLOSED = "ADDRESS_CLOSED"
    CHARTER_MISSING = "CHARTER_MISSING"
    COMPANY_ENDED = "COMPANY_ENDED"
    COMPANY_NOT_ADMITTED = "COMPANY_NOT_ADMITTED"
    COMPANY_SUSPENDED = "COMPANY_SUSPENDED"
    COMPANY_UNKNOWN = "COMPANY_UNKNOWN"
    DEACTIVATION_BY_HUB = "DEACTIVATION_BY_HUB"
    DIRECT_NOT_ALLOWED = "DIRECT_NOT_ALLOWED"
    ENCRYPTION_FIXED = "ENCRYPTION_FIXED"
    ENGAGEMENT_CLOSED = "ENGAGEMENT_CLOSED"
    GUARD_FAILED = "GUARD_FAILED"
    HELD = "HELD"
    HISTORY_FIXED = "HISTORY_FIXED"
    INVITE_BY_EMAIL = "INVITE_BY_EMAIL"
    INVITE_BY_HUB = "INVITE_BY_HUB"
    JOIN_RULES_FIXED = "JOIN_RULES_FIXED"
    KNOCK_CLOSED = "KNOCK_CLOSED"
    MALFORMED = "MALFORMED"
    MEMBERSHIP_BY_HUB = "MEMBERSHIP_BY_HUB"
    NOT_IN_PHASE = "NOT_IN_PHASE"
    NOT_SHARED = "NOT_SHARED"
    PERSON_SUSPENDED = "PERSON_SUSPENDED"
    PERSON_UNKNOWN = "PERSON_UNKNOWN"
    PLAINTEXT = "PLAINTEXT"
    POWER_FIXED = "POWER_FIXED"
    REDACTION_BY_SENDER = "REDACTION_BY_SENDER"
    ROOM_BY_HUB = "ROOM_BY_HUB"
    ROOM_EXISTS = "ROOM_EXISTS"
    ROOM_FROZEN = "ROOM_FROZEN"
    ROOM_KEPT = "ROOM_KEPT"
    SERVER_ACL_FIXED = "SERVER_ACL_FIXED"
    SERVER_NOT_ADMITTED = "SERVER_NOT_ADMITTED"
    SPACE_QUIET = "SPACE_QUIET"
    STATE_FIXED = "STATE_FIXED"
    UPGRADE_BY_HUB = "UPGRADE_BY_HUB"
    UPLOAD_TOO_LARGE = "UPLOAD_TOO_LARGE"
    WALL_STANDS = "WALL_STANDS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A code for people: what it means, and who can lift the refusal."""

    meaning: str
    lifted_by: str


_NOBODY = "nobody: the hub needs it to keep its promises"
_MANAGER = "a partner manager of the host company"
_OFFICER = "a compliance officer of the host company"
_LIFTING = "a compliance officer of the host company, by lifting the hold"

EXPLANATIONS: dict[Code, Explanation] = {
    Code.ACCOUNT_PROTECTED: Explanation(meaning="the hub's own accounts stay in every room", lifted_by=_NOBODY),
    Code.ADDRESS_CLOSED: Explanation(meaning="rooms have no addresses and stand in no list", lifted_by=_NOBODY),
    Code.CHARTER_MISSING: Explanation(meaning="no charter allows anything in this room", lifted_by=_MANAGER),
    Code.COMPANY_ENDED: Explanation(meaning="the company's contract has ended", lifted_by=_MANAGER),
    Code.COMPANY_NOT_ADMITTED: Explanation(meaning="the company has no part in this engagement", lifted_by=_MANAGER),
    Code.COMPANY_SUSPENDED: Explanation(meaning="the company is suspended", lifted_by=_MANAGER),
    Code.COMPANY_UNKNOWN: Explanation(meaning="the company is not in this hub", lifted_by=_MANAGER),
    Code.DEACTIVATION_BY_HUB: Explanation(meaning="the hub closes accounts, nobody else", lifted_by=_MANAGER),
    Code.DIRECT_NOT_ALLOWED: Explanation(meaning="no engagement lets these two talk alone", lifted_by=_MANAGER),
    Code.ENCRYPTION_FIXED: Explanation(meaning="rooms are encrypted from the first event on", lifted_by=_NOBODY),
    Code.ENGAGEMENT_CLOSED: Explanation(meaning="the engagement was closed or has ended", lifted_by=_MANAGER),
    Code.GUARD_FAILED: Explanation(meaning="a rule crashed; in doubt, no", lifted_by="the operator, by mending it"),
    Code.HELD: Explanation(meaning="a legal hold keeps it as it is", lifted_by=_LIFTING),
    Code.HISTORY_FIXED: Explanation(meaning="who may read what was said before is the charter's", lifted_by=_NOBODY),
    Code.INVITE_BY_EMAIL: Explanation(
        meaning="nobody is invited by e-mail address or telephone number", lifted_by=_MANAGER
    ),
    Code.INVITE_BY_HUB: Explanation(meaning="the hub adds people, nobody else", lifted_by=_MANAGER),
    Code.JOIN_RULES_FIXED: Explanation(meaning="who may enter is the charter's to say", lifted_by=_NOBODY),
    Code.KNOCK_CLOSED: Explanation(meaning="asking to be let in is not how one enters", lifted_by=_MANAGER),
    Code.MALFORMED: Explanation(meaning="the names in an event are short and printable", lifted_by=_NOBODY),
    Code.MEMBERSHIP_BY_HUB: Explanation(meaning="the hub removes people, nobody else", lifted_by=_MANAGER),
    Code.NOT_IN_PHASE: Explanation(
        meaning="the person's part in the room has not begun, or is over", lifted_by=_MANAGER
    ),
    Code.NOT_SHARED: Explanation(meaning="the two have no engagement in common", lifted_by=_MANAGER),
    Code.PERSON_SUSPENDED: Explanation(meaning="the person is suspended", lifted_by=_MANAGER),
    Code.PERSON_UNKNOWN: Explanation(meaning="the person is not enrolled in this hub", lifted_by=_MANAGER),
    Code.PLAINTEXT: Explanation(meaning="only encrypted messages are carried", lifted_by=_NOBODY),
    Code.POWER_FIXED: Explanation(meaning="who may do what in a room is the charter's to say", lifted_by=_NOBODY),
    Code.REDACTION_BY_SENDER: Explanation(meaning="only who said something takes it back", lifted_by=_NOBODY),
    Code.ROOM_BY_HUB: Explanation(meaning="only the hub makes rooms", lifted_by=_MANAGER),
    Code.ROOM_EXISTS: Explanation(meaning="the charter's room exists already", lifted_by=_NOBODY),
    Code.ROOM_FROZEN: Explanation(meaning="the room was cleared: it can be read, and no more", lifted_by=_NOBODY),
    Code.ROOM_KEPT: Explanation(
        meaning="the hub's rooms are not deleted while their engagement is open", lifted_by=_MANAGER
    ),
    Code.SERVER_ACL_FIXED: Explanation(meaning="which servers take part is the charter's to say", lifted_by=_NOBODY),
    Code.SERVER_NOT_ADMITTED: Explanation(meaning="the homeserver has no part in this engagement", lifted_by=_MANAGER),
    Code.SPACE_QUIET: Explanation(meaning="a Space carries no conversation; its rooms do", lifted_by=_NOBODY),
    Code.STATE_FIXED: Explanation(meaning="this part of a room is the charter's to say", lifted_by=_MANAGER),
    Code.UPGRADE_BY_HUB: Explanation(meaning="rooms are not replaced by their members", lifted_by=_NOBODY),
    Code.WALL_STANDS: Explanation(meaning="two of the companies must never meet", lifted_by=_OFFICER),
    Code.UPLOAD_TOO_LARGE: Explanation(meaning="the file is larger than the company may share", lifted_by=_MANAGER),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no, with its code and a sentence for the person it is said to."""

    code: Code
    sentence: str

    def text(self, contact: str = "") -> str:
        """What the person's client shows: ``Conclave: … (CODE).``, and whom to ask where that helps."""
        ask = EXPLANATIONS[self.code].lifted_by == _MANAGER and contact
        return f"Conclave: {self.sentence} ({self.code})." + (f" Ask {contact}." if ask else "")
