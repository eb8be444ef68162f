"""Free loopback ports, and who sits on a taken one."""

import socket

from polybot.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody listens on right now; the system chooses it."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, *, purpose: str, option: str) -> int:
    """Return the port, or refuse it in one sentence.

    Raises:
        ConfigurationError: Somebody listens on it already.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} for {purpose} is in use: stop what listens there, or choose another "
                f"with {option}"
            ) from error
    return port
