"""What the helper says: from a command, or a refusal, and what the person may see, to plain text. Pure.

Nothing here names a room, a person or a company that the person who asks does not share a room with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from spaces.policy.records import Recording, RoomKind
from spaces.policy.refusal import EXPLANATIONS

MAX_ECHO = 80
MAX_ROOMS = 50
MAX_SHOWN = 5
MAX_PEOPLE = 200


class Ask(StrEnum):
    """What somebody wants of the helper."""

    HELP = "!help"
    RULES = "!rules"
    WHO = "!who"
    COMMITTEE = "!committee"
    CLEAR = "!clear"
    DECLARE = "!declare"
    ANSWER = "!answer"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what stands behind it."""

    ask: Ask
    argument: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRoom:
    """A room that the person who asks is in; ``companies`` are the names of those that take part."""

    key: str
    room_id: str
    name: str
    kind: RoomKind
    companies: tuple[str, ...]
    history_visibility: str
    recording: Recording
    contact: str = ""

    @property
    def title(self) -> str:
        """The room's name, and with whom."""
        return f"{self.name} ({', '.join(self.companies)})" if self.companies else self.name


@dataclass(frozen=True, slots=True)
class SeenPerson:
    """Somebody in a room, by the name that they enrolled with."""

    name: str
    company: str


GREETING = (
    "Hello. I am the helper of this hub. This chat is encrypted end to end and only you and I are in it.\n"
    "When the hub refuses something that you try, I explain it here. Write !help to see what I answer."
)
HELP = (
    "I answer these:\n"
    "!help – this list\n"
    "!rules – what holds in the rooms that you are in: who reads what, what is recorded\n"
    "!who ROOM – who is in a room that you are in, by its name or id\n"
    "!committee COMMITTEE – for its members: how it stands, and timeline; its chair moves it on\n"
    "!declare COMMITTEE none, or conflict and what it is – for members of a committee\n"
    "!answer COMMITTEE TEXT – for its members: published to every vendor in the same words; I ask before I do it\n"
    "!clear COMMITTEE – for its chair: every vendor leaves; I ask before I do it\n"
    "When the hub refuses something that you try, I explain it here, once in a while for each kind of refusal."
)
HINT = "I answer commands only. Write !help to see them. (I say this once; other messages I leave unanswered.)"
UNREADABLE = (
    "I could not read your message: your client did not give me its key. Please send it again. If I still cannot"
    " read it, sign out of that client and in again."
)
SLOWER = "That was a lot at once. I left some of it unanswered; ask again in a minute."


def command_of(text: str) -> Command:
    """The command in ``text``; anything that is none is :attr:`Ask.UNKNOWN`."""
    word, _, rest = text.strip().partition(" ")
    asked = {item.value: item for item in Ask if item is not Ask.UNKNOWN}.get(word.lower())
    return Command(Ask.UNKNOWN) if asked is None else Command(asked, rest.strip())


def named(argument: str, rooms: Sequence[SeenRoom]) -> list[SeenRoom]:
    """Those of ``rooms`` that ``argument`` means: by id or key, else by name, whatever the case."""
    exact = [room for room in rooms if argument in (room.room_id, room.key)]
    return exact or [room for room in rooms if argument and room.name.casefold() == argument.casefold()]


def who_usage(rooms: Sequence[SeenRoom]) -> str:
    """What ``!who`` without a room is answered with."""
    return "Which room? Write !who and its name. " + _you_are_in(rooms)


def no_such_room(argument: str) -> str:
    """The same for a room that does not exist and for one that the person is not in."""
    shown = "".join(char for char in argument if char.isprintable())[:MAX_ECHO]
    return f"You are in no room “{shown}”. !rules lists the rooms that you are in."


def who(room: SeenRoom, people: Sequence[SeenPerson]) -> str:
    """Who is in ``room``."""
    lines = [f"• {person.name}, {person.company}" for person in people[:MAX_PEOPLE]]
    if len(people) > MAX_PEOPLE:
        lines.append(f"… and {len(people) - MAX_PEOPLE} more")
    hub = "The hub's own account @conclave is in every room, without any device: it cannot read what is said."
    return "\n".join([f"In {room.title}: {_count(len(people), 'person', 'people')}", *lines, hub])


def rules(rooms: Sequence[SeenRoom]) -> str:
    """What holds in ``rooms``, in plain words."""
    talking = [room for room in rooms if room.kind is RoomKind.ROOM]
    if not talking:
        return "You are in no room yet. A partner manager of the host company opens partnerships and committees."
    parts = [_rules_of(room) for room in talking[:MAX_ROOMS]]
    if len(talking) > MAX_ROOMS:
        parts.append(f"… and {len(talking) - MAX_ROOMS} more rooms.")
    general = (
        "Everywhere: messages are encrypted end to end, on your device, for the devices of those who are in the room."
        " The hub puts people in and takes them out; nobody invites by hand. That something happened (who, when,"
        " which kind) goes into the hub's ledger, refusals and this chat included; what is said here does not."
    )
    return "\n\n".join([*parts, general])


def explain(code: str, act: str, room: SeenRoom | None) -> str:
    """What a refusal means, its code, and who can lift it."""
    known = next((text for item, text in EXPLANATIONS.items() if item.value == code), None)
    where = f" in {room.title}" if room is not None else ""
    if known is None:
        return f"The hub refused something that you tried{where} ({_act(act)}). The code is {code}."
    lines = [
        f"The hub refused something that you tried{where} ({_act(act)}).",
        f"Why: {known.meaning}. The code is {code}.",
        f"Who can lift it: {known.lifted_by}.",
    ]
    contact = room.contact if room is not None else ""
    if contact and known.lifted_by.startswith("a partner manager"):
        lines.append(f"Ask {contact}.")
    lines.append("I explain this code only now and then, not each time.")
    return "\n".join(lines)


_HISTORY = {
    "joined": "whoever comes in later cannot read what was said before",
    "invited": "whoever comes in later can read what was said since they were invited",
}
_RECORDED = {
    Recording.METADATA: "recorded is who wrote when, never what",
    Recording.RECORDED: "what is said is archived by the member @conclave-recorder; opening it takes two officers",
}


def _rules_of(room: SeenRoom) -> str:
    history = _HISTORY.get(room.history_visibility, "whoever comes in later can read what was said before")
    return f"{room.title}: {history}; {_RECORDED[room.recording]}."


def _act(act: str) -> str:
    """What was tried, as the guard wrote it down."""
    names = {
        "create room": "making a room",
        "sign in": "signing in",
        "m.room.message": "sending a message",
        "m.room.member/invite": "inviting somebody",
        "m.room.member/join": "entering a room",
        "m.room.member/leave": "removing somebody",
        "m.room.member/ban": "banning somebody",
    }
    return names.get(act, "".join(char for char in act if char.isprintable())[:MAX_ECHO])


def _you_are_in(rooms: Sequence[SeenRoom]) -> str:
    names = sorted({room.name for room in rooms if room.kind is RoomKind.ROOM})
    return f"You are in: {', '.join(names[:MAX_ROOMS])}." if names else "You are in no room yet."


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
