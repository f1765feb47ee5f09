"""A homeserver in memory with the guard's policy in it. Passes the same suite as the real one (tests/gateway)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from bridge.matrix import Timeline
from config.clock import Clock
from spaces.gateway import (
    HomeserverRefusedError,
    HomeserverUnavailableError,
    RoomRequest,
    SignedDocument,
)
from spaces.policy.blueprint import ROOM_KEY, creation_content, fixed_state
from spaces.policy.decide import decide
from spaces.policy.direct import DirectRequest, charter_in, choose_direct, space_of
from spaces.policy.documents import DocumentKind, charter_of, company_of, person_of
from spaces.policy.records import Charter, MappingRoster
from spaces.policy.rules import EventRequest
from spaces.policy.servers import is_remote

PAGE = 100
Deliver = Callable[[str, list[dict[str, Any]]], Awaitable[None]]


class Crash(BaseException):
    """The hub dies at this moment: nothing of it may catch this."""


@dataclass(slots=True)
class FakeRoom:
    events: list[dict[str, Any]] = field(default_factory=list)
    state: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


class FakeHomeserver:
    """``down`` makes every call unavailable; ``crash_after`` lets that many more changes happen, then raises Crash."""

    def __init__(self, bot: str, clock: Clock) -> None:
        self.bot = bot
        self._clock = clock
        self.rooms: dict[str, FakeRoom] = {}
        self.accounts: dict[str, tuple[str, str]] = {}
        self.documents: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
        self.claims: dict[str, str] = {}
        self.instance = "fake-1"
        self.devices: dict[str, list[str]] = {}
        self.down = False
        self.crash_after: int | None = None
        self.calls: list[str] = []
        self.outbox: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self._transactions = 0
        self._sending: tuple[str, int] | None = None
        self._events = 0

    # --- what the tests do with it

    async def deliver(self, deliver: Deliver) -> None:
        """Hand what happened to the feed, as Synapse would: in order, and the same again until it is taken."""
        while self.outbox:
            if self._sending is None:
                self._transactions += 1
                self._sending = (str(self._transactions), len(self.outbox[:PAGE]))
            transaction_id, count = self._sending
            await deliver(transaction_id, self.outbox[:count])
            self.outbox, self._sending = self.outbox[count:], None

    def send(self, room_id: str, sender: str, event_type: str, content: dict[str, Any]) -> str:
        """Somebody who is in the room sends an event, subject to the guard."""
        if sender not in self.members(room_id):
            raise HomeserverRefusedError(f"{sender} is not in room {room_id}", errcode="M_FORBIDDEN")
        return self._send(room_id, sender, event_type, content, None)

    def open_direct(self, asker: str, other: str) -> str:
        """What the guard does for a client that asks for a direct room; the hub need not be up."""
        roster = self._roster()
        keys = [key for company in roster.companies.values() for key in company.direct]
        spaces = [charter for key in keys if (charter := self._charter(key)) is not None]
        chosen = choose_direct(DirectRequest(asker=asker, other=other), spaces, roster, self._clock())
        assert isinstance(chosen, Charter), chosen
        content = {**creation_content(chosen), "room_version": chosen.room_version}
        room_id = self._make(content, fixed_state(chosen, self.bot))
        for sender, target in ((self.bot, asker), (asker, other)):
            direct = {"is_direct": True} if sender == asker else {}
            self._send(room_id, sender, "m.room.member", {"membership": "invite", **direct}, target)
            self._send(room_id, target, "m.room.member", {"membership": "join"}, target)
        return room_id

    def backdoor(
        self, room_id: str, sender: str, event_type: str, content: dict[str, Any], key: str | None = None
    ) -> str:
        """An event that no guard looked at: the guard was switched off, or somebody wrote into the database."""
        return self._put(room_id, sender, event_type, content, key)

    def join(self, room_id: str, user_id: str) -> str:
        """Somebody asks to be let in; rooms are for the invited."""
        if self.rooms[room_id].state.get(("m.room.member", user_id), {}).get("membership") not in ("join", "invite"):
            raise HomeserverRefusedError("you are not invited to this room", errcode="M_FORBIDDEN")
        return self._send(room_id, user_id, "m.room.member", {"membership": "join"}, user_id)

    def leave(self, room_id: str, user_id: str) -> str:
        """Somebody leaves a room by themselves."""
        return self._send(room_id, user_id, "m.room.member", {"membership": "leave"}, user_id)

    def make_unmanaged(self, room_id: str, users: Sequence[str]) -> None:
        """A room from before the guard: no charter, the hub in it."""
        self.rooms[room_id] = FakeRoom()
        self._put(room_id, self.bot, "m.room.create", {"room_version": "12"}, "")
        for user in (self.bot, *users):
            self._put(room_id, user, "m.room.member", {"membership": "join"}, user)

    def members(self, room_id: str) -> set[str]:
        state = self.rooms[room_id].state
        return {
            key for (kind, key), content in state.items() if kind == "m.room.member" and content["membership"] == "join"
        }

    # --- bridge.gateway.Gateway

    async def sign_up(self) -> None:
        self._look("sign_up")
        self.accounts.setdefault(self.bot, ("", "Conclave"))

    async def ping(self) -> int:
        self._look("ping")
        return 1

    async def guard_status(self) -> dict[str, Any]:
        self._look("guard_status")
        sums: dict[str, tuple[int, int]] = {}
        for (kind, _), (version, _body) in self.documents.items():
            count, versions = sums.get(kind, (0, 0))
            sums[kind] = (count + 1, versions + version)
        return {"instance": self.instance, "documents": sums, "administrator": True}

    async def version(self) -> str:
        return "0.fake"

    async def close(self) -> None:
        return None

    async def register_account(self, localpart: str) -> None:
        self._look("register_account")

    async def call_as(
        self, user_id: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, device: str = ""
    ) -> dict[str, Any]:
        self._look("call_as")
        if (method, path) == ("GET", "/devices"):
            return {"devices": [{"device_id": name} for name in self.devices.get(user_id, [])]}
        if method == "DELETE":
            self.devices[user_id].remove(path.rpartition("/")[2])
            return {}
        raise HomeserverRefusedError("there is no encryption here", errcode="M_UNRECOGNIZED")

    async def put_documents(self, documents: Sequence[SignedDocument]) -> None:
        self._change("put_documents")
        for item in documents:
            document = item.document
            stored = self.documents.get((document.kind.value, document.key))
            if stored is not None and (
                stored[0] > document.version or (stored[0] == document.version and stored[1] != document.body)
            ):
                raise HomeserverRefusedError("stale", errcode="M_INVALID_PARAM")
        for item in documents:
            document = item.document
            self.documents[document.kind.value, document.key] = (document.version, document.body)

    async def find_room(self, key: str) -> str | None:
        self._look("find_room")
        return self.claims.get(key)

    async def direct_rooms(self, after: str) -> list[tuple[str, str]]:
        self._look("direct_rooms")
        return [(key, room_id) for key, room_id in sorted(self.claims.items()) if "." in key and key > after]

    async def release_room(self, key: str, room_id: str) -> bool:
        self._change("release_room")
        return False

    async def room_is_joined(self, room_id: str) -> bool:
        self._look("room_is_joined")
        return room_id in self.rooms and self.bot in self.members(room_id)

    async def create_room(self, request: RoomRequest) -> str:
        self._look("create_room")
        content = {**request.creation_content, "room_version": request.room_version}
        room_id = self._make(content, request.state)
        self._count("create_room")
        return room_id

    def _make(self, content: dict[str, Any], states: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
        charter = self._charter(str(content[ROOM_KEY]), content)
        self._judge(EventRequest(sender=self.bot, type="m.room.create", content=content, state_key=""), charter)
        if str(content[ROOM_KEY]) in self.claims:
            raise HomeserverRefusedError("exists", errcode="M_FORBIDDEN", reason="ROOM_EXISTS")
        self._events += 1
        room_id = "!" + sha256(f"room {self._events}".encode()).hexdigest()[:43]
        self.claims[str(content[ROOM_KEY])] = room_id
        self.rooms[room_id] = FakeRoom()
        self._put(room_id, self.bot, "m.room.create", content, "")
        self._put(room_id, self.bot, "m.room.member", {"membership": "join"}, self.bot)
        for (event_type, state_key), state in states.items():
            self._send(room_id, self.bot, event_type, dict(state), state_key)
        return room_id

    async def set_state(self, room_id: str, event_type: str, state_key: str, content: Mapping[str, Any]) -> None:
        self._look("set_state")
        if self.rooms[room_id].state.get((event_type, state_key)) != dict(content):
            self._send(room_id, self.bot, event_type, dict(content), state_key)
        self._count("set_state")

    async def add_member(self, room_id: str, user_id: str) -> None:
        self._look("add_member")
        if is_remote(user_id, self.bot):
            if self._membership(room_id, user_id) not in ("join", "invite"):
                self._send(room_id, self.bot, "m.room.member", {"membership": "invite"}, user_id)
            self._count("add_member")
            return
        if user_id not in self.accounts:
            raise HomeserverRefusedError("no such user", errcode="M_NOT_FOUND")
        if user_id not in self.members(room_id):
            if self.bot not in self.members(room_id):
                raise HomeserverRefusedError(f"{self.bot} is not in room {room_id}", errcode="M_FORBIDDEN")
            self._send(room_id, self.bot, "m.room.member", {"membership": "invite"}, user_id)
            self._send(room_id, user_id, "m.room.member", {"membership": "join"}, user_id)
        self._count("add_member")

    async def remove_member(self, room_id: str, user_id: str, reason: str) -> None:
        self._look("remove_member")
        if self._membership(room_id, user_id) in ("join", "invite", "knock"):
            self._send(room_id, self.bot, "m.room.member", {"membership": "leave", "reason": reason}, user_id)
        self._count("remove_member")

    async def end_sessions(self, user_id: str) -> None:
        self._change("end_sessions")
        self.ended.append(user_id)

    async def account_exists(self, user_id: str) -> bool:
        self._look("account_exists")
        return user_id in self.accounts

    async def create_account(self, user_id: str, password: str, display_name: str) -> None:
        self._change("create_account")
        self.accounts[user_id] = (password, display_name)

    async def timeline(self, room_id: str, start: str | None) -> Timeline:
        self._look("timeline")
        if room_id not in self.rooms:
            raise HomeserverRefusedError("not in room", errcode="M_FORBIDDEN")
        newest_first = self.rooms[room_id].events[::-1]
        at = int(start or 0)
        end = str(at + PAGE) if at + PAGE < len(newest_first) else None
        return Timeline(events=newest_first[at : at + PAGE], end=end)

    # --- inside

    def _membership(self, room_id: str, user_id: str) -> object:
        return self.rooms[room_id].state.get(("m.room.member", user_id), {}).get("membership")

    def _look(self, call: str) -> None:
        self.calls.append(call)
        if self.down:
            raise HomeserverUnavailableError("the homeserver does not answer: it is down")

    def _change(self, call: str) -> None:
        self._look(call)
        self._count(call)

    def _count(self, call: str) -> None:
        """The change has happened; the hub may die before it hears of it."""
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after < 0:
                self.crash_after = None
                raise Crash(call)

    def _charter(self, key: str, content: Mapping[str, Any] | None = None) -> Charter | None:
        """The signed charter, or that of the direct room with this ``m.room.create``."""
        stored = self.documents.get((DocumentKind.CHARTER.value, key))
        if stored is not None:
            return charter_of(stored[1])
        space = space_of(key)
        return None if space is None or content is None else charter_in(content, self._charter(space))

    def _roster(self) -> MappingRoster:
        records = self.documents.items()
        return MappingRoster(
            companies={key: company_of(body) for (kind, key), (_, body) in records if kind == "company"},
            people={key: person_of(body) for (kind, key), (_, body) in records if kind == "person"},
        )

    def _judge(self, request: EventRequest, charter: Charter | None) -> None:
        refusal = decide(request, charter, self._roster(), self._clock(), self.bot)
        if refusal is not None:
            raise HomeserverRefusedError(refusal.text(), errcode="M_FORBIDDEN", reason=refusal.code.value)

    def _send(self, room_id: str, sender: str, event_type: str, content: dict[str, Any], state_key: str | None) -> str:
        create = self.rooms[room_id].state["m.room.create", ""]
        request = EventRequest(sender=sender, type=event_type, content=content, state_key=state_key)
        self._judge(request, self._charter(create.get(ROOM_KEY, ""), create))
        return self._put(room_id, sender, event_type, content, state_key)

    def _put(self, room_id: str, sender: str, event_type: str, content: dict[str, Any], state_key: str | None) -> str:
        room = self.rooms[room_id]
        self._events += 1
        event: dict[str, Any] = {
            "event_id": "$" + sha256(f"event {self._events}".encode()).hexdigest()[:43],
            "room_id": room_id,
            "type": event_type,
            "sender": sender,
            "origin_server_ts": self._clock(),
            "content": content,
            "unsigned": {"org.conclave.prev": [room.events[-1]["event_id"]] if room.events else []},
        }
        if state_key is not None:
            event["state_key"] = state_key
            room.state[event_type, state_key] = content
        room.events.append(event)
        self.outbox.append(event)
        return str(event["event_id"])
