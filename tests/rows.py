"""Build database rows as the pipeline does, for tests of the store."""

import datetime as dt
from typing import Any

from adapter.models import Attempt, Booking, BookingState, WebhookRequest
from adapter.store import Database, NewEvent, Rejection, Transaction

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)


LATER = NOW + dt.timedelta(minutes=1)


def new_event(digest: bytes = b"one", source: str = "rentfeed") -> NewEvent:
    return NewEvent(
        source=source,
        digest=digest,
        content=b"content of " + digest,
        received_at=NOW,
        request=WebhookRequest.from_body(
            b'{"a": 1}', "application/json", headers={"user-agent": "RentFeed"}
        ),
    )


def insert_event(opened: Database, digest: bytes = b"one", source: str = "rentfeed") -> int | None:
    with opened.transaction() as tx:
        return tx.events.insert(new_event(digest, source))


def whole_rejections(tx: Transaction, source: str | None = None) -> list[Rejection]:
    """Return all rejections with their contents, newest first."""
    listed = tx.rejections.newest(source=source, limit=10_000)
    return [found for one in listed if (found := tx.rejections.get(one.id))]


AT = dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)


def booking(state: BookingState, **changes: Any) -> Booking:
    given: dict[str, Any] = {
        "id": 7,
        "event_id": 5,
        "source": "bot",
        "state": state,
        "community": "maple-court",
        "timezone": "America/Denver",
        "starts_at": AT,
        "appointment": {"first_name": "Dana", "last_name": "Okafor", "pets": ["cat", "small_dog"]},
        "reasons": (),
        "job_id": None,
        "due_at": None,
        "created_at": AT,
        "updated_at": AT,
        "reason": None,
        "asked_at": AT,
        "match_keys": (),
    }
    return Booking(**given | changes)


REQUEST = {
    "integration_id": "int_7Qm2",
    "community_id": "com_maple",
    "attribution_id": "att_website_m",
    "appointment_date": "2030-03-14",
    "appointment_time": "20:30:00",
    "last_name": "Okafor",
    "email_1": "dana.okafor@example.com",
}


def attempt(**changes: Any) -> Attempt:
    return Attempt(
        id=1,
        booking_id=1,
        request=REQUEST | changes,
        started_at=NOW,
        finished_at=None,
        outcome=None,
        status=None,
        answer=None,
    )


def other(
    id_: int,
    starts_at: dt.datetime | None,
    asked_at: dt.datetime,
) -> Booking:
    return Booking(
        id=id_,
        event_id=1,
        source="rentfeed",
        state=BookingState.BOOKED,
        community="maple-court",
        timezone="America/Denver",
        starts_at=starts_at,
        appointment={},
        reasons=(),
        job_id=None,
        due_at=None,
        created_at=NOW,
        updated_at=NOW,
        reason=None,
        asked_at=asked_at,
        match_keys=(1,),
    )
