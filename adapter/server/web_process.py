"""The command line of the web process: gunicorn."""

import os
import sys

from adapter.settings import Settings


def web_command(settings: Settings) -> list[str]:
    """Return gunicorn's command with threads, because a request mostly waits for one commit."""
    return [
        *(sys.executable, "-m", "gunicorn"),
        *("--bind", f"{settings.host}:{settings.port}"),
        *("--workers", str(settings.web_workers)),
        *("--worker-class", "adapter.server.web_worker.Worker"),
        *("--threads", str(settings.web_threads), "--worker-connections", "800"),
        *("--timeout", "60", "--graceful-timeout", "25", "--keep-alive", "5"),
        *("--log-level", "warning", "--no-control-socket"),
        *("--logger-class", "adapter.server.gunicorn_log.Logger"),
        # By default a client on this machine, also behind a proxy, may change the path and scheme.
        *("--forwarder-headers", "", "--forwarded-allow-ips", ""),
        "--config",
        "python:adapter.server.gunicorn_conf",
        "adapter.server.gunicorn_conf:create_app()",
    ]


def become_web(settings: Settings) -> None:
    """Replace this process with the web server."""
    command = web_command(settings)
    os.execv(command[0], command)  # noqa: S606 - a list of arguments, no shell
