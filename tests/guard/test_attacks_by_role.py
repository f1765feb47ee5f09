"""Every forbidden act, by every role, against a real Synapse: refused with the right code, and recorded."""

from collections import Counter

import pytest

from tests.guard.attacks import Attack
from tests.guard.attacks_hub import ATTACKS
from tests.guard.cast import Cast, gather_cast
from tests.live import LiveHub, until

ROLES = {"bob", "admin", "host", "vendor", "left", "suspended", "signed_out", "held", "bot"}


@pytest.fixture(scope="module")
async def cast(live: LiveHub) -> Cast:
    return await gather_cast(live)


def test_there_are_enough_of_them_in_every_role() -> None:
    assert len({attack.id for attack in ATTACKS}) == len(ATTACKS) >= 60
    counts = Counter(attack.who for attack in ATTACKS)
    assert counts.keys() == ROLES
    assert sum(1 for attack in ATTACKS if attack.code) >= 60


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
async def test_it_is_refused_and_recorded(cast: Cast, attack: Attack) -> None:
    await refused(cast, attack)


async def refused(cast: Cast, attack: Attack) -> None:
    answer = await attack.do(cast)
    assert (answer.status, answer.body["errcode"]) == (attack.status, attack.errcode), answer
    assert answer.code == ("" if attack.unsaid else attack.code), answer
    if answer.code:
        assert answer.error.startswith("Conclave: ")
        assert f"({attack.code})" in answer.error
    if attack.code:
        actor = {"system": "homeserver"} if attack.nameless else cast.actor(attack.who)

        async def recorded() -> bool:
            return any(
                (entry["actor"], entry["data"]["code"], entry["data"]["act"]) == (actor, attack.code, attack.act)
                for entry in await cast.hub.entries("guard.refused")
            )

        await until(recorded)
