"""What the helper does for committees: the chair moves them on, members declare and publish, in their own chat.

Whoever has no say in a committee is answered as if there were none.
"""

from collections.abc import Awaitable, Callable

from bridge.helper.answers import Ask, Command
from bridge.helper.chair import USAGE, ChairChat
from bridge.helper.drafts import Drafts, parted
from config.clock import Clock, iso
from config.errors import ConclaveError
from spaces.answer import MAX_ANSWER, MAX_QUESTION, demand_pitch, demand_publisher, said, text_of
from spaces.answers import AnswerService
from spaces.committee import Committee, Declared, Phase
from spaces.committee_seats import demand_impartial
from spaces.committees import CommitteeService

YES, NONE, CONFLICT = "yes", "none", "conflict"
CLEAR_USAGE = "Which committee? Write !clear and its id."
DECLARE_USAGE = "Write !declare, the committee's id, and none, or conflict and what it is."
ANSWER_USAGE = (
    "Write !answer, the committee's id, and what every vendor is to read. With the question: first a line that begins"
    " with Q: and then one that begins with A:"
)
MAX_ECHO = 40
MAX_ANSWERS = 5


class CommitteeChat:
    """Answers ``!committee``, ``!clear``, ``!declare``, ``!answer``; ``person`` has the id of an account's person."""

    def __init__(
        self,
        committees: CommitteeService,
        published: AnswerService,
        clock: Clock,
        *,
        person: Callable[[str], Awaitable[str]],
        enforce: Callable[[str], Awaitable[None]],
    ) -> None:
        self._committees = committees
        self._published = published
        self._drafts = Drafts(clock)
        self._person = person
        self._enforce = enforce
        self._chair = ChairChat(committees, clock, enforce=enforce)

    async def answer(self, command: Command, user_id: str, tag: str) -> str:
        """Do what ``user_id`` asks for, and say what came of it; a no is said as the API says it.

        ``tag`` is that of the message: dealt with a second time, it publishes nothing a second time.
        """
        name, _, rest = command.argument.partition(" ")
        if command.ask is Ask.ANSWER:
            name, rest = (*command.argument.split(maxsplit=1), "", "")[:2]
        person = await self._person(user_id)
        found = await self._committees.find(name) if name else None
        try:
            if command.ask is Ask.COMMITTEE:
                return await self._committee(name, found, person, rest)
            if command.ask is Ask.CLEAR:
                return await self._clear(name, found, person, rest)
            if command.ask is Ask.ANSWER:
                return await self._answer(name, found, person, rest, tag)
            return await self._declare(name, found, person, rest)
        except ConclaveError as error:
            return f"Not done: {error.message}."

    async def _committee(self, name: str, found: Committee | None, person: str, rest: str) -> str:
        if not name:
            return USAGE
        if found is None or all(item.person != person for item in found.members):
            return f"You are a member of no committee “{_shown(name)}”."
        return await self._chair.answer(found, person, rest)

    async def _clear(self, name: str, found: Committee | None, person: str, rest: str) -> str:
        if not name:
            return CLEAR_USAGE
        if found is None or found.chair != person:
            return f"You chair no committee “{_shown(name)}”."
        demand_impartial(found, person)
        vendors = ", ".join(vendor.company for vendor in found.vendors)
        if found.phase in (Phase.DELIBERATION, Phase.DECIDED, Phase.CLOSED):
            return f"The room of {found.id} is cleared already; it is in phase {found.phase}."
        if found.phase is Phase.PITCH and rest.strip().casefold() != YES:
            return (
                f"Out of the pitch rooms: {vendors}. They keep what they have seen;"
                f" they see nothing more. To do it, write: !clear {found.id} {YES}"
            )
        await self._committees.clear(found.id, actor=person)
        await self._enforce(found.id)
        return f"The room of {found.id} is cleared: {vendors} are out. Deliberation, until decided."

    async def _answer(self, name: str, found: Committee | None, person: str, rest: str, tag: str) -> str:
        if not name:
            return ANSWER_USAGE
        if found is None or all(item.person != person for item in found.members):
            return f"You are a member of no committee “{_shown(name)}”."
        demand_publisher(found, person, manager=False)
        if not rest.strip():
            return "\n".join([ANSWER_USAGE, *await self._fared(found.id)])
        if rest.strip().casefold() == YES:
            return await self._publish(found, person, tag)
        demand_pitch(found)
        question, answer = parted(rest)
        question = text_of(question, "question", MAX_QUESTION) if question else ""
        answer = text_of(answer, "answer", MAX_ANSWER)
        self._drafts.keep(person, found.id, question, answer)
        return (
            f"Every vendor of {found.id} is to read this, each in its own room:\n\n{said(question, answer)}\n\n"
            "It does not say who asked, or who answers. To publish it, write within ten minutes:"
            f" !answer {found.id} {YES}"
        )

    async def _fared(self, committee_id: str) -> list[str]:
        """How the latest answers fared, a line for each vendor."""
        latest = await self._published.latest(committee_id, MAX_ANSWERS)
        lines = []
        for item in latest:
            lines.append(f"Published at {iso(item.published_at)}: {item.answer[:MAX_ECHO]}")
            lines += [f"• {one.vendor}: {one.problem or one.state}" for one in item.deliveries]
        return lines

    async def _publish(self, found: Committee, person: str, tag: str) -> str:
        if await self._published.by_key(tag) is None:
            draft = self._drafts.kept(person, found.id)
            if draft is None:
                return f"I have nothing of yours for {found.id}, or no more. Write it again: !answer {found.id} TEXT"
            await self._published.publish(
                found.id, question=draft.question, answer=draft.answer, actor=person, manager=False, key=tag
            )
            self._drafts.drop(person, found.id)
            await self._enforce(found.id)
        return (
            f"Published. I say it to every vendor of {found.id} now; in the pitch rooms you see it as they do."
            f" How it fared: !answer {found.id}"
        )

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
