"""Update bookings from Propexo's responses to POSTs, status checks and searches.

Every function writes in the caller's transaction. A finished attempt is not changed, because the
first outcome counts, with one exception: a late response may correct an attempt that recovery
marked unknown.
"""

import dataclasses
import datetime as dt
import enum
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapter.bookings import backoff, decisions, person
from adapter.bookings.reconcile import move, reconcile
from adapter.bookings.same_person import Relation, relation
from adapter.bookings.write_log import Job
from adapter.exceptions import NotAuthorized, RateLimited, Refused, UpstreamError, WrongPath
from adapter.models import Attempt, AttemptOutcome, Booking, BookingState, Reason
from adapter.propexo import appointment
from adapter.propexo.responses import (
    WRONG_PATH_STATUSES,
    Accepted,
    JobReport,
    WriteStatus,
    reasons_from,
)
from adapter.store import Transaction
from adapter.store.crm_models import Reading
from adapter.store.rate_limit import MOST_FAILURES

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UnknownMatch:
    """A record in Propexo that matches a booking with an unknown outcome."""

    #: The job ID, whose status must be read. None if the tour itself was found in Knock.
    job_id: str | None
    #: When Propexo accepted the job, if the write log contains the time.
    accepted_at: dt.datetime | None = None


#: Reason codes of unknown bookings that the adapter searches for before users act.
SEARCHED = frozenset({"no_answer", "sender_lost", "restored"})


class Unfound(enum.Enum):
    """The reason that a search for a booking found nothing."""

    #: The lists do not contain the booking, at least not yet.
    ABSENT = enum.auto()
    #: A guest card without any contact may be the renter's.
    INCOMPLETE = enum.auto()
    #: The list of guest cards has always been empty, so Propexo may not synchronize it.
    EMPTY = enum.auto()
    #: The lists cannot be read, so only a user can look in Knock.
    NOT_READABLE = enum.auto()


def record_accepted(
    tx: Transaction, attempt: Attempt, accepted: Accepted, now: dt.datetime
) -> None:
    """Record that Propexo accepted a booking, and schedule the first job status check."""
    if tx.attempts.accept(
        attempt.id,
        now=now,
        due_at=backoff.next_status_read(now, now=now, chance=jitter()),
        job_id=accepted.job_id,
        status=accepted.status,
        answer=accepted.answer,
        rate=accepted.rate,
    ):
        log.info("booking_submitted", extra=_facts(attempt, job_id=accepted.job_id))


def record_failure(
    tx: Transaction, attempt: Attempt, error: UpstreamError, now: dt.datetime
) -> None:
    """Record a failed or inconclusive POST, and decide what happens to its booking."""
    outcome, booking = backoff.OUTCOMES[type(error)], _lock_person(tx, attempt, now)
    if not tx.attempts.finish(
        attempt.id, outcome, now=now, status=error.status, answer=error.answer
    ):
        return
    if isinstance(error, WrongPath) and _has_wrong_id(tx, attempt):
        _refused(tx, attempt, error, now)
        reconcile(tx, booking, now)
        return
    _count(tx, error, now)
    if isinstance(error, WrongPath) or backoff.is_safe_to_repeat(outcome):
        _retry_or_hold(tx, attempt, error, now)
    elif isinstance(error, Refused):
        _refused(tx, attempt, error, now)
    else:
        _mark_unknown(tx, attempt.booking_id, "no_answer", now)
    reconcile(tx, booking, now)


def _has_wrong_id(tx: Transaction, attempt: Attempt) -> bool:
    """Return True if a booking's repeated 404s are caused by its IDs, not by Propexo's URL.

    That is certain only if Propexo has accepted another booking since the first 404.
    """
    attempts = tx.attempts.of_booking(attempt.booking_id)
    wrong = [one for one in attempts if one.status in WRONG_PATH_STATUSES]
    is_repeated = len(wrong) >= backoff.MOST_WRONG_PATHS
    return is_repeated and tx.attempts.has_accepted_since(wrong[0].id)


