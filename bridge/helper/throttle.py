"""How many messages of one person the helper answers in a while. In memory only."""

from collections import OrderedDict, deque

from config.clock import MINUTE, Millis

PER_MINUTE = 30
MAX_PEOPLE = 10_000


class Throttle:
    """At most thirty messages of a person in a minute; the same message asked about again counts once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, deque[tuple[Millis, str]]] = OrderedDict()

    def admits(self, user_id: str, tag: str, now: Millis) -> bool:
        """Whether this message may be answered."""
        recent = self._seen.setdefault(user_id, deque())
        self._seen.move_to_end(user_id)
        if len(self._seen) > MAX_PEOPLE:
            self._seen.popitem(last=False)
        while recent and recent[0][0] <= now - MINUTE:
            recent.popleft()
        if any(seen == tag for _, seen in recent):
            return True
        if len(recent) >= PER_MINUTE:
            return False
        recent.append((now, tag))
        return True
