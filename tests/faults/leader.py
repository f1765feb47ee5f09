"""A leader of the log as a process of its own, to be killed and stopped: ``python -m tests.faults.leader``.

Says on stdout what it does, and goes on when a line comes in on stdin.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.inbox import Inbox
from audit.sequencer import Sequencer
from audit.signer import LocalSigner
from config.db import Database, before_commit
from config.errors import ConclaveError
from tests.fakes.hub import ManualClock
from tests.ledger import LOG_KEY, ORIGIN

STALLED_MS = 1_500


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def stop_here(_tx: AsyncConnection | None = None) -> None:
    """Wait, in the middle of what is going on, for the test to say a word."""
    say("waiting")
    await asyncio.to_thread(sys.stdin.readline)


async def lead(url: str, place: Path, where: str) -> None:
    """One batch as the leader, with a stop before it or before its commit."""
    db = Database(url, stalled_ms=STALLED_MS)
    sequencer = Sequencer(db, LocalSigner(LOG_KEY, place / "signer.json"), ORIGIN, Inbox("hub", ManualClock()))
    try:
        async with db.lease("sequencer") as lease:
            await sequencer.lead()
            if where == "before":
                await stop_here()
            else:
                before_commit.set(stop_here)
            await sequencer.step()
            await lease.hold()
            say("done")
    except ConclaveError as error:
        say(error.code)
    finally:
        await db.close()


class LeaderProcess:
    """One of them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> str:
        """The next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            return (await self.process.stdout.readline()).decode().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")


@asynccontextmanager
async def start_leader(url: str, place: Path, where: str) -> AsyncIterator[LeaderProcess]:
    """A leader that waits ``before`` its batch or ``inside`` it; killed when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.leader", url, str(place), where),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        leader = LeaderProcess(process)
        assert await leader.says() == "waiting"
        yield leader
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(lead(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
