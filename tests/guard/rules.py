"""The rules of the policy, found in its modules."""

import inspect
from collections.abc import Callable
from typing import Any

import spaces.policy.acts
import spaces.policy.decide
import spaces.policy.rules

MODULES = (spaces.policy.acts, spaces.policy.decide, spaces.policy.rules)


def rules() -> dict[str, Callable[..., Any]]:
    """Every function of the policy that says no, by name."""
    named = [item for module in MODULES for item in vars(module).items() if inspect.isfunction(item[1])]
    return {name: rule for name, rule in named if name.startswith("refuse_") or name in {"decide", "upload_limit"}}
