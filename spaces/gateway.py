"""What provisioning needs of the homeserver, and how it may fail. ``bridge`` implements it; tests have a fake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from config.errors import ConclaveError
from spaces.policy.documents import Document


class HomeserverError(ConclaveError):
    """The homeserver did not do what it was asked."""

    code = "homeserver"


class HomeserverUnavailableError(HomeserverError):
    """The homeserver did not answer, or failed inside; the same call may succeed later."""

    code = "homeserver_unavailable"


class HomeserverRefusedError(HomeserverError):
    """The homeserver said no; ``errcode`` is the specification's, ``reason`` our code where the guard said it."""

    code = "homeserver_refused"

    def __init__(self, message: str, *, errcode: str, reason: str = "") -> None:
        super().__init__(message)
        self.errcode = errcode
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """A document with the hub's signature over it."""

    document: Document
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRequest:
    """A room to create: the charter's creation content, and its state from the first event on."""

    room_version: str
    creation_content: Mapping[str, Any]
    state: Mapping[tuple[str, str], Mapping[str, Any]]


class Homeserver(Protocol):
    """Every call may raise :class:`HomeserverUnavailableError` or :class:`HomeserverRefusedError`."""

    async def put_documents(self, documents: Sequence[SignedDocument]) -> None:
        """Hand charters and roster to the guard, all or none."""
        ...

    async def find_room(self, key: str) -> str | None:
        """The room that the charter ``key`` is bound to, whether it is finished or not."""
        ...

    async def release_room(self, key: str, room_id: str) -> bool:
        """Unbind a room that never came to be; false while its creation may still be under way."""
        ...

    async def room_is_joined(self, room_id: str) -> bool:
        """Whether the room exists and the hub's account is in it."""
        ...

    async def create_room(self, request: RoomRequest) -> str:
        """Create a room and return its id."""
        ...

    async def set_state(self, room_id: str, event_type: str, state_key: str, content: Mapping[str, Any]) -> None:
        """Set one piece of state."""
        ...

    async def add_member(self, room_id: str, user_id: str) -> None:
        """Make a person a member without asking them; invite one whose account is on another server."""
        ...

    async def remove_member(self, room_id: str, user_id: str, reason: str) -> None:
        """Take a person out; ``reason`` is what their client shows."""
        ...

    async def end_sessions(self, user_id: str) -> None:
        """Make every access token of a person's devices useless; an account that does not exist has none."""
        ...
