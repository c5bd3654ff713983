"""Tables: the sender's words to ours."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.transforms import Noted, clean_text
from adapter.parsing.paths import unwrap_single

#: The row for everything that has no row.
REST: Final = "*"
#: As many items of a list are looked up.
MOST_ITEMS: Final = 50
CAP: Final = 500
NOT_IN_TABLE: Final = "not in the table"


class Silent:
    """What a row says with ``[]``: nothing at all, and no default either."""


SILENT: Final = Silent()


def key_from_value(value: object) -> str | None:
    """What tables and conditions compare: true, numbers and texts alike, case folded.

    None for what has no such text: objects, lists, texts that are too long.
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
    """Rows by key; what a row gives is checked against the target when the mapping loads."""

    rows: Mapping[str, Any]
    #: Whether the target is a list: then items are looked up one by one.
    many: bool = False
    #: The target's, for the notes: "Pets".
    label: str = ""

    def __call__(self, value: object) -> object:
        """What the table has for a value. Raises :class:`Unreadable` where it has nothing."""
        if not self.many:
            return self._one(self._row(unwrap_single(value)))
        items = value[:MOST_ITEMS] if isinstance(value, list) else [value]
        found, strangers = [], []
        for item in items:
            try:
                row = self._row(unwrap_single(item))
            except Unreadable:
                strangers.append(item)
                continue
            found += row if isinstance(row, list) else [row]
        return self._many(list(dict.fromkeys(found)), strangers)

    def _row(self, value: object) -> Any:
        key = key_from_value(value)
        if key is not None and key in self.rows:
            return self.rows[key]
        if REST in self.rows:
            return self.rows[REST]
        raise Unreadable(NOT_IN_TABLE)

    def _one(self, row: Any) -> object:
        return SILENT if row == [] else row

    def _many(self, found: list[Any], strangers: list[object]) -> object:
        result: object = found or SILENT
        if not strangers:
            return result
        if not found:
            raise Unreadable(NOT_IN_TABLE)
        return Noted(result, f"{self.label}: {text_from_value(strangers)}")


def text_from_value(value: object, cap: int = 200) -> str:
    """What a value says, for the notes: lists joined with ", ", the rest left out."""
    items = value[:MOST_ITEMS] if isinstance(value, list) else [value]
    return ", ".join(filter(None, (_said(item, cap) for item in items)))[: cap * 3]


def _said(value: object, cap: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and len(value) > cap:
        value = value[:cap] + "…"
    try:
        return clean_text(value, 3 * cap + 1)
    except Unreadable:
        return ""
