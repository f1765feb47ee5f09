"""Addresses to listen on."""

import errno
import os
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
    if error.errno == errno.EADDRINUSE:
        return PortError(
            f"cannot listen on {host}:{port}: another program uses it", hint=f"choose another port with {setting}"
        )
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    hint = "listen on an address of this machine, such as 127.0.0.1: hub.listen, homeserver.listen"
    return PortError(f"cannot listen on {host}:{port}: {reason}", hint=hint)
