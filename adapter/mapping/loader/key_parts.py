"""Distinguish the parts of a dedupe key that identify a lead from parts that many leads share.

An ID, an email address, a phone number and a name identify a lead. The property and the date do
not: if they are the only values in a webhook, different renters would have the same key.
"""

import dataclasses
import re
from collections.abc import Container, Iterable, Sequence
from typing import Final, Self

from adapter.mapping.engine.community import Attribution, CommunityLookup
from adapter.mapping.engine.fields import Field, FieldFiller, PathLookup, Template, paths_of
from adapter.parsing.paths import Path

#: Fields whose values identify a person.
_PERSONAL: Final = frozenset({"email_1", "phone_1", "name", "first_name", "last_name"})
#: Last words of keys whose values are IDs, contact details or names.
_NAMING: Final = re.compile(
    r"(?P<owner>.*?)(ids?|[gsuv]+id|token|ur[il]|ref|reference|number|num|no|key|code|hash"
    r"|e?mails?|correo|phone|telefono|mobile|cell|names?)"
)
#: Words for things that many leads share. Their IDs and names do not identify a lead.
_SHARED: Final = frozenset(
    {"account", "ad", "adset", "agency", "agent", "app", "area", "assistant", "bot", "brand"}
    | {"building", "called", "campaign", "channel", "city", "community", "company", "complex"}
    | {"country", "dialed", "event", "facility", "file", "floorplan", "form", "group", "house"}
    | {"integration", "landlord", "listing", "location", "office", "org", "organization", "owner"}
    | {"page", "partner", "plan", "portal", "portfolio", "postal", "project", "property"}
    | {"provider", "publisher", "region", "site", "source", "state", "store", "street", "team"}
    | {"template", "to", "tracking", "type", "unit", "vendor", "workspace", "zip"}
)
#: Words for places, times and kinds. Their values do not identify a lead either.
_NOT_NAMING: Final = _SHARED | {"address", "date", "day", "status", "time"}
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: Last keys that only wrap a value.
_WRAPPERS: Final = frozenset({"value", "values", "text"})


@dataclasses.dataclass(frozen=True, slots=True)
class KeyPlaces:
    """The paths in a dedupe key, and the paths that lead to personal data or to a community."""

    places: Sequence[Path | Template]
    #: The paths of the renter's contact details and name.
    personal: frozenset[str]
    #: The paths of the community and the attribution.
    shared: frozenset[str]

    @classmethod
    def of(cls, dedupe: Iterable[PathLookup], fillers: Iterable[FieldFiller]) -> Self:
        """Collect the paths and templates of a dedupe key, and the paths that the fields read."""
        personal, shared = set[str](), set[str]()
        for fill in fillers:
            if isinstance(fill, Field) and fill.name in _PERSONAL:
                personal |= {path.text for path in fill.paths}
            elif isinstance(fill, CommunityLookup | Attribution):
                shared |= {path.text for path in fill.lookup.paths}
        places = [place for lookup in dedupe for place in lookup.places]
        return cls(places, frozenset(personal), frozenset(shared - personal))

    def identifying(self, own: Container[str] | None) -> frozenset[str]:
        """Return the paths and templates that can identify a lead. Each lead must have one of them.

        If no place is known to identify a lead, all count, because one may be an ID with an unusual
        name. With ``for_each``, a place counts only if it starts with a name in ``own``.
        """
        inside = [
            place
            for place in self.places
            if own is None or any(path.parts[0] in own for path in paths_of(place))
        ]
        known = [place for place in inside if self._identifies(place)]
        return frozenset(place.text for place in known or inside)

    @property
    def are_shared(self) -> bool:
        """True if many leads have the same values at all paths of the dedupe key."""
        paths = [path for place in self.places for path in paths_of(place)]
        return not any(map(self._identifies, self.places)) and all(
            path.text in self.shared or _NOT_NAMING & {*_words(path)} for path in paths
        )

    def _identifies(self, place: Path | Template) -> bool:
        return any(
            path.text in self.personal or (path.text not in self.shared and _has_naming_key(path))
            for path in paths_of(place)
        )


def _has_naming_key(path: Path) -> bool:
    """Return True if a path's key belongs to an ID, contact or name that only one lead has."""
    words = _words(path)
    while words and words[-1] in _WRAPPERS:
        words.pop()
    found = _NAMING.fullmatch(words[-1]) if words else None
    if found is None:
        return False
    owner = found["owner"] or (words[-2] if len(words) > 1 else "")
    return owner not in _SHARED


def _words(path: Path) -> list[str]:
    """Return the words in a path's keys in lowercase, such as ``lead`` and ``id``."""
    return [word.lower() for part in path.parts for word in _WORD.findall(part)]
