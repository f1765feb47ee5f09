"""The one decision that guard, reconciler and API share. Pure."""

from spaces.policy.records import Charter, Instant, Roster
from spaces.policy.refusal import Code, Refusal
from spaces.policy.rules import (
    EventRequest,
    refuse_creation,
    refuse_hub_event,
    refuse_membership,
    refuse_person,
    refuse_state,
    refuse_timeline,
)
from spaces.policy.servers import is_remote, refuse_server


def decide(request: EventRequest, charter: Charter | None, roster: Roster, now: Instant, bot: str) -> Refusal | None:
    """Say why ``request`` must be refused, or ``None`` to let it through.

    ``charter`` is that of the event's room, found by the key in its ``m.room.create``; ``bot`` is the hub's account.
    A room without a charter admits nothing; there is no path that admits by default.
    """
    if request.type == "m.room.create":
        return refuse_creation(request, charter, bot)
    if charter is None:
        return Refusal(Code.CHARTER_MISSING, "no charter allows anything in this room")
    refusal = _decide(request, charter, roster, now, bot)
    if refusal is None and is_remote(request.sender, bot):
        refusal = refuse_server(request.sender, charter, roster)
    return refusal


def _decide(request: EventRequest, charter: Charter, roster: Roster, now: Instant, bot: str) -> Refusal | None:
    if request.type == "m.room.member" and request.state_key is not None:
        return refuse_membership(request, charter, roster, now, bot)
    if request.sender == bot:
        return refuse_hub_event(request, charter, bot)
    refusal = refuse_person(request.sender, charter, roster, now)
    if refusal is not None:
        return refusal
    return refuse_timeline(request, charter) if request.state_key is None else refuse_state(request, charter)
