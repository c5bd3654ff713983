"""What paths read: the payload, names from ``read:`` and ``for_each:``, headers and query."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from adapter.mapping.transforms import is_empty
from adapter.models import Reason
from adapter.parsing import paths
from adapter.parsing.paths import MISSING, Path

#: How much of a value a reason shows.
SHOWN: Final = 60


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What is in sight of one delivery, or of one item of it."""

    payload: Any
    #: Names that ``read:`` and ``for_each:`` made.
    names: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    query: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: This sender's fillers, as cleaned texts.
    blanks: Collection[str] = ()

    def read(self, path: Path) -> Any:
        """What stands at the path, or :data:`~adapter.parsing.paths.MISSING`.

        Raises :class:`~adapter.exceptions.Unreadable` where a name meets a list of several.
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
        """Whether a value says nothing, by this sender's own fillers too."""
        return value is MISSING or is_empty(value, self.blanks)

    def with_names(self, names: Mapping[str, Any]) -> "Scope":
        """The same scope with more names in sight."""
        return dataclasses.replace(self, names={**self.names, **names})

    def closest_key(self, path: Path) -> str | None:
        """A name in the payload that resembles the one that is missing."""
        first = path.parts[0]
        whole = {first: self.names[first]} if first in self.names else self.payload
        return paths.closest_key(whole, path)


def shown(value: object) -> str | None:
    """A value as JSON in ASCII, at most 60 characters; None where there is nothing."""
    if value is MISSING or value is None:
        return None
    text = json.dumps(_sketch(value), default=str)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _sketch(value: object) -> object:
    """The beginning of a value: what it shows is bounded, however deep or long it is."""
    if isinstance(value, Mapping):
        pairs = zip(value.items(), range(5), strict=False)
        return {_scalar(key): _scalar(item) for (key, item), _ in pairs}
    if isinstance(value, list):
        return [_scalar(item) for item in value[:10]]
    return _scalar(value)


def _scalar(value: object) -> Any:
    if isinstance(value, str):
        return value[: SHOWN + 1]
    if isinstance(value, Mapping | list):
        return "..."
    if isinstance(value, int) and abs(value) >= 10**SHOWN:
        return "a number of more than 60 digits"
    return value


def reason_for(
    field: str, reason: str, *, at: str | None = None, path: str | None = None, value: object = None
) -> Reason:
    """A reason, with the value shortened to what may be kept beside it."""
    return Reason(field=field, reason=reason, at=at, path=path, value=shown(value))
