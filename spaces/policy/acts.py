"""The rules of what is no event of a room: addresses, lists, uploads, accounts, deleting, finding people. Pure.

As in ``spaces.policy.rules``: why an act must be refused, or ``None``; who or what is not known is refused.
"""

from collections.abc import Iterable, Mapping

from spaces.policy.records import Charter, CompanyRecord, Instant, Roster
from spaces.policy.refusal import Code, Refusal
from spaces.policy.rules import EventRequest, refuse_account, refuse_person

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def refuse_alias() -> Refusal:
    """No room has an address: one that can be guessed would tell who talks to whom."""
    return Refusal(Code.ADDRESS_CLOSED, "rooms have no addresses")


def refuse_publication(visibility: str) -> Refusal | None:
    """No room stands in a list; taking one out of it is always right."""
    if visibility == "private":
        return None
    return Refusal(Code.ADDRESS_CLOSED, "rooms are not listed")


def refuse_email_invite() -> Refusal:
    """Nobody is invited to a room by e-mail address or telephone number: the hub adds the people of an engagement."""
    return Refusal(Code.INVITE_BY_EMAIL, "people are invited by the hub, not by address or number")


def refuse_upgrade(creation: Mapping[str, object]) -> Refusal | None:
    """A room that replaces another is refused, the hub's own too: a charter has one room.

    ``creation`` is the content of its ``m.room.create``.
    """
    if "predecessor" not in creation:
        return None
    return Refusal(Code.UPGRADE_BY_HUB, "rooms are not replaced by new versions")


def refuse_redaction(request: EventRequest, charter: Charter, roster: Roster, bot: str) -> Refusal | None:
    """What was said is taken back by who said it, unless a hold keeps it: on the room, or on the person.

    A piece of the room's state, as a membership with its name, is not taken back at all.
    """
    if request.redacts_state:
        return Refusal(Code.STATE_FIXED, "only what was said can be taken back")
    if charter.held:
        return Refusal(Code.HELD, "a legal hold keeps what was said in this room")
    if request.sender == bot:
        return Refusal(Code.REDACTION_BY_SENDER, "the hub takes nothing back that others said")
    person = roster.person(request.sender)
    if person is None or person.held:
        return Refusal(Code.HELD, "a legal hold keeps what you said")
    return None


def refuse_deactivation(user_id: str, roster: Roster, bot: str, *, by_admin: bool) -> Refusal | None:
    """Accounts are closed by the hub, those of its own never, and one under a hold not before it is lifted."""
    if user_id == bot or user_id.startswith(f"{bot.split(':', 1)[0]}-"):
        return Refusal(Code.ACCOUNT_PROTECTED, f"{user_id} belongs to the hub and stays as it is")
    person = roster.person(user_id)
    if person is not None and person.held:
        return Refusal(Code.HELD, f"a legal hold keeps the account {user_id}")
    if not by_admin:
        return Refusal(Code.DEACTIVATION_BY_HUB, "accounts are closed by the hub")
    return None


def refuse_shutdown(key: str | None, charter: Charter | None) -> Refusal | None:
    """A room of the hub is not deleted while its engagement is open, or a hold keeps it.

    ``key`` is that of the room's charter, ``None`` for a room that is none of the hub's.
    """
    if key is None:
        return None
    if charter is None:
        return Refusal(Code.CHARTER_MISSING, f"no charter says whether the room {key} may go")
    if charter.held:
        return Refusal(Code.HELD, "a legal hold keeps this room")
    if charter.open:
        return Refusal(Code.ROOM_KEPT, "the engagement of this room is open; close it first")
    return None


def refuse_upload(user_id: str, size: int, roster: Roster, now: Instant) -> Refusal | None:
    """Only people in good standing share files, none larger than their company may."""
    refusal = refuse_account(user_id, roster, now)
    if refusal is not None:
        return refusal
    limit = upload_limit(user_id, roster)
    if limit is None or size <= limit:
        return None
    return Refusal(Code.UPLOAD_TOO_LARGE, f"your company may share files of at most {size_text(limit)}")


def upload_limit(user_id: str, roster: Roster) -> int | None:
    """The largest file in bytes that the person's company may share; ``None`` when only the server limits it."""
    company = _company(user_id, roster)
    return None if company is None else company.max_upload


def refuse_sight(
    viewer: str, subject: str, charters: Iterable[Charter], roster: Roster, now: Instant
) -> Refusal | None:
    """People find the people of their own company, and those with whom they share an open engagement.

    ``charters`` are those that name both companies.
    """
    refusal = refuse_account(viewer, roster, now) or refuse_account(subject, roster, now)
    if refusal is not None:
        return refusal
    if _company(viewer, roster) == _company(subject, roster):
        return None
    for charter in charters:
        if all(refuse_person(user_id, charter, roster, now) is None for user_id in (viewer, subject)):
            return None
    return Refusal(Code.NOT_SHARED, f"{viewer} and {subject} have no engagement in common")


def size_text(size: int) -> str:
    """A size in bytes for people, such as ``10 MiB``."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def _company(user_id: str, roster: Roster) -> CompanyRecord | None:
    person = roster.person(user_id)
    return None if person is None else roster.company(person.company)
