"""Check that a request was signed recently.

The unit is never guessed: 1767229200, read as milliseconds, would be in January 1970.
"""

import dataclasses
import datetime as dt
import re

from adapter.exceptions import VerificationError

#: The pattern of each unit. Twelve digits of seconds reach the year 33658.
PATTERNS = {
    "s": r"[0-9]{1,12}",
    "ms": r"[0-9]{1,15}",
    "iso8601": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The unit, tolerance and header of a sender's timestamps."""

    #: ``s``, ``ms`` or ``iso8601``.
    unit: str = "s"
    #: In seconds, in the past and the future. A future timestamp would stay valid for too long.
    tolerance: float = 300.0
    #: The header with the time, or None if it is in the signature header.
    header: str | None = None

    def check(self, text: str, now: float) -> None:
        """Raise :class:`VerificationError` if the timestamp ``text`` is too far from ``now``."""
        if not abs(now - self.seconds_from_text(text)) <= self.tolerance:
            raise VerificationError("timestamp_outside_tolerance")

    def seconds_from_text(self, text: str) -> float:
        """Convert a timestamp to Unix seconds. Raise VerificationError if it is malformed."""
        if not re.fullmatch(PATTERNS[self.unit], text):
            raise VerificationError("timestamp_malformed")
        if self.unit == "iso8601":
            return _seconds_from_iso(text)
        return int(text) / (1000 if self.unit == "ms" else 1)

    def text_from_seconds(self, now: float) -> str:
        """Convert Unix seconds to a timestamp in this sender's format."""
        if self.unit == "iso8601":
            return dt.datetime.fromtimestamp(int(now), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(int(now * 1000) if self.unit == "ms" else int(now))


def _seconds_from_iso(text: str) -> float:
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        # The pattern matches, but the date does not exist, such as June 31.
        raise VerificationError("timestamp_malformed") from None
