"""The notes of an appointment: what the renter wrote first, then the facts that fit no field."""

import unicodedata
from collections.abc import Sequence
from typing import Final

#: Propexo's limit, in UTF-16 units: it is likely to count as JavaScript does.
LIMIT: Final = 1000
ELLIPSIS: Final = "…"
#: Less room than this is not worth a beginning.
LEAST_ROOM: Final = 20


def units(text: str) -> int:
    """The length in UTF-16 units."""
    beyond = 0 if text.isascii() else sum(character > "\uffff" for character in text)
    return len(text) + beyond


def cut(text: str, limit: int = LIMIT) -> str:
    """The text within ``limit`` units: cut at the last space that fits, ending in "…"."""
    if units(text) <= limit:
        return text
    end = _characters_within(text, limit - units(ELLIPSIS))
    space = max(text.rfind(" ", 0, end + 1), text.rfind("\n", 0, end + 1))
    return (text[: space if space > 0 else end].rstrip() + ELLIPSIS) if end > 0 else ""


def _characters_within(text: str, limit: int) -> int:
    """How many characters fit, never ending between a letter and its accent or joiner."""
    end = taken = 0
    for end, character in enumerate(text):  # noqa: B007 - the index is the result
        taken += 2 if character > "\uffff" else 1
        if taken > limit:
            break
    while end > 0 and (_belongs_to_previous(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return end


def _belongs_to_previous(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me", "Mc", "Cf"} or (
        "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def compose(text: str, facts: Sequence[str]) -> str:
    """Both within the limit; the text gives way to the facts."""
    tail = cut("\n".join(facts))
    room = LIMIT - units(tail) - bool(tail)
    head = cut(text, room) if room >= min(LEAST_ROOM, units(text)) else ""
    return "\n".join(part for part in (head, tail) if part)


def append(text: str, facts: Sequence[str]) -> str:
    """Notes that stand already, and more facts; the longest line gives way where it must."""
    whole = "\n".join(part for part in (text, *facts) if part)
    over = units(whole) - LIMIT
    if over <= 0:
        return whole
    lines = text.split("\n")
    longest = max(range(len(lines)), key=lambda number: units(lines[number]))
    lines[longest] = cut(lines[longest], max(units(lines[longest]) - over, 0))
    return compose("\n".join(filter(None, lines)), facts)
