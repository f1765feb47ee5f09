"""Who shares a room with whom, as Synapse's own database has it. Runs inside one of Synapse's transactions."""

from collections.abc import Collection

from bridge.guard.store import Cursor

CHUNK = 200


def sharing_a_room(txn: Cursor, user: str, others: Collection[str]) -> set[str]:
    """Those of ``others`` who are in a room, or invited to one, that ``user`` is in; oneself always is."""
    found = {user} & set(others)
    wanted = sorted(set(others) - {user})
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        marks = ", ".join("?" * len(part))
        txn.execute(
            f"""SELECT DISTINCT theirs.state_key FROM current_state_events AS mine
                JOIN current_state_events AS theirs ON theirs.room_id = mine.room_id
                WHERE mine.type = 'm.room.member' AND mine.state_key = ? AND mine.membership = 'join'
                AND theirs.type = 'm.room.member' AND theirs.membership IN ('join', 'invite')
                AND theirs.state_key IN ({marks})""",  # noqa: S608  # place holders alone
            (user, *part),
        )
        found |= {row[0] for row in txn.fetchall()}
    return found
