"""What comes by federation: events that other servers made, joins from there, rooms that are elsewhere.

Synapse does not ask ``check_event_allowed`` about what another server made. What is refused here instead is
soft-failed: stored without its content, shown to nobody, not delivered to the hub. A join is refused outright. See
``docs/adr/0016``.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Literal

from synapse.module_api import NOT_SPAM, EventBase, ModuleApi, StateMap
from synapse.module_api.errors import Codes, SynapseError

from bridge.guard.refusals import act_of
from spaces.policy.blueprint import ROOM_KEY
from spaces.policy.records import Charter
from spaces.policy.refusal import Code, Refusal
from spaces.policy.servers import is_remote

CREATE = ("m.room.create", "")

logger = logging.getLogger(__name__)

Judge = Callable[[EventBase, StateMap[EventBase]], Awaitable[tuple[Refusal | None, Charter | None]]]
Refuse = Callable[..., Awaitable[None]]


class FederationDoor:
    """Asks the guard's own judge about events that were made elsewhere; ``refuse`` records a refusal and raises it."""

    def __init__(self, api: ModuleApi, *, bot: str, judge: Judge, refuse: Refuse) -> None:
        self._api = api
        self._bot = bot
        self._judge = judge
        self._refuse = refuse
        api.register_spam_checker_callbacks(
            check_event_for_spam=self.check_event_for_spam,
            federated_user_may_invite=self.federated_user_may_invite,
            user_may_join_room=self.user_may_join_room,
        )

    async def check_event_for_spam(self, event: EventBase) -> Codes | Literal["NOT_SPAM"]:
        """Synapse's question about an event made elsewhere; one made here was judged when it was made."""
        if not is_remote(event.sender, self._bot):
            return NOT_SPAM
        refusal, charter = await self._judge_remote(event)
        if refusal is None:
            return NOT_SPAM
        try:
            named = {"actor": event.sender, "subject": _subject(event), "act": _act(event)}
            await self._refuse(refusal, charter, room=event.room_id, **named)
        except SynapseError:
            if await self._would_enter(event):
                raise  # nothing of the room's state goes to the one who asks
        return Codes.FORBIDDEN

    async def federated_user_may_invite(self, event: EventBase) -> Codes:
        """Rooms are the hub's; nobody is invited to one elsewhere. The refusal was recorded by the check before."""
        del event
        return Codes.FORBIDDEN

    async def user_may_join_room(self, user_id: str, room_id: str, is_invited: bool) -> Literal["NOT_SPAM"]:
        """Nobody enters a room that has no charter here: one on another server."""
        del is_invited
        try:
            create = (await self._api.get_room_state(room_id, [CREATE])).get(CREATE)
        except Exception:  # in doubt, no
            logger.exception("conclave guard: the room %s could not be looked at", room_id)
            create = None
        if create is None or not isinstance(create.content.get(ROOM_KEY), str):
            refusal = Refusal(Code.CHARTER_MISSING, "no charter allows anything in this room")
            await self._refuse(refusal, None, actor=user_id, room=room_id, act="m.room.member/join")
        return NOT_SPAM

    async def _judge_remote(self, event: EventBase) -> tuple[Refusal | None, Charter | None]:
        if event.type == "m.room.member" and event.content.get("membership") == "invite":
            return Refusal(Code.INVITE_BY_HUB, "the hub invites people, nobody else"), None
        try:
            return await self._judge(event, await self._state_to_judge(event))
        except Exception:  # in doubt, no: a crash of any rule refuses
            logger.exception("conclave guard: a rule failed on %s in %s", event.type, event.room_id)
            return Refusal(Code.GUARD_FAILED, "this could not be checked, so it is refused"), None

    async def _state_to_judge(self, event: EventBase) -> StateMap[EventBase]:
        """What the judge needs of the room: the charter's key; for a redaction all its state, which none may touch."""
        known = None if event.type == "m.room.redaction" else [CREATE]
        return await self._api.get_room_state(event.room_id, known)

    async def _would_enter(self, event: EventBase) -> bool:
        """Whether this is an invited account on its way in; in doubt it is.

        A member's change of name is none: were it refused outright, all that its server says later would hang on it.
        """
        if event.type != "m.room.member" or event.content.get("membership") != "join":
            return False
        try:
            key = ("m.room.member", str(event.get("state_key")))
            now = (await self._api.get_room_state(event.room_id, [key])).get(key)
        except Exception:  # in doubt, no
            logger.exception("conclave guard: a membership in %s could not be looked at", event.room_id)
            return True
        return now is not None and now.content.get("membership") == "invite"


def _act(event: EventBase) -> str:
    return act_of(event.type, event.content.get("membership") if _is_membership(event) else None)


def _subject(event: EventBase) -> str:
    return str(event.state_key) if _is_membership(event) and event.state_key != event.sender else ""


def _is_membership(event: EventBase) -> bool:
    return event.type == "m.room.member" and event.is_state()
