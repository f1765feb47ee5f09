"""Walls between companies: put up, taken down, looked at. A change and its ledger entry are one transaction."""

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from config.clock import Clock
from config.db import Database
from config.errors import ConflictError, InvalidInputError, NotFoundError
from spaces.policy.walls import Wall, refuse_wall, wall_between
from spaces.store import DocumentStore, EngagementStore
from spaces.wall_store import StoredWall, WallStore


class WallError(ConflictError):
    """A wall forbids the engagement, or an engagement the wall."""

    code = "wall"


class WallService:
    """What compliance officers do with walls."""

    def __init__(self, db: Database, inbox: Inbox, clock: Clock, *, host: str) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._host = host

    async def add(self, one: str, other: str, *, reason: str, actor: str) -> StoredWall:
        """Keep two companies apart from now on: no engagement that has both is opened.

        Where they meet already the wall is refused, not recorded: a wall in the list holds, without exception.

        Raises:
            InvalidInputError: The two are one and the same.
            NotFoundError: No such company.
            ConflictError: There is such a wall.
            WallError: The companies meet in an open engagement, which is named.
        """
        wall = _wall(one, other, reason)
        async with self._db.begin() as tx:
            await WallStore(tx).lock()
            for company in (one, other):
                if await DocumentStore(tx).company(company) is None:
                    raise NotFoundError(f"no company {company!r}", hint="conclave company list")
            if await WallStore(tx).get(wall.first, wall.second) is not None:
                raise ConflictError(
                    f"there is a wall between {wall.first} and {wall.second} already", hint="conclave wall list"
                )
            await self._refuse_meeting(tx, wall)
            item = StoredWall(wall=wall, added_at=self._clock(), added_by=actor)
            await WallStore(tx).add(item)
            await self._inbox.put(tx, self._draft("wall.added", wall, actor, reason))
        return item

    async def remove(self, one: str, other: str, *, reason: str, actor: str) -> StoredWall:
        """Let two companies meet again.

        Raises:
            InvalidInputError: The two are one and the same.
            NotFoundError: There is no wall between them.
        """
        wall = _wall(one, other, reason)
        async with self._db.begin() as tx:
            await WallStore(tx).lock()
            item = await WallStore(tx).get(wall.first, wall.second)
            if item is None:
                raise NotFoundError(f"no wall between {wall.first} and {wall.second}", hint="conclave wall list")
            await WallStore(tx).remove(wall)
            await self._inbox.put(tx, self._draft("wall.removed", wall, actor, reason))
        return item

    async def page(self, *, after: tuple[str, str], limit: int) -> list[StoredWall]:
        """Up to ``limit`` walls in the order of their companies, from behind ``after`` on."""
        async with self._db.read() as connection:
            return await WallStore(connection).page(after=after, limit=limit)

    async def _refuse_meeting(self, tx: AsyncConnection, wall: Wall) -> None:
        for engagement in await EngagementStore(tx).open_with({wall.first, wall.second}):
            if refuse_wall(engagement.companies(self._host), [wall]) is not None:
                raise WallError(
                    f"{wall.first} and {wall.second} meet in the open {engagement.kind} {engagement.id}; "
                    "a wall needs them apart",
                    hint=f"conclave {engagement.kind} close {engagement.id} --reason …",
                )

    def _draft(self, kind: str, wall: Wall, actor: str, reason: str) -> Draft:
        """The entry. It concerns the host alone: in an export for one of the two, it would tell of the other."""
        data = {"first": wall.first, "second": wall.second, "reason": reason}
        return Draft(kind=kind, actor=person_actor(actor), companies=(self._host,), data=data)


async def check_walls(tx: AsyncConnection, companies: set[str]) -> None:
    """Return when ``companies`` may meet in an engagement that ``tx`` is about to open; no wall is added meanwhile.

    Raises:
        WallError: A wall stands between two of them, which are named.
    """
    await WallStore(tx).lock()
    refusal = refuse_wall(companies, await WallStore(tx).touching(companies))
    if refusal is not None:
        raise WallError(refusal.sentence, hint="conclave wall list; only a compliance officer takes a wall down")


def _wall(one: str, other: str, reason: str) -> Wall:
    if one == other:
        raise InvalidInputError(f"{one} twice: a wall stands between two companies", field="second")
    return wall_between(one, other, reason)
