"""What was decided without a person: leads that were merged, replaced, discarded or ignored."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from adapter.models import Booking
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row
from adapter.store.search import LARGEST_NUMBER

#: The rule of webhooks that the mapping ignores. Other rules are reason codes of bookings.
IGNORED = "ignored"
#: Newest bookings among which shared contacts are looked for.
MOST_EXAMINED = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DecisionCount:
    """How many leads of one source were decided by one rule."""

    rule: str
    source: str
    #: ``file:line`` of the mapping that ignores them; None: another rule.
    at: str | None
    leads: int
    #: ``id`` and ``person`` of the newest, up to three.
    examples: Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SharedContact:
    """An email address or phone number that came under several names."""

    contact: str
    leads: int
    names: Sequence[str]


class Decisions(Statements):
    """The decisions, within one transaction."""

    def counts(self, since: dt.datetime) -> list[DecisionCount]:
        """Return the number of leads that were decided since then, by rule and source."""
        return [DecisionCount(**row) for row in self._all("decision_counts", since=since)]

    def leads(
        self,
        rule: str,
        source: str,
        since: dt.datetime,
        *,
        limit: int,
        before: int | None = None,
    ) -> list[Booking]:
        """Return a source's bookings that were decided by one rule since then, newest first."""
        rows = self._all(
            "decided_bookings",
            rule=rule,
            source=source,
            since=since,
            before=before or LARGEST_NUMBER,
            limit=limit,
        )
        return [booking_from_row(row) for row in rows]

    def contacts_of_several(self, since: dt.datetime, names: int) -> list[SharedContact]:
        """Return contacts under at least ``names`` names, in small letters, since then."""
        rows = self._all("contacts_of_several", since=since, names=names, limit=MOST_EXAMINED)
        return [SharedContact(**row) for row in rows]
