"""The rules, one function each: why a request must be refused, or ``None``. Pure.

Every rule that is asked about somebody or something it does not know refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spaces.policy.blueprint import CALL_MEMBER, ROOM_KEY, agrees, creation_content, fixed_state, same
from spaces.policy.checkpoints import CHECKPOINT, checkpoint_size
from spaces.policy.envelope import is_call_member, is_name, is_own_call_key, is_reaction, is_sealed
from spaces.policy.records import Admission, Charter, CompanyRecord, Instant, PersonRecord, RoomKind, Roster, Standing
from spaces.policy.refusal import Code, Refusal
from spaces.policy.servers import acl_is_within

SPACE_LINKS = frozenset({"m.space.child", "m.space.parent"})
MEMBERSHIP_MEMBERS = frozenset({"membership", "displayname", "avatar_url", "reason"})
REDACTION_MEMBERS = frozenset({"redacts", "reason"})
MAX_REASON = 250

_STATE_CODES = {
    "m.room.encryption": Code.ENCRYPTION_FIXED,
    "m.room.history_visibility": Code.HISTORY_FIXED,
    "m.room.join_rules": Code.JOIN_RULES_FIXED,
    "m.room.guest_access": Code.JOIN_RULES_FIXED,
    "m.room.power_levels": Code.POWER_FIXED,
    "m.room.server_acl": Code.SERVER_ACL_FIXED,
    "m.room.tombstone": Code.UPGRADE_BY_HUB,
    "m.room.aliases": Code.ADDRESS_CLOSED,
    "m.room.canonical_alias": Code.ADDRESS_CLOSED,
    "m.room.third_party_invite": Code.INVITE_BY_EMAIL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRequest:
    """An event that somebody wants to send; ``state_key`` is ``None`` for one that is no state.

    ``redacts_state`` says that it would take back a piece of the room's state.
    """

    sender: str
    type: str
    content: Mapping[str, Any] = field(default_factory=dict)
    state_key: str | None = None
    redacts_state: bool = False


def refuse_form(request: EventRequest) -> Refusal | None:
    """Types and state keys are short and printable: whoever keeps a record can keep one of this."""
    if is_name(request.type) and is_name(request.state_key or ""):
        return None
    return Refusal(Code.MALFORMED, "the type or key of this event is too long, or not printable")


def refuse_creation(request: EventRequest, charter: Charter | None, bot: str) -> Refusal | None:
    """Only the hub creates rooms, each for a charter and as the charter says."""
    if request.sender != bot:
        return Refusal(Code.ROOM_BY_HUB, "rooms are made by the hub, for an engagement")
    if charter is None:
        return Refusal(Code.CHARTER_MISSING, f"there is no charter for {request.content.get(ROOM_KEY)!r}")
    wanted = {**creation_content(charter), "room_version": charter.room_version}
    found = {name: value for name, value in request.content.items() if name != "creator"}
    if not same(found, wanted):
        return Refusal(Code.STATE_FIXED, f"the charter of {charter.key} wants the room created in another way")
    return None


def refuse_account(user_id: str, roster: Roster, now: Instant) -> Refusal | None:
    """A person may use the hub at all: enrolled, and neither they nor their company shut out."""
    person = roster.person(user_id)
    return _unknown(user_id) if person is None else _refuse_standing(person, roster, now)


def _refuse_standing(person: PersonRecord, roster: Roster, now: Instant) -> Refusal | None:
    if person.standing is not Standing.ACTIVE:
        return Refusal(Code.PERSON_SUSPENDED, f"{person.user_id} is suspended")
    return refuse_company(person, roster.company(person.company), now)


def refuse_person(user_id: str, charter: Charter, roster: Roster, now: Instant) -> Refusal | None:
    """A person may be in a room, and act in it, while the charter admits them and nothing stands against them."""
    person = roster.person(user_id)
    if person is None:
        return _unknown(user_id)
    refusal = _refuse_standing(person, roster, now) or refuse_admission(person, charter, now)
    return refusal or refuse_engagement(charter, now)


def refuse_company(person: PersonRecord, company: CompanyRecord | None, now: Instant) -> Refusal | None:
    """The person's company must be in the hub, in good standing, under contract."""
    if company is None:
        return Refusal(Code.COMPANY_UNKNOWN, f"{person.company} is not in this hub")
    if company.standing is not Standing.ACTIVE:
        return Refusal(Code.COMPANY_SUSPENDED, f"{company.name} is suspended")
    if company.not_after is not None and now >= company.not_after:
        return Refusal(Code.COMPANY_ENDED, f"the contract with {company.name} has ended")
    return None


