"""Add an alternative path to a mapping's text, next to a path that webhooks no longer contain."""

import json
import re
from typing import Final

from adapter.mapping.format_profile import paths_in, places_of
from adapter.mapping.source import Source

#: Text that YAML reads as a string even without quotes.
PLAIN: Final = re.compile(
    r"(?!(?:yes|no|on|off|true|false|null|y|n)$)[A-Za-z_][\w.*-]*", re.IGNORECASE
)


def with_path(source: Source, old: str, new: str) -> str:
    """Return a mapping's text with ``new`` as an alternative wherever a field reads ``old``.

    The old path stays in use, and paths in the notes and conditions do not change.
    """
    lines = source.text.splitlines(keepends=True)
    starts = {source.document.position(one.where)[0] - 1: one for one in places_of(source, old)}
    for start, place in sorted(starts.items(), reverse=True):
        for text in place.texts:
            if old in paths_in(text):
                _add(lines, start, text, _renamed(text, old, new))
    return "".join(lines)


def _renamed(text: str, old: str, new: str) -> str:
    return new if text == old else text.replace(f"{{{old}}}", f"{{{new}}}")


def _add(lines: list[str], start: int, old: str, new: str) -> None:
    """Add ``new`` after the first ``old`` in the lines of a key's value."""
    for number in range(start, _end(lines, start)):
        line = _with_alternative(lines[number], old, new)
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


def _with_alternative(line: str, old: str, new: str) -> str:
    quoted = rf"(?<![^\s\[,])([\"']?){re.escape(old)}\1(?=\s*(?:[,\]}}#]|$))"
    match = re.search(quoted, line)
    if match is None:
        return line
    before, written, after = line[: match.start()], _scalar(new), line[match.end() :]
    if before.count("[") > before.count("]"):
        return f"{before}{match[0]}, {written}{after}"
    if before.strip() == "-":
        return f"{line.rstrip()}\n{before}{written}\n"
    return f"{before}[{match[0]}, {written}]{after}" if before.endswith(": ") else line


def _scalar(text: str) -> str:
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
