"""Resolve paths in the payload, headers, query string and names defined by the mapping."""

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.transforms import is_empty
from adapter.models import Reason
from adapter.parsing import paths
from adapter.parsing.paths import MISSING, Path

#: Maximum length of a reason's value, in characters.
MAX_PREVIEW: Final = 60
#: The suffix of names for left-out values of repeated keys. No name in a mapping can have it.
_REPEATED: Final = "\0repeated"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """The data of a webhook or an item that a mapping's paths refer to."""

    payload: Any
    #: The values for ``read:`` and ``for_each:``, by name.
    names: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    query: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: The sender's strings for empty values, after cleaning.
    blanks: Collection[str] = ()
    #: Corrections made while parsing the body.
    repairs: Sequence[str] = ()
    #: Documents fetched for ``fetch:``, by URL.
    fetched: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Cached lines of each email, so that each is parsed only once.
    mails: dict[str, str] = dataclasses.field(default_factory=dict)

    def read(self, path: Path) -> Any:
        """Return the value at a path, or :data:`~adapter.parsing.paths.MISSING`.

        Raise :class:`~adapter.exceptions.Unreadable` if the path looks up a name in a list with
        several items.
        """
        first = path.parts[0]
        if first in self.names:
            return path.read({first: self.names[first]})
        found = path.read(self.payload)
        if found is MISSING and first == "headers" and len(path.parts) == 2:
            return self.headers.get(path.parts[1].lower(), MISSING)
        if found is MISSING and first == "query":
            return path.read({first: self.query})
        return found

    def is_empty(self, value: object) -> bool:
        """Return True if a value is missing, empty, or a word that the sender uses for "empty"."""
        return value is MISSING or is_empty(value, self.blanks)

    def with_names(self, names: Mapping[str, Any]) -> "Scope":
        """Return a copy of the scope with additional names and their values."""
        return Scope(  # dataclasses.replace() takes three times as long
            payload=self.payload,
            names={**self.names, **names},
            headers=self.headers,
            query=self.query,
            blanks=self.blanks,
            repairs=self.repairs,
            fetched=self.fetched,
            mails=self.mails,
        )

    @property
    def has_others(self) -> bool:
        """True if a list of answers contains a key several times with different values."""
        return any(name.endswith(_REPEATED) for name in self.names)

    def others(self, path: Path) -> Iterator[Any]:
        """Yield the additional values at a path whose key is repeated in a list of answers."""
        repeated = self.names.get(others_name(path.parts[0]))
        if not repeated or len(path.parts) < 2:
            return
        items = paths.read(repeated, path.parts[1:2], frozenset({0}))
        quoted = frozenset(number - 2 for number in path.quoted)
        for item in () if items is MISSING else items:
            yield paths.read(item, path.parts[2:], quoted)

    def closest_key(self, path: Path) -> str | None:
        """Return a key in the payload that is similar to a missing path, or None."""
        first = path.parts[0]
        whole = {first: self.names[first]} if first in self.names else self.payload
        return paths.closest_key(whole, path)


def others_name(name: str) -> str:
    """Return the name that a reader uses for the additional values of repeated keys."""
    return name + _REPEATED


def preview_from_value(value: object) -> str | None:
    """Return a value as ASCII JSON of at most 60 characters, or None if the value is missing."""
    if value is MISSING or value is None:
        return None
    text = json.dumps(_preview(value), default=str)
    return text if len(text) <= MAX_PREVIEW else text[: MAX_PREVIEW - 3] + "..."


def _preview(value: object) -> object:
    """Truncate a value in depth and length."""
    if isinstance(value, Mapping):
        pairs = zip(value.items(), range(5), strict=False)
        return {_preview_item(key): _preview_item(item) for (key, item), _ in pairs}
    if isinstance(value, list):
        return [_preview_item(item) for item in value[:10]]
    return _preview_item(value)


def _preview_item(value: object) -> Any:
    if isinstance(value, str):
        return value[: MAX_PREVIEW + 1]
    if isinstance(value, Mapping | list):
        return "..."
    if isinstance(value, int) and abs(value) >= 10**MAX_PREVIEW:
        return "a number with more than 60 digits"
    return value


def reason_for(
    field: str, reason: str, *, at: str | None = None, path: str | None = None, value: object = None
) -> Reason:
    """Create a reason with a value that is shortened for storage."""
    return Reason(field=field, reason=reason, at=at, path=path, value=preview_from_value(value))
