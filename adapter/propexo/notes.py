"""Build an appointment's notes from the mapping's text and values that have no field."""

import unicodedata
from collections.abc import Sequence
from typing import Final

#: Propexo's limit, in UTF-16 code units, because it probably counts like JavaScript.
LIMIT: Final = 1000
ELLIPSIS: Final = "…"
#: The text is omitted if there is room for fewer units than this.
MIN_TEXT_LENGTH: Final = 20


def units(text: str) -> int:
    """Return the length of a string in UTF-16 code units."""
    beyond = 0 if text.isascii() else sum(character > "\uffff" for character in text)
    return len(text) + beyond


def cut(text: str, limit: int = LIMIT) -> str:
    """Shorten a string to ``limit`` UTF-16 code units, at a space, and add an ellipsis."""
    if units(text) <= limit:
        return text
    end = _characters_within(text, limit - units(ELLIPSIS))
    space = max(text.rfind(" ", 0, end + 1), text.rfind("\n", 0, end + 1))
    return (text[: space if space > 0 else end].rstrip() + ELLIPSIS) if end > 0 else ""


def _characters_within(text: str, limit: int) -> int:
    """Return how many whole characters fit into ``limit`` UTF-16 code units."""
    end = length = 0
    for end, character in enumerate(text):  # noqa: B007 - the index is the result
        length += 2 if character > "\uffff" else 1
        if length > limit:
            break
    while end > 0 and (_is_combining(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return end


def _is_combining(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me", "Mc", "Cf"} or (
        "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def compose(lines: Sequence[str], facts: Sequence[str]) -> str:
    """Combine lines and facts into notes. If they are too long, shorten the longest line first."""
    tail = cut("\n".join(facts))
    room = LIMIT - units(tail) - bool(tail)
    text = "\n".join(lines)
    head = _fitted(lines, room) if room >= min(MIN_TEXT_LENGTH, units(text)) else ""
    return "\n".join(part for part in (head, tail) if part)


def _fitted(lines: Sequence[str], room: int) -> str:
    """Join lines into text that fits. If the longest would become too short, cut the whole text."""
    text = "\n".join(lines)
    over = units(text) - room
    if over <= 0:
        return text
    longest = max(range(len(lines)), key=lambda number: units(lines[number]))
    left = units(lines[longest]) - over
    if left < MIN_TEXT_LENGTH:
        return cut(text, room)
    shortened = [*lines[:longest], cut(lines[longest], left), *lines[longest + 1 :]]
    return "\n".join(filter(None, shortened))


def append(text: str, facts: Sequence[str]) -> str:
    """Add facts to existing notes. If they are too long, shorten the longest line."""
    whole = "\n".join(part for part in (text, *facts) if part)
    over = units(whole) - LIMIT
    if over <= 0:
        return whole
    lines = text.split("\n")
    longest = max(range(len(lines)), key=lambda number: units(lines[number]))
    lines[longest] = cut(lines[longest], max(units(lines[longest]) - over, 0))
    return compose([*filter(None, lines)], facts)
