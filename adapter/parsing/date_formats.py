"""Compile date formats such as ``MM/DD/YYYY h:mm A`` for use in mappings."""

import dataclasses
import datetime as dt
import decimal
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from adapter.exceptions import Unreadable
from adapter.parsing.text import CAP_NUMBER, clean_text

#: Meaning and number of digits of each token (0: one or two, None: not a number).
TOKENS: Final[dict[str, tuple[str, int | None]]] = {
    "YYYY": ("year", 4),
    "YY": ("year", 2),
    "MMMM": ("month", None),
    "MMM": ("month", None),
    "MM": ("month", 2),
    "M": ("month", 0),
    "DD": ("day", 2),
    "D": ("day", 0),
    "dddd": ("weekday", None),
    "ddd": ("weekday", None),
    "HH": ("hour", 2),
    "H": ("hour", 0),
    "hh": ("hour", 2),
    "h": ("hour", 0),
    "mm": ("minute", 2),
    "ss": ("second", 2),
    "A": ("half of the day", None),
    "Z": ("offset", None),
    "z": ("zone", None),
}

#: Formats for Unix timestamps, with their units per second.
EPOCHS: Final = {"epoch": 1, "epoch_ms": 1000}

MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: The names in English, Spanish and French, without accents.
_MONTH_NAMES: Final = (
    MONTHS,
    (
        *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre"),
        *("octubre", "noviembre", "diciembre"),
    ),
    (
        *("janvier", "fevrier", "mars", "avril", "mai", "juin", "juillet", "aout", "septembre"),
        *("octobre", "novembre", "decembre"),
    ),
)
_WEEKDAY_NAMES: Final = (
    WEEKDAYS,
    ("lunes", "martes", "miercoles", "jueves", "viernes", "sabado", "domingo"),
    ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
)

NOON_TO_8: Final = (12, *range(1, 9))
#: The hours that may precede a part of the day, in English, Spanish and French without accents, and
#: how many hours later they are in the 24-hour day. At other hours, the words have two meanings: in
#: Spanish, "12 de la mañana" may be noon.
PARTS_OF_DAY: Final[Mapping[str, tuple[Sequence[int], int]]] = {
    **dict.fromkeys(("manana", "madrugada", "morning", "matin"), (range(1, 12), 0)),
    **dict.fromkeys(("tarde", "afternoon", "apres-midi"), (NOON_TO_8, 12)),
    **dict.fromkeys(("noche", "night", "evening", "soir"), (range(5, 12), 12)),
}
#: A regular expression for a part of the day.
PART_OF_DAY: Final = (
    r"(?:(?:de|por|en) la|in the|at|du|de l['\u2019])\s?"
    r"(?:ma[n\u00f1]ana|madrugada|tarde|noche|morning|afternoon|evening|night|matin|soir"
    r"|apr[e\u00e8]s-midi)"
)
#: Words without token letters need no brackets. yyyy is a typo for YYYY, not a word.
_BARE_WORD: Final = (
    r"(?<![A-Za-z])(?!(?P<same>[A-Za-z])(?P=same)*(?![A-Za-z]))"
    r"[BCE-GI-LN-Xa-ce-gi-ln-rt-y]{2,}(?![A-Za-z])"
)
_PIECE: Final = re.compile(
    rf"\[(?P<words>[^][]+)\]|(?P<word>{_BARE_WORD})"
    r"|(?P<token>(?P<letter>[A-Za-z])(?P=letter)*)|(?P<literal>.)",
    re.DOTALL,
)
#: Regular expressions by meaning, except for numbers of one or two digits. They also match "12th",
#: "p.m.", "P", "GMT-0700" and a comment after an offset.
_PATTERNS: Final = {
    "month": r"[^\W\d_]{3,10}\.?",
    "weekday": r"[^\W\d_]{3,9}\.?",
    "day": "[0-9]{1,2}(?:st|nd|rd|th)?",
    "minute": "[0-5][0-9]",
    "second": "[0-5][0-9](?:[.,][0-9]{1,9})?",
    "half": rf"(?:{PART_OF_DAY}|[ap](?:\.?\s?m)?\.?)",
    "offset": r"(?:(?:UTC|GMT)?\s?[+-][0-9]{2}(?::?[0-9]{2})?|Z|UTC|GMT)(?:\s?\([^()]*\))?",
    "zone": "[a-z]{1,5}",
}
_OFFSET: Final = re.compile(r"[A-Z]*\s?(?:([+-][0-9]{2}):?([0-9]{2})?)?", re.IGNORECASE)
#: .NET writes ``/Date(1773520200000-0600)/``. The offset does not affect the instant.
_NUMBER: Final = re.compile(
    r"(?:/Date\()?(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)(?:(?:[+-][0-9]{4})?\)/)?"
)


