"""Megolm sessions that stay in use after somebody who may hold their key left the room. Pure.

Order is that in which the feed took the events: sessions and departures are numbered in it, and no clock decides what
came first. Times decide one thing only: whether the sender's client can have known (docs/adr/0027).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from config.clock import SECOND, Millis

GRACE_MS = 10 * SECOND
"""How long after a departure a message may still come with the session from before: its client had not heard of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """The ``number``-th time that somebody who was in a managed room left it or was put out."""

    number: int
    room_id: str
    user_id: str
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A Megolm session as it was first used in a room: after departure number ``since``, and before the next."""

    session_id: str
    room_id: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """What is wrong with the use of a session.

    ``left`` are out of the room since it was used there first; or out of ``elsewhere``, another room in which it was
    used before.
    """

    session: Session
    left: tuple[Departure, ...]
    elsewhere: str | None = None


@dataclass(slots=True)
class Watch:
    """Sessions and departures while events go by in order; ``begun`` and ``gone`` are those that are new.

    ``latest`` is the number of the last departure. ``left`` holds the departures of each room since the oldest of its
    ``sessions``, and of each person the last one; who is back in the room is none of them.
    """

    latest: int
    sessions: dict[str, list[Session]] = field(default_factory=dict)
    left: dict[str, dict[str, Departure]] = field(default_factory=dict)
    begun: list[Session] = field(default_factory=list)
    gone: list[Departure] = field(default_factory=list)
    _moved: dict[tuple[str, str], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, latest: int, sessions: Iterable[Session], departures: Iterable[Departure]) -> "Watch":
        """Begin with what is stored; ``departures`` are in order."""
        found = cls(latest)
        for session in sessions:
            found.sessions.setdefault(session.session_id, []).append(session)
        for departure in departures:
            found.left.setdefault(departure.room_id, {})[departure.user_id] = departure
        return found

    def leave(self, room_id: str, user_id: str, at: Millis) -> None:
        """Somebody who was in the room is not any more."""
        self.latest += 1
        departure = Departure(number=self.latest, room_id=room_id, user_id=user_id, at=at)
        self.left.setdefault(room_id, {})[user_id] = departure
        self.gone.append(departure)
        self._moved[room_id, user_id] = False

    def come(self, room_id: str, user_id: str) -> None:
        """Somebody is in the room: what is said there is for them, whatever it is encrypted with."""
        self.left.get(room_id, {}).pop(user_id, None)
        self._moved[room_id, user_id] = True

    def inside(self, room_id: str, before: Iterable[str]) -> set[str]:
        """Who is in the room now, ``before`` being who was before the first event."""
        moved = {user_id: inside for (room, user_id), inside in self._moved.items() if room == room_id}
        here = {user_id for user_id, inside in moved.items() if inside}
        return here | {user_id for user_id in before if moved.get(user_id, True)}

    def use(self, session_id: str, room_id: str, at: Millis) -> Iterable[Reuse]:
        """A message comes with this session: what is wrong with that, once for each room that it was used in."""
        known = self.sessions.setdefault(session_id, [])
        here = next((session for session in known if session.room_id == room_id), None)
        for session in known:
            if session is not here:
                yield Reuse(session=session, left=tuple(self._since(session)), elsewhere=session.room_id)
        if here is None:
            here = Session(session_id=session_id, room_id=room_id, since=self.latest)
            known.append(here)
            self.begun.append(here)
        elif left := tuple(item for item in self._since(here) if item.at + GRACE_MS <= at):
            yield Reuse(session=here, left=left)

    def _since(self, session: Session) -> Iterable[Departure]:
        departures: Mapping[str, Departure] = self.left.get(session.room_id, {})
        return sorted((item for item in departures.values() if item.number > session.since), key=lambda it: it.number)


def sent_at(ts: Millis, now: Millis, *, remote: bool) -> Millis:
    """When a message was sent, by this homeserver's clock; another's says what its owner likes: not before ``now``."""
    return max(ts, now) if remote else ts


def left_at(ts: Millis, now: Millis) -> Millis:
    """When somebody left: never later than ``now``, whatever another homeserver says."""
    return min(ts, now)
