"""Translate a sender's words into the adapter's, using the tables in the mapping."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.transforms import Noted, clean_text
from adapter.parsing.html_text import plain_text
from adapter.parsing.paths import unwrap_single

#: The key of the row that applies to all other values.
ANY_OTHER: Final = "*"
#: Maximum number of list items to look up.
MAX_ITEMS: Final = 50
CAP: Final = 500
#: Maximum number of characters to search for HTML.
CAP_HTML: Final = 100_000
NOT_IN_TABLE: Final = "not in the table"


class NoValue:
    """The type of :data:`NO_VALUE`. It leaves a field empty instead of using its default."""


NO_VALUE: Final = NoValue()


def key_from_value(value: object) -> str | None:
    """Convert a value to case-folded text for a table lookup.

    Return None for an object, a list, or a string that is too long.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    try:
        return clean_text(value, CAP).casefold()
    except Unreadable:
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table in a mapping that translates a sender's words into the adapter's."""

    rows: Mapping[str, Any]
    #: True if the target field takes a list. Items are then looked up one by one.
    many: bool = False
    #: The target's label in the notes, such as "Pets".
    label: str = ""

    def __call__(self, value: object) -> object:
        """Translate a value or a list of values. Raise :class:`Unreadable` for an unknown value."""
        if not self.many:
            row = self._row(unwrap_single(value))
            return NO_VALUE if row == [] else row
        items = value[:MAX_ITEMS] if isinstance(value, list) else [value]
        results, unmatched = [], []
        for item in items:
            try:
                row = self._row(unwrap_single(item))
            except Unreadable:
                unmatched.append(item)
                continue
            results += row if isinstance(row, list) else [row]
        return self._list_result(list(dict.fromkeys(results)), unmatched)

    def _row(self, value: object) -> Any:
        key = key_from_value(value)
        row = self.rows.get(ANY_OTHER if key is None else key, self.rows.get(ANY_OTHER))
        if row is None:
            raise Unreadable(NOT_IN_TABLE)
        return row

    def _list_result(self, results: list[Any], unmatched: list[object]) -> object:
        if not unmatched:
            return results or NO_VALUE
        if not results:
            raise Unreadable(NOT_IN_TABLE)
        return Noted(results, f"{self.label}: {text_from_value(unmatched)}")


def text_from_value(value: object, cap: int = 200) -> str:
    """Return a value as text for the notes, with commas between list items."""
    items = value[:MAX_ITEMS] if isinstance(value, list) else [value]
    return ", ".join(filter(None, (_item_text(item, cap) for item in items)))[: cap * 3]


def _item_text(value: object, cap: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        value = plain_text(value[:CAP_HTML])
        value = value if len(value) <= cap else value[:cap] + "…"
    try:
        return clean_text(value, 3 * cap + 1)
    except Unreadable:
        return ""
