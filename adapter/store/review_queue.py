"""What waits for a person, in groups of what is wrong. A group is mended and released as one."""

import dataclasses
import datetime as dt
import hashlib
import re
from typing import Any, Self

from adapter.models import Booking, Event
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row, event_from_row
from adapter.store.search import LARGEST_NUMBER

#: At most so many are counted of each kind: tours to come, leads without a time, tours that are
#: past, webhooks of which nothing was made.
MOST_COUNTED = 2_000

_NEVER = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_FOR_EVER = "infinity"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """One thing that is wrong, the same with each lead of a group."""

    #: ``booking`` or ``event``.
    kind: str
    source: str
    state: str
    #: Why they are in that state: a constant word, or what a person wrote.
    word: str
    #: Whether the adapter still looks for them in Propexo's lists.
    is_looked_for: bool
    #: The first reason: its field and sentence, and for a place that is not known what was sent.
    field: str
    sentence: str
    value: str

    @classmethod
    def of(cls, booking: Booking) -> Self:
        """What a booking that waits, waits for: as the groups say it."""
        first = booking.reasons[0] if booking.reasons else None
        is_place = first is not None and first.field in ("community", "attribution_id")
        return cls(
            kind="booking",
            source=booking.source,
            state=booking.state,
            word=booking.reason or "",
            is_looked_for=booking.due_at is not None,
            field=first.field if first else "",
            sentence=re.sub(r"[0-9]+(:[0-9]+)*", "…", first.reason) if first else "",
            value=(first.value or "") if first is not None and is_place else "",
        )

    @property
    def key(self) -> str:
        """A short name of the group, the same as long as the trouble is."""
        text = "\0".join(map(str, dataclasses.astuple(self)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """All leads that wait for the same thing."""

    issue: Issue
    leads: int
    #: Up to three of the renters, soonest tour first.
    names: tuple[str, ...]
    #: The largest number among them: what comes later has a larger one.
    last_id: int
    #: The soonest tour that is still to come; None: none is known.
    soonest_at: dt.datetime | None
    #: When the one came that waits longest.
    oldest_at: dt.datetime
    #: ``file:line`` of the mapping where the trouble was found, or None.
    at: str | None


class ReviewQueue(Statements):
    """What waits, over one connection and within its transaction."""

    def groups(self, now: dt.datetime) -> list[Group]:
        """Every group, the one with the soonest tour first."""
        return [
            Group(
                issue=Issue(**{name: row[name] for name in Issue.__slots__}),
                **{field.name: row[field.name] for field in dataclasses.fields(Group)[3:]},
                leads=row["leads"],
                names=tuple(row["names"] or ()),
            )
            for row in self._all("waiting_groups", limit=MOST_COUNTED, now=now)
        ]

    def bookings_of(
        self,
        trouble: Issue,
        *,
        after: Booking | None = None,
        last_id: int = LARGEST_NUMBER,
        limit: int = 50,
    ) -> list[Booking]:
        """A group's bookings up to ``last_id``, soonest tour first; the next page ``after`` one."""
        at: Any = _NEVER if after is None else (after.starts_at or _FOR_EVER)
        rows = self._all(
            "waiting_bookings",
            **_values(trouble),
            word=trouble.word,
            state=trouble.state,
            value=trouble.value,
            is_looked_for=trouble.is_looked_for,
            after_at=at,
            after_id=after.id if after else 0,
            last_id=last_id,
            limit=limit,
        )
        return [booking_from_row(row) for row in rows]

    def events_of(
        self,
        trouble: Issue,
        *,
        after: int = 0,
        last_id: int = LARGEST_NUMBER,
        limit: int = 50,
    ) -> list[Event]:
        """A group's events up to ``last_id``, oldest first; the next page ``after`` a number."""
        rows = self._all(
            "waiting_events", **_values(trouble), after_id=after, last_id=last_id, limit=limit
        )
        return [event_from_row(row) for row in rows]


def _values(trouble: Issue) -> dict[str, str]:
    return {"source": trouble.source, "field": trouble.field, "sentence": trouble.sentence}
