"""Guess the ``format:`` of dates and times, for tools only."""

import re
from typing import Final

#: Date patterns with their formats. A first number over 12 is a day; otherwise it is a month.
DATES: Final = (
    (r"\d{4}-\d{2}-\d{2}", "YYYY-MM-DD"),
    (r"\d{8}", "YYYYMMDD"),
    (r"(?:1[3-9]|2\d|3[01])/\d{1,2}/\d{4}", "DD/MM/YYYY"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "MM/DD/YYYY"),
    (r"\d{1,2}/\d{1,2}/\d{2}", "MM/DD/YY"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "MM-DD-YYYY"),
    (r"[A-Z][a-z]{2} \d{1,2}, \d{4}", "MMM D, YYYY"),
    (r"[A-Z][a-z]{2} \d{1,2} \d{4}", "MMM D YYYY"),
    (r"[A-Z][a-z]{3,8} \d{1,2}, \d{4}", "MMMM D, YYYY"),
    (r"[A-Z][a-z]{3,8} \d{1,2} \d{4}", "MMMM D YYYY"),
)
TIMES: Final = (
    (r"\d{1,2}:\d{2} [AaPp][Mm]", "h:mm A"),
    (r"\d{1,2}:\d{2}[AaPp][Mm]", "h:mmA"),
    (r"\d{1,2}:\d{2}:\d{2} [AaPp][Mm]", "h:mm:ss A"),
    (r"\d{1,2}:\d{2}", "H:mm"),
    (r"\d{1,2}:\d{2}:\d{2}", "H:mm:ss"),
)
COUNTED: Final = ((r"1\d{9}", "epoch"), (r"1\d{12}", "epoch_ms"))
#: Separators of a date and a time of day.
BETWEEN: Final = (" ", ", ")
#: Longer texts are not dates.
LONGEST: Final = 40


def format_from_text(text: str) -> str:
    """Return the format of a date, a time of day, or both; "" for unusual ones."""
    text = text.strip()
    if len(text) > LONGEST:
        return ""
    for shape, format_text in (*COUNTED, *DATES, *TIMES):
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
    """Suggest a format for a value that was read as ISO 8601 and is something else."""
    format_text = format_from_text(value)
    return f"; add format: {format_text}" if format_text and "in ISO 8601" in reason else ""
