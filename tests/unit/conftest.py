"""Properties run without a deadline, for the machine may be busy; and the trails of one log."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from audit.index import Scope
from config.db import Database
from tests.ledger import Files, export, make_log
from tests.trails import FABRIKAM, NORTHWIND, OURS, ordered, traffic, trail

settings.register_profile("conclave", deadline=None)
settings.load_profile("conclave")


@pytest.fixture(scope="session")
async def trails(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Files]:
    """Of one log: the trail of a partner, an older one, that of a room, of another partner, and the whole export."""
    place = tmp_path_factory.mktemp("trail")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    ledger = await make_log(db, place, [*traffic(1), ordered(None), *traffic(150)[1:]])
    found = {"older": await trail(ledger, NORTHWIND)}
    await ledger.append(traffic(300)[150:])
    found["company"] = await trail(ledger, NORTHWIND, later=traffic(400)[300:])
    found["room"] = await trail(ledger, Scope("room", OURS))
    found["other"] = await trail(ledger, FABRIKAM)
    found["whole"] = await export(db)
    await db.close()
    return found


@pytest.fixture
def ours(trails: Mapping[str, Files]) -> Files:
    return trails["company"]