def _count(tx: Transaction, error: UpstreamError, now: dt.datetime) -> None:
    """Stop sending after several POSTs in a row without a clear response.

    Any other response shows that Propexo works.
    """
    reason = backoff.STOPPING.get(type(error))
    if reason is None:
        if error.status is not None:
            tx.rate_limit.end_failures()
    elif failures := tx.rate_limit.count_failure(reason, str(error), now):
        is_error = failures == MOST_FAILURES and reason != "unreachable"
        level = logging.ERROR if is_error else logging.WARNING
        log.log(level, "sending_stopped", extra={"why": reason, "reason": str(error)})


def _refused(tx: Transaction, attempt: Attempt, error: Refused, now: dt.datetime) -> None:
    """Mark a rejected booking as failed, or resend it once without rejected optional fields.

    The rejected fields are moved to the notes. A second POST is safe, because Propexo returns a 400
    before it creates a job.
    """
    reasons = reasons_from(error.answer)
    names = {reason.field.partition(".")[0] for reason in reasons}
    booking = tx.bookings.get(attempt.booking_id)
    refusals = sum(
        one.outcome is AttemptOutcome.REFUSED for one in tx.attempts.of_booking(attempt.booking_id)
    )
    is_optional = booking is not None and names <= appointment.optional(booking.kind)
    if booking and error.status == 400 and refusals == 1 and is_optional:
        reduced = appointment.without(booking.appointment, names)
        tx.bookings.update(dataclasses.replace(booking, appointment=reduced))
        why, to, due_at = "optional_fields_refused", BookingState.PENDING, now
    else:
        why, to, due_at = "refused", BookingState.FAILED, None
        log.error("booking_refused", extra=_facts(attempt, status=error.status))
    tx.bookings.move(attempt.booking_id, to, why=why, now=now, due_at=due_at, reasons=reasons)


def _retry_or_hold(
    tx: Transaction, attempt: Attempt, error: UpstreamError, now: dt.datetime
) -> None:
    """Schedule a retry of a booking that is definitely not in Knock, or hold it for review."""
    outcome, limiter = backoff.OUTCOMES[type(error)], tx.rate_limit
    limiter.save_limit(error.rate, now)
    outcomes = [one.outcome for one in tx.attempts.of_booking(attempt.booking_id) if one.outcome]
    tries = sum(map(backoff.is_safe_to_repeat, outcomes))
    due_at = backoff.next_try(error, tries=tries, now=now, chance=jitter())
    if isinstance(error, NotAuthorized):
        # Every other booking would get the same response, so sending is suspended until the token
        # works.
        if limiter.suspend("not_authorized", now):
            log.error("sending_stopped", extra={"why": "not_authorized", "status": error.status})
        if outcomes.count(AttemptOutcome.NOT_AUTHORIZED) > 1:
            # Other bookings were accepted since, so Propexo rejects the token only for this one.
            _hold_as_refused(tx, attempt, now)
            return
    elif isinstance(error, RateLimited):
        limiter.pause(due_at)
    tx.bookings.move(attempt.booking_id, BookingState.PENDING, why=outcome, now=now, due_at=due_at)
    log.warning("booking_postponed", extra=_facts(attempt, outcome=outcome, reason=str(error)))


def _hold_as_refused(tx: Transaction, attempt: Attempt, now: dt.datetime) -> None:
    why = Reason(field="propexo", reason="Propexo accepts the API token, but not for this booking")
    tx.bookings.move(
        attempt.booking_id, BookingState.HELD, why="not_authorized", now=now, reasons=[why]
    )
    log.error("booking_held", extra=_facts(attempt))


def _lock_person(tx: Transaction, attempt: Attempt, now: dt.datetime) -> Booking:
    """Lock the keys of an attempt's booking, and return the booking.

    A newer request from the same person may arrive at the same moment.
    """
    booking = tx.bookings.get(attempt.booking_id)
    assert booking is not None  # noqa: S101 - bookings are never deleted
    tx.bookings.lock_related([booking], now)
    return booking


