"""What each answer of Propexo's does to a booking: the second of the two commits around a POST.

Every function writes in the transaction it is given. An attempt that is settled already is left
alone: the first word counts, except that an attempt may itself mend an outcome that was given up
as unknown while it was still waiting.
"""

import dataclasses
import datetime as dt
import logging
import random

from adapter.bookings import backoff, precedence
from adapter.exceptions import NotAuthorised, RateLimited, Refused, UpstreamError
from adapter.models import Attempt, AttemptOutcome, Booking, BookingState, Reason
from adapter.propexo import appointment
from adapter.propexo.responses import Accepted, JobReport, WriteStatus, reasons_from
from adapter.store import Transaction

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileMatch:
    """An unknown booking was found in Propexo's lists."""

    #: Its job, to be followed; None: the tour itself was seen in Knock.
    job_id: str | None


def record_accepted(
    tx: Transaction, attempt: Attempt, accepted: Accepted, now: dt.datetime
) -> None:
    """Propexo took it: submitted, and its job is looked at soon."""
    tx.rate_limit.save_limit(accepted.rate, now)
    if tx.attempts.finish(
        attempt.id, AttemptOutcome.ACCEPTED, now=now, status=accepted.status, answer=accepted.answer
    ):
        tx.bookings.move(
            attempt.booking_id,
            BookingState.SUBMITTED,
            why="accepted",
            now=now,
            due_at=backoff.next_look(now, now=now, chance=_chance()),
            job_id=accepted.job_id,
        )
        log.info("booking_submitted", extra=_facts(attempt, job_id=accepted.job_id))


def record_failure(
    tx: Transaction, attempt: Attempt, error: UpstreamError, now: dt.datetime
) -> None:
    """Propexo did not take it, or nobody knows: pending again, failed or unknown."""
    outcome = backoff.OUTCOMES[type(error)]
    if not tx.attempts.finish(
        attempt.id, outcome, now=now, status=error.status, answer=error.answer
    ):
        return
    if backoff.is_safe_to_repeat(outcome):
        _put_off(tx, attempt, error, now)
    elif isinstance(error, Refused):
        _refused(tx, attempt, error, now)
    else:
        _unknown(tx, attempt, "no_answer", now)
    tx.send_queue.wake_siblings(attempt.booking_id)


def _refused(tx: Transaction, attempt: Attempt, error: Refused, now: dt.datetime) -> None:
    """A clear no. Where it is only about niceties, they go into the notes and it is sent once more.

    That is safe: a 400 comes before any job exists.
    """
    reasons = reasons_from(error.answer)
    names = {reason.field.partition(".")[0] for reason in reasons}
    booking = tx.bookings.get(attempt.booking_id)
    refusals = sum(
        one.outcome is AttemptOutcome.REFUSED for one in tx.attempts.of_booking(attempt.booking_id)
    )
    is_light = booking is not None and names <= appointment.optional(booking.kind)
    if booking and error.status == 400 and refusals == 1 and is_light:
        lighter = appointment.without(booking.appointment, names)
        tx.bookings.update(dataclasses.replace(booking, appointment=lighter))
        why, to, due_at = "optional_fields_refused", BookingState.PENDING, now
    else:
        why, to, due_at = "refused", BookingState.FAILED, None
        log.error("booking_refused", extra=_facts(attempt, status=error.status))
    tx.bookings.move(attempt.booking_id, to, why=why, now=now, due_at=due_at, reasons=reasons)
    if to is BookingState.PENDING:
        tx.send_queue.schedule_sender(attempt.booking_id)


