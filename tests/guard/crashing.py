"""The guard with rules that crash on demand: the one whose name stands in the file ``crash`` beside its token."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from synapse.module_api import ModuleApi

import bridge.guard.acts
import bridge.guard.module
import spaces.policy.acts
import spaces.policy.decide
import spaces.policy.rules
from bridge.guard.module import Guard, GuardConfig
from tests.guard.rules import rules

PLACES = (
    bridge.guard.acts,
    bridge.guard.module,
    spaces.policy.acts,
    spaces.policy.decide,
    spaces.policy.rules,
)


class CrashingGuard(Guard):
    """Everything as it is, but for the rules."""

    _crash: Path

    def __init__(self, config: GuardConfig, api: ModuleApi) -> None:
        broken = {name: _breakable(name, rule, self._crash) for name, rule in rules().items()}
        for module in PLACES:
            for name in broken.keys() & vars(module).keys():
                setattr(sys.modules[module.__name__], name, broken[name])
        super().__init__(config, api)

    @staticmethod
    def parse_config(config: dict[str, Any]) -> GuardConfig:
        CrashingGuard._crash = Path(config["token_file"]).parent / "crash"
        return Guard.parse_config(config)


def _breakable(name: str, rule: Callable[..., Any], crash: Path) -> Callable[..., Any]:
    @wraps(rule)
    def run(*arguments: Any, **more: Any) -> Any:
        if crash.exists() and crash.read_text() == name:
            raise RuntimeError(f"{name} crashes")
        return rule(*arguments, **more)

    return run
