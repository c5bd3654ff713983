"""When a request was signed, and whether that is near enough to now.

The unit is never guessed: 1767229200 read as milliseconds is a day in January 1970.
"""

import dataclasses
import datetime as dt
import re

from adapter.exceptions import VerificationError

#: What each unit looks like. Twelve digits of seconds reach the year 33658.
PATTERNS = {
    "s": r"[0-9]{1,12}",
    "ms": r"[0-9]{1,15}",
    "iso8601": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """How a sender writes the time, and how far off it may be."""

    #: ``s``, ``ms`` or ``iso8601``.
    unit: str = "s"
    #: Seconds, to either side: a time far ahead would stay valid for as long as it is ahead.
    tolerance: float = 300.0
    #: The header that carries it; None: the signature's own header does.
    header: str | None = None

    def check(self, text: str, now: float) -> None:
        """Raises :class:`VerificationError` unless ``text`` is within the tolerance of ``now``."""
        if not abs(now - self.seconds_from_text(text)) <= self.tolerance:
            raise VerificationError("timestamp_outside_tolerance")

    def seconds_from_text(self, text: str) -> float:
        """Unix seconds. Raises :class:`VerificationError` for anything but the one format."""
        if not re.fullmatch(PATTERNS[self.unit], text):
            raise VerificationError("timestamp_malformed")
        if self.unit == "iso8601":
            return _seconds_from_iso(text)
        return int(text) / (1000 if self.unit == "ms" else 1)

    def text_from_seconds(self, now: float) -> str:
        """The time as this sender would write it."""
        if self.unit == "iso8601":
            return dt.datetime.fromtimestamp(int(now), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(int(now * 1000) if self.unit == "ms" else int(now))


def _seconds_from_iso(text: str) -> float:
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        # The digits fit, the date does not exist: the 31st of June.
        raise VerificationError("timestamp_malformed") from None
