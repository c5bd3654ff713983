"""Build gunicorn's command line, and run it as the web process."""

import os
import sys
import tempfile
import time

from adapter.exceptions import ConfigurationError
from adapter.server.ports import check_port
from adapter.settings import Settings

#: How long to wait for the port, which the previous process may still be using.
PORT_SECONDS = 2.0


def web_command(settings: Settings) -> list[str]:
    """Return gunicorn's command line, with threaded workers."""
    return [
        *(sys.executable, "-m", "gunicorn"),
        *("--bind", f"{settings.host}:{settings.port}"),
        *("--workers", str(settings.web_workers)),
        *("--worker-class", "adapter.server.web_worker.Worker"),
        *("--threads", str(settings.web_threads), "--worker-connections", "800"),
        *("--timeout", "60", "--graceful-timeout", "25", "--keep-alive", "5"),
        *("--log-level", "warning", "--no-control-socket"),
        *("--logger-class", "adapter.server.gunicorn_log.Logger"),
        # By default, gunicorn lets clients on this machine, such as a proxy, change the path and
        # scheme.
        *("--forwarder-headers", "", "--forwarded-allow-ips", ""),
        "--config",
        "python:adapter.server.gunicorn_conf",
        "adapter.server.gunicorn_conf:create_app()",
    ]


def check_listening(settings: Settings) -> None:
    """Raise ConfigurationError with a short message if gunicorn would fail to start."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise ConfigurationError(
            "no temporary folder is writable: mount a tmpfs at /tmp, or set TMPDIR"
        ) from None
    if "LISTEN_FDS" not in os.environ:  # otherwise, systemd has opened the port
        check_port(settings.host, settings.port, "PORT", time.monotonic() + PORT_SECONDS)


def become_web(settings: Settings) -> None:
    """Replace the current process with gunicorn."""
    command = web_command(settings)
    os.execv(command[0], command)  # noqa: S606 - a list of arguments without a shell
