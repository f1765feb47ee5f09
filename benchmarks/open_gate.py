"""A Synapse module that lets everything through: what Synapse's callback itself costs, without a policy of ours."""

from typing import Any


class OpenGate:
    """Asks for the callback that the guard needs, and always says yes."""

    def __init__(self, _config: dict[str, Any], api: Any) -> None:
        api.register_third_party_rules_callbacks(check_event_allowed=self.check_event_allowed)

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        """There is nothing to set."""
        return config

    async def check_event_allowed(self, _event: Any, _state: Any) -> tuple[bool, None]:
        """Let everything through."""
        return True, None
