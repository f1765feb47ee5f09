"""``!committee`` in a person's chat: its members look at a committee, its chair moves it on.

What cannot be undone is asked first: the same message with ``yes`` behind the committee's id does it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from config.clock import DAY, Clock, Millis, iso
from config.errors import InvalidInputError
from spaces.committee import MAX_STANDSTILL_DAYS, Committee, Declared
from spaces.committee_companies import Attendance
from spaces.committee_seats import demand_impartial
from spaces.committees import CommitteeService

YES = "yes"
MAX_MOMENTS = 30
MAX_REASON = 500
ACTS = "add-vendor COMPANY, schedule pitch TIME clear TIME, start, decide COMPANY DAYS, debrief COMPANY, close REASON"
USAGE = (
    "Write !committee and its id to see it, with timeline behind that for its story. Its chair writes behind the id:"
    f" {ACTS}. A time is such as 2027-02-11T09:00:00Z; the days are those of the standstill period, or left out."
)


class ChairChat:
    """Answers ``!committee``; ``enforce`` has the guard take what changed."""

    def __init__(
        self, committees: CommitteeService, clock: Clock, *, enforce: Callable[[str], Awaitable[None]]
    ) -> None:
        self._committees = committees
        self._clock = clock
        self._enforce = enforce

    async def answer(self, found: Committee, person: str, rest: str) -> str:
        """What came of ``rest``, which stood behind the id of ``found``, of which ``person`` is a member.

        Raises:
            ConclaveError: It is not done; the text says why.
        """
        demand_impartial(found, person)
        agreed, text = _agreed(rest.strip())
        word, _, argument = text.partition(" ")
        if word in ("", "timeline"):
            return await (self._timeline(found) if word else self._show(found))
        if found.chair != person:
            return f"You are a member of {found.id}; its chair alone does that."
        if word not in _ACTS:
            return USAGE
        trial, needs_yes, say = _ACTS[word]
        question = trial(found, argument.strip(), self._clock())
        if needs_yes and not agreed:
            return f"{question} To do it, write: !committee {found.id} {YES} {text}"
        await self._do(found.id, word, argument.strip(), person)
        await self._enforce(found.id)
        return f"{say} !committee {found.id} shows it."

    async def _do(self, committee_id: str, act: str, argument: str, person: str) -> None:
        service = self._committees
        if act == "add-vendor":
            await service.add_vendor(committee_id, argument, actor=person)
        elif act == "schedule":
            pitch_at, clear_at = _times(argument)
            await service.schedule(committee_id, pitch_at=pitch_at, clear_at=clear_at, actor=person)
        elif act == "start":
            await service.start(committee_id, actor=person)
        elif act == "decide":
            winner, days = _decision(argument)
            await service.decide(committee_id, winner=winner, standstill_ms=days * DAY, actor=person)
        elif act == "debrief":
            await service.debrief(committee_id, argument, actor=person)
        else:
            await service.close(committee_id, actor=person, reason=_reason(argument))

    async def _show(self, found: Committee) -> str:
        attendance = await self._committees.attendance(found.id)
        lines = [f"{found.id}, {found.title}: phase {found.phase}"]
        lines += [
            f"• {word} {_when(at)}" for word, at in (("vendors in", found.pitch_at), ("out", found.clear_at)) if at
        ]
        if found.winner is not None:
            lines.append(f"• decided: {found.winner}, {_when(found.decided_at)}")
        if found.standstill_until is not None:
            lines.append(f"• standstill until {_when(found.standstill_until)}")
        lines += [f"• member {one.user_id}: {_declared(one.declared)}" for one in found.members]
        lines += [f"• vendor {_attending(one)}" for one in attendance]
        return "\n".join(lines)

    async def _timeline(self, found: Committee) -> str:
        told = await self._committees.timeline(found.id)
        lines = [f"{iso(one.at)}  {one.kind} {one.vendor or ''}".rstrip() for one in told[-MAX_MOMENTS:]]
        more = len(told) - len(lines)
        first = [f"The last {len(lines)} of {len(told)} entries:"] if more else []
        return "\n".join([*first, *lines]) or "Nothing is in the log yet; it follows within a second."


def _agreed(text: str) -> tuple[bool, str]:
    word, _, rest = text.partition(" ")
    return (True, rest.strip()) if word.casefold() == YES else (False, text)


def _add_vendor(found: Committee, argument: str, now: Millis) -> str:
    del found, now
    if not argument:
        raise InvalidInputError("which company? write add-vendor and its id", field="vendor")
    return ""


def _schedule(found: Committee, argument: str, now: Millis) -> str:
    pitch_at, clear_at = _times(argument)
    found.schedule(pitch_at=pitch_at, clear_at=clear_at, now=now)
    return ""


def _start(found: Committee, argument: str, now: Millis) -> str:
    del argument
    found.start(now)
    planned = "" if found.pitch_at is None else f" They were to come in at {_when(found.pitch_at)}."
    vendors = ", ".join(vendor.company for vendor in found.vendors)
    return f"Into their pitch rooms, now: {vendors}.{planned}"


def _decide(found: Committee, argument: str, now: Millis) -> str:
    winner, days = _decision(argument)
    found.decide(winner, now, standstill_until=None)
    until = f" For {days} days it cannot be closed." if days else ""
    return f"{winner} is chosen; a decision is not taken back.{until}"


def _debrief(found: Committee, argument: str, now: Millis) -> str:
    del now
    found.debrief(argument, "")
    return f"A room for the members and {argument} is opened."


def _close(found: Committee, argument: str, now: Millis) -> str:
    _reason(argument)
    found.close(now)
    undecided = "Nothing was decided. " if found.winner is None else ""
    return f"{undecided}Everybody leaves its rooms, for good; the record stays."


_ACTS: dict[str, tuple[Callable[[Committee, str, Millis], str], bool, str]] = {
    "add-vendor": (_add_vendor, False, "It has its pitch room; its people come in when the pitches begin."),
    "schedule": (_schedule, False, "The times are set; the homeserver holds to them by itself."),
    "start": (_start, True, "Pitch. The vendors come in, each into a room of its own."),
    "decide": (_decide, True, "Decided."),
    "debrief": (_debrief, True, "The room is opened."),
    "close": (_close, True, "Closed."),
}
"""What the chair may do: what is looked at and asked before, whether it needs a yes, what is said behind it."""


def _times(argument: str) -> tuple[Millis | None, Millis | None]:
    """The times in ``pitch TIME clear TIME``, of which one may be left out.

    Raises:
        InvalidInputError: It is something else.
    """
    words = argument.split()
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    if not pairs or len(words) % 2 or len(pairs) * 2 != len(words) or pairs.keys() - {"pitch", "clear"}:
        raise InvalidInputError("write schedule pitch TIME clear TIME, or one of the two", field="schedule")
    return _time(pairs.get("pitch")), _time(pairs.get("clear"))


def _time(text: str | None) -> Millis | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInputError(
            f"“{text:.40}” is no time with its zone; expected such as 2027-02-11T09:00:00Z", field="schedule"
        )
    return int(moment.timestamp() * 1_000)


def _decision(argument: str) -> tuple[str, int]:
    """The winner, and the days of the standstill period.

    Raises:
        InvalidInputError: The days are none.
    """
    winner, _, days = argument.partition(" ")
    if not winner:
        raise InvalidInputError("which company? write decide and its id", field="winner")
    number = int(days) if days.isascii() and days.isdigit() and len(days) < 5 else (-1 if days.strip() else 0)
    if not 0 <= number <= MAX_STANDSTILL_DAYS:
        raise InvalidInputError(f"the days of the standstill period are 0 to {MAX_STANDSTILL_DAYS}", field="standstill")
    return winner, number


def _reason(argument: str) -> str:
    if not argument or len(argument) > MAX_REASON:
        raise InvalidInputError(f"why? write close and the reason, at most {MAX_REASON} characters", field="reason")
    return argument


def _when(at: Millis | None) -> str:
    return "–" if at is None else f"{iso(at)[:19].replace('T', ' ')} UTC"


def _declared(said: Declared | None) -> str:
    words = {Declared.NONE: "declared no conflict", Declared.CONFLICT: "declared a conflict, and is out"}
    return "has not declared" if said is None else words[said]


def _attending(one: Attendance) -> str:
    if not one.enrolled:
        return f"{one.vendor}: nobody is enrolled"
    return f"{one.vendor}: {len(one.inside)} of {one.enrolled} in its room"
