"""Add an alternative path to a mapping's text, next to a path that webhooks no longer contain."""

import json
import re
from typing import Final

from adapter.mapping.format_profile import KEY, Place, notes_with, paths_in, places_of
from adapter.mapping.source import Source

#: Text that YAML reads as a string even without quotes.
PLAIN: Final = re.compile(
    r"(?!(?:yes|no|on|off|true|false|null|y|n)$)[A-Za-z_][\w.*-]*", re.IGNORECASE
)

#: The number of brackets around alternatives in a key.
DEEPEST: Final = 2


def with_path(source: Source, old: str, new: str) -> str:
    """Return a mapping's text with ``new`` as an alternative wherever ``old`` is read.

    The old path stays in use. Paths in the sections :func:`other_sections` do not change, because
    these have no alternatives.
    """
    lines = source.text.splitlines(keepends=True)
    places = [(_start(source, one), one) for one in _places(source, old)]
    for start, place in sorted(places, key=lambda pair: pair[0], reverse=True):
        if any(new in paths_in(text) for text in place.texts):
            continue
        for text in place.texts:
            if old in paths_in(text):
                _add(lines, start, text, _renamed(text, old, new), is_key=place.field == KEY)
    return "".join(lines)


def _places(source: Source, path: str) -> list[Place]:
    return [*places_of(source, path), *notes_with(source, path)]


def _start(source: Source, place: Place) -> int:
    return source.document.position(place.where)[0] - 1


def _renamed(text: str, old: str, new: str) -> str:
    return new if text == old else text.replace(f"{{{old}}}", f"{{{new}}}")


def _add(lines: list[str], start: int, old: str, new: str, *, is_key: bool) -> None:
    """Add ``new`` after the first ``old`` in the lines of a key's value."""
    for number in range(start, _end(lines, start)):
        line = _with_alternative(lines[number], old, new, is_key=is_key)
        if line != lines[number]:
            lines[number] = line
            return


def _end(lines: list[str], start: int) -> int:
    """Return the number of the line after a key's value."""
    indent = _indent(lines[start])
    for number in range(start + 1, len(lines)):
        text = lines[number].strip()
        is_item = _indent(lines[number]) == indent and text.startswith("-")
        if text and _indent(lines[number]) <= indent and not is_item:
            return number
    return len(lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _with_alternative(line: str, old: str, new: str, *, is_key: bool) -> str:
    """Add ``new`` after ``old`` in a line. In a key, alternatives are in a nested list."""
    quoted = rf"(?<![^\s\[,])([\"']?){re.escape(old)}\1(?=\s*(?:[,\]}}#]|$))"
    match = re.search(quoted, line)
    if match is None:
        return line
    before, written, after = line[: match.start()], _scalar(new), line[match.end() :]
    is_item, depth = before.lstrip().startswith("-"), before.count("[") - before.count("]")
    pair = f"{match[0]}, {written}"
    if is_key and not is_item and depth < DEEPEST:
        return f"{before}{'[' * (DEEPEST - depth)}{pair}{']' * (DEEPEST - depth)}{after}"
    if depth:
        return f"{before}{pair}{after}"
    if before.strip() == "-":
        return f"{before}[{pair}]{after}" if is_key else f"{line.rstrip()}\n{before}{written}\n"
    return f"{before}[{pair}]{after}" if before.endswith(": ") else line


def _scalar(text: str) -> str:
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