def _put_off(tx: Transaction, attempt: Attempt, error: UpstreamError, now: dt.datetime) -> None:
    """Nothing was booked: the booking waits for its next try, and the others with it if need be."""
    outcome, limiter = backoff.OUTCOMES[type(error)], tx.rate_limit
    booking = tx.bookings.get(attempt.booking_id)
    # A newer request of the same person may be placed at this moment: one after the other.
    tx.lock_keys(booking.person_keys if booking else ())
    limiter.save_limit(error.rate, now)
    before = [one.outcome for one in tx.attempts.of_booking(attempt.booking_id) if one.outcome]
    tries = sum(map(backoff.is_safe_to_repeat, before))
    due_at = backoff.next_try(error, tries=tries, now=now, chance=_chance())
    if isinstance(error, NotAuthorised):
        # Every other booking would meet the same answer. None of them loses its place.
        if limiter.suspend("not_authorised", now):
            log.error("sending_stopped", extra=_facts(attempt, status=error.status))
        if before.count(AttemptOutcome.NOT_AUTHORISED) > 1:
            # Others were accepted in between: it is this booking that the token may not make.
            _hold_as_refused(tx, attempt, now)
            return
    elif isinstance(error, RateLimited):
        limiter.pause(due_at)
    tx.bookings.move(attempt.booking_id, BookingState.PENDING, why=outcome, now=now, due_at=due_at)
    log.warning("booking_postponed", extra=_facts(attempt, outcome=outcome))
    if booking is not None and booking.canceled_at is not None:
        tx.bookings.move(booking.id, BookingState.DISCARDED, why="cancelled_by_sender", now=now)
    elif booking is not None and _is_outdated(tx, booking, now):
        tx.bookings.move(booking.id, BookingState.SUPERSEDED, why="newer_request", now=now)


def _hold_as_refused(tx: Transaction, attempt: Attempt, now: dt.datetime) -> None:
    why = Reason(field="propexo", reason="Propexo accepts the token, but not for this booking")
    tx.bookings.move(
        attempt.booking_id, BookingState.HELD, why="not_authorised", now=now, reasons=[why]
    )
    log.error("booking_held", extra=_facts(attempt))


def _is_outdated(tx: Transaction, booking: Booking, now: dt.datetime) -> bool:
    """Whether a newer request of the same person came while this one was on the wire."""
    others = tx.bookings.of_people(booking.person_keys, precedence.LIVE, except_id=booking.id)
    return precedence.has_newer(booking, others, now)


def _unknown(tx: Transaction, attempt: Attempt, why: str, now: dt.datetime) -> None:
    """It may stand in Knock. It is looked for, and never sent again by itself."""
    due_at = backoff.next_search(now, now=now, chance=_chance())
    tx.bookings.move(attempt.booking_id, BookingState.UNKNOWN, why=why, now=now, due_at=due_at)
    log.error("booking_unknown", extra=_facts(attempt, why=why))


def record_lost_attempt(tx: Transaction, attempt: Attempt, now: dt.datetime) -> None:
    """The process that sent it did not live to say what became of it: unknown."""
    if tx.attempts.finish(attempt.id, AttemptOutcome.UNKNOWN, now=now):
        _unknown(tx, attempt, "sender_lost", now)
        tx.send_queue.wake_siblings(attempt.booking_id)


def record_job_status(
    tx: Transaction, booking: Booking, report: JobReport, now: dt.datetime, deadline: dt.timedelta
) -> None:
    """Propexo said how the job stands: booked, failed, unknown, or looked at again later."""
    tx.rate_limit.save_limit(report.rate, now)
    reasons = [Reason(field="propexo", reason=f"Propexo says: {text}") for text in report.errors]
    if report.status is WriteStatus.SUCCESS:
        tx.bookings.move(booking.id, BookingState.BOOKED, why="job_succeeded", now=now)
        log.info("booking_booked", extra={"booking_id": booking.id})
    elif report.status is WriteStatus.FAILURE:
        tx.attempts.fail_job(booking.id)
        tx.bookings.move(
            booking.id, BookingState.FAILED, why="job_failed", now=now, reasons=reasons
        )
        log.error("booking_failed", extra={"booking_id": booking.id})
    elif report.status is WriteStatus.PARTIAL_SUCCESS:
        _mark_unknown_for_good(tx, booking, "partial_success", now, reasons)
    elif now - booking.updated_at > deadline:
        _mark_unknown_for_good(tx, booking, "no_final_status", now, reasons)
    else:
        # A submitted booking was last changed when it was submitted.
        due_at = backoff.next_look(booking.updated_at, now=now, chance=_chance())
        tx.bookings.reschedule(booking, due_at)
        return
    tx.send_queue.wake_siblings(booking.id)


