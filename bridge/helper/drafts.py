"""What somebody wants to have published, between their message and their yes. In memory only, for ten minutes."""

import re
from collections import OrderedDict
from dataclasses import dataclass

from config.clock import MINUTE, Clock, Millis

KEPT_MS = 10 * MINUTE
MAX_DRAFTS = 1_000
_PARTS = re.compile(r"\s*Q:[ \t]*(?P<question>.*?)\n\s*A:[ \t]*(?P<answer>.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A question, which may be empty, and its answer, from the time ``at`` on."""

    question: str
    answer: str
    at: Millis


class Drafts:
    """One draft for each person and committee, the latest; after a restart there is none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], Draft] = OrderedDict()

    def keep(self, person: str, committee: str, question: str, answer: str) -> None:
        """Keep this in the place of what was there."""
        self._kept[person, committee] = Draft(question=question, answer=answer, at=self._clock())
        self._kept.move_to_end((person, committee))
        while len(self._kept) > MAX_DRAFTS:
            self._kept.popitem(last=False)

    def kept(self, person: str, committee: str) -> Draft | None:
        """What is kept, unless it is too old."""
        found = self._kept.get((person, committee))
        return found if found is not None and self._clock() - found.at <= KEPT_MS else None

    def drop(self, person: str, committee: str) -> None:
        """Forget it."""
        self._kept.pop((person, committee), None)


def parted(text: str) -> tuple[str, str]:
    """``Q: …``, a line break and ``A: …`` as question and answer; anything else is an answer alone."""
    found = _PARTS.fullmatch(text)
    return ("", text) if found is None else (found["question"].strip(), found["answer"])
