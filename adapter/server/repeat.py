"""Call a function repeatedly, even after errors."""

import logging
import threading
from collections.abc import Callable

from adapter.exceptions import StoreUnavailable

log = logging.getLogger(__name__)

#: Pause after an unexpected error, so that repeated errors do not fill the log.
PAUSE_AFTER_BUG_SECONDS = 5.0


def repeat(
    part: str,
    step: Callable[[], object],
    pause_seconds: float,
    stopping: threading.Event,
    heartbeat: Callable[[str], object] = lambda _: None,
) -> None:
    """Call ``step`` repeatedly, with a pause after each call, until ``stopping`` is set.

    Before each step, call ``heartbeat`` with ``part``.
    """
    while not stopping.is_set():
        heartbeat(part)
        try:
            step()
        except StoreUnavailable:
            pass  # it is logged where it is raised
        except Exception:
            log.exception("worker_part_failed", extra={"part": part})
            stopping.wait(PAUSE_AFTER_BUG_SECONDS)
        stopping.wait(pause_seconds)
