"""Signing in takes as long for a user who does not exist as for one who does. Nothing here imports Synapse.

Synapse compares a password with bcrypt, which takes a quarter of a second, but only where there is a user with a
password: the time would tell. So where there is none, the same work is done for nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

import bcrypt

MAX_BYTES = 72  # bcrypt takes no more, and Synapse cuts there


class Accounts(Protocol):
    """What is used of Synapse's ``ModuleApi``."""

    def get_qualified_user_id(self, username: str) -> str:
        """The whole user id."""
        ...

    def check_user_exists(self, user_id: str) -> Awaitable[str | None]:
        """The user id as it is written in the database, or ``None``."""
        ...

    async def get_userinfo_by_id(self, user_id: str) -> Any:
        """What Synapse knows of a user."""
        ...

    def defer_to_thread(self, work: Callable[[], None], /) -> Awaitable[None]:
        """Run ``work`` beside the reactor."""
        ...


class EqualTime:
    """Does the work of a comparison for users who are not there."""

    def __init__(self, accounts: Accounts, rounds: int) -> None:
        self._accounts = accounts
        self._rounds = rounds

    async def check(self, username: str, login_type: str, login: Mapping[str, Any]) -> None:
        """Decide nothing: Synapse compares the password itself, where there is one to compare."""
        del login_type
        found = await self._accounts.check_user_exists(self._accounts.get_qualified_user_id(username))
        user = None if found is None else await self._accounts.get_userinfo_by_id(found)
        if user is None or user.is_deactivated:
            await self._accounts.defer_to_thread(partial(self.work, str(login.get("password", ""))))

    def work(self, password: str) -> None:
        """What Synapse does with the password of a user who exists."""
        bcrypt.hashpw(password.encode(errors="replace")[:MAX_BYTES], bcrypt.gensalt(self._rounds))
