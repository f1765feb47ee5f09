"""One call of the API: who, with what, and how lists are paged."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.api.models import Page, PageQuery
from bridge.services import Services
from config.errors import ConclaveError, InvalidInputError
from partner_onboarding.access import Principal

Q = TypeVar("Q")
B = TypeVar("B")
T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Q, B]):
    """A call that was authenticated, authorised and whose input has its form."""

    services: Services
    principal: Principal | None
    path: dict[str, str]
    query: Q
    body: B

    @property
    def actor(self) -> str:
        """The id of the person who calls."""
        return self.signed_in.person

    @property
    def signed_in(self) -> Principal:
        """The person who calls; the operation demands one."""
        if self.principal is None:
            raise AssertionError("an operation for anyone has no actor")
        return self.principal

    async def enforce(self, *engagements: str) -> bool:
        """Have the guard take what changed, now, and these engagements' rooms follow; whether the guard has it."""
        self.services.reconciler.wake(*engagements)
        self.services.sessions.wake()
        try:
            await self.services.publisher.publish()
        except ConclaveError:
            return False
        return True

    async def enforce_for(self, company: str, person: str | None = None, team: str | None = None) -> bool:
        """The same, for the engagements that the company, or this person of it, or this team takes part in."""
        teams = set() if team is None else {team}
        if person is not None:
            teams |= (await self.services.onboarding.person(person))[1]
        partnerships = await self.services.partnerships.concerning(company, teams)
        chats = [] if team is not None else await self.services.partnerships.chats(company, person)
        return await self.enforce(*partnerships, *chats)


def after(query: PageQuery) -> str:
    """The key behind which the page begins.

    Raises:
        InvalidInputError: The cursor is not one of ours.
    """
    try:
        return base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        raise InvalidInputError("cursor is not the `next` of an earlier page", field="cursor") from None


def page(rows: Sequence[T], query: PageQuery, key: Callable[[T], str], view: Callable[[T], V]) -> Page[V]:
    """The page of ``rows``, of which one more than the limit was asked for."""
    shown = rows[: query.limit]
    following = None
    if len(rows) > query.limit:
        following = base64.urlsafe_b64encode(key(shown[-1]).encode()).decode().rstrip("=")
    return Page(items=[view(row) for row in shown], next=following)
