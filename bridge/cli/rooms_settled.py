"""Waiting until the rooms of an engagement are as they should be."""

import time
from typing import Any

from bridge.cli.client import HubClient
from bridge.cli.output import note

PATIENCE_S = 120
LOOK_S = 0.2


def settled(client: HubClient, path: str) -> dict[str, Any]:
    """What is at ``path`` once its rooms are as they should be, or as it is when patience ends."""
    ends, told = time.monotonic() + PATIENCE_S, ""
    while True:
        found = client.get(path)
        problem = next((room["problem"] for room in found["rooms"] if room["problem"]), "")
        if problem and problem != told:
            note(f"  … {problem}; it is tried again")
            told = problem
        if found["settled"] or time.monotonic() > ends:
            return found
        time.sleep(LOOK_S)