def record_lost_attempt(tx: Transaction, attempt: Attempt, now: dt.datetime) -> None:
    """Mark a booking as unknown because the process that sent it has died."""
    booking = _lock_person(tx, attempt, now)
    if tx.attempts.finish(attempt.id, AttemptOutcome.UNKNOWN, now=now):
        _mark_unknown(tx, attempt.booking_id, "sender_lost", now)
        reconcile(tx, booking, now)


def record_lost_job(
    tx: Transaction, booking: Booking, job: Job, now: dt.datetime, *, why: str
) -> None:
    """Record a job from Propexo's log for a booking whose attempt was lost in a restore."""
    if booking.state is not BookingState.PENDING:
        tx.bookings.move(
            booking.id, BookingState.PENDING, why="found_in_write_log", now=now, due_at=now
        )
    attempt = tx.attempts.begin(
        booking.id, job.parameters, now=job.created_at, lease_until=job.created_at
    )()
    tx.attempts.accept(
        attempt.id, now=now, due_at=now, job_id=job.id, status=None, answer="", rate=None
    )
    if job.is_success:
        tx.bookings.move(booking.id, BookingState.BOOKED, why=why, now=now)
    reconcile(tx, booking, now)
    log.info("booking_found", extra={"booking_id": booking.id, "job_id": job.id})


def record_possibly_sent(
    tx: Transaction,
    booking: Booking,
    request: Mapping[str, Any],
    since: dt.datetime,
    now: dt.datetime,
) -> None:
    """Mark a pending booking as unknown because it may have been sent after the backup."""
    attempt = tx.attempts.begin(booking.id, request, now=since, lease_until=now)()
    tx.attempts.finish(attempt.id, AttemptOutcome.UNKNOWN, now=now)
    _mark_unknown(tx, booking.id, "restored", now)
    reconcile(tx, booking, now)


def record_success(
    tx: Transaction, booking: Booking, report: JobReport, now: dt.datetime
) -> Callable[[], bool]:
    """Record that a submitted booking's job has succeeded.

    Return a function that returns True if the booking was still submitted.
    """
    tx.rate_limit.save_limit(report.rate, now)
    return tx.bookings.move(
        booking.id,
        BookingState.BOOKED,
        why="job_succeeded",
        now=now,
        only_from=BookingState.SUBMITTED,
    )


def record_job_status(
    tx: Transaction,
    booking: Booking,
    report: JobReport,
    now: dt.datetime,
    deadline: dt.timedelta,
    others: Sequence[Booking] = (),
) -> None:
    """Record a job's status. The booking becomes booked, failed or unknown, or is checked later.

    ``others`` contains the requests that share a key with the booking.
    """
    tx.rate_limit.save_limit(report.rate, now)
    reasons = [Reason(field="propexo", reason=f"Propexo says: {text}") for text in report.errors]
    newer = person.newer_but_posted_earlier(booking, others)
    if report.status is WriteStatus.SUCCESS and newer is not None:
        _leave_to_person(tx, booking, newer, now)
    elif report.status is WriteStatus.SUCCESS:
        record_booked(tx, booking, "job_succeeded", now)
    elif report.status is WriteStatus.FAILURE:
        tx.attempts.fail_job(booking.id)
        tx.bookings.move(
            booking.id, BookingState.FAILED, why="job_failed", now=now, reasons=reasons
        )
        log.error("booking_failed", extra={"booking_id": booking.id})
    elif report.status is WriteStatus.PARTIAL_SUCCESS:
        _mark_unknown(tx, booking.id, "partial_success", now, reasons)
    elif now - booking.updated_at > deadline:
        _mark_unknown(tx, booking.id, "no_final_status", now, reasons)
    else:
        # The last update of a submitted booking was its submission.
        due_at = backoff.next_status_read(booking.updated_at, now=now, chance=jitter())
        tx.bookings.reschedule(booking, due_at)


