"""Sends transactions at a steady rate, as a process of its own: the homeserver's part in ``feed_lag``.

``python -m benchmarks.sender URL TOKEN_FILE EVENTS_FILE RATE``: one transaction at a time and in order, as Synapse
does. Each holds one event, and all that are due where the one before was answered late; at rate 0 each goes out as
soon as the one before is answered, and always holds one. Prints JSON: how many transactions, in how many seconds.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

MAX_EVENTS = 100
"""What Synapse puts into one transaction at most."""


def main() -> int:
    """Send everything; 0 when every transaction was taken."""
    url, token_file, events_file, rate = sys.argv[1:]
    token, events = Path(token_file).read_text().strip(), json.loads(Path(events_file).read_text())
    print(json.dumps(asyncio.run(_send(url, token, events, float(rate)))))
    return 0


async def _send(url: str, token: str, events: list[dict[str, Any]], rate: float) -> dict[str, float]:
    sent, transactions, began = 0, 0, time.perf_counter()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        while sent < len(events):
            due = sent + 1
            if rate:
                await asyncio.sleep(max(0.0, began + sent / rate - time.perf_counter()))
                due = max(due, 1 + int((time.perf_counter() - began) * rate))
            some = events[sent : min(due, sent + MAX_EVENTS)]
            path = f"{url}/_matrix/app/v1/transactions/{some[0]['event_id']}"
            async with session.put(path, json={"events": some}) as response:
                response.raise_for_status()
            sent, transactions = sent + len(some), transactions + 1
    return {"transactions": transactions, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    sys.exit(main())
