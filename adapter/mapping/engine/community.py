"""Look up a lead's community and attribution. Neither has a default value."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.fields import PathLookup
from adapter.mapping.engine.results import Community
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.engine.tables import ANY_OTHER, key_from_value
from adapter.parsing.paths import unwrap_single

NO_PATHS: Final = PathLookup(places=())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CommunityLookup:
    """The ``community`` section: a fixed community, or a lookup by the sender's name."""

    source: str
    at: str
    lookup: PathLookup = NO_PATHS
    always: Community | None = None
    #: Communities, keyed by the name that the sender uses.
    known: Mapping[str, Community] = dataclasses.field(default_factory=dict)

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Set the draft's community and its IDs. Block the booking if the community is unknown."""
        community = self.always or self._find(scope, draft)
        if community:
            draft.community = community
            draft.appointment |= {
                "integration_id": community.integration_id,
                "community_id": community.community_id,
            }

    def _find(self, scope: Scope, draft: Draft) -> Community | None:
        path, value = self.lookup.text, None
        try:
            path, value = self.lookup.first(scope)
            if value is None:
                raise Unreadable(self.lookup.missing(scope))
            key = key_from_value(unwrap_single(value)) or ""
            if key in self.known:
                return self.known[key]
            why = f"communities.yaml has no community with this name for {self.source}; "
            raise Unreadable(why + "add it under known_as")
        except Unreadable as exc:
            draft.block(reason_for("community", str(exc), at=self.at, path=path, value=value))
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """The ``attribution`` section: an ID for each community, or for each value at a path."""

    source: str
    at: str
    lookup: PathLookup = NO_PATHS

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Set the draft's attribution ID, or block the booking if there is none."""
        if draft.community is None:
            return
        table = draft.community.attributions.get(self.source, {})
        if isinstance(table, str):
            draft.appointment["attribution_id"] = table
            return
        path, value = self._value(scope)
        attribution = table.get(key_from_value(value) or "", table.get(ANY_OTHER))
        if attribution:
            draft.appointment["attribution_id"] = attribution
            return
        why = f"{draft.community.key} has no attribution for this value under {self.source}"
        draft.block(reason_for("attribution_id", why, at=self.at, path=path or None, value=value))

    def _value(self, scope: Scope) -> tuple[str, Any]:
        try:
            path, value = self.lookup.first(scope)
            return path, unwrap_single(value)
        except Unreadable:
            return self.lookup.text, None
