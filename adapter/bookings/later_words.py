"""Find later messages from a renter that are missing from their guest card in Knock.

A request that is merged with or replaced by a booking is not sent itself. Its new text is added to
the guest card as a note, line by line. All functions are pure.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from adapter.bookings.person import order
from adapter.models import Booking
from adapter.propexo.notes import LIMIT, units


def _day(value: Any) -> str:
    day = dt.date.fromisoformat(value)
    return f"{day:%B} {day.day}, {day.year}"


def _money(value: Any) -> str:
    return f"${value / 100:,.2f}".removesuffix(".00")


def _bedrooms(value: Any) -> str:
    names = {0: "studio", 3: "3 or more"}
    return ", ".join(names.get(number, str(number)) for number in value)


def _neutral(value: Any) -> str:
    words = value if isinstance(value, list) else [value]
    return ", ".join(str(word).replace("_", " ") for word in words)


#: The label and the format of each field that a note contains.
_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "email_1": ("Email", str),
    "phone_1": ("Phone", str),
    "move_in_date": ("Move-in date", _day),
    "number_of_occupants": ("Occupants", str),
    "lease_term_in_months": ("Lease term in months", str),
    "rent_minimum_in_cents": ("Rent from", _money),
    "rent_maximum_in_cents": ("Rent up to", _money),
    "desired_num_bedrooms": ("Bedrooms", _bedrooms),
    "pets": ("Pets", _neutral),
    "tour_type": ("Tour type", _neutral),
}
#: The label of the link that we add to the notes of a guest card. The renter did not write it.
LINK_LABEL: Final = "Link for the renter to choose a tour time: "
#: A line's known beginning is removed only if it has at least this many words.
MIN_WORDS: Final = 3
#: Labels of fields that may have several values at the same time.
_SEVERAL: Final = frozenset({"Email", "Phone"})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """The lines of a request that are or will be in Knock, and the request's sort key."""

    order: tuple[dt.datetime, int]
    lines: Sequence[str]


def said_in(request: Booking) -> Said:
    """Return a request's contents as lines: one line per field, then the lines of its notes.

    The link to choose a tour time is left out.
    """
    appointment = request.appointment
    fields = [
        f"{label}: {render(appointment[name])}"
        for name, (label, render) in _FIELDS.items()
        if appointment.get(name) not in (None, "", [])
    ]
    notes = map(str.strip, str(appointment.get("notes") or "").splitlines())
    lines = [line for line in notes if line and not line.startswith(LINK_LABEL)]
    return Said(order=order(request), lines=tuple(dict.fromkeys((*lines, *fields))))


def new_lines(own: Said, said: Sequence[Said]) -> list[str]:
    """Return the lines of a request that are missing from Knock, such as a new move-in date.

    A field's value is not new if a later request has a different one.
    """
    known = {_words(line) for one in said for line in one.lines}
    found = [_rest(line, known) for line in own.lines if _is_new(line, own, said, known)]
    return list(dict.fromkeys(found))


def _rest(line: str, known: Iterable[Sequence[str]]) -> str:
    """Remove already known text from the beginning of a line.

    Each message from a chatbot may contain the whole conversation.
    """
    if _label(line) is not None:
        return line  # a renter may change back to an earlier value
    words, parts = _words(line), line.split()
    begun = [len(one) for one in known if len(one) >= MIN_WORDS and words[: len(one)] == one]
    return " ".join(parts[max(begun) :]) if begun else line


def _is_new(line: str, own: Said, said: Iterable[Said], known: set[tuple[str, ...]]) -> bool:
    label = _label(line)
    if label is None or label in _SEVERAL:
        return _words(line) not in known
    same = [one for one in said if any(_label(other) == label for other in one.lines)]
    latest = max((one.order for one in same), default=None)
    if latest is None:
        return True
    values = {_words(other) for one in same if one.order == latest for other in one.lines}
    return latest < own.order and _words(line) not in values


def _label(line: str) -> str | None:
    label, colon, _ = line.partition(": ")
    return label if colon and label in {name for name, _ in _FIELDS.values()} else None


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.casefold().split())


def texts_of(lines: Iterable[str]) -> list[str]:
    """Join lines into as few notes as possible. Each note is short enough for Propexo."""
    texts: list[str] = []
    for line in lines:
        joined = f"{texts[-1]}\n{line}" if texts else line
        if texts and units(joined) <= LIMIT:
            texts[-1] = joined
        else:
            texts.append(line)
    return texts
