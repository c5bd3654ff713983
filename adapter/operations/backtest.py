"""Back-test: an edited mapping over stored webhooks, beside the present one. Nothing is sent."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapter.mapping.source import Source
from adapter.models import Event
from adapter.operations.diff import changed_fields, facts_of
from adapter.store import LARGEST_NUMBER, Database

#: So many stored webhooks are tried at the most.
MOST_EVENTS = 1000
#: Webhooks that are read at a time: each may hold a megabyte.
PAGE = 25


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One stored webhook, by the present mapping and by the edited one."""

    event_id: int
    received_at: dt.datetime
    #: What the whole of it is: book, held, ignored …
    before: str
    after: str
    #: ``item.field`` → (by the present one, by the edited one). Holds the renter's data.
    fields: Mapping[str, tuple[Any, Any]]
    #: The sentences of what the edited one holds or notes.
    reasons: tuple[str, ...]


def recent(store: Database, source: str, last: int) -> Iterator[Event]:
    """The newest ``last`` webhooks of a source whose payload is still kept, newest first."""
    before = LARGEST_NUMBER
    while last > 0:
        with store.transaction() as tx:
            found = tx.search.recent_events(source, limit=min(PAGE, last), before=before)
        yield from found
        if len(found) < PAGE:
            return
        last, before = last - len(found), found[-1].id


def backtest(present: Source | None, edited: Source, events: Iterable[Event]) -> Iterator[Compared]:
    """Each event as the edited mapping reads it, judged by the time at which it came.

    Without a ``present`` mapping everything is a change.
    """
    for event in events:
        delivery, now = event.request, event.received_at
        old = present.map(delivery, now=now) if present is not None else None
        new = edited.map(delivery, now=now)
        told = [*new.reasons, *(reason for item in new.items for reason in item.because)]
        yield Compared(
            event_id=event.id,
            received_at=event.received_at,
            before=str(old.outcome) if old is not None else "",
            after=str(new.outcome),
            fields=changed_fields(facts_of(old) if old is not None else [], facts_of(new)),
            reasons=tuple(f"{reason.field}: {reason.reason}" for reason in told),
        )
