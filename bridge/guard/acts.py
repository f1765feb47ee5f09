"""What Synapse asks beside events: addresses, lists, uploads, accounts, deleting, finding people.

Where Synapse lets an exception of ours through, the person reads our sentence and code; where it swallows exceptions
and goes on (deleting rooms, closing accounts, invitations by address, publication), ``False`` is the answer and the
entry has the code. Nothing leaves a callback unanswered: in doubt, no.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from synapse.module_api import NOT_SPAM, EventBase, ModuleApi, RoomAlias, StateMap, UserProfile
from synapse.module_api.errors import Codes

from bridge.guard import store
from bridge.guard.documents import Documents
from bridge.guard.refusals import Refusals
from spaces.policy.acts import (
    refuse_alias,
    refuse_deactivation,
    refuse_email_invite,
    refuse_publication,
    refuse_shutdown,
    refuse_sight,
    refuse_upload,
    upload_limit,
)
from spaces.policy.refusal import Code, Refusal
from spaces.policy.rules import refuse_account

logger = logging.getLogger(__name__)

FAILED = Refusal(Code.GUARD_FAILED, "this could not be checked, so it is refused")
SOMEBODY = ""
"""The actor where Synapse does not say who asks."""


class Acts:
    """Answers for every process of Synapse; see ``docs/adr/0011``."""

    def __init__(self, api: ModuleApi, documents: Documents, refusals: Refusals, bot: str) -> None:
        self._api = api
        self._documents = documents
        self._refusals = refusals
        self._bot = bot

    def register(self) -> None:
        """Have Synapse ask."""
        self._api.register_third_party_rules_callbacks(
            check_threepid_can_be_invited=self.check_threepid_can_be_invited,
            check_visibility_can_be_modified=self.check_visibility_can_be_modified,
            check_can_shutdown_room=self.check_can_shutdown_room,
            check_can_deactivate_user=self.check_can_deactivate_user,
        )
        self._api.register_spam_checker_callbacks(
            user_may_create_room_alias=self.user_may_create_room_alias,
            user_may_publish_room=self.user_may_publish_room,
            user_may_send_3pid_invite=self.user_may_send_3pid_invite,
            check_username_for_spam=self.check_username_for_spam,
        )
        self._api.register_account_validity_callbacks(is_user_expired=self.is_user_expired)
        self._api.register_media_repository_callbacks(
            get_media_config_for_user=self.get_media_config_for_user,
            is_user_allowed_to_upload_media_of_size=self.is_user_allowed_to_upload_media_of_size,
        )

    # --- accounts

    async def is_user_expired(self, user_id: str) -> bool:
        """Whether a session may not be used any more: asked at every request, and before a push to a device."""

        async def judge() -> Refusal | None:
            return refuse_account(user_id, await self._documents.roster(user_id), store.now_ms())

        return not await self._allowed(judge, actor=user_id, act="use a session")

    async def check_can_deactivate_user(self, user_id: str, by_admin: bool) -> bool:
        """Whether an account may be closed for good."""

        async def judge() -> Refusal | None:
            roster = await self._documents.roster(user_id)
            return refuse_deactivation(user_id, roster, self._bot, by_admin=by_admin)

        return await self._allowed(judge, actor=self._bot if by_admin else user_id, act="close an account")

    async def check_username_for_spam(self, profile: UserProfile, requester: str) -> bool:
        """Whether ``requester`` must not find this person in the directory."""
        subject = profile["user_id"]

        async def judge() -> Refusal | None:
            roster = await self._documents.roster(requester, subject)
            found = [roster.person(user_id) for user_id in (requester, subject)]
            companies = [person.company for person in found if person is not None]
            charters = await self._documents.shared_charters(companies)
            return refuse_sight(requester, subject, charters, roster, store.now_ms())

        return not await self._allowed(judge, actor=requester, act="find a person")

    # --- rooms

    async def check_can_shutdown_room(self, user_id: str | None, room_id: str) -> bool:
        """Whether a room may be deleted."""

        async def judge() -> Refusal | None:
            key = await self._documents.key_of_room(room_id)
            return refuse_shutdown(key, None if key is None else await self._documents.charter(key))

        return await self._allowed(judge, actor=user_id or SOMEBODY, room=room_id, act="delete a room")

    async def check_visibility_can_be_modified(self, room_id: str, state: StateMap[EventBase], visibility: str) -> bool:
        """Whether a room may be put into the public list, also at its creation."""
        del state

        async def judge() -> Refusal | None:
            return refuse_publication(visibility)

        return await self._allowed(judge, actor=SOMEBODY, room=room_id, act="publish a room")

    async def user_may_publish_room(self, user_id: str, room_id: str) -> Literal["NOT_SPAM"]:
        """Refuse to put a room into the public list."""

        async def judge() -> Refusal | None:
            return refuse_publication("public")

        await self._admit(judge, actor=user_id, room=room_id, act="publish a room")
        return NOT_SPAM

    async def user_may_create_room_alias(self, user_id: str, alias: RoomAlias) -> Literal["NOT_SPAM"]:
        """Refuse to give a room an address."""
        del alias

        async def judge() -> Refusal | None:
            return refuse_alias()

        await self._admit(judge, actor=user_id, act="make an address")
        return NOT_SPAM

    # --- invitations by address or number

    async def check_threepid_can_be_invited(self, medium: str, address: str, state: StateMap[EventBase]) -> bool:
        """Refuse before Synapse asks any identity server; it does not say who invites."""
        del medium, address

        async def judge() -> Refusal | None:
            return refuse_email_invite()

        create = state.get(("m.room.create", ""))
        room = "" if create is None else create.room_id
        return await self._allowed(judge, actor=SOMEBODY, room=room, act="invite by address")

    async def user_may_send_3pid_invite(
        self, user_id: str, medium: str, address: str, room_id: str
    ) -> Literal["NOT_SPAM"]:
        """Refuse once more, for the day when Synapse asks in another order."""
        del medium, address

        async def judge() -> Refusal | None:
            return refuse_email_invite()

        await self._admit(judge, actor=user_id, room=room_id, act="invite by address")
        return NOT_SPAM

    # --- files

    async def is_user_allowed_to_upload_media_of_size(self, user_id: str, size: int) -> bool:
        """Refuse a file that is larger than the person's company may share."""

        async def judge() -> Refusal | None:
            return refuse_upload(user_id, size, await self._documents.roster(user_id), store.now_ms())

        await self._admit(judge, actor=user_id, act="share a file")
        return True

    async def get_media_config_for_user(self, user_id: str) -> dict[str, Any] | None:
        """Tell a client how large a file may be, where the company has a limit of its own."""
        try:
            limit = upload_limit(user_id, await self._documents.roster(user_id))
        except Exception:  # in doubt, nothing
            logger.exception("conclave guard: the upload limit of %s could not be found", user_id)
            await self._refusals.note(FAILED, actor=user_id, room="", act="ask for a file's largest size")
            limit = 0
        return None if limit is None else {"m.upload.size": limit}

    # --- judging

    async def _allowed(
        self, judge: Callable[[], Awaitable[Refusal | None]], *, actor: str, act: str, room: str = ""
    ) -> bool:
        """Whether the act may be done; if not, it is counted."""
        refusal = await self._judged(judge, act)
        if refusal is not None:
            await self._refusals.note(refusal, actor=actor, room=room, act=act)
        return refusal is None

    async def _admit(
        self, judge: Callable[[], Awaitable[Refusal | None]], *, actor: str, act: str, room: str = ""
    ) -> None:
        """Return when the act may be done.

        Raises:
            SynapseError: It is refused; the text is for the person.
        """
        refusal = await self._judged(judge, act)
        if refusal is None:
            return
        too_large = refusal.code is Code.UPLOAD_TOO_LARGE
        status, errcode = (413, Codes.TOO_LARGE) if too_large else (403, Codes.FORBIDDEN)
        await self._refusals.note(refusal, actor=actor, room=room, act=act)
        raise self._refusals.error(refusal, status=status, errcode=errcode)

    async def _judged(self, judge: Callable[[], Awaitable[Refusal | None]], act: str) -> Refusal | None:
        try:
            return await judge()
        except Exception:  # in doubt, no: a crash of any rule refuses
            logger.exception("conclave guard: a rule failed on: %s", act)
            return FAILED
