"""Read the review queue, which groups leads that need review by issue."""

import dataclasses
import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from typing import Self

from adapter.models import Booking, Event
from adapter.store.queries import Statements
from adapter.store.rows import Row, booking_from_row, event_from_row
from adapter.store.search import LARGEST_NUMBER

#: Maximum number of leads to count of each kind: upcoming tours, leads without a time, past tours,
#: and webhooks without bookings.
MOST_COUNTED = 2_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """The problem that all leads in a review group share."""

    #: ``booking`` or ``event``.
    kind: str
    source: str
    state: str
    #: Why the leads are in that state: a reason code, or a user's text.
    code: str
    #: True if the adapter is still searching for the leads in Propexo's lists.
    is_looked_for: bool
    #: The first reason's field and message, and the value if the community is unknown.
    field: str
    message: str
    value: str

    @classmethod
    def of(cls, booking: Booking) -> Self:
        """Return a booking's issue. Digits are masked so that similar issues form one group."""
        first = booking.reasons[0] if booking.reasons else None
        is_community = first is not None and first.field in ("community", "attribution_id")
        return cls(
            kind="booking",
            source=booking.source,
            state=booking.state,
            code=booking.reason or "",
            is_looked_for=booking.due_at is not None,
            field=first.field if first else "",
            message=re.sub(r"[0-9]+(:[0-9]+)*", "…", first.reason) if first else "",
            value=(first.value or "") if first is not None and is_community else "",
        )

    @classmethod
    def of_event(cls, event: Event) -> Self:
        """Return the issue of a webhook event without bookings."""
        first = event.reasons[0] if event.reasons else None
        return cls(
            kind="event",
            source=event.source,
            state=event.state,
            code="",
            is_looked_for=False,
            field=first.field if first else "",
            message=first.reason if first else "",
            value="",
        )

    @property
    def key(self) -> str:
        """A short hash that identifies the issue."""
        text = "\0".join(map(str, dataclasses.astuple(self)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """All leads that need review because of one issue."""

    issue: Issue
    leads: int
    #: Names of up to three renters, soonest tour first.
    names: tuple[str, ...]
    #: The largest ID in the group. Later leads have larger IDs.
    last_id: int
    #: The soonest upcoming tour, or None.
    soonest_at: dt.datetime | None
    #: When the oldest lead was received.
    oldest_at: dt.datetime
    #: ``file:line`` of the mapping where the issue was found, or None.
    at: str | None
    #: All IDs, soonest tour first. Each comes with the tour's start in seconds since 1970 or None,
    #: whether the lead is snoozed, and the user who takes care of it.
    ids: Sequence[int] = ()
    tours: Sequence[float | None] = ()
    snoozed: Sequence[bool] = ()
    assigned: Sequence[str | None] = ()


class ReviewQueue(Statements):
    """Reads leads that need review within a transaction."""

    def groups(self, now: dt.datetime) -> list[Group]:
        """Return all review groups, starting with the group that has the soonest tour."""
        return [
            Group(
                issue=Issue(**{name: row[name] for name in Issue.__slots__}),
                **{field.name: row[field.name] for field in dataclasses.fields(Group)[3:]},
                leads=row["leads"],
                names=tuple(row["names"] or ()),
            )
            for row in self._all("review_groups", limit=MOST_COUNTED, now=now)
        ]

    def count(self, now: dt.datetime) -> int:
        """Return how many leads need review, counting at most :data:`MOST_COUNTED` per kind."""
        return int(self._value("review_count", now=now, limit=MOST_COUNTED) or 0)

    def group(self, key: str, now: dt.datetime) -> Group | None:
        """Return the review group with the given key, or None if none of its leads need review."""
        return next((group for group in self.groups(now) if group.issue.key == key), None)

    def mapped_with(self, booking_ids: Sequence[int]) -> list[Row]:
        """Return each booking's source, and the hash of the mapping that read its webhook."""
        return self._all("review_mapped_with", ids=list(booking_ids))

    def leads(
        self, issue: Issue, *, after: int = 0, last_id: int = LARGEST_NUMBER, limit: int = 50
    ) -> Sequence[Booking | Event]:
        """Return a review group's leads with IDs above ``after`` and up to ``last_id``.

        Bookings are sorted by tour time, and events by age.
        """
        values = dataclasses.asdict(issue) | {"after": after, "last_id": last_id, "limit": limit}
        if issue.kind == "event":
            rows = self._all("review_events", **values)
            return [event_from_row(self.connection.cipher.opened(row)) for row in rows]
        return [booking_from_row(row) for row in self._all("review_bookings", **values)]
