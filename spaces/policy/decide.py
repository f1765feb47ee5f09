"""The one decision that guard, reconciler and API share. Pure."""

from spaces.policy.acts import refuse_redaction, refuse_upgrade
from spaces.policy.records import Charter, Instant, Roster
from spaces.policy.refusal import Refusal
from spaces.policy.rules import (
    EventRequest,
    refuse_account_event,
    refuse_creation,
    refuse_form,
    refuse_frozen,
    refuse_hub_event,
    refuse_membership,
    refuse_person,
    refuse_state,
    refuse_timeline,
    refuse_uncharted,
)
from spaces.policy.servers import is_remote, refuse_server


def decide(request: EventRequest, charter: Charter | None, roster: Roster, now: Instant, bot: str) -> Refusal | None:
    """Say why ``request`` must be refused, or ``None`` to let it through.

    ``charter`` is that of the event's room, found by the key in its ``m.room.create``; ``bot`` is the hub's account.
    A room without a charter admits nothing, but that the hub takes people out; there is no path that admits by default.
    """
    return refuse_form(request) or _decide(request, charter, roster, now, bot)


def _decide(request: EventRequest, charter: Charter | None, roster: Roster, now: Instant, bot: str) -> Refusal | None:
    if request.type == "m.room.create":
        return refuse_upgrade(request.content) or refuse_creation(request, charter, bot)
    if charter is None:
        return refuse_uncharted(request, bot)
    refusal = _refuse_in_room(request, charter, roster, now, bot)
    if refusal is None and is_remote(request.sender, bot):
        refusal = refuse_server(request.sender, charter, roster)
    return refusal


def _refuse_in_room(request: EventRequest, charter: Charter, roster: Roster, now: Instant, bot: str) -> Refusal | None:
    if request.type == "m.room.member" and request.state_key is not None:
        return refuse_membership(request, charter, roster, now, bot)
    known = request.sender == bot or request.sender in charter.accounts
    refusal = None if known else refuse_person(request.sender, charter, roster, now) or refuse_frozen(charter, now)
    if refusal is None and request.type == "m.room.redaction":
        refusal = refuse_redaction(request, charter, roster, bot)
    return refusal or _refuse_content(request, charter, now, bot)


def _refuse_content(request: EventRequest, charter: Charter, now: Instant, bot: str) -> Refusal | None:
    """What is in the event of somebody who may act in the room."""
    if request.sender == bot:
        return refuse_hub_event(request, charter, bot)
    if request.sender in charter.accounts:
        return refuse_account_event(request, charter, now)
    return refuse_timeline(request, charter) if request.state_key is None else refuse_state(request, charter)
