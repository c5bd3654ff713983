"""Compare an edited mapping with the current one on stored webhooks, without sending anything."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapter.mapping.source import Source
from adapter.models import Event
from adapter.operations.diff import changed_fields, facts_of
from adapter.store import LARGEST_NUMBER, Database

#: Maximum number of stored webhooks to compare.
MOST_EVENTS = 1000
#: Number of webhooks to read at a time. It is small because each may have a size of 1 MB.
PAGE = 25


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """The results of mapping a webhook with the current and the edited mapping."""

    event_id: int
    received_at: dt.datetime
    #: The outcome of the whole webhook, such as book, held or ignored.
    before: str
    after: str
    #: ``item.field`` → (current, edited). The values are the renter's data.
    fields: Mapping[str, tuple[Any, Any]]
    #: The edited mapping's reasons for holding the webhook, and its notes.
    reasons: tuple[str, ...]


def recent(store: Database, source: str, last: int) -> Iterator[Event]:
    """Yield up to ``last`` of a source's webhooks that still have payloads, newest first."""
    before = LARGEST_NUMBER
    while last > 0:
        with store.transaction() as tx:
            page = tx.search.recent_events(source, limit=min(PAGE, last), before=before)
        yield from page
        if len(page) < PAGE:
            return
        last, before = last - len(page), page[-1].id


def compare_mappings(
    current: Source | None, edited: Source, events: Iterable[Event]
) -> Iterator[Compared]:
    """Map each event with both mappings and yield the differences.

    If ``current`` is None, every field counts as a change.
    """
    for event in events:
        delivery, now = event.request, event.received_at
        old = current.map(delivery, now=now) if current is not None else None
        new = edited.map(delivery, now=now)
        reasons = [
            *new.reasons,
            *(reason for item in new.items for reason in item.blocking_reasons),
        ]
        yield Compared(
            event_id=event.id,
            received_at=event.received_at,
            before=str(old.outcome) if old is not None else "",
            after=str(new.outcome),
            fields=changed_fields(facts_of(old) if old is not None else [], facts_of(new)),
            reasons=tuple(f"{reason.field}: {reason.reason}" for reason in reasons),
        )
