"""Wait for a condition, never for a fixed time."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Return as soon as ``holds()`` is true. Fail with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s without success: {what}"
        time.sleep(0.05)
