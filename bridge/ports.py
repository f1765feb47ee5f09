"""Addresses to listen on."""

import socket

from config.errors import ConclaveError


class PortError(ConclaveError):
    """An address cannot be listened on."""

    code = "port"


def check_port(host: str, port: int, setting: str) -> None:
    """Return when ``host:port`` can be listened on.

    Raises:
        PortError: It cannot; ``setting`` is what to change.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise port_error(host, port, error, setting) from None


def port_error(host: str, port: int, error: OSError, setting: str) -> PortError:
    """What went wrong, in one sentence."""
    reason = "another program uses it" if "in use" in str(error) else (error.strerror or str(error))
    return PortError(f"cannot listen on {host}:{port}: {reason}", hint=f"choose another port with {setting}")
