"""Guess the ``format:`` of a date or time in a sample, as a hint for users."""

import re
from typing import Final

from adapter.parsing.date_formats import PART_OF_DAY

#: Date patterns and their formats. A first number above 12 is a day; otherwise, it is a month.
DATES: Final = (
    (r"\d{4}-\d{2}-\d{2}", "YYYY-MM-DD"),
    (r"\d{8}", "YYYYMMDD"),
    (r"(?:1[3-9]|2\d|3[01])/\d{1,2}/\d{4}", "DD/MM/YYYY"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "MM/DD/YYYY"),
    (r"\d{1,2}/\d{1,2}/\d{2}", "MM/DD/YY"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "MM-DD-YYYY"),
    (r"[A-Z][a-z]{2} \d{1,2}(?:st|nd|rd|th)?, \d{4}", "MMM D, YYYY"),
    (r"[A-Z][a-z]{2} \d{1,2} \d{4}", "MMM D YYYY"),
    (r"[A-Z][a-z]{3,8} \d{1,2}(?:st|nd|rd|th)?, \d{4}", "MMMM D, YYYY"),
    (r"[A-Z][a-z]{3,8} \d{1,2} \d{4}", "MMMM D YYYY"),
    (r"\d{1,2}(?:st|nd|rd|th)? [A-Z][a-z]{2} \d{4}", "D MMM YYYY"),
    (r"\d{1,2}(?:st|nd|rd|th)? [A-Z][a-z]{3,8} \d{4}", "D MMMM YYYY"),
    (
        r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, [A-Z][a-z]+ \d{1,2}, \d{4}",
        "dddd, MMMM D, YYYY",
    ),
)
TIMES: Final = (
    (r"\d{1,2}:\d{2} ?[AaPp]\.? ?[Mm]\.?", "h:mm A"),
    (r"\d{1,2}:\d{2}:\d{2} ?[AaPp]\.? ?[Mm]\.?", "h:mm:ss A"),
    (r"\d{1,2}:\d{2}", "H:mm"),
    (r"\d{1,2}:\d{2}:\d{2}", "H:mm:ss"),
    (rf"(?i:\d{{1,2}} {PART_OF_DAY})", "h A"),
    (rf"(?i:\d{{1,2}}:\d{{2}} {PART_OF_DAY})", "h:mm A"),
)
#: Unix timestamps, and other formats that programs use for a date with a time.
WHOLE: Final = (
    (r"1\d{9}", "epoch"),
    (r"1\d{12}|/Date\(1\d{12}(?:[+-]\d{4})?\)/", "epoch_ms"),
    (r"\w{3} \w{3} \d\d \d{4} \d\d:\d\d:\d\d GMT[+-]\d{4}.*", "ddd MMM DD YYYY HH:mm:ss Z"),
    (r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d [A-Z]{1,5} \d{4}", "ddd MMM DD HH:mm:ss z YYYY"),
    (r"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "ddd, D MMM YYYY HH:mm:ss Z"),
)
#: Text between a date and a time of day.
BETWEEN: Final = (" ", ", ", " at ", ", at ")
#: What to do about a time that may be only a date.
DATE_ALONE: Final = (
    "; leave it to a person if it is a date without a time. Add offset: trust only if all times "
    "from this sender have the correct offset"
)
#: Options that solve a problem, keyed by a phrase in its reason.
OPTIONS: Final = (
    ("the start or end of a day in", DATE_ALONE),
    (
        "a time of day in UTC,",
        "; add ignore_offset: true if it is local, or offset: trust if it is UTC",
    ),
)
#: Text longer than this is not a date.
LONGEST: Final = 80


def format_from_text(text: str) -> str:
    """Guess the format of a date, a time of day, or both. Return "" if none matches."""
    text = text.strip()
    if len(text) > LONGEST:
        return ""
    for shape, format_text in (*WHOLE, *DATES, *TIMES):
        if re.fullmatch(shape, text):
            return format_text
    for shape, date in DATES:
        for between in BETWEEN:
            found = re.match(shape + between + r"(?=\d)", text)
            time = _time(text[found.end() :]) if found else ""
            if time:
                return f"{date}{between}{time}"
    return ""


def _time(text: str) -> str:
    return next((format_text for shape, format_text in TIMES if re.fullmatch(shape, text)), "")


def hint(value: str, reason: str) -> str:
    """Return a hint such as "; add format: …" for a date that could not be read, or ""."""
    format_text = format_from_text(value) if "in ISO 8601" in reason else ""
    if format_text:
        return f"; add format: {format_text}"
    return next((option for words, option in OPTIONS if words in reason), "")
