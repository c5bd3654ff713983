"""Rows of the database as values of :mod:`adapter.models`, and back."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Self

from psycopg.types.json import Jsonb

from adapter.models import (
    Attempt,
    AttemptOutcome,
    Booking,
    BookingState,
    Event,
    EventState,
    Kind,
    Reason,
    WebhookRequest,
)

#: One row, by column name.
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """One verified webhook, to be stored once for each digest."""

    source: str
    #: Keyed hash of what tells it from others.
    digest: bytes
    #: Hash of what it says.
    content: bytes
    received_at: dt.datetime
    #: Without credentials.
    request: WebhookRequest


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewBooking:
    """One appointment or guest card to be made, as the mapping gave it."""

    item: int
    state: BookingState
    reason: str | None
    community: str | None
    timezone: str | None
    starts_at: dt.datetime | None
    appointment: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    asked_at: dt.datetime
    person_keys: tuple[int, ...] = ()
    kind: Kind = Kind.APPOINTMENT

    def with_state(self, state: BookingState, reason: str, *more: Reason) -> Self:
        """The same in another state, with the word and the sentences that say why."""
        reasons = (*self.reasons, *more)
        return dataclasses.replace(self, state=state, reason=reason, reasons=reasons)


def storable(text: str) -> str:
    """The text as that PostgreSQL can hold: no NUL, no lone surrogate."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def values_from_event(new: NewEvent) -> tuple[Any, ...]:
    """What the statement that stores events takes of each, in its order."""
    request = new.request
    headers = {storable(name): storable(text) for name, text in request.lowercase_headers.items()}
    return (
        new.source,
        new.digest,
        new.content,
        new.received_at,
        storable(request.content_type),
        Jsonb(headers),
        storable(request.query),
        request.body,
    )


def json_from_reasons(reasons: Iterable[Reason]) -> Jsonb:
    """Reasons as the database keeps them."""
    return Jsonb(
        [
            {name: storable(text) if text else text for name, text in reason.as_dict().items()}
            for reason in reasons
        ]
    )


def _reasons(data: Iterable[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(Reason.from_dict(reason) for reason in data)


def _known(kind: type[Event | Booking | Attempt], row: Row) -> Row:
    """The columns that this version knows: a newer one may have added some while we still run."""
    return {field.name: row[field.name] for field in dataclasses.fields(kind)}


def event_from_row(row: Row) -> Event:
    """A row of events."""
    read = {"state": EventState(row["state"]), "reasons": _reasons(row["reasons"])}
    # A list leaves the body out and says its size.
    return Event(**_known(Event, {"size": len(row["body"])} | row) | read)


def booking_from_row(row: Row) -> Booking:
    """A row of bookings."""
    read = {
        "state": BookingState(row["state"]),
        "kind": Kind(row["kind"]),
        "reasons": _reasons(row["reasons"]),
        "person_keys": tuple(row["person_keys"]),
    }
    return Booking(**_known(Booking, row) | read)


def attempt_from_row(row: Row) -> Attempt:
    """A row of attempts."""
    outcome = row["outcome"]
    read = {"outcome": AttemptOutcome(outcome) if outcome else None, "kind": Kind(row["kind"])}
    return Attempt(**_known(Attempt, row) | read)
