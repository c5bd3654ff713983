"""Run web or a worker with short delays before alarms, and with a clock that tests can step.

Start it as ``python -m tests.apps.hurried worker``, or as ``... gunicorn`` with the rest of
gunicorn's command line.
"""

import datetime as dt
import importlib
import os
import sys
from pathlib import Path

from adapter import models

#: The factor by which waits are shortened.
SPEED = 20
#: The constants that are divided by it, by module. The order matters: some modules copy them.
HURRIED = {
    "operations.health": (
        "ALIVE", "NO_WORKER_AFTER", "NO_WEB_AFTER", "REFUSED_AFTER", "LEAST_DISK_BYTES",
    ),
    "operations.alarm_watch": (
        "WATCH_SECONDS", "ENDS_AFTER", "PAUSE", "AWAY_AFTER", "CLAIM",
    ),
    "server.heartbeat": ("HEARTBEAT_SECONDS",),
    "webhooks.rejections": ("USE_SECONDS",),
    "bookings.sender": ("TOKEN_CHECK_SECONDS",),
}  # fmt: skip
#: Not shortened, because PostgreSQL does not come back faster than usual.
SETTLING = dt.timedelta(seconds=4)
#: The variable with the path of a file that contains how many seconds this machine's clock is
#: ahead.
CLOCK_FILE = "TESTS_CLOCK_FILE"


def stepped_clock() -> dt.datetime:
    """Return the time of a machine whose clock was stepped."""
    ahead = float(Path(os.environ[CLOCK_FILE]).read_text() or 0)
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ahead)


def hurry() -> None:
    """Change the constants before any other module copies them."""
    models.utc_now = stepped_clock
    for name, constants in HURRIED.items():
        module = importlib.import_module(f"adapter.{name}")
        for constant in constants:
            setattr(module, constant, getattr(module, constant) / SPEED)
    vars(importlib.import_module("adapter.operations.alarm_watch"))["SETTLING"] = SETTLING


if __name__ == "__main__":
    hurry()
    if sys.argv[1] == "gunicorn":
        del sys.argv[1]
        importlib.import_module("gunicorn.app.wsgiapp").run()
    else:
        importlib.import_module("adapter.cli").main()
