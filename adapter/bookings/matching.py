"""Build queries for Propexo's lists, and find an attempt's job in the write log.

After a POST without a response, three of Propexo's lists may contain the booking: the write log (a
job with these parameters), the prospects (this person) and their events (a tour at this instant).
The lists may lag hours behind Knock, so at first, a missing record proves nothing. All functions
are pure.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from adapter.models import Attempt, Booking
from adapter.propexo.crm_records import Model

WRITE_LOG = "/v1/admin/logs/writes/"
LISTS: Mapping[Model, str] = {
    Model.PROSPECTS: "/crm/v1/prospects/",
    Model.EVENTS: "/crm/v1/events/",
}

#: Maximum clock difference between two machines.
SKEW = dt.timedelta(seconds=30)

#: The fields that identify a booking. A guest card has no date or time.
IDENTIFYING = ("community_id", "appointment_date", "appointment_time", "last_name")
CONTACTS = ("email_1", "phone_1")

_SPANS = (("hour", 3600), ("day", 86_400), ("week", 7 * 86_400), ("month", 30 * 86_400))


def write_log_query(attempt: Attempt, now: dt.datetime) -> dict[str, str]:
    """Return the write log query for jobs since the start of an attempt."""
    return {
        "integration_id": str(attempt.request["integration_id"]),
        "time_range": time_range((now - attempt.started_at + SKEW).total_seconds()),
        "limit": "100",
    }


def time_range(age: float) -> str:
    """Return the shortest of Propexo's time ranges that covers ``age`` seconds."""
    return next((name for name, seconds in _SPANS if age < seconds), "month")


def prospects_query(attempt: Attempt) -> dict[str, str]:
    """Return the query for a community's prospects that changed after an attempt started."""
    return {
        "integration_id": str(attempt.request["integration_id"]),
        "community_id": str(attempt.request["community_id"]),
        "updated_at_gte": (attempt.started_at - SKEW).isoformat(),
        "order-by": "updated_at:desc",
        "limit": "250",
    }


def cards_query(card: Booking) -> dict[str, str]:
    """Return the query for a community's prospects that changed after a booking was sent."""
    return {
        "integration_id": str(card.appointment["integration_id"]),
        "community_id": str(card.appointment["community_id"]),
        "updated_at_gte": ((card.posted_at or card.created_at) - SKEW).isoformat(),
        "order-by": "updated_at:asc",
        "limit": "250",
    }


def events_query(attempt: Attempt, prospect_id: str) -> dict[str, str]:
    """Return the query for a prospect's tours."""
    return {
        "integration_id": str(attempt.request["integration_id"]),
        "prospect_id": prospect_id,
        "limit": "250",
    }


def job_in(
    log: Iterable[Mapping[str, Any]], attempt: Attempt, known: Iterable[str]
) -> tuple[str, dt.datetime] | None:
    """Return the job ID and acceptance time of an attempt from the write log, or None.

    ``known`` contains the IDs of other bookings' jobs, which are skipped.
    """
    others = set(known)
    for record in log:
        job_id, parameters = record.get("job_id"), record.get("parameters")
        created_at = parse_instant(record.get("created_at"))
        if (
            isinstance(job_id, str)
            and job_id not in others
            and isinstance(parameters, Mapping)
            and created_at is not None
            and created_at >= attempt.started_at - SKEW
            and is_same_request(parameters, attempt.request)
        ):
            return job_id, created_at
    return None


def jobs_of(log: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the job IDs in a list of write log records."""
    return [record["job_id"] for record in log if isinstance(record.get("job_id"), str)]


def is_same_request(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return True if two POST bodies are for the same person and the same tour."""
    return all(one.get(name) == other.get(name) for name in (*IDENTIFYING, *CONTACTS))


def normalize_contact(value: object) -> str:
    """Return an email in lower case, a phone number's last ten digits, or "" for other text."""
    text = str(value or "").strip().lower()
    if "@" in text:
        return text
    digits = "".join(character for character in text if character.isdigit())
    return digits[-10:] if len(digits) >= 10 else ""


def parse_instant(value: object) -> dt.datetime | None:
    """Parse an ISO 8601 timestamp and convert it to UTC. Return None if it is invalid."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = dt.datetime.fromisoformat(value)
        return at.astimezone(dt.UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None
