"""Write the lines of a draft mapping that read fields from the payload."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from adapter.exceptions import Unreadable
from adapter.mapping.authoring.field_keys import Guesses
from adapter.mapping.authoring.note_paths import is_window
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.readings import Mail, quoted
from adapter.mapping.date_hints import format_from_text
from adapter.mapping.loader.check_todos import TODO
from adapter.parsing.date_formats import compile_format

GUESS: Final = "# guessed from the name: confirm"
UTC_HINT: Final = "that it is UTC (add offset: trust), not local time (add ignore_offset: true)"
MAIL_HINT: Final = "a sentence about a time or a change holds the lead"
#: A date and time that needs no format, such as ``2026-03-14T14:30``.
ISO: Final = re.compile(r"\d{4}-?\d\d-?\d\d[T ]?\d\d:?\d\d")
ISO_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
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
    if {"date", "time"} <= guesses.keys():
        return f"starts_at: {{ {', '.join(_date_and_time(observed, guesses))} }}   {GUESS}"
    return f"starts_at: {TODO}   # {WITHOUT_TIME_HINT}"


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


def _formats_of_both(observed: Observed, date: str, time: str) -> list[str]:
    pairs = zip(_texts(observed, date), _texts(observed, time), strict=False)
    return _fewest_formats([*pairs])


def formats_at(observed: Observed, paths: Sequence[str]) -> list[str]:
    """Return the date formats that parse all values at the paths, or [] if a format is unknown."""
    return _fewest_formats([(text,) for path in paths for text in _texts(observed, path)])


def _texts(observed: Observed, path: str) -> list[str]:
    """Return the values at a path as text, without objects that contain date parts."""
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
