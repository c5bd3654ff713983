"""Define limits for the CPU time that a test may take."""

import sys


def at_most(seconds: float) -> float:
    """Return a limit, which is five times as high while coverage traces each line."""
    return seconds * 5 if sys.gettrace() else seconds
