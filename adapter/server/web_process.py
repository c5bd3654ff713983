"""Build and run gunicorn's command line for the web process."""

import os
import sys

from adapter.settings import Settings


def web_command(settings: Settings) -> list[str]:
    """Return gunicorn's command. It uses threads, because requests mostly wait for a commit."""
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


def become_web(settings: Settings) -> None:
    """Replace the current process with the web server."""
    command = web_command(settings)
    os.execv(command[0], command)  # noqa: S606 - a list of arguments without a shell
