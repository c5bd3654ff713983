"""Convert database rows to the classes in :mod:`adapter.models` and back."""

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
    KnockStatus,
    Reason,
    WebhookRequest,
)
from adapter.store.request_cipher import RequestCipher
from adapter.store.request_cipher import Row as Row

#: Headers that usually contain the sender's delivery ID. A retry has the same value.
DELIVERY_ID_HEADERS = (
    "webhook-id",
    "svix-id",
    "x-webhook-id",
    "x-webhook-delivery-id",
    "x-delivery-id",
    "x-event-id",
    "idempotency-key",
)


def delivery_headers(*named: str | None) -> list[str]:
    """Return the headers that may contain a delivery ID: the usual ones and ``named``."""
    return [*DELIVERY_ID_HEADERS, *filter(None, named)]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """A verified webhook, ready to be stored."""

    source: str
    #: Keyed hash of the dedupe key.
    digest: bytes
    #: SHA-256 of the body, and of the query if the query is signed.
    content: bytes
    received_at: dt.datetime
    #: The request without credentials.
    request: WebhookRequest
    #: The header with the sender's delivery ID, if the mapping names one.
    delivery_header: str | None = None


def id_from_text(text: str) -> int | None:
    """Return a row's ID from a string such as ``1061``, or None if the string is anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def storable(text: str) -> str:
    """Remove characters that PostgreSQL cannot store (NUL and lone surrogates) from a string."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def values_from_event(new: NewEvent, cipher: RequestCipher) -> tuple[Any, ...]:
    """Return an event's parameters for the ``insert_events`` statement."""
    request = new.request
    headers = {storable(name): storable(text) for name, text in request.lowercase_headers.items()}
    row = {"headers": headers, "query": storable(request.query), "body": request.body}
    row = cipher.sealed(row, readable=delivery_headers(new.delivery_header))
    return (
        new.source,
        new.digest,
        new.content,
        new.received_at,
        storable(request.content_type),
        Jsonb(row["headers"]),
        row["query"],
        row["body"],
        row["encryption_key"],
    )


def json_from_reasons(reasons: Iterable[Reason]) -> Jsonb:
    """Convert reasons to a JSON value for a database column."""
    return Jsonb(
        [
            {name: storable(text) if text else text for name, text in reason.as_dict().items()}
            for reason in reasons
        ]
    )


def _reasons(data: Iterable[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(Reason.from_dict(reason) for reason in data)


def _known(kind: type[Event | Booking | Attempt], row: Row) -> Row:
    """Select the columns that this version knows, because a newer version may have added some."""
    return {field.name: row[field.name] for field in dataclasses.fields(kind)}


def event_from_row(row: Row) -> Event:
    """Create an event from a database row."""
    parsed = {"state": EventState(row["state"]), "reasons": _reasons(row["reasons"])}
    # Rows of lists contain the body's size instead of the body.
    return Event(**_known(Event, {"size": len(row["body"])} | row) | parsed)


def booking_from_row(row: Row) -> Booking:
    """Create a booking from a database row."""
    parsed = {
        "state": BookingState(row["state"]),
        "kind": Kind(row["kind"]),
        "reasons": _reasons(row["reasons"]),
        "match_keys": tuple(row["match_keys"]),
        "free_times": tuple(row["free_times"]),
        "knock_status": KnockStatus(row["knock_status"]) if row["knock_status"] else None,
    }
    return Booking(**_known(Booking, row) | parsed)


def attempt_from_row(row: Row) -> Attempt:
    """Create an attempt from a database row."""
    outcome = row["outcome"]
    parsed = {"outcome": AttemptOutcome(outcome) if outcome else None, "kind": Kind(row["kind"])}
    return Attempt(**_known(Attempt, {"event_id": None} | row) | parsed)
