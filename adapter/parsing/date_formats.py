"""Date formats as people write them (``MM/DD/YYYY h:mm A``), compiled when a mapping loads."""

import dataclasses
import datetime as dt
import itertools
import re
import time
from typing import Final

from adapter.exceptions import Unreadable
from adapter.parsing.text import CAP_NUMBER, clean_text

#: Token → what strptime calls it, what it says, and how many digits it has (0: any number,
#: None: it is a word).
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

#: Formats that are numbers since 1970, in units per second.
EPOCHS: Final = {"epoch": 1, "epoch_ms": 1000}

_PIECE: Final = re.compile(r"(?P<token>([A-Za-z])\2*)|(?P<literal>.)", re.DOTALL)
_FRACTION: Final = re.compile(r"\.[0-9]{1,9}\Z")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A compiled format."""

    #: As the mapping writes it.
    text: str
    #: It says a year, a month and a day.
    has_date: bool
    #: It says an hour.
    has_time: bool
    #: It says an offset from UTC, or counts from 1970.
    has_offset: bool
    #: For strptime; empty for ``epoch`` and ``epoch_ms``.
    pattern: str = ""
    has_weekday: bool = False
    #: How many digits a text has where numbers touch each other; 0: they do not.
    digits: int = 0

    def parse(self, text: str) -> dt.datetime:
        """The date and time that ``text`` says; aware only where the format has an offset.

        A fraction after ``ss`` is dropped. Raises :class:`~adapter.exceptions.Unreadable`.
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
            read = dt.datetime.strptime(text, self.pattern)  # noqa: DTZ007 - local, by intent
        except ValueError:
            text, fractions = _FRACTION.subn("", text)
            if not fractions or not self.text.endswith("ss"):
                raise
            read = dt.datetime.strptime(text, self.pattern)  # noqa: DTZ007
        if self.digits and sum(map(str.isdigit, text)) != self.digits:
            raise ValueError("a digit is missing, so the rest could be read in two ways")
        # strptime reads a weekday and forgets it.
        if self.has_weekday and time.strptime(text, self.pattern).tm_wday != read.weekday():
            raise Unreadable("the weekday does not fit the date")
        return read


def compile_format(text: str) -> Format:
    """A format out of its tokens, or ``epoch`` or ``epoch_ms``.

    Raises ValueError with the reason.
    """
    if text in EPOCHS:
        return Format(text=text, has_date=True, has_time=True, has_offset=True)
    pieces = [(match["token"], match["literal"]) for match in _PIECE.finditer(text)]
    tokens = [token for token, _ in pieces if token]
    _check_pieces(pieces, text)
    says = [TOKENS[token][1] for token in tokens]
    _check_meaning(tokens, says, text)
    return Format(
        text=text,
        has_date={"year", "month", "day"} <= set(says),
        has_time="hour" in says,
        has_offset="offset" in says,
        pattern="".join(TOKENS[token][0] if token else _escaped(other) for token, other in pieces),
        has_weekday="weekday" in says,
        digits=_count_digits(pieces, text),
    )


def _check_pieces(pieces: list[tuple[str | None, str | None]], text: str) -> None:
    for token, literal in pieces:
        strange = token if token and token not in TOKENS else None
        if literal and (literal.isalnum() or not literal.isprintable()):
            strange = literal
        if strange:
            raise ValueError(f"{strange!r} in {text!r} is not one of {' '.join(TOKENS)}")
    if not any(token for token, _ in pieces):
        raise ValueError(f"{text!r} is no date format: it needs one of {' '.join(TOKENS)}")


def _check_meaning(tokens: list[str], says: list[str], text: str) -> None:
    for meaning in says:
        if says.count(meaning) > 1:
            raise ValueError(f"{text!r} says the {meaning} twice")
    twelve = {"h", "hh"} & set(tokens)
    if twelve and "A" not in tokens:
        raise ValueError(f"{text!r} has h, which needs A for AM or PM (H counts to 23)")
    if "A" in tokens and not twelve:
        raise ValueError(f"{text!r} has A, which goes with h and not with H")
    if "mm" in tokens and "hour" not in says:
        raise ValueError(f"{text!r} has mm, minutes, without an hour (MM is the month)")
    if "ss" in tokens and "mm" not in tokens:
        raise ValueError(f"{text!r} has ss without mm")


def _count_digits(pieces: list[tuple[str | None, str | None]], text: str) -> int:
    """All digits of a format in which two numbers touch (``YYYYMMDD``), else 0."""
    widths = [TOKENS[token][2] if token else None for token, _ in pieces]
    touching = any(a is not None and b is not None for a, b in itertools.pairwise(widths))
    if touching and 0 in widths:
        raise ValueError(
            f"{text!r}: where numbers touch, each needs a fixed width (MM, DD, HH, hh)"
        )
    return sum(width for width in widths if width) if touching else 0


def _escaped(literal: str | None) -> str:
    return "%%" if literal == "%" else literal or ""


def _datetime_from_epoch(text: str, per_second: int) -> dt.datetime:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    whole = int(text.partition(".")[0])
    return dt.datetime.fromtimestamp(whole // per_second, dt.UTC)
