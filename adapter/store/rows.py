"""Convert database rows to :mod:`adapter.models` and back."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

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

#: A row, by column name.
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """A verified webhook to store, once per digest."""

    source: str
    #: Keyed hash of its dedupe key.
    digest: bytes
    #: SHA-256 of its body, and of its query if the query is signed.
    content: bytes
    received_at: dt.datetime
    #: Without credentials.
    request: WebhookRequest


def storable(text: str) -> str:
    """Remove characters that PostgreSQL cannot store: NUL and lone surrogates."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def values_from_event(new: NewEvent) -> tuple[Any, ...]:
    """Return the parameters of ``insert_events`` for one event."""
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
    """Return reasons as JSON."""
    return Jsonb(
        [
            {name: storable(text) if text else text for name, text in reason.as_dict().items()}
            for reason in reasons
        ]
    )


def _reasons(data: Iterable[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(Reason.from_dict(reason) for reason in data)


def _known(kind: type[Event | Booking | Attempt], row: Row) -> Row:
    """Return the columns that this version knows. A newer version may have added others."""
    return {field.name: row[field.name] for field in dataclasses.fields(kind)}


def event_from_row(row: Row) -> Event:
    """Convert a row to an event."""
    parsed = {"state": EventState(row["state"]), "reasons": _reasons(row["reasons"])}
    # Lists contain the body's size instead of the body.
    return Event(**_known(Event, {"size": len(row["body"])} | row) | parsed)


def booking_from_row(row: Row) -> Booking:
    """Convert a row to a booking."""
    parsed = {
        "state": BookingState(row["state"]),
        "kind": Kind(row["kind"]),
        "reasons": _reasons(row["reasons"]),
        "match_keys": tuple(row["match_keys"]),
    }
    return Booking(**_known(Booking, row) | parsed)


def attempt_from_row(row: Row) -> Attempt:
    """Convert a row to an attempt."""
    outcome = row["outcome"]
    parsed = {"outcome": AttemptOutcome(outcome) if outcome else None, "kind": Kind(row["kind"])}
    return Attempt(**_known(Attempt, row) | parsed)
