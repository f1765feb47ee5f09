"""What Synapse's configuration says differently when there are partners with homeservers of their own."""

from typing import Any

from config.settings import FederationSettings

RESOURCE = {"names": ["federation"], "compress": False}
"""The resource of the listener; the reverse proxy in front of it ends TLS."""


def federation_config(settings: FederationSettings) -> dict[str, Any]:
    """Top-level keys of ``homeserver.yaml``, over the hardening that closes federation altogether; empty without it.

    The whitelist is Synapse's own, in both directions, and is read at its start: no server that the operator did not
    name gets past authentication, is asked for anything, or has its users in any room.
    """
    if not settings.enabled:
        return {}
    return {
        "federation_domain_whitelist": sorted(settings.servers),
        # A partner's server that is down fails an invitation soon, and is tried again within the hour when it is back.
        "federation": {"client_timeout": "15s", "max_short_retries": 1, "destination_max_retry_interval": "1h"},
    }
