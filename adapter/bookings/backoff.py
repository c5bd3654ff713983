"""When to try again. Pure decisions: every function takes what it needs and touches nothing."""

import datetime as dt

from adapter.exceptions import (
    NotAuthorised,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    UpstreamError,
)
from adapter.models import AttemptOutcome

#: First gap between two tries, in seconds; each further one doubles, up to the longest.
FIRST_GAP_SECONDS = 2.0
LONGEST_GAP_SECONDS = 300.0
#: After a 429 without a date: Propexo's limit is counted by the minute.
RATE_LIMIT_SECONDS = 60.0
#: After a 401 or 403: somebody must change the token first.
NOT_AUTHORISED_SECONDS = 60.0
#: First and longest gap between two looks at a job.
FIRST_LOOK_SECONDS = 1.0
LONGEST_LOOK_SECONDS = 120.0
#: No job is given up sooner.
LEAST_PATIENCE = dt.timedelta(minutes=1)
#: First and longest gap between two searches for an unknown booking.
FIRST_SEARCH_SECONDS = 60.0
LONGEST_SEARCH_SECONDS = 3600.0

#: What each failure means for the attempt that met it.
OUTCOMES: dict[type[UpstreamError], AttemptOutcome] = {
    NotSent: AttemptOutcome.NOT_SENT,
    RateLimited: AttemptOutcome.RATE_LIMITED,
    NotAuthorised: AttemptOutcome.NOT_AUTHORISED,
    Refused: AttemptOutcome.REFUSED,
    OutcomeUnknown: AttemptOutcome.UNKNOWN,
}


def is_safe_to_repeat(outcome: AttemptOutcome) -> bool:
    """Whether nothing was booked for certain, and trying again makes sense."""
    return outcome in {
        AttemptOutcome.NOT_SENT,
        AttemptOutcome.RATE_LIMITED,
        AttemptOutcome.NOT_AUTHORISED,
    }


def next_try(error: UpstreamError, *, tries: int, now: dt.datetime, chance: float) -> dt.datetime:
    """When a booking goes out again after ``tries`` failures of a safe kind.

    ``chance`` is a random number from 0 to 1: waiting bookings spread out instead of coming
    back all at once.
    """
    if isinstance(error, NotAuthorised):
        gap = NOT_AUTHORISED_SECONDS
    elif error.retry_after_seconds is not None:
        gap = error.retry_after_seconds
    elif isinstance(error, RateLimited) and error.status == 429:
        gap = RATE_LIMIT_SECONDS
    else:
        gap = min(FIRST_GAP_SECONDS * 2.0 ** min(max(tries, 1) - 1, 20), LONGEST_GAP_SECONDS)
    return now + dt.timedelta(seconds=gap * (1.0 + 0.25 * chance))


def next_look(submitted_at: dt.datetime, *, now: dt.datetime, chance: float) -> dt.datetime:
    """When to ask for a job's status again: gaps grow by half of the time already waited."""
    waited = max((now - submitted_at).total_seconds(), 0.0)
    gap = min(max(waited / 2.0, FIRST_LOOK_SECONDS), LONGEST_LOOK_SECONDS)
    return now + dt.timedelta(seconds=gap * (1.0 + 0.25 * chance))


def patience(
    longest: dt.timedelta, *, submitted_at: dt.datetime, sendable_until: dt.datetime | None
) -> dt.timedelta:
    """How long a job is waited for: ``longest``, or less where it holds back a newer request.

    That one may be sent ``sendable_until``. Half of the time till then is the job's: a renter whose
    tour is soon would else have none.
    """
    if sendable_until is None:
        return longest
    return max(min(longest, (sendable_until - submitted_at) / 2), LEAST_PATIENCE)


def next_search(unknown_since: dt.datetime, *, now: dt.datetime, chance: float) -> dt.datetime:
    """When to look for an unknown booking again: gaps grow as long as the time already waited."""
    waited = max((now - unknown_since).total_seconds(), 0.0)
    gap = min(max(waited, FIRST_SEARCH_SECONDS), LONGEST_SEARCH_SECONDS)
    return now + dt.timedelta(seconds=gap * (1.0 + 0.25 * chance))
