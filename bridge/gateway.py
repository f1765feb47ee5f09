"""Everything that the hub needs of its homeserver, as one protocol. ``bridge.matrix`` implements it over HTTP."""

from collections.abc import Mapping
from typing import Any, Protocol

from bridge.feed import Timelines
from partner_onboarding.enrolment import Accounts
from spaces.gateway import Homeserver


class HubAccounts(Protocol):
    """The hub's own accounts beside ``@conclave``, and the devices of all of them."""

    async def register_account(self, localpart: str) -> None:
        """Make an account of the hub, which cannot sign in; does nothing the second time."""
        ...

    async def call_as(
        self, user_id: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, device: str = ""
    ) -> dict[str, Any]:
        """One call of the client-server API (v3) as an account of the hub, on one of its devices where named."""
        ...


class Gateway(Homeserver, Accounts, Timelines, HubAccounts, Protocol):
    """Every call may raise ``HomeserverUnavailableError`` or ``HomeserverRefusedError`` of ``spaces.gateway``."""

    async def sign_up(self) -> None:
        """Make the hub's own account, with the powers it needs; does nothing the second time."""
        ...

    async def ping(self) -> int:
        """Have the homeserver call the hub: milliseconds that took."""
        ...

    async def guard_status(self) -> dict[str, Any]:
        """The guard's ``instance``, and for each kind of ``documents`` their number and the sum of their versions."""
        ...

    async def version(self) -> str:
        """The homeserver's version."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
