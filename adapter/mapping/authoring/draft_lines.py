"""Write the lines of a draft mapping that read fields from the payload."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.authoring.field_keys import Guesses
from adapter.mapping.authoring.note_paths import is_window
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import key_of
from adapter.mapping.authoring.readings import Mail, quoted
from adapter.mapping.authoring.whose import WHEN
from adapter.mapping.date_hints import format_from_text
from adapter.mapping.loader.check_todos import TODO
from adapter.parsing.date_formats import compile_format
from adapter.parsing.date_parts import LONGEST_TOUR
from adapter.parsing.paths import MISSING

GUESS: Final = "# guessed from the name: confirm"
UTC_HINT: Final = "that it is UTC (add offset: trust), not local time (add ignore_offset: true)"
MAIL_HINT: Final = "a sentence about a time or a change holds the lead"
#: A date and time that needs no format, such as ``2026-03-14T14:30``.
ISO: Final = re.compile(r"\d{4}-?\d\d-?\d\d[T ]?\d\d:?\d\d")
ISO_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
#: Keys of the parts of a time of day.
HOURS: Final = frozenset({"hour", "hours"})
MINUTES: Final = frozenset({"minute", "minutes", "min", "mins"})
HALVES: Final = frozenset({"ampm", "meridiem", "meridian"})
#: Keys of dates that are not the tour's.
NOT_A_TOURS: Final = re.compile(
    r"creat|updat|modif|cancel|delet|submit|sent|receiv|birth|dob|move|mudanza|expir|timestamp|lastactiv|lease"
    r"|phone|zip|postal|version|size|birthday|enviado"
)
#: A string that consists of a date, a time or a range of them.
WHEN_TEXT: Final = re.compile(
    r"(?=.*\d)(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?=\D|$)|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
    r"|\d{1,2} ?[ap]\.? ?m\b\.?|[ap]\.? ?m\b\.?|T(?=\d)|Z|[+-]\d{2}:?\d{2}|\d{1,4}(?:st|nd|rd|th)?"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*"
    r"|at|to|from|[ ,/\u2013-])+",
    re.IGNORECASE,
)
#: Maximum length of a date, and maximum number of dates to list.
LONGEST_DATE: Final = 40
MOST_DATES: Final = 4
WITHOUT_TIME_HINT: Final = "or remove this line and add 'without_time: …' at the top"


def field_line(name: str, paths: Sequence[str] | None, option: str = "", hint: str = "") -> str:
    """Return the line for a field in a draft. Without paths, the line contains TODO and a hint."""
    if not paths:
        return f"{name}: {TODO}   {hint}".rstrip()
    value = f"{{ from: {path_list(paths)}, {option} }}" if option else path_list(paths)
    return f"{name}: {value}   {GUESS}"


def path_list(paths: Sequence[str]) -> str:
    """Format a single path as a YAML string, and several paths as a YAML list."""
    return quoted(paths[0]) if len(paths) == 1 else f"[{', '.join(map(quoted, paths))}]"


def start_line(observed: Observed, guesses: Guesses) -> str:
    """Return the draft's ``starts_at`` line for the tour's start time."""
    if observed.mail:
        return _start_in_mail(observed, guesses, observed.mail)
    if "starts_at" in guesses:
        paths = guesses["starts_at"]
        if is_window(paths[0], observed):
            hint = f"# {quoted(paths[0])} is when the renter could come, not a tour time"
            return f"starts_at: {TODO}   {hint}; {WITHOUT_TIME_HINT}"
        hint = f" {UTC_HINT}" if _is_utc(observed, paths) else ""
        option = format_option(formats_at(observed, paths), _otherwise(observed, paths))
        return field_line("starts_at", paths, option) + hint
    if {"date", "time"} <= guesses.keys() and not _is_period(observed, guesses["time"][0]):
        return f"starts_at: {{ {', '.join(_date_and_time(observed, guesses))} }}   {GUESS}"
    found = ", ".join(dates_in(observed, guesses))
    hint = f"perhaps from {found}; {WITHOUT_TIME_HINT}" if found else WITHOUT_TIME_HINT
    return f"starts_at: {TODO}   # {hint}"


def _is_period(observed: Observed, start: str) -> bool:
    """Return True if the time at a path begins a period that is too long to be a tour."""
    parent = start.rpartition(".")[0]
    ends = (f"{parent}.{key}" if parent else key for key in ("to", "until", "end", "ends"))
    end = next((path for path in ends if observed.filled(path)), None)
    pairs = zip(observed.values[start], observed.values[end], strict=True) if end else ()
    return any(_hours(str(last)) - _hours(str(first)) > LONGEST_TOUR for first, last in pairs)


def _hours(text: str) -> float:
    """Return the hours since midnight of a time of day such as ``2:30 PM``, or 0."""
    found = re.match(r"(\d{1,2})(?::(\d\d))? ?([ap]?)", text.lower())
    if found is None:
        return 0
    hour = int(found[1]) % 12 + 12 * (found[3] == "p") if found[3] else int(found[1])
    return hour + int(found[2] or 0) / 60


def dates_in(observed: Observed, guesses: Guesses) -> list[str]:
    """Return the paths of unused values that look like a date or a time, each with a value."""
    taken = {path for name, paths in guesses.items() if name not in WHEN for path in paths}
    values = (
        (path, str(first_item(one)).strip())
        for path in observed.values
        if path not in taken and not NOT_A_TOURS.search(key_of(path))
        for one in observed.filled(path)[:1]
    )
    found = [f"{quoted(path)} {json.dumps(text)}" for path, text in values if _is_when(text)]
    return found[:MOST_DATES]


def first_item(value: Any) -> Any:
    """Return the first item of a list. Return any other value unchanged."""
    return value[0] if isinstance(value, list) and value else value


def _is_when(text: str) -> bool:
    is_number = re.fullmatch(r"[\d,. -]*|[+(\d][\d() -]*", text) and not re.match(ISO_DATE, text)
    is_when = len(text) <= LONGEST_DATE and WHEN_TEXT.fullmatch(text) is not None
    return is_when and not is_number


def _start_in_mail(observed: Observed, guesses: Guesses, mail: Mail) -> str:
    """Return the ``starts_at`` line of a draft whose samples are emails."""
    paths = [*guesses.get("starts_at", ())]
    formats = formats_at(observed, paths)
    if not paths and {"date", "time"} <= guesses.keys():
        date, time = guesses["date"][0], guesses["time"][0]
        paths = [f"{{{date}}} {{{time}}}"]
        formats = _formats_of_both(observed, date, time)
    option = format_option(formats, _otherwise(observed, paths))
    written = f"[{', '.join(map(quoted, (mail.change, *paths, mail.asked)))}]"
    value = f"{{ from: {written}, {option} }}" if option else written
    more = "" if paths else "; add 'without_time: …' at the top for other leads"
    return f"starts_at: {value}   # {MAIL_HINT}{more}"


def _otherwise(observed: Observed, paths: Sequence[str]) -> str:
    """Return TODO if the values at the paths need a date format, or "" if they are ISO 8601."""
    texts = [text for path in paths for text in _texts(observed, path)]
    return "" if all(map(ISO.match, texts)) else TODO


def _is_utc(observed: Observed, paths: Sequence[str]) -> bool:
    values = (value for path in paths for value in observed.filled(path))
    return any(re.search(r"\d(?:Z|[+-]00:?00)$", str(value)) for value in values)


def _date_and_time(observed: Observed, guesses: Guesses) -> Iterator[str]:
    """Yield the ``starts_at`` options for tours whose date and time of day have separate paths."""
    date, time = guesses["date"], guesses["time"]
    clock = _clock(observed, time[0])
    if clock and _texts(observed, date[0]):
        written, values = clock
        pairs = zip(_texts(observed, date[0]), values, strict=False)
        option = format_option(_fewest_formats([*pairs]), TODO)
        yield from (f"date: {path_list(date)}", f"time: {json.dumps(written)}", option)
        return
    times = _texts(observed, time[0])
    if times and _texts(observed, date[0]):
        formats = _formats_of_both(observed, date[0], time[0])
        if not formats and all(map(ISO_DATE.match, _texts(observed, date[0]))):
            formats = formats_at(observed, time)
        option = format_option(formats, TODO)
        yield from (f"date: {path_list(date)}", f"time: {path_list(time)}", option)
        return
    own = format_option(formats_at(observed, date))
    yield f"date: {{ from: {path_list(date)}, {own} }}" if own else f"date: {path_list(date)}"
    yield f"time: {path_list(time)}"
    if times:
        yield format_option(formats_at(observed, time), TODO)


def _clock(observed: Observed, hour: str) -> tuple[str, list[str]] | None:
    """Return a template and values for times whose minutes are at a separate path, or None."""
    parent, _, key = hour.rpartition(".")
    if key_of(key) not in HOURS:
        return None
    beside = [one for one in observed.values if one.rpartition(".")[0] == parent]
    parts = [
        next((one for one in beside if key_of(one) in keys and observed.filled(one)), None)
        for keys in (HOURS, MINUTES, HALVES)
    ]
    if parts[1] is None:
        return None
    template = ":".join(f"{{{part}}}" for part in parts[:2])
    template += f" {{{parts[2]}}}" if parts[2] else ""
    rows = zip(*(observed.values[part] for part in parts if part), strict=True)
    texts = ([str(one) for one in row] for row in rows if MISSING not in row)
    return template, [" ".join([":".join(one[:2]), *one[2:]]) for one in texts]


def _formats_of_both(observed: Observed, date: str, time: str) -> list[str]:
    pairs = zip(_texts(observed, date), _texts(observed, time), strict=False)
    return _fewest_formats([*pairs])


def formats_at(observed: Observed, paths: Sequence[str]) -> list[str]:
    """Return the date formats that parse all values at the paths, or [] if a format is unknown."""
    return _fewest_formats([(text,) for path in paths for text in _texts(observed, path)])


def _texts(observed: Observed, path: str) -> list[str]:
    """Return the values at a path as text, skipping objects that contain date parts."""
    return [str(one) for one in observed.filled(path) if not isinstance(one, dict)]


def _fewest_formats(values: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the smallest list of date formats that can parse all values.

    Each value is one string, or a date and a time. Return an empty list if no format is found.
    """
    guessed = [" ".join(format_from_text(text) or "?" for text in texts) for texts in values]
    candidates = sorted(set(guessed), key=lambda form: -sum(map(form.__eq__, guessed)))
    texts = [" ".join(value) for value in values]
    if any("?" in form for form in candidates):
        return []
    best = [form for form in candidates if all(_fits(form, text) for text in texts)]
    return best[:1] or candidates


def _fits(form: str, text: str) -> bool:
    try:
        compile_format(form).parse(text)
    except (Unreadable, ValueError):
        return False
    return True


def format_option(formats: Sequence[str], otherwise: str = "") -> str:
    """Return the ``format:`` option for the given date formats, or "" if none is needed."""
    if not formats and otherwise:
        return f"format: {otherwise}"
    if not formats or list(formats) == ["YYYY-MM-DD"]:
        return ""
    written = [json.dumps(form) if "," in form or "[" in form else form for form in formats]
    return f"format: {written[0]}" if len(written) == 1 else f"format: [{', '.join(written)}]"
