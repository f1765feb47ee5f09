"""How long one decision takes, and what the guard's memory holds, with ten companies and with very many."""

import gc
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from benchmarks.plan import Plan
from benchmarks.report import Aim, Of, Row, compare, percentile
from spaces.policy.decide import decide
from spaces.policy.records import Admission, Charter, CompanyRecord, MappingRoster, PersonRecord, RoomKind, Standing
from spaces.policy.rules import EventRequest

BOT = "@conclave:hub.example"
NOW = 1_800_000_000_000
PEOPLE = 10
SEALED = {
    "algorithm": "m.megolm.v1.aes-sha2",
    "ciphertext": "A" * 600,
    "session_id": "c2Vzc2lvbg",
    "device_id": "DEVICE",
    "sender_key": "k" * 43,
}


async def run(plan: Plan) -> Sequence[Row]:
    """Decisions about messages of people all over the roster; the small roster and the large one in turn."""
    small, large = _World(10), _World(plan.size(100_000, 1_000))
    rounds = [(large.times(20_000), small.times(20_000)) for _ in range(plan.size(7, 2))]
    rows = []
    for percent, most in ((50, 5.0), (99, 50.0)):
        pairs = [(percentile(ours, percent), percentile(floor, percent)) for ours, floor in rounds]
        what = f"one decision, p{percent}, {large.size:,} companies"
        rows.append(compare(what, "µs", pairs, "10 companies", Aim(of=Of.OURS, most=most)))
    del small, large
    gc.collect()
    tracemalloc.start()
    world = _World(plan.size(100_000, 1_000))
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    what = f"memory of {world.size:,} companies and {world.size * PEOPLE:,} people"
    return [*rows, compare(what, "MB", [(megabytes, world.size * PEOPLE * 100 / 1e6)], "100 bytes a person")]


class _World:
    """So many companies with ten people each, and a charter for each company with the host."""

    def __init__(self, size: int) -> None:
        self.size = size
        names = [f"company{number}" for number in range(size)]
        companies = {name: CompanyRecord(company=name, name=name.title(), standing=Standing.ACTIVE) for name in names}
        people = {person.user_id: person for name in names for person in _people(name)}
        self._roster = MappingRoster(companies=companies, people=people)
        self._charters = {name: _charter(name) for name in names}

    def times(self, count: int) -> list[float]:
        """Microseconds of ``count`` decisions, each about another company."""
        step = max(1, self.size // count)
        names = list(islice(cycle(islice(self._charters, 0, None, step)), count))
        found = []
        for name in names:
            request = EventRequest(sender=f"@p3.{name}:hub.example", type="m.room.encrypted", content=SEALED)
            charter = self._charters[name]
            began = time.perf_counter_ns()
            refusal = decide(request, charter, self._roster, NOW, BOT)
            found.append((time.perf_counter_ns() - began) / 1_000)
            if refusal is not None:
                raise AssertionError(f"a member's message was refused: {refusal}")
        return found


def _people(company: str) -> Iterator[PersonRecord]:
    for number in range(PEOPLE):
        yield PersonRecord(
            user_id=f"@p{number}.{company}:hub.example",
            person=f"prs_{company}_{number}",
            company=company,
            standing=Standing.ACTIVE,
        )


def _charter(company: str) -> Charter:
    return Charter(
        key=f"rm_{company}",
        engagement=company,
        kind=RoomKind.ROOM,
        name="Deals",
        topic="Prices.",
        admits=(Admission(company="host", team="north"), Admission(company=company)),
        companies=("host", company),
    )
