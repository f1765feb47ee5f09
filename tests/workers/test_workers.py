"""The guard on a Synapse with workers: the same acts are refused, whichever process is asked."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from spaces.policy.records import Standing
from spaces.store import DocumentStore
from tests.guard.attacks import SEALED, Attack
from tests.guard.attacks_hub import ATTACKS
from tests.guard.cast import Cast, gather_cast, push
from tests.guard.test_attacks_by_role import refused
from tests.live import Answer, User, until
from tests.workers.deployment import WORKERS, WorkerHub, start_worker_hub

pytestmark = pytest.mark.synapse


@pytest.fixture(scope="module")
async def workers(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkerHub]:
    await postgres.execute("CREATE DATABASE synapse TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
    synapse_url = postgres.url("synapse").replace("+asyncpg", "")
    async with start_worker_hub(tmp_path_factory.mktemp("workers"), synapse_url, await postgres.fresh()) as hub:
        yield hub


@pytest.fixture(scope="module")
async def cast(workers: WorkerHub) -> Cast:
    return await gather_cast(workers)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
async def test_it_is_refused_and_recorded(cast: Cast, attack: Attack) -> None:
    await refused(cast, attack)


async def say(hub: WorkerHub, worker: str, user: User, room: str, number: int) -> Answer:
    """Send through one worker."""
    url = f"{hub.workers[worker]}/_matrix/client/v3/rooms/{room}/send/m.room.encrypted/{worker}{number}"
    return await hub.request("PUT", url, dict(SEALED), token=user.token)


async def test_a_document_is_in_force_on_every_process_and_never_goes_back(workers: WorkerHub) -> None:
    scene = await workers.stage()
    for number, worker in enumerate(WORKERS):
        assert (await say(workers, worker, scene.bob, scene.room, number)).status == 200, "each has it in memory now"
    async with workers.hub.services.db.read() as connection:
        record = await DocumentStore(connection).person(scene.bob.user_id)
    assert record is not None
    await push(workers, replace(record, standing=Standing.SUSPENDED))
    began = time.monotonic()
    for worker in WORKERS:

        async def shut(worker: str = worker) -> bool:
            return (await say(workers, worker, scene.bob, scene.room, 100)).status == 403

        await until(shut, 5)
    print(f"in force on both workers after {(time.monotonic() - began) * 1000:.0f} ms")  # noqa: T201  # a figure to read
    stale = workers.hub.services.publisher
    async with workers.hub.services.db.begin() as tx:
        await DocumentStore(tx).put(record, 1)
    with pytest.raises(Exception, match=r"is at version .* refusing version"):
        await stale.publish()
    for worker in WORKERS:
        answer = await say(workers, worker, scene.bob, scene.room, 200)
        assert (answer.status, answer.body["errcode"]) == (403, "ORG_MATRIX_EXPIRED_ACCOUNT")


async def test_the_workers_did_the_work(workers: WorkerHub, cast: Cast) -> None:
    sent = [await say(workers, worker, cast.bob, cast.room, 1) for worker in WORKERS]
    assert [answer.status for answer in sent] == [200, 200]
    assert min(workers.served[worker] for worker in WORKERS) > len(ATTACKS) // 4, workers.served
