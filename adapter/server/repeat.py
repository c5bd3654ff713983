"""Call a function repeatedly, no matter which errors it raises."""

import logging
import threading
from collections.abc import Callable, MutableMapping

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
    outages: MutableMapping[str, str] | None = None,
) -> None:
    """Call a step, with a pause after each call, until ``stopping`` is set.

    Call ``heartbeat`` with the name of the part before each step. ``outages`` contains the logged
    reasons why parts cannot use PostgreSQL in the current outage; a step that succeeds removes its
    part.
    """
    logged = {} if outages is None else outages
    while not stopping.is_set():
        heartbeat(part)
        try:
            step()
            logged.pop(part, None)
        except StoreUnavailable as exc:
            logged[part] = log_outage(part, exc, logged.get(part))
        except Exception:
            log.exception("worker_part_failed", extra={"part": part})
            stopping.wait(PAUSE_AFTER_BUG_SECONDS)
        stopping.wait(pause_seconds)


def log_outage(part: str, exc: StoreUnavailable, logged: str | None) -> str:
    """Log why a part cannot use PostgreSQL, unless that is already logged. Return the reason."""
    reason = str(exc)
    if reason != logged:
        log.warning("postgresql_unavailable", extra={"part": part, "reason": reason})
    return reason
