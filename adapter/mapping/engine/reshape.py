"""Extract values for ``read:`` from JSON or XML in a string, and from lists of answers."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine.scope import Scope
from adapter.mapping.engine.tables import key_from_value, text_from_value
from adapter.mapping.transforms import clean_text, is_empty
from adapter.parsing import body
from adapter.parsing.paths import MAX_ITEMS, MISSING, TOO_MANY, Path, as_list, unwrap_single

#: Maximum length of an answer's key.
CAP_KEY: Final = 500
REPEATED: Final = "this answer is repeated; the first value was used"
#: Maximum number of characters to search for labels in an email.
CAP_MAIL: Final = 100_000
#: The start of an XML document in a string: a declaration such as ``<?xml``, or the first element.
_XML_START: Final = re.compile(r"<\?[a-z]|\A\s*<(?!!|html\b)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class ReadResult:
    """The value for a name under ``read:``, with any problem found while reading it."""

    value: Any
    problem: str | None = None
    #: Text for the notes: anything that the value leaves out.
    fact: str | None = None
    #: The other values of repeated keys, which the value leaves out.
    others: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)


class PayloadReader(Protocol):
    """Reads the value for a name under ``read:``."""

    @property
    def path(self) -> Path:
        """The path in the payload that this reader reads."""

    def read(self, scope: Scope) -> ReadResult:
        """Return the value and any problem. Never raise."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JsonReader:
    """Reads a string that contains JSON (the ``json`` option)."""

    path: Path

    def read(self, scope: Scope) -> ReadResult:
        """Parse the string as JSON, and return its value."""
        try:
            text = unwrap_single(scope.read(self.path))
            if scope.is_empty(text):
                return ReadResult({})
            if not isinstance(text, str):
                return ReadResult(text)  # some senders later switch to sending the data itself
            repairs: list[str] = []
            raw = text.encode("utf-8", "replace")
            value = body.parse(raw, "", kind="json", repairs=repairs)
            return ReadResult(value, "; ".join(repairs) or None)
        except PayloadError:
            return ReadResult({}, "not JSON", text_from_value(text))
        except Unreadable as exc:
            return ReadResult({}, str(exc))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class XmlReader:
    """Reads a string that contains XML, such as an ADF lead (the ``xml`` option)."""

    path: Path

    def read(self, scope: Scope) -> ReadResult:
        """Parse the XML document in the string, or return an empty object if there is none."""
        try:
            text = unwrap_single(scope.read(self.path))
            start = _XML_START.search(text[:CAP_MAIL]) if isinstance(text, str) else None
            if not start:
                return ReadResult({})
            repairs: list[str] = []
            document = text[start.start() : text.rfind(">") + 1].encode("utf-8", "replace")
            value = body.parse(document, "text/xml; charset=utf-8", kind="xml", repairs=repairs)
            return ReadResult(value, "; ".join(repairs) or None)
        except (PayloadError, Unreadable) as exc:
            return ReadResult({}, str(exc))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The ``labels`` of a list, which provide display names for option IDs."""

    path: Path
    by: Path
    value: Path

    def table(self, options: object) -> Mapping[str | None, Any]:
        """Return the labels of the options, keyed by option ID."""
        pairs = (
            (key_from_value(unwrap_single(self.by.read(option))), self.value.read(option))
            for option in _items(options)
        )
        return {key: label for key, label in pairs if key and label is not MISSING}

    def relabel(self, element: object, value: Any, shared: Mapping[str | None, Any]) -> Any:
        """Replace the option IDs in a value with their labels. Keep IDs that have no label."""
        own = _read(element, self.path)
        table = shared if own is MISSING else self.table(own)
        if isinstance(value, list):
            return [table.get(key_from_value(one), one) for one in value]
        return table.get(key_from_value(value), value)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ListReader:
    """Reads a list of answers, which can then be addressed by key (the ``list`` option)."""

    path: Path
    by: Path
    #: The paths of an item's value. If there are none, the value is the whole item.
    values: tuple[Path, ...]
    labels: Labels | None = None
    #: The keys that the mapping uses. Repeated values of other keys are not reported.
    keys: frozenset[str] = frozenset()
    #: True to keep all values of a repeated key as a list, because any of them may be the right
    #: one.
    keeps_all: bool = False

    def read(self, scope: Scope) -> ReadResult:
        """Return the answers as a dictionary. For a repeated key, use its first nonempty value."""
        try:
            items = _items(scope.read(self.path))
            if len(items) > MAX_ITEMS:
                raise Unreadable(TOO_MANY)
            return self._collect(items, scope)
        except Unreadable as exc:
            return ReadResult({}, str(exc))

    def _collect(self, items: list[Any], scope: Scope) -> ReadResult:
        values: dict[str, Any] = {}
        repeated: dict[str, list[Any]] = {}
        several: dict[str, list[Any]] = {}
        shared = self.labels.table(scope.read(self.labels.path)) if self.labels else {}
        for item in items:
            key = _key(item, self.by)
            if key is None:
                continue
            value = self._value(item, scope)
            if self.labels and value is not None:
                value = self.labels.relabel(item, value, shared)
            if key not in values or scope.is_empty(values[key]):
                values[key] = value
            elif scope.is_empty(value) or value == values[key]:
                continue
            elif self.keeps_all or _is_flag(item, self.by):
                several.setdefault(key, [values[key]]).append(value)
            elif key in self.keys:
                repeated.setdefault(key, []).append(value)
        if not repeated:
            return ReadResult(values | several)
        fact = ", ".join(f"{key}: {text_from_value(more[0])}" for key, more in repeated.items())
        return ReadResult(values, REPEATED, fact[:300], repeated)

    def _value(self, item: object, scope: Scope) -> Any:
        if not self.values:
            return item
        values = (_read(item, path) for path in self.values)
        return next((value for value in values if not scope.is_empty(value)), None)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ItemReader:
    """Reads the list item whose key equals the value at another path (the ``equals`` option)."""

    #: The path of the value.
    path: Path
    #: The name that a :class:`ListReader` stores the list's items under, by key.
    index: str

    def read(self, scope: Scope) -> ReadResult:
        """Return the item whose key equals the value at the path, or a list of several matches."""
        try:
            value = unwrap_single(scope.read(self.path))
            if scope.is_empty(value):
                return ReadResult(None)
            key = clean_text(value, CAP_KEY)
        except Unreadable as exc:
            return ReadResult(None, str(exc))
        items = scope.names.get(self.index) or {}
        if key not in items:
            return ReadResult(None, "no item in the list has this value")
        return ReadResult(items[key])


def _items(found: Any) -> list[Any]:
    """Return a flat list of items. Any other value becomes a list with one item."""
    found = as_list(found)
    if isinstance(found, list):
        nested = [item for item in found if isinstance(item, list)]
        return [one for item in nested for one in item] if len(nested) == len(found) else found
    return [] if found is MISSING or found is None else [found]


def _read(item: object, path: Path) -> Any:
    try:
        return path.read(item)
    except Unreadable:
        return MISSING


def _is_flag(item: object, by: Path) -> bool:
    """Return True if an item's key is a Boolean, which cannot identify the item."""
    return isinstance(_read(item, by), bool)


def _key(item: object, by: Path) -> str | None:
    try:
        value = unwrap_single(by.read(item))
        if isinstance(value, bool):
            return str(value).lower()
        return None if is_empty(value) or value is MISSING else clean_text(value, CAP_KEY)
    except Unreadable:
        return None
