"""Compile date formats such as ``MM/DD/YYYY h:mm A`` when a mapping loads."""

import dataclasses
import datetime as dt
import itertools
import re
import time
from typing import Final

from adapter.exceptions import Unreadable
from adapter.parsing.text import CAP_NUMBER, clean_text

#: Token → its strptime directive, its meaning, its number of digits (0: variable, None: a word).
TOKENS: Final[dict[str, tuple[str, str, int | None]]] = {
    "YYYY": ("%Y", "year", 4),
    "YY": ("%y", "year", 2),
    "MMMM": ("%B", "month", None),
    "MMM": ("%b", "month", None),
    "MM": ("%m", "month", 2),
    "M": ("%m", "month", 0),
    "DD": ("%d", "day", 2),
    "D": ("%d", "day", 0),
    "dddd": ("%A", "weekday", None),
    "ddd": ("%a", "weekday", None),
    "HH": ("%H", "hour", 2),
    "H": ("%H", "hour", 0),
    "hh": ("%I", "hour", 2),
    "h": ("%I", "hour", 0),
    "mm": ("%M", "minute", 2),
    "ss": ("%S", "second", 2),
    "A": ("%p", "half of the day", None),
    "Z": ("%z", "offset", None),
}

#: Formats that count from 1970, in units per second.
EPOCHS: Final = {"epoch": 1, "epoch_ms": 1000}

_PIECE: Final = re.compile(r"(?P<token>([A-Za-z])\2*)|(?P<literal>.)", re.DOTALL)
_FRACTION: Final = re.compile(r"\.[0-9]{1,9}\Z")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A compiled format."""

    #: As the mapping writes it.
    text: str
    #: Year, month and day.
    has_date: bool
    #: At least the hour.
    has_time: bool
    #: An offset from UTC, or an epoch.
    has_offset: bool
    #: For strptime; empty for ``epoch`` and ``epoch_ms``.
    pattern: str = ""
    has_weekday: bool = False
    #: Number of digits in a text if numbers are adjacent; else 0.
    digits: int = 0

    def parse(self, text: str) -> dt.datetime:
        """Return the date and time, which is aware only if the format has an offset.

        A fraction after ``ss`` is dropped. Raise :class:`~adapter.exceptions.Unreadable`.
        """
        text = clean_text(text, CAP_NUMBER)
        try:
            if self.text in EPOCHS:
                return _datetime_from_epoch(text, EPOCHS[self.text])
            return self._parse_pattern(text)
        except (ValueError, OverflowError, OSError):
            raise Unreadable(f"not written as {self.text}") from None

    def _parse_pattern(self, text: str) -> dt.datetime:
        try:
            parsed = dt.datetime.strptime(text, self.pattern)  # noqa: DTZ007 - local on purpose
        except ValueError:
            text, fractions = _FRACTION.subn("", text)
            if not fractions or not self.text.endswith("ss"):
                raise
            parsed = dt.datetime.strptime(text, self.pattern)  # noqa: DTZ007
        if self.digits and sum(map(str.isdigit, text)) != self.digits:
            raise ValueError("a digit is missing, so the numbers are ambiguous")
        # datetime.strptime() ignores the weekday.
        if self.has_weekday and time.strptime(text, self.pattern).tm_wday != parsed.weekday():
            raise Unreadable("the weekday does not match the date")
        return parsed


def compile_format(text: str) -> Format:
    """Compile a format of tokens, or ``epoch`` or ``epoch_ms``. Raise ValueError."""
    if text in EPOCHS:
        return Format(text=text, has_date=True, has_time=True, has_offset=True)
    pieces = [(match["token"], match["literal"]) for match in _PIECE.finditer(text)]
    tokens = [token for token, _ in pieces if token]
    _check_pieces(pieces, text)
    meanings = [TOKENS[token][1] for token in tokens]
    _check_meanings(tokens, meanings, text)
    return Format(
        text=text,
        has_date={"year", "month", "day"} <= set(meanings),
        has_time="hour" in meanings,
        has_offset="offset" in meanings,
        pattern="".join(
            TOKENS[token][0] if token else _escaped(literal) for token, literal in pieces
        ),
        has_weekday="weekday" in meanings,
        digits=_count_digits(pieces, text),
    )


def _check_pieces(pieces: list[tuple[str | None, str | None]], text: str) -> None:
    for token, literal in pieces:
        invalid = token if token and token not in TOKENS else None
        if literal and (literal.isalnum() or not literal.isprintable()):
            invalid = literal
        if invalid:
            raise ValueError(f"{invalid!r} in {text!r} is not one of {' '.join(TOKENS)}")
    if not any(token for token, _ in pieces):
        raise ValueError(f"{text!r} is not a date format; it needs one of {' '.join(TOKENS)}")


def _check_meanings(tokens: list[str], meanings: list[str], text: str) -> None:
    for meaning in meanings:
        if meanings.count(meaning) > 1:
            raise ValueError(f"{text!r} has the {meaning} twice")
    is_12_hour = {"h", "hh"} & set(tokens)
    if is_12_hour and "A" not in tokens:
        raise ValueError(f"{text!r} has h, which needs A for AM or PM (use H for 0 to 23)")
    if "A" in tokens and not is_12_hour:
        raise ValueError(f"{text!r} has A, which needs h instead of H")
    if "mm" in tokens and "hour" not in meanings:
        raise ValueError(f"{text!r} has mm, minutes, without an hour (MM is the month)")
    if "ss" in tokens and "mm" not in tokens:
        raise ValueError(f"{text!r} has ss without mm")


def _count_digits(pieces: list[tuple[str | None, str | None]], text: str) -> int:
    """Return the number of digits of a format with adjacent numbers (``YYYYMMDD``), else 0."""
    widths = [TOKENS[token][2] if token else None for token, _ in pieces]
    has_adjacent = any(a is not None and b is not None for a, b in itertools.pairwise(widths))
    if has_adjacent and 0 in widths:
        raise ValueError(f"{text!r}: adjacent numbers need a fixed width (MM, DD, HH, hh)")
    return sum(width for width in widths if width) if has_adjacent else 0


def _escaped(literal: str | None) -> str:
    return "%%" if literal == "%" else literal or ""


def _datetime_from_epoch(text: str, per_second: int) -> dt.datetime:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    whole = int(text.partition(".")[0])
    return dt.datetime.fromtimestamp(whole // per_second, dt.UTC)
