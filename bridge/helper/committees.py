"""What the helper does for committees: the chair clears the room, members declare, in their own encrypted chat.

Whoever has no say in a committee is answered as if there were none.
"""

from collections.abc import Awaitable, Callable

from bridge.helper.answers import Ask, Command
from config.errors import ConclaveError
from spaces.committee import Committee, Declared, Phase
from spaces.committees import CommitteeService

YES, NONE, CONFLICT = "yes", "none", "conflict"
CLEAR_USAGE = "Which committee? Write !clear and its id."
DECLARE_USAGE = "Write !declare, the committee's id, and none, or conflict and what it is."
MAX_ECHO = 40


class CommitteeChat:
    """Answers ``!clear`` and ``!declare``; ``person`` gives the id of whoever has a Matrix account."""

    def __init__(
        self,
        committees: CommitteeService,
        *,
        person: Callable[[str], Awaitable[str]],
        enforce: Callable[[str], Awaitable[None]],
    ) -> None:
        self._committees = committees
        self._person = person
        self._enforce = enforce

    async def answer(self, command: Command, user_id: str) -> str:
        """Do what ``user_id`` asks for, and say what came of it; a no is said as the API says it."""
        name, _, rest = command.argument.partition(" ")
        person = await self._person(user_id)
        found = await self._committees.find(name) if name else None
        try:
            if command.ask is Ask.CLEAR:
                return await self._clear(name, found, person, rest)
            return await self._declare(name, found, person, rest)
        except ConclaveError as error:
            return f"Not done: {error.message}."

    async def _clear(self, name: str, found: Committee | None, person: str, rest: str) -> str:
        if not name:
            return CLEAR_USAGE
        if found is None or found.chair != person:
            return f"You chair no committee “{_shown(name)}”."
        vendors = ", ".join(vendor.company for vendor in found.vendors)
        if found.phase in (Phase.DELIBERATION, Phase.DECIDED, Phase.CLOSED):
            return f"The room of {found.id} is cleared already; it is in phase {found.phase}."
        if found.phase is Phase.PITCH and rest.strip().casefold() != YES:
            return (
                f"{len(found.vendors)} vendors leave their pitch rooms: {vendors}. They keep what they have seen;"
                f" they see nothing more. To do it, write: !clear {found.id} {YES}"
            )
        await self._committees.clear(found.id, actor=person)
        await self._enforce(found.id)
        return f"The room of {found.id} is cleared: {vendors} are out. Deliberation, until decided."

    async def _declare(self, name: str, found: Committee | None, person: str, rest: str) -> str:
        word, _, statement = rest.strip().partition(" ")
        if (
            not name
            or word.casefold() not in (NONE, CONFLICT)
            or (word.casefold() == CONFLICT and not statement.strip())
        ):
            return DECLARE_USAGE
        own = None if found is None else next((item for item in found.members if item.person == person), None)
        if found is None or own is None:
            return f"You are a member of no committee “{_shown(name)}”."
        declared = Declared.CONFLICT if word.casefold() == CONFLICT else Declared.NONE
        if own.declared is not declared:
            about = statement.strip() if declared is Declared.CONFLICT else ""
            conflict = declared is Declared.CONFLICT
            await self._committees.declare(found.id, person=person, conflict=conflict, statement=about)
            await self._enforce(found.id)
        if declared is Declared.CONFLICT:
            return f"Recorded. The rooms of {found.id} stay shut for you."
        return f"Recorded. You come into the rooms of {found.id} now."


def _shown(name: str) -> str:
    return "".join(char for char in name if char.isprintable())[:MAX_ECHO]
