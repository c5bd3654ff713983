"""Rows as the pipeline writes them, for the tests of the store."""

import datetime as dt
from typing import Any

from adapter.events import Booking, BookingState
from adapter.store import NewEvent, Store

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)


LATER = NOW + dt.timedelta(minutes=1)


def new_event(digest: bytes = b"one", source: str = "rentfeed") -> NewEvent:
    return NewEvent(
        source=source,
        digest=digest,
        content=b"content of " + digest,
        received_at=NOW,
        content_type="application/json",
        headers={"user-agent": "RentFeed"},
        query="",
        body=b'{"a": 1}',
    )


def insert_event(opened: Store, digest: bytes = b"one", source: str = "rentfeed") -> int | None:
    with opened.transaction() as leads:
        return leads.insert_event(new_event(digest, source))


def tasks(opened: Store) -> list[tuple[str, int]]:
    with opened.transaction() as leads:
        rows = leads.connection.execute(
            "SELECT task_name, (args->>'row_id')::bigint AS row FROM procrastinate_jobs ORDER BY id"
        ).fetchall()
    return [(row["task_name"], row["row"]) for row in rows]


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
        "person_keys": (),
    }
    return Booking(**given | changes)
