"""Synapse modules of others that say who may be in which room, to be measured beside the guard.

One can be loaded. ``synapse-invite-checker`` (0.3.1 to 0.6.1) asks for a callback, ``on_upgrade_room``, that Synapse
1.163 does not have, and does not start; what PyPI has as ``synapse-domain-rule-checker`` 1.0.0, wheel and source
alike, holds no code.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.stage import MeasurementError

LOCK = Path(__file__).with_name("peers.lock")
MODULES: dict[str, dict[str, Any]] = {
    "synapse-room-access-rules": {"module": "room_access_rules.RoomAccessRules", "config": {"id_server": "localhost"}},
}
"""The peers by their names on PyPI, each as an item of Synapse's ``modules``."""


async def install(folder: Path) -> None:
    """Put the peers into ``folder``, where every Synapse that is started from now on finds them.

    Raises:
        MeasurementError: pip could not fetch them.
    """
    wanted = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    pip = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", *wanted, "--target", str(folder), "-r", str(LOCK)),
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
    )
    if await pip.wait() != 0:
        raise MeasurementError("the modules that the guard is measured beside cannot be installed")
    os.environ["PYTHONPATH"] = str(folder)
