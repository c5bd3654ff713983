"""Compute the delays before retries, job status checks and searches."""

import datetime as dt

from adapter.exceptions import (
    NotAuthorized,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unreachable,
    UpstreamError,
    WrongPath,
)
from adapter.models import AttemptOutcome

#: Delay before the first retry. The delay doubles with each further retry, up to the maximum.
FIRST_DELAY = dt.timedelta(seconds=2)
MAX_DELAY = dt.timedelta(minutes=5)
#: Delay after a 429 without Retry-After, because Propexo's limit is per minute.
RATE_LIMIT_SECONDS = 60.0
#: Delay after a 401 or 403, because someone must change the token first.
NOT_AUTHORIZED_SECONDS = 60.0
#: Minimum and maximum delay between reads of a job's status.
MIN_STATUS_DELAY_SECONDS = 1.0
MAX_STATUS_DELAY_SECONDS = 120.0
#: Minimum time to wait for a job's final status.
MIN_JOB_TIMEOUT = dt.timedelta(minutes=1)
#: Minimum and maximum delay between searches for a booking with an unknown outcome.
MIN_SEARCH_DELAY_SECONDS = 60.0
MAX_SEARCH_DELAY_SECONDS = 3600.0

#: The outcome of an attempt for each type of error.
OUTCOMES: dict[type[UpstreamError], AttemptOutcome] = {
    NotSent: AttemptOutcome.NOT_SENT,
    Unreachable: AttemptOutcome.NOT_SENT,
    RateLimited: AttemptOutcome.RATE_LIMITED,
    NotAuthorized: AttemptOutcome.NOT_AUTHORIZED,
    Refused: AttemptOutcome.REFUSED,
    WrongPath: AttemptOutcome.REFUSED,
    OutcomeUnknown: AttemptOutcome.UNKNOWN,
}


#: The reason codes for types of errors that stop sending if they happen several times in a row.
STOPPING: dict[type[UpstreamError], str] = {
    OutcomeUnknown: "no_clear_answer",
    Unreachable: "unreachable",
    WrongPath: "wrong_path",
}
#: A booking fails after this many 404s and similar responses if another booking was accepted since
#: the first of them.
MOST_WRONG_PATHS = 3


def is_safe_to_repeat(outcome: AttemptOutcome) -> bool:
    """Return True if an attempt with this outcome definitely did not book anything."""
    return outcome in {
        AttemptOutcome.NOT_SENT,
        AttemptOutcome.RATE_LIMITED,
        AttemptOutcome.NOT_AUTHORIZED,
    }


def doubling_pause(tries: int, first: dt.timedelta, most: dt.timedelta) -> dt.timedelta:
    """Return the delay after ``tries`` failures, doubling from ``first`` up to ``most``."""
    return min(first * (1 << min(max(tries, 1) - 1, 20)), most)


def next_try(error: UpstreamError, *, tries: int, now: dt.datetime, chance: float) -> dt.datetime:
    """Return the time of the next attempt to send a booking.

    ``error`` is the latest of ``tries`` failures. ``chance`` is a random number from 0 to 1
    (jitter), so that bookings are not all retried at the same moment.
    """
    if isinstance(error, NotAuthorized):
        delay = NOT_AUTHORIZED_SECONDS
    elif error.retry_after_seconds is not None:
        delay = error.retry_after_seconds
    elif isinstance(error, RateLimited) and error.status == 429:
        delay = RATE_LIMIT_SECONDS
    else:
        delay = doubling_pause(tries, FIRST_DELAY, MAX_DELAY).total_seconds()
    return now + dt.timedelta(seconds=delay * (1.0 + 0.25 * chance))


def next_status_read(submitted_at: dt.datetime, *, now: dt.datetime, chance: float) -> dt.datetime:
    """Return the time of a job's next status check. The delay grows with the job's age."""
    waited = max((now - submitted_at).total_seconds(), 0.0)
    delay = min(max(waited / 2.0, MIN_STATUS_DELAY_SECONDS), MAX_STATUS_DELAY_SECONDS)
    return now + dt.timedelta(seconds=delay * (1.0 + 0.25 * chance))


def job_timeout(
    limit: dt.timedelta, *, submitted_at: dt.datetime, sendable_until: dt.datetime | None
) -> dt.timedelta:
    """Return the timeout for a job, shortened if the job delays a newer request.

    The newer request can be sent until ``sendable_until``. The job gets only half of the remaining
    time, so that a newer tour that starts soon can still be booked.
    """
    if sendable_until is None:
        return limit
    return max(min(limit, (sendable_until - submitted_at) / 2), MIN_JOB_TIMEOUT)


def next_search(unknown_since: dt.datetime, *, now: dt.datetime, chance: float) -> dt.datetime:
    """Return the time of the next search for a booking. The delay grows over time."""
    waited = max((now - unknown_since).total_seconds(), 0.0)
    delay = min(max(waited, MIN_SEARCH_DELAY_SECONDS), MAX_SEARCH_DELAY_SECONDS)
    return now + dt.timedelta(seconds=delay * (1.0 + 0.25 * chance))
