"""Where an unknown booking may be found again, and how it is recognised: pure functions.

When a POST got no answer, three of Propexo's lists may tell: the write log (is there a job with
these parameters?), the prospects (is there this person?) and their events (is there a tour at this
instant?). The lists may be hours behind Knock, so that "not there" proves nothing for a while.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from adapter.models import Attempt, Booking

WRITE_LOG = "/v1/admin/logs/writes/"
PROSPECTS = "/crm/v1/prospects/"
EVENTS = "/crm/v1/events/"

#: Clocks of two machines may differ by so much.
SKEW = dt.timedelta(seconds=30)

#: What of a request tells one booking from another. A guest card has neither date nor time.
TELLING = ("community_id", "appointment_date", "appointment_time", "last_name")
CONTACTS = ("email_1", "phone_1")

_SPANS = (("hour", 3600), ("day", 86_400), ("week", 7 * 86_400), ("month", 30 * 86_400))


def write_log_query(attempt: Attempt, now: dt.datetime) -> dict[str, str]:
    """The query for the writes since an attempt."""
    age = (now - attempt.started_at + SKEW).total_seconds()
    span = next((name for name, seconds in _SPANS if age < seconds), "month")
    return {
        "integration_id": str(attempt.request["integration_id"]),
        "time_range": span,
        "limit": "100",
    }


def prospects_query(attempt: Attempt) -> dict[str, str]:
    """The query for the people of the community that changed since an attempt."""
    return {
        "integration_id": str(attempt.request["integration_id"]),
        "community_id": str(attempt.request["community_id"]),
        "updated_at_gte": (attempt.started_at - SKEW).isoformat(),
        "order-by": "updated_at:desc",
        "limit": "250",
    }


def events_query(attempt: Attempt, prospect_id: str) -> dict[str, str]:
    """The query for one person's tours."""
    return {
        "integration_id": str(attempt.request["integration_id"]),
        "prospect_id": prospect_id,
        "limit": "250",
    }


def job_in(log: Iterable[Mapping[str, Any]], attempt: Attempt, known: Iterable[str]) -> str | None:
    """The id of the job that carries out this attempt; jobs of other bookings are ``known``."""
    others = set(known)
    for record in log:
        job_id, parameters = record.get("job_id"), record.get("parameters")
        created_at = _instant(record.get("created_at"))
        if (
            isinstance(job_id, str)
            and job_id not in others
            and isinstance(parameters, Mapping)
            and created_at is not None
            and created_at >= attempt.started_at - SKEW
            and is_same_request(parameters, attempt.request)
        ):
            return job_id
    return None


def jobs_of(log: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of the jobs in a write log."""
    return [record["job_id"] for record in log if isinstance(record.get("job_id"), str)]


def is_same_request(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two requests ask for the same person's tour."""
    return all(one.get(name) == other.get(name) for name in (*TELLING, *CONTACTS))


def prospects_in(found: Iterable[Mapping[str, Any]], attempt: Attempt) -> list[str]:
    """Ids of the prospects with the e-mail or the phone of this attempt."""
    wanted = {_plain(attempt.request.get(name)) for name in CONTACTS} - {""}
    return [
        record["id"]
        for record in found
        if isinstance(record.get("id"), str)
        and wanted & {_plain(value) for value in record.values() if isinstance(value, str)}
    ]


def card_in(found: Iterable[Mapping[str, Any]], attempt: Attempt) -> bool:
    """Whether one of these prospects is the guest card of this attempt.

    Nothing else proves it, so that one contact is not enough: a room-mate may have the same phone.
    Each contact that was sent must be there, and the last name.
    """
    contacts = {_plain(attempt.request.get(name)) for name in CONTACTS} - {""}
    last_name = str(attempt.request.get("last_name") or "").casefold()
    for record in found:
        texts = [value for value in record.values() if isinstance(value, str)]
        has_name = not last_name or any(last_name in text.casefold() for text in texts)
        if contacts <= {_plain(text) for text in texts} and has_name:
            return True
    return False


def tour_in(found: Iterable[Mapping[str, Any]], booking: Booking) -> bool:
    """Whether one of these events is the tour, at its very instant, and not cancelled.

    The names of an event's fields were in no source, so that any of them may hold the instant.
    """
    return any(
        not record.get("is_cancelled")
        and booking.starts_at in {_instant(value) for value in record.values()}
        for record in found
    )


def _plain(value: object) -> str:
    """An e-mail in lower case, a phone as its last ten digits."""
    text = str(value or "").strip().lower()
    if "@" in text:
        return text
    digits = "".join(character for character in text if character.isdigit())
    return digits[-10:] if len(digits) >= 10 else ""


def _instant(value: object) -> dt.datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return at.astimezone(dt.UTC) if at.tzinfo else None