def record_status_error(
    tx: Transaction,
    booking: Booking,
    error: UpstreamError,
    now: dt.datetime,
    deadline: dt.timedelta,
    lag: dt.timedelta,
) -> None:
    """The job's status could not be read, which says nothing of the job: it is asked again.

    A job that Propexo does not know is given up at the deadline, one that nobody could ask about
    after the lag; both are then looked for.
    """
    apply_rate_headers(tx, error, now)
    if now - booking.updated_at > (deadline if isinstance(error, Refused) else lag):
        _mark_unknown_for_good(tx, booking, "no_final_status", now, [])
        tx.send_queue.wake_siblings(booking.id)
        return
    tx.bookings.reschedule(
        booking, backoff.next_look(booking.updated_at, now=now, chance=_chance())
    )


def record_search_error(
    tx: Transaction, booking: Booking, error: UpstreamError, now: dt.datetime
) -> None:
    """Propexo's lists could not be read, which says nothing of the booking."""
    apply_rate_headers(tx, error, now)
    tx.bookings.reschedule(
        booking, backoff.next_search(booking.updated_at, now=now, chance=_chance())
    )


def apply_rate_headers(tx: Transaction, error: UpstreamError, now: dt.datetime) -> None:
    """What an error to a read says for all calls."""
    limiter = tx.rate_limit
    limiter.save_limit(error.rate, now)
    if isinstance(error, RateLimited):
        limiter.pause(backoff.next_try(error, tries=1, now=now, chance=_chance()))
    elif isinstance(error, NotAuthorised) and limiter.suspend("not_authorised", now):
        log.error("sending_stopped", extra={"status": error.status})


def record_search(
    tx: Transaction,
    booking: Booking,
    attempt: Attempt,
    found: ReconcileMatch | None,
    now: dt.datetime,
    until: dt.datetime,
) -> None:
    """Propexo's lists were read for an unknown booking; ``until`` then they may be behind Knock."""
    if found is not None:
        tx.attempts.finish(attempt.id, AttemptOutcome.ACCEPTED, now=now, status=attempt.status)
    if found is not None and found.job_id is not None:
        tx.bookings.move(
            booking.id,
            BookingState.SUBMITTED,
            why="found_in_write_log",
            now=now,
            due_at=now,
            job_id=found.job_id,
        )
        log.info("booking_found", extra={"booking_id": booking.id, "job_id": found.job_id})
    elif found is not None:
        tx.bookings.move(booking.id, BookingState.BOOKED, why="seen_in_knock", now=now)
        log.info("booking_found", extra={"booking_id": booking.id})
    elif now >= until:
        tx.bookings.stop_reconciling(booking, why="not_found", now=now)
        log.error("booking_not_found", extra={"booking_id": booking.id})
    else:
        due_at = backoff.next_search(booking.updated_at, now=now, chance=_chance())
        tx.bookings.reschedule(booking, due_at)


def _mark_unknown_for_good(
    tx: Transaction, booking: Booking, why: str, now: dt.datetime, reasons: list[Reason]
) -> None:
    due_at = backoff.next_search(now, now=now, chance=_chance())
    tx.bookings.move(
        booking.id, BookingState.UNKNOWN, why=why, now=now, due_at=due_at, reasons=reasons
    )
    log.error("booking_unknown", extra={"booking_id": booking.id, "why": why})


def _facts(attempt: Attempt, **more: object) -> dict[str, object]:
    return {"booking_id": attempt.booking_id, "attempt_id": attempt.id, **more}


def _chance() -> float:
    return random.random()  # noqa: S311 - it spreads load and guards nothing
