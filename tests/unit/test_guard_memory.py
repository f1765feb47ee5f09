"""What the guard remembers of its documents, in one process."""

from bridge.guard.memory import UNKNOWN, Memory
from spaces.policy.records import PersonRecord, Standing

BOB = PersonRecord(user_id="@bob:hub.test", person="prs_b", company="acme", standing=Standing.ACTIVE)
AT = ("person", BOB.user_id)


def made_up(memory: Memory, count: int) -> list[tuple[str, str]]:
    names = [("person", f"@made-up{number}:hub.test") for number in range(count)]
    for name in names:
        memory.remember(name, None)
    return names


def test_made_up_names_do_not_fill_the_memory() -> None:
    memory = Memory(max_absent=10)
    names = made_up(memory, 35)
    assert [name for name in names if memory.recall(name) is None] == names[30:]


def test_records_stay_when_made_up_names_are_forgotten() -> None:
    memory = Memory(max_absent=10)
    memory.remember(AT, BOB)
    made_up(memory, 35)
    assert memory.recall(AT) == BOB


def test_what_changed_is_unknown_until_it_is_read_again() -> None:
    memory = Memory()
    memory.remember(AT, None)
    memory.invalidate(AT)
    assert memory.recall(AT) is UNKNOWN
    memory.remember(AT, BOB)
    memory.invalidate_all()
    assert (memory.recall(AT), memory.changes) == (UNKNOWN, 2)