class ZoneAbbreviation(dt.tzinfo):
    """A time zone abbreviation such as MST, which does not determine the UTC offset by itself."""

    def __init__(self, name: str) -> None:
        self.name = name

    def utcoffset(self, _: dt.datetime | None) -> None:
        """Return None, because the offset is unknown."""

    dst = utcoffset

    def tzname(self, _: dt.datetime | None) -> str:
        """Return the abbreviation of the time zone."""
        return self.name


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A date format, compiled to a regular expression."""

    #: As written in the mapping.
    text: str
    #: True if the format contains the year, month and day.
    has_date: bool = True
    #: True if the format contains at least the hour.
    has_time: bool = True
    #: None for ``epoch`` and ``epoch_ms``.
    pattern: re.Pattern[str] | None = None

    def parse(self, text: str) -> dt.datetime:
        """Parse a date and time. The result has a time zone if the text contains an offset.

        Its ``tzname()`` is the time zone abbreviation, if the format has one. Raise
        :class:`~adapter.exceptions.Unreadable` if the text does not match the format.
        """
        text = clean_text(text, CAP_NUMBER)
        try:
            if self.pattern is None:
                return _datetime_from_epoch(text, EPOCHS[self.text])
            match = self.pattern.fullmatch(text)
            if match:
                return _datetime_from_words(match.groupdict())
        except (LookupError, ValueError, OverflowError):
            pass
        raise Unreadable(f"not written as {self.text}")


def compile_format(text: str) -> Format:
    """Compile a date format, or ``epoch`` or ``epoch_ms``. Raise ValueError if it is invalid."""
    if text in EPOCHS:
        return Format(text=text)
    pieces = [(found["token"], _literal(found, text)) for found in _PIECE.finditer(text)]
    tokens = [token for token, _ in pieces if token]
    if not tokens:
        raise ValueError(f"{text!r} is not a date format; use tokens such as {' '.join(TOKENS)}")
    meanings = [TOKENS[token][0] for token in tokens]
    _check_meanings(tokens, meanings, text)
    has_fixed_width = _has_adjacent_numbers([token for token, _ in pieces], text)
    pattern = "".join(
        _token_pattern(token, has_fixed_width=has_fixed_width) if token else literal
        for token, literal in pieces
    )
    return Format(
        text=text,
        has_date={"year", "month", "day"} <= set(meanings),
        has_time="hour" in meanings,
        pattern=re.compile(pattern.replace(r"\s+\s*", r"\s*"), re.IGNORECASE),
    )


def _literal(found: re.Match[str], text: str) -> str:
    """Return the regular expression for literal text in a format, or "" for a token.

    Raise ValueError for an unknown token or an unquoted word.
    """
    token, literal = found["token"], found["literal"] or ""
    words = found["words"] or found["word"] or ""
    if (token and token not in TOKENS) or literal.isalnum() or not (words + literal).isprintable():
        hint = "write A for AM and PM; " if found[0] in ("a", "am", "pm", "AM", "PM") else ""
        raise ValueError(
            f"{found[0]!r} in {text!r} is not one of {' '.join(TOKENS)}; "
            f"{hint}write words in brackets, such as [the]"
        )
    return r"\s+" if literal == " " else re.escape(words + literal)


def _check_meanings(tokens: Sequence[str], meanings: Sequence[str], text: str) -> None:
    for meaning in meanings:
        if meanings.count(meaning) > 1:
            raise ValueError(f"{text!r} contains the {meaning} twice")
    if "hour" in meanings and "A" not in tokens and re.search(PART_OF_DAY, text, re.IGNORECASE):
        raise ValueError(
            f"{text!r} contains a part of the day in place of A; write h and A, which also reads "
            "words such as 'de la tarde' and 'in the morning'"
        )
    is_12_hour = {"h", "hh"} & set(tokens)
    if is_12_hour and "A" not in tokens:
        raise ValueError(f"{text!r} contains h, which needs A for AM or PM (use H for 0 to 23)")
    if "A" in tokens and not is_12_hour:
        raise ValueError(f"{text!r} contains A, which needs h instead of H")
    if "mm" in tokens and "hour" not in meanings:
        raise ValueError(f"{text!r} contains mm (minutes) without an hour; the month is MM")
    if "ss" in tokens and "mm" not in tokens:
        raise ValueError(f"{text!r} contains ss without mm")


def _has_adjacent_numbers(tokens: Sequence[str | None], text: str) -> bool:
    """Return True if numbers in the format are not separated, as in ``YYYYMMDD``."""
    widths = [TOKENS[token][1] if token else None for token in tokens]
    has_adjacent = any(a is not None and b is not None for a, b in itertools.pairwise(widths))
    if has_adjacent and 0 in widths:
        raise ValueError(f"{text!r}: adjacent numbers need a fixed width (MM, DD, HH, hh)")
    return has_adjacent


def _token_pattern(token: str, *, has_fixed_width: bool) -> str:
    meaning, width = TOKENS[token]
    name = meaning.split()[0]
    if meaning == "year" or (has_fixed_width and width and meaning != "second"):
        pattern = f"[0-9]{{{width}}}"
    elif meaning == "month" and width is not None:
        pattern = "[0-9]{1,2}"
    else:
        pattern = _PATTERNS.get(name, "[0-9]{1,2}")
    # The space before AM or PM is optional.
    return (r"\s*" if name == "half" else "") + f"(?P<{name}>{pattern})"


def _datetime_from_words(words: Mapping[str, str]) -> dt.datetime:
    """Convert the parts of a date to a datetime. Raise LookupError or ValueError if invalid."""
    parsed = dt.datetime(
        _year(words.get("year", "1900")),
        _number(words.get("month", "1"), _MONTH_NAMES),
        int(words.get("day", "1").rstrip("stndrhSTNDRH")),
        _hour(int(words.get("hour", 0)), words.get("half", "")),
        int(words.get("minute", 0)),
        int(words.get("second", "0")[:2]),
        tzinfo=_tzinfo(words),
    )
    if "weekday" in words and _number(words["weekday"], _WEEKDAY_NAMES) != parsed.isoweekday():
        raise Unreadable("the weekday does not match the date")
    return parsed


def _hour(hour: int, half: str) -> int:
    """Convert an hour to the 24-hour clock. Raise ValueError if it does not fit AM, PM or a part.

    ``half`` is "" for an hour that is already on that clock.
    """
    if not half:
        return hour
    part = re.split(r"[\s'\u2019]", _without_accents(half))[-1]
    hours, later = PARTS_OF_DAY.get(part, (range(1, 13), 12 if half[0] in "pP" else 0))
    if hour not in hours:
        raise ValueError("not an hour from 1 to 12, or not in this part of the day")
    return hour % 12 + later


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else int(text) + (2000 if int(text) < 69 else 1900)


def _number(text: str, languages: Sequence[Sequence[str]]) -> int:
    """Convert digits, or the name of a month or weekday (possibly abbreviated), to a number.

    Raise ValueError if no name, or more than one month or weekday, begins with the text.
    """
    if text.isdigit():
        return int(text)
    start = _without_accents(text.rstrip("."))
    (number,) = {
        number
        for names in languages
        for number, name in enumerate(names, 1)
        if name.startswith(start)
    }
    return number


def _without_accents(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _tzinfo(words: Mapping[str, str]) -> dt.tzinfo | None:
    if words.get("zone", "").upper() in ("UTC", "GMT", "Z"):
        return dt.UTC
    if "zone" in words:
        return ZoneAbbreviation(words["zone"].upper())
    if "offset" not in words:
        return None
    found = _OFFSET.match(words["offset"])
    hours, minutes = found.groups() if found else (None, None)
    sign = -1 if (hours or "").startswith("-") else 1
    return dt.timezone(dt.timedelta(hours=int(hours or 0), minutes=sign * int(minutes or 0)))


def _datetime_from_epoch(text: str, per_second: int) -> dt.datetime:
    match = _NUMBER.fullmatch(text)
    if not match:
        raise ValueError("not a number")
    micros = int(decimal.Decimal(match[1]) * (1_000_000 // per_second))
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
