"""Propexo's rate limit: so many calls in each minute of the clock."""

import datetime as dt


class MinuteLimit:
    """Counts calls per minute of the clock. Not locked: its owner does that."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._minute: dt.datetime | None = None
        self._used = 0

    def use(self, now: dt.datetime) -> int:
        """Counts one call; the calls left in this minute, negative where it was one too many."""
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return self.limit - self._used

    def is_slow(self, remaining: int) -> bool:
        """Whether the call stands in the last fifth, where Propexo starts to slow down."""
        return (self.limit - remaining) * 5 > self.limit * 4
