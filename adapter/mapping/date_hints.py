"""How dates and times look, and the ``format:`` to write for them: guesses, for tools only."""

import re
from typing import Final

#: A date, and its format. Of two numbers the one over 12 is the day; else the month is first.
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
#: What stands between a date and a time of day.
BETWEEN: Final = (" ", ", ")
#: What is longer is no date.
LONGEST: Final = 40


def format_from_text(text: str) -> str:
    """The format of a date, a time of day, or both; empty where it has none of the usual shapes."""
    text = text.strip()
    if len(text) > LONGEST:
        return ""
    for shape, made in (*COUNTED, *DATES, *TIMES):
        if re.fullmatch(shape, text):
            return made
    for shape, date in DATES:
        for between in BETWEEN:
            found = re.match(shape + between + r"(?=\d)", text)
            time = _time(text[found.end() :]) if found else ""
            if time:
                return f"{date}{between}{time}"
    return ""


def _time(text: str) -> str:
    return next((made for shape, made in TIMES if re.fullmatch(shape, text)), "")


def hint(value: str, reason: str) -> str:
    """What to add to a mapping whose field reads ISO 8601 and was given something else."""
    made = format_from_text(value)
    return f"; add format: {made}" if made and "in ISO 8601" in reason else ""
