"""What a stranger wrote, made harmless to look at: texts, and payloads that one can point at.

Markup is escaped by the templates. Here, what no eye sees is made visible: controls, marks that
turn the direction of reading, halves of characters. And what is too long is cut.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup, escape

from adapter.parsing.paths import Location

#: Longest text that a page shows in one place, in characters.
LONGEST: Final = 4000
#: Most lines of a payload that a page shows.
MOST_LINES: Final = 2000
#: Deeper than this nothing is indented further.
DEEPEST: Final = 8
#: Longest raw body that a page shows, in bytes.
LONGEST_RAW: Final = 100_000

# C0 and C1 controls but for tab and line feed, format characters that hide or turn text, and
# characters that no encoding can carry.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def escape_invisible(text: str, longest: int = LONGEST) -> str:
    """The text with everything unseen written out, cut to ``longest`` characters."""
    cut = len(text) > longest
    seen = _UNSEEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text[:longest])
    return f"{seen} … ({len(text):,} characters)" if cut else seen


def render_value(value: object) -> object:
    """What a template does with every value that it prints."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    return escape_invisible(value, LONGEST_RAW) if isinstance(value, str) else value


def typed(value: str) -> Markup:
    """A value in a form: exactly what it is, for what a form shows it sends back."""
    return Markup(escape(value.replace("\x00", "")))  # noqa: S704 - it is escaped


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a payload."""

    depth: int
    key: str
    #: None for an object or a list, whose own lines follow.
    text: str | None
    #: What a link points to.
    anchor: str


def anchor_of(spot: Location) -> str:
    """The name of a place in a payload within a page."""
    return "p" + hashlib.sha256(repr(spot).encode("utf-8", "replace")).hexdigest()[:12]


def lines_of(payload: Any) -> list[Line]:
    """A payload, line by line; one that is too long ends with a line that says so."""
    lines: list[Line] = []
    waiting: list[tuple[Location, str, Any]] = [((), "", payload)]
    while waiting:
        spot, key, value = waiting.pop()
        if len(lines) == MOST_LINES:
            lines.append(Line(depth=0, key="", text="… and more", anchor="p-more"))
            break
        inner = _inner(value)
        if key or inner is None:
            depth = min(max(len(spot) - 1, 0), DEEPEST)
            text = _text(value) if inner is None else None if inner else _empty(value)
            lines.append(Line(depth=depth, key=key, text=text, anchor=anchor_of(spot)))
        waiting += reversed([((*spot, step), str(step), one) for step, one in inner or ()])
    return lines


def _inner(value: Any) -> list[tuple[str | int, Any]] | None:
    if isinstance(value, Mapping):
        return [*zip(value, value.values(), strict=True)][:MOST_LINES]
    return [*enumerate(value[:MOST_LINES])] if isinstance(value, list) else None


def _empty(value: Any) -> str:
    return "{}" if isinstance(value, Mapping) else "[]"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return escape_invisible(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    # Python refuses to write very long numbers out.
    is_long = isinstance(value, int) and value.bit_length() > 4000
    return "a very long number" if is_long else str(value)
