"""Report which leads were merged, replaced, discarded or ignored automatically."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from adapter.models import Booking
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row
from adapter.store.search import LARGEST_NUMBER

#: The rule for webhooks that a mapping ignores. All other rules are reason codes of bookings.
IGNORED = "ignored"
#: Maximum number of bookings, newest first, to search for shared contact details.
MOST_EXAMINED = 5_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DecisionCount:
    """The number of a source's leads that a rule handled automatically."""

    rule: str
    source: str
    #: ``file:line`` of the mapping's rule that ignores the leads, or None for other rules.
    at: str | None
    leads: int
    #: ``id`` and ``person`` of up to three leads, newest first.
    examples: Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SharedContact:
    """An email address or phone number that was used with several names."""

    contact: str
    leads: int
    names: Sequence[str]


class Decisions(Statements):
    """Reads automatic decisions on leads within a transaction."""

    def counts(self, since: dt.datetime) -> list[DecisionCount]:
        """Count the leads handled automatically after ``since``, by rule and source."""
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
        """Return the bookings from a source that a rule handled after ``since``, newest first."""
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
        """Return the emails and phones used with at least ``names`` names after ``since``."""
        rows = self._all("contacts_of_several", since=since, names=names, limit=MOST_EXAMINED)
        return [SharedContact(**row) for row in rows]
