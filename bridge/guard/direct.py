"""Direct rooms: a person's client asks Synapse for one, the guard has the hub's account make it, and lets the two in.

The room is made exactly as the hub makes rooms: the hub's account is its only creator, its charter holds from the
first event on. The hub need not be up; it hears of the room in its feed. Everything here may be done again: a request
that finds the room, finished or not, goes on from there.
"""

from collections.abc import Mapping
from typing import Any

from synapse.module_api import ModuleApi
from synapse.module_api.errors import Codes, SynapseError

from bridge.guard import store
from bridge.guard.documents import Documents
from spaces.policy.blueprint import ROOM_KEY, creation_content, creation_request, fixed_state
from spaces.policy.direct import DirectRequest, charter_in, choose_direct, direct_request, space_of
from spaces.policy.records import Charter
from spaces.policy.refusal import Code, Refusal

LOOKS = 60
LOOK_S = 0.05


class RoomMadeError(SynapseError):
    """The answer to a ``createRoom`` that the guard has dealt with.

    A module has no other way to say which room a client gets, and Synapse sends what an error says: here, 200 and
    what the specification wants in it.
    """

    def __init__(self, room_id: str) -> None:
        super().__init__(200, f"the direct room is {room_id}", Codes.UNKNOWN)
        self.room_id = room_id

    def error_dict(self, config: Any) -> dict[str, Any]:
        """The body of the answer."""
        del config
        return {"room_id": self.room_id}


class DirectRooms:
    """Finds, makes and mends the direct room of two people."""

    def __init__(self, api: ModuleApi, documents: Documents, bot: str) -> None:
        self._api = api
        self._documents = documents
        self._bot = bot

    async def charter(self, content: Mapping[str, Any]) -> Charter | None:
        """The charter of the direct room with this ``m.room.create``, before the hub has signed one for it."""
        key = content.get(ROOM_KEY)
        space = space_of(key) if isinstance(key, str) else None
        return None if space is None else charter_in(content, await self._documents.charter(space))

    async def open(self, asker: str, config: Mapping[str, Any]) -> str | Refusal:
        """The room that ``asker``'s client gets for this ``createRoom``, with both in it, or why there is none.

        Raises:
            SynapseError: The homeserver's own limits; asking again goes on from where this stopped.
        """
        request = direct_request(asker, config)
        if request is None:
            return Refusal(Code.ROOM_BY_HUB, "rooms are made by the hub, for an engagement")
        charter = await self._choose(request)
        if isinstance(charter, Refusal):
            return charter
        room_id = await self._room(charter, asker)
        if room_id is None:
            return Refusal(Code.ROOM_EXISTS, "this direct room is being made; try again in a minute")
        await self._let_in(room_id, request)
        return room_id

    async def _choose(self, request: DirectRequest) -> Charter | Refusal:
        roster = await self._documents.roster(request.asker, request.other)
        listed = [key for company in roster.companies.values() for key in company.direct]
        spaces = [await self._documents.charter(key) for key in dict.fromkeys(listed)]
        return choose_direct(request, [space for space in spaces if space is not None], roster, store.now_ms())

    # --- the room

    async def _room(self, charter: Charter, asker: str) -> str | None:
        """The charter's room, complete; ``None`` while an interrupted creation of it may still be under way."""
        await self._documents.ready()
        room_id = await self._claimed(charter)
        if room_id is None:
            return await self._create(charter, asker)
        if await self._is_complete(room_id, charter):
            return room_id
        if not await self._is_entered(room_id):
            released = await self._api.run_db_interaction(
                "conclave_release", store.release_room, charter.key, room_id, store.now_ms()
            )
            return await self._create(charter, asker) if released else None
        await self._complete(room_id, charter)
        return room_id

    async def _create(self, charter: Charter, asker: str) -> str | None:
        """Make the room as the hub would; where somebody else was faster, theirs."""
        state = fixed_state(charter, self._bot)
        request = creation_request(charter.room_version, creation_content(charter), state)
        try:
            room_id, _ = await self._api.create_room(self._bot, {**request, "invite": [asker]}, ratelimit=False)
        except SynapseError:
            theirs = await self._claimed(charter)
            if theirs is None:
                raise
            return theirs if await self._is_complete(theirs, charter) else None
        return room_id

    async def _claimed(self, charter: Charter) -> str | None:
        return await self._api.run_db_interaction("conclave_room", store.claimed_room, charter.key)

    async def _is_complete(self, room_id: str, charter: Charter) -> bool:
        """Whether the room has all its state; one that is being made right now gets three seconds."""
        for _ in range(LOOKS):
            if not await self._missing(room_id, charter):
                return True
            await self._api.sleep(LOOK_S)
        return False

    async def _missing(self, room_id: str, charter: Charter) -> dict[tuple[str, str], dict[str, Any]]:
        wanted = fixed_state(charter, self._bot)
        found = await self._api.get_room_state(room_id, list(wanted))
        return {key: content for key, content in wanted.items() if key not in found}

    async def _complete(self, room_id: str, charter: Charter) -> None:
        """Set what an interrupted creation left out."""
        for (event_type, state_key), content in (await self._missing(room_id, charter)).items():
            event = {"room_id": room_id, "sender": self._bot, "type": event_type, "state_key": state_key}
            await self._api.create_and_send_event_into_room({**event, "content": content})

    # --- the two

    async def _let_in(self, room_id: str, request: DirectRequest) -> None:
        """Both into the room: who was never in it joins, who left it is invited, as one is by people of other rooms."""
        asker, other = request.asker, request.other
        members = await self._members(room_id)
        if members.get(asker) != "join":
            if members.get(asker) != "invite":
                await self._move(room_id, self._bot, asker, "invite")
            await self._move(room_id, asker, asker, "join")
        if members.get(other) not in ("invite", "join"):
            await self._move(room_id, asker, other, "invite", is_direct=True)
        if await self._was_never_in(room_id, other):
            await self._join_now(room_id, other)

    async def _was_never_in(self, room_id: str, user_id: str) -> bool:
        """Whether the person has an invitation that came after nothing: they did not leave, nor decline."""
        state = await self._api.get_room_state(room_id, [("m.room.member", user_id)])
        event = state.get(("m.room.member", user_id))
        if event is None or event.content.get("membership") != "invite":
            return False
        return "replaces_state" not in event.unsigned

    async def _join_now(self, room_id: str, user_id: str) -> None:
        """Join ``user_id``; where Synapse's limit for joins is reached, they keep an invitation to accept."""
        try:
            await self._move(room_id, user_id, user_id, "join")
        except SynapseError as error:
            if error.errcode != Codes.LIMIT_EXCEEDED:
                raise

    async def _move(self, room_id: str, sender: str, target: str, membership: str, **content: Any) -> None:
        """Change a membership, unless somebody else has just come to the same."""
        try:
            await self._api.update_room_membership(sender, target, room_id, membership, content)
        except SynapseError:
            if (await self._members(room_id)).get(target) not in (membership, "join"):
                raise

    async def _is_entered(self, room_id: str) -> bool:
        return (await self._members(room_id)).get(self._bot) == "join"

    async def _members(self, room_id: str) -> dict[str, str]:
        state = await self._api.get_room_state(room_id, [("m.room.member", None)])
        return {user_id: str(event.content.get("membership")) for (_, user_id), event in state.items()}
