"""Synapse modules of others that say who may be in which room, to be measured beside the guard.

Two can be loaded. What PyPI has as ``synapse-domain-rule-checker`` 1.0.0, wheel and source alike, holds no code.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.stage import MeasurementError

LOCK = Path(__file__).with_name("peers.lock")
_NOWHERE = "http://127.0.0.1:9"
"""Where the invite checker would fetch its list of servers; it says once that it cannot, and goes on."""
MODULES: dict[str, dict[str, Any]] = {
    "synapse-room-access-rules": {"module": "room_access_rules.RoomAccessRules", "config": {"id_server": "localhost"}},
    "synapse-invite-checker": {
        "module": "synapse_invite_checker.InviteChecker",
        "config": {"tim-type": "pro", "federation_list_url": f"{_NOWHERE}/list", "gematik_ca_baseurl": _NOWHERE},
    },
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
