"""Which community a lead is for, and to whom it is credited. A miss is never a default."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.fields import PathLookup
from adapter.mapping.engine.results import Community
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.engine.tables import REST, key_from_value
from adapter.parsing.paths import unwrap_single

NOWHERE: Final = PathLookup(paths=())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CommunityLookup:
    """``community``: one place for all, or looked up by what the sender calls it."""

    source: str
    at: str
    look: PathLookup = NOWHERE
    always: Community | None = None
    known: Mapping[str, Community] = dataclasses.field(default_factory=dict)

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Puts the community and its ids, or holds."""
        community = self.always or self._found(scope, draft)
        if community:
            draft.community = community
            draft.appointment |= {
                "integration_id": community.integration_id,
                "community_id": community.community_id,
            }

    def _found(self, scope: Scope, draft: Draft) -> Community | None:
        path, value = self.look.text, None
        try:
            for place, value in self.look.found(scope):
                path = place.text
                key = key_from_value(unwrap_single(value)) or ""
                if key in self.known:
                    return self.known[key]
                why = f"no community is known to {self.source} by this; "
                raise Unreadable(why + "add it to communities.yaml")
            raise Unreadable(self.look.missing(scope))
        except Unreadable as exc:
            draft.block(reason_for("community", str(exc), at=self.at, path=path, value=value))
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """Who gets the credit: one id per source and community, or by the sender's word."""

    source: str
    at: str
    look: PathLookup | None = None

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Puts attribution_id, or holds; nothing where the community is unknown."""
        if draft.community is None:
            return
        credit = draft.community.attributions.get(self.source, {})
        if isinstance(credit, str):
            draft.appointment["attribution_id"] = credit
            return
        path, value = self._said(scope)
        found = credit.get(key_from_value(value) or "", credit.get(REST))
        if found:
            draft.appointment["attribution_id"] = found
            return
        why = f"{draft.community.key} has no attribution for this under {self.source}"
        draft.block(reason_for("attribution_id", why, at=self.at, path=path, value=value))

    def _said(self, scope: Scope) -> tuple[str | None, Any]:
        if self.look is None:
            return None, None
        try:
            for path, value in self.look.found(scope):
                return path.text, unwrap_single(value)
        except Unreadable:
            pass
        return self.look.text, None