def refuse_admission(person: PersonRecord, charter: Charter, now: Instant) -> Refusal | None:
    """The charter must name the person's company, or a team of it that the person is in, or the person, for now."""
    refusal = Refusal(Code.COMPANY_NOT_ADMITTED, f"{person.user_id} has no part in this engagement")
    for admission in charter.admits:
        if _names(admission, person):
            timely = _refuse_time(admission, now)
            if timely is None:
                return None
            refusal = timely
    return refusal


def _names(admission: Admission, person: PersonRecord) -> bool:
    return (
        admission.company == person.company
        and (admission.team is None or admission.team in person.teams)
        and (admission.person is None or admission.person == person.user_id)
    )


def _refuse_time(admission: Admission, now: Instant) -> Refusal | None:
    """An admission holds from its beginning on, and at its end no more."""
    if admission.not_before is not None and now < admission.not_before:
        return Refusal(Code.NOT_IN_PHASE, "your part in this room has not begun")
    if admission.not_after is not None and now >= admission.not_after:
        return Refusal(Code.NOT_IN_PHASE, "your part in this room is over")
    return None


def refuse_frozen(charter: Charter, now: Instant) -> Refusal | None:
    """In a frozen room nothing is said any more; who is in it reads what was said."""
    if charter.frozen_from is not None and now >= charter.frozen_from:
        return Refusal(Code.ROOM_FROZEN, "this room is frozen: it can be read, and nothing is said in it any more")
    return None


def refuse_engagement(charter: Charter, now: Instant) -> Refusal | None:
    """The engagement must be open and not over."""
    if not charter.open:
        return Refusal(Code.ENGAGEMENT_CLOSED, "this engagement is closed")
    if charter.not_after is not None and now >= charter.not_after:
        return Refusal(Code.ENGAGEMENT_CLOSED, "this engagement has ended")
    return None


def refuse_membership(
    request: EventRequest, charter: Charter, roster: Roster, now: Instant, bot: str
) -> Refusal | None:
    """Who may be in a room is the charter's; who puts people in and takes them out is the hub."""
    target, membership = request.state_key or "", request.content.get("membership")
    if target == bot:
        refusal = None if request.sender == bot and membership == "join" else _protected(target)
    elif target in charter.accounts:
        refusal = _refuse_account_membership(request, target, membership, bot)
    elif request.sender == bot:
        refusal = _refuse_hub_membership(target, membership, charter, roster, now)
    elif request.sender == target:
        refusal = _refuse_own_membership(target, membership, charter, roster, now)
    elif membership == "invite":
        refusal = refuse_person(request.sender, charter, roster, now) or _refuse_guest(target, charter, roster, now)
    else:
        refusal = Refusal(Code.MEMBERSHIP_BY_HUB, "people are removed by the hub")
    own_join = membership == "join" and request.sender == target
    members = _beside(request, charter) - ({"reason"} if own_join else set())
    return refusal or _refuse_note(request, members, bounded=request.sender != bot)


def _beside(request: EventRequest, charter: Charter) -> frozenset[str]:
    """The members that a membership may have; an invitation to a direct room says so, and clients go by it."""
    direct = charter.kind is RoomKind.DIRECT and request.content.get("is_direct") is True
    return MEMBERSHIP_MEMBERS | {"is_direct"} if direct else MEMBERSHIP_MEMBERS


def refuse_uncharted(request: EventRequest, bot: str) -> Refusal | None:
    """In a room without a charter nothing happens but that the hub takes people out."""
    removal = request.type == "m.room.member" and request.content.get("membership") == "leave"
    if removal and request.sender == bot and request.state_key not in (None, bot):
        return _refuse_note(request, MEMBERSHIP_MEMBERS, bounded=False)
    return Refusal(Code.CHARTER_MISSING, "no charter allows anything in this room")


def _refuse_account_membership(request: EventRequest, user_id: str, membership: object, bot: str) -> Refusal | None:
    """An account of the hub that the charter names is put in by the hub, enters by itself, and stays."""
    if (request.sender, membership) in ((bot, "invite"), (user_id, "join")):
        return None
    return _protected(user_id)


def _protected(user_id: str) -> Refusal:
    return Refusal(Code.ACCOUNT_PROTECTED, f"{user_id} belongs to the hub and stays as it is")


def _unknown(user_id: str) -> Refusal:
    return Refusal(Code.PERSON_UNKNOWN, f"{user_id} is not enrolled in this hub")


def _refuse_hub_membership(
    user_id: str, membership: object, charter: Charter, roster: Roster, now: Instant
) -> Refusal | None:
    if membership == "leave":
        return None
    if membership == "invite":
        return refuse_person(user_id, charter, roster, now)
    return Refusal(Code.MEMBERSHIP_BY_HUB, "the hub adds and removes people")


