"""Find free TCP ports on this machine, and check whether a port is free."""

import errno
import http.client
import socket
import time
import urllib.error
import urllib.request

from adapter.exceptions import ConfigurationError


def free_port() -> int:
    """Return the number of a TCP port that is currently free."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def check_port(host: str, port: int, setting: str, deadline: float) -> None:
    """Wait until a TCP port is free. Raise ConfigurationError if it is not free by ``deadline``.

    The message names ``setting``, the environment variable that sets the port.
    """
    try:
        while not _is_free(host, port, is_final=time.monotonic() >= deadline):
            time.sleep(0.1)
    except OSError as exc:
        problem = (
            f"port {port} is already in use"
            if exc.errno == errno.EADDRINUSE
            else f"cannot listen on {host} port {port}: {exc.strerror}"
        )
        raise ConfigurationError(f"{problem}; set {setting} to a free port") from exc


def _is_free(host: str, port: int, *, is_final: bool) -> bool:
    """Return True if the TCP port is free. On the final check, raise OSError if it is not."""
    try:
        with socket.create_server((host, port)):
            return True
    except OSError as exc:
        if is_final or exc.errno != errno.EADDRINUSE:
            raise
        return False


def is_responding(url: str) -> bool:
    """Return True if an HTTP request to the URL succeeds within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
            return True
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False