def record_status_error(
    tx: Transaction,
    booking: Booking,
    error: UpstreamError,
    now: dt.datetime,
    deadline: dt.timedelta,
    lag: dt.timedelta,
) -> None:
    """Schedule another status check after a failed one, or mark the booking as unknown.

    The booking becomes unknown after ``deadline`` if Propexo rejected the check, or after ``lag``
    if the check failed for another reason. Then the booking is searched for.
    """
    apply_rate_headers(tx, error, now)
    if now - booking.updated_at > (deadline if isinstance(error, Refused) else lag):
        _mark_unknown(tx, booking.id, "no_final_status", now)
        return
    tx.bookings.reschedule(
        booking, backoff.next_status_read(booking.updated_at, now=now, chance=jitter())
    )


def record_search_error(
    tx: Transaction, booking: Booking, error: UpstreamError, now: dt.datetime
) -> None:
    """Schedule another search for a booking after a search has failed."""
    apply_rate_headers(tx, error, now)
    _search_again(tx, booking, now)


def apply_rate_headers(tx: Transaction, error: UpstreamError, now: dt.datetime) -> None:
    """Update the rate limit after a failed read. Suspend sending if the token was rejected."""
    limiter = tx.rate_limit
    limiter.save_limit(error.rate, now)
    if isinstance(error, RateLimited):
        limiter.pause(backoff.next_try(error, tries=1, now=now, chance=jitter()))
    elif isinstance(error, NotAuthorized) and limiter.suspend("not_authorized", now):
        log.error("sending_stopped", extra={"why": "not_authorized", "status": error.status})


def record_search(
    tx: Transaction,
    booking: Booking,
    attempt: Attempt,
    match: UnknownMatch | None,
    now: dt.datetime,
    until: dt.datetime,
    others: Sequence[Booking] = (),
    unfound: Unfound = Unfound.ABSENT,
) -> None:
    """Record the result of a search for a booking with an unknown outcome.

    ``others`` contains the requests that share a key with the booking. The tour that was found may
    belong to one of them.
    """
    other = person.other_owner(booking, others)
    if match is not None and match.job_id is None and other is not None:
        _record_ambiguous_tour(tx, booking, other, now, until)
        return
    if match is not None:
        tx.attempts.finish(attempt.id, AttemptOutcome.ACCEPTED, now=now, status=attempt.status)
    if match is not None and match.job_id is not None:
        tx.bookings.move(
            booking.id,
            BookingState.SUBMITTED,
            why="found_in_write_log",
            now=now,
            due_at=now,
            job_id=match.job_id,
            posted_at=match.accepted_at,
        )
        log.info("booking_found", extra={"booking_id": booking.id, "job_id": match.job_id})
    elif match is not None:
        record_booked(tx, booking, "seen_in_knock", now)
    else:
        _record_unfound(tx, booking, unfound, now, until)


def _record_unfound(
    tx: Transaction, booking: Booking, unfound: Unfound, now: dt.datetime, until: dt.datetime
) -> None:
    """Schedule another search, or leave the booking to a user if no search can find it."""
    is_unreadable = unfound in (Unfound.EMPTY, Unfound.NOT_READABLE)
    is_hopeless = unfound is Unfound.NOT_READABLE and booking.job_id is None
    if is_hopeless or now >= until:
        if is_unreadable:
            tx.bookings.stop_reconciling(booking, why="not_readable", now=now)
        elif unfound is Unfound.INCOMPLETE:
            tx.bookings.stop_reconciling(booking, why="maybe_found", now=now)
        else:
            tx.bookings.stop_reconciling(booking, why="not_found", now=now)
        log.error("booking_not_found", extra={"booking_id": booking.id, "why": unfound.name})
    elif is_unreadable and booking.reason in SEARCHED:
        _tell_not_readable(tx, booking, now)
    else:
        _search_again(tx, booking, now)


def _tell_not_readable(tx: Transaction, booking: Booking, now: dt.datetime) -> None:
    """Ask users to check Knock, but search again in case the booking appears later."""
    due_at = backoff.next_search(now, now=now, chance=jitter())
    tx.bookings.move(booking.id, BookingState.UNKNOWN, why="not_readable", now=now, due_at=due_at)