def _refuse_guest(user_id: str, charter: Charter, roster: Roster, now: Instant) -> Refusal | None:
    """Whom the charter does not admit is unknown to the one who asks: nobody finds out who else is in the hub.

    The two of a direct room invite each other, for instance back in; elsewhere the hub adds people.
    """
    person = roster.person(user_id)
    if person is None or refuse_admission(person, charter, now) is not None:
        return _unknown(user_id)
    refusal = refuse_person(user_id, charter, roster, now)
    if refusal is not None or charter.kind is RoomKind.DIRECT:
        return refusal
    return Refusal(Code.INVITE_BY_HUB, f"{user_id} is added by the hub, without an invitation")


def _refuse_own_membership(
    user_id: str, membership: object, charter: Charter, roster: Roster, now: Instant
) -> Refusal | None:
    if membership == "leave":
        return None
    if membership == "join":
        return refuse_person(user_id, charter, roster, now)
    return Refusal(Code.KNOCK_CLOSED, "rooms cannot be knocked at; the hub adds the people of an engagement")


def refuse_account_event(request: EventRequest, charter: Charter, now: Instant) -> Refusal | None:
    """An account of the hub that the charter names may say something, encrypted, while people might as well."""
    if request.state_key is not None:
        return _state_refusal(request.type)
    return refuse_engagement(charter, now) or refuse_frozen(charter, now) or refuse_timeline(request, charter)


def refuse_hub_event(request: EventRequest, charter: Charter, bot: str) -> Refusal | None:
    """The hub itself may set only what the charter says: its stolen token opens no room."""
    if request.state_key is None:
        return _refuse_clear_text(request, charter)
    if request.type in SPACE_LINKS:
        return None
    if (request.type, request.state_key) == (CHECKPOINT, ""):
        return _refuse_checkpoint(request, charter)
    wanted = fixed_state(charter, bot).get((request.type, request.state_key))
    if wanted is not None and agrees(wanted, request.content, request.type):
        return None
    if request.type == "m.room.server_acl" and wanted is not None and acl_is_within(request.content, charter, bot):
        return None
    return _state_refusal(request.type)


def _refuse_checkpoint(request: EventRequest, charter: Charter) -> Refusal | None:
    """A checkpoint of the log, in its one form, goes into the Space of an open engagement and nowhere else."""
    if charter.kind is not RoomKind.SPACE:
        return Refusal(Code.STATE_FIXED, "a checkpoint of the log stands in a Space")
    if not charter.open:
        return Refusal(Code.ENGAGEMENT_CLOSED, "this engagement is closed")
    if checkpoint_size(request.content) is None:
        return Refusal(Code.STATE_FIXED, f"{CHECKPOINT} holds a signed checkpoint and nothing else")
    return None


def refuse_state(request: EventRequest, charter: Charter) -> Refusal | None:
    """Members change no state of a room but their own place in a call, and there are no calls in a Space."""
    if request.type != CALL_MEMBER or not is_own_call_key(request.state_key or "", request.sender):
        return _state_refusal(request.type)
    if charter.kind is RoomKind.SPACE:
        return Refusal(Code.SPACE_QUIET, "a Space carries no conversation")
    if not is_call_member(request.content):
        return Refusal(Code.PLAINTEXT, "a place in a call says where it is, and nothing else")
    return None


def refuse_timeline(request: EventRequest, charter: Charter) -> Refusal | None:
    """What members say is encrypted, and said in rooms, not in the Space."""
    if charter.kind is RoomKind.SPACE:
        return Refusal(Code.SPACE_QUIET, "a Space carries no conversation; use one of its rooms")
    return _refuse_clear_text(request, charter)


def _state_refusal(event_type: str) -> Refusal:
    code = _STATE_CODES.get(event_type, Code.STATE_FIXED)
    return Refusal(code, f"{event_type} is fixed by the charter of this room")


def _refuse_clear_text(request: EventRequest, charter: Charter) -> Refusal | None:
    if charter.kind is RoomKind.SPACE:
        return Refusal(Code.SPACE_QUIET, "a Space carries no conversation")
    if request.type == "m.room.encrypted" and is_sealed(request.content):
        return None
    if request.type == "m.reaction" and is_reaction(request.content):
        return None
    if request.type == "m.room.redaction":
        return _refuse_note(request, REDACTION_MEMBERS, bounded=True)
    return Refusal(Code.PLAINTEXT, "this room carries encrypted messages only; let your client encrypt")


def _refuse_note(request: EventRequest, members: frozenset[str], *, bounded: bool) -> Refusal | None:
    """Beside an act goes a reason, ``bounded`` where a person gives it, and nothing that could be a conversation."""
    reason = request.content.get("reason")
    short = reason is None or (isinstance(reason, str) and (len(reason) <= MAX_REASON or not bounded))
    if short and request.content.keys() <= members:
        return None
    limit = f"only a reason of at most {MAX_REASON} characters may stand in the clear beside {request.type}"
    return Refusal(Code.PLAINTEXT, limit)
