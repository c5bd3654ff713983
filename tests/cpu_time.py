"""Limit a function's work by the number of calls that it makes, or by generous CPU time."""

import itertools
import sys
from collections.abc import Callable
from types import FrameType


def at_most(seconds: float) -> float:
    """Return three times the usual CPU time, or fifteen times if coverage traces each line.

    A busy machine needs it. What these tests look for, work that grows with the square of the
    input, takes a hundred times as long.
    """
    return seconds * (15 if sys.gettrace() else 3)


def calls(function: Callable[[], object]) -> int:
    """Return how many calls a function makes, which is the same on every machine."""
    made = itertools.count()

    def count(_: FrameType, event: str, __: object) -> None:
        if event in ("call", "c_call"):
            next(made)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return next(made)