def _record_ambiguous_tour(
    tx: Transaction, booking: Booking, later: Booking, now: dt.datetime, until: dt.datetime
) -> None:
    """Record that a tour found in Knock may belong to ``booking`` or to ``later``.

    If the later booking has the same start time, the tour belongs to it. Otherwise, Knock should
    have canceled the tour, so it was processed late and has replaced the later tour.
    """
    is_booked = later.state is BookingState.BOOKED
    is_same_tour = later.starts_at == booking.starts_at
    if not is_booked and now < until:
        _search_again(tx, booking, now)
    elif is_booked and is_same_tour and relation(later, booking) is Relation.SAME:
        tx.attempts.deny(booking.id, now=now)
        move(tx, booking, decisions.duplicate_of(booking, later), now)
    else:
        _leave_to_person(tx, booking, later, now)


def _search_again(tx: Transaction, booking: Booking, now: dt.datetime) -> None:
    due_at = backoff.next_search(booking.updated_at, now=now, chance=jitter())
    tx.bookings.reschedule(booking, due_at)


def record_booked(tx: Transaction, booking: Booking, how: str, now: dt.datetime) -> None:
    """Mark a booking as booked, or for review if a user reported a cancellation."""
    if booking.gone_at is None:
        tx.bookings.move(booking.id, BookingState.BOOKED, why=how, now=now)
        log.info("booking_booked", extra={"booking_id": booking.id, "why": how})
        return
    tx.bookings.move(
        booking.id,
        BookingState.UNKNOWN,
        why="booked_after_cancellation",
        now=now,
        reasons=[decisions.BOOKED_AFTER_CANCELLATION],
    )
    log.error("booking_carried_out_late", extra={"booking_id": booking.id})


def _leave_to_person(tx: Transaction, booking: Booking, newer: Booking, now: dt.datetime) -> None:
    """Mark a booking for review because Propexo may have processed a newer booking first."""
    tx.bookings.move(
        booking.id,
        BookingState.UNKNOWN,
        why="carried_out_late",
        now=now,
        because_of=newer.id,
        reasons=[decisions.carried_out_late(newer)],
    )
    log.error("booking_carried_out_late", extra={"booking_id": booking.id, "newer_id": newer.id})


def _mark_unknown(
    tx: Transaction, booking_id: int, why: str, now: dt.datetime, reasons: Sequence[Reason] = ()
) -> None:
    """Mark a booking as unknown, and schedule a search for it.

    Never resend it, because it may be in Knock. If Propexo does not allow reading Knock's records,
    ask users to check Knock right away.
    """
    booking = tx.bookings.get(booking_id)
    due_at = backoff.next_search(now, now=now, chance=jitter())
    if booking is not None and booking.tour_id is not None:
        due_at = now  # Knock has already reported the tour
    tx.bookings.move(
        booking_id, BookingState.UNKNOWN, why=why, now=now, due_at=due_at, reasons=reasons
    )
    log.warning("booking_unknown", extra={"booking_id": booking_id, "why": why})
    if booking is None or booking.tour_id is not None or why not in SEARCHED:
        return
    if _is_unreadable(tx, booking):
        _tell_not_readable(tx, booking, now)


def _is_unreadable(tx: Transaction, booking: Booking) -> bool:
    """Return True if a booking has no job and Knock's records cannot be read."""
    integration_id = booking.appointment.get("integration_id")
    known = [one for one in tx.crm_models.all() if one.integration_id == integration_id]
    return booking.job_id is None and any(one.state is Reading.OFF for one in known)


def _facts(attempt: Attempt, **more: object) -> dict[str, object]:
    return {"booking_id": attempt.booking_id, "attempt_id": attempt.id, **more}


def jitter() -> float:
    """Return a random number from 0 to 1 that spreads retries over time."""
    return random.random()  # noqa: S311 - spreads load; not for security
