"""Parse a community's ``tour_hours``, the hours on each weekday when tours can start."""

import datetime as dt
import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields

#: The opening and closing time of each weekday. Monday is 0, and closed days are missing.
Hours = Mapping[int, tuple[dt.time, dt.time]]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = re.compile(r"(\d{1,2})(?::(\d{2}))? ?(?:([ap])\.?m\.?)?", re.IGNORECASE)
CLOSED: Final = "closed"


class TourHours(fields.Field[Any]):
    """A schema field for hours such as ``mon-fri: "9:00 AM-6:00 PM"``."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Hours:
        if not isinstance(value, Mapping) or not value:
            raise ValidationError("must be lines such as 'mon-fri: \"9:00 AM-6:00 PM\"'")
        return hours_from_texts(value)


def hours_from_texts(texts: Mapping[str, Any]) -> Hours:
    """Parse the hours of each weekday. Raise ValidationError with each line's problems."""
    found: dict[int, tuple[dt.time, dt.time]] = {}
    problems: dict[str, Any] = {}
    for days, text in texts.items():
        try:
            hours = _hours_from_text(str(text))
            found |= dict.fromkeys(_days_from_text(str(days)), hours) if hours else {}
        except ValueError as exc:
            problems[str(days)] = [str(exc)]
    if problems:
        raise ValidationError(problems)
    return found


def texts_from_hours(hours: Hours) -> dict[str, str]:
    """Format hours as in communities.yaml. Consecutive days with equal hours share a line."""
    texts: dict[str, str] = {}
    for _, group in itertools.groupby(sorted(hours), lambda day: (hours[day], _run(day, hours))):
        days = list(group)
        names = [DAYS[days[0]], *([DAYS[days[-1]]] if days[1:] else [])]
        opens, closes = hours[days[0]]
        texts["-".join(names)] = f"{_text_from_time(opens)}-{_text_from_time(closes)}"
    return texts


def _run(day: int, hours: Hours) -> int:
    """Return the first day in the run of consecutive open days that ends with ``day``."""
    return day if day - 1 not in hours else _run(day - 1, hours)


def _text_from_time(at: dt.time) -> str:
    return f"{at.hour % 12 or 12}:{at.minute:02} {'PM' if at.hour >= 12 else 'AM'}"


def _days_from_text(text: str) -> list[int]:
    """Parse weekdays such as ``mon-fri`` or ``sat, sun``. Raise ValueError for an unknown day."""
    days: list[int] = []
    for part in text.lower().split(","):
        first, _, last = (one.strip() for one in part.partition("-"))
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError(f"must be weekdays such as mon-fri or sat, from {', '.join(DAYS)}")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days += [day % 7 for day in range(start, end + 1 + 7 * (end < start))]
    return days


def _hours_from_text(text: str) -> tuple[dt.time, dt.time] | None:
    """Parse hours such as ``9:00 AM-6:00 PM``. Return None for ``closed``."""
    if text.strip().lower() == CLOSED:
        return None
    first, _, last = (one.strip() for one in text.replace("\u2013", "-").partition("-"))
    opens, closes = _time_from_text(first), _time_from_text(last)
    if opens is None or closes is None or opens >= closes:
        raise ValueError('must be hours such as "9:00 AM-6:00 PM", or closed')
    return opens, closes


def _time_from_text(text: str) -> dt.time | None:
    match = _TIME.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (match[3].lower() == "p")
    return dt.time(hour, minute) if hour < 24 and minute < 60 else None
