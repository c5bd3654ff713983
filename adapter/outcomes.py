"""What each answer of Propexo's does to a booking: the second of the two commits around a POST.

Every function writes in the transaction it is given. An attempt that is settled already is left
alone: the first word counts, except that an attempt may itself mend an outcome that was given up
as unknown while it was still waiting.
"""

import datetime as dt
import logging
import random

from adapter import retries
from adapter.events import Attempt, AttemptOutcome, Booking, BookingState, Reason
from adapter.exceptions import Refused, UpstreamError
from adapter.propexo import Accepted, JobReport, WriteStatus, reasons_from
from adapter.store import Leads

log = logging.getLogger(__name__)


def taken(leads: Leads, attempt: Attempt, accepted: Accepted, now: dt.datetime) -> None:
    """Propexo took it: submitted, and its job is looked at soon."""
    if leads.finish_attempt(
        attempt.id, AttemptOutcome.ACCEPTED, now=now, status=accepted.status, answer=accepted.answer
    ):
        leads.move(
            attempt.booking_id,
            BookingState.SUBMITTED,
            why="accepted",
            now=now,
            due_at=retries.next_look(now, now=now, chance=_chance()),
            job_id=accepted.job_id,
        )
        log.info("booking_submitted", extra=_facts(attempt, job_id=accepted.job_id))


def not_booked(leads: Leads, attempt: Attempt, error: UpstreamError, now: dt.datetime) -> None:
    """Propexo did not take it, or nobody knows: pending again, failed or unknown."""
    outcome = retries.OUTCOMES[type(error)]
    answer = error.answer if isinstance(error.answer, str) else None
    if not leads.finish_attempt(attempt.id, outcome, now=now, status=error.status, answer=answer):
        return
    if retries.is_safe_to_repeat(outcome):
        tries = len(leads.attempts_of(attempt.booking_id))
        due_at = retries.next_try(error, tries=tries, now=now, chance=_chance())
        leads.move(attempt.booking_id, BookingState.PENDING, why=outcome, now=now, due_at=due_at)
        log.warning("booking_put_off", extra=_facts(attempt, outcome=outcome))
    elif isinstance(error, Refused):
        reasons = reasons_from(answer)
        leads.move(attempt.booking_id, BookingState.FAILED, why=outcome, now=now, reasons=reasons)
        log.error("booking_refused", extra=_facts(attempt, status=error.status))
    else:
        leads.move(attempt.booking_id, BookingState.UNKNOWN, why="no_answer", now=now)
        log.error("booking_unknown", extra=_facts(attempt, status=error.status))


def lost(leads: Leads, attempt: Attempt, now: dt.datetime) -> None:
    """The process that sent it did not live to say what became of it: unknown."""
    if leads.finish_attempt(attempt.id, AttemptOutcome.UNKNOWN, now=now):
        leads.move(attempt.booking_id, BookingState.UNKNOWN, why="sender_lost", now=now)
        log.error("booking_unknown", extra=_facts(attempt))


def reported(
    leads: Leads, booking: Booking, report: JobReport, now: dt.datetime, deadline: dt.timedelta
) -> None:
    """Propexo said how the job stands: booked, failed, unknown, or looked at again later."""
    reasons = [Reason(field="propexo", reason=f"Propexo says: {text}") for text in report.errors]
    if report.status is WriteStatus.SUCCESS:
        leads.move(booking.id, BookingState.BOOKED, why="job_succeeded", now=now)
        log.info("booking_booked", extra={"booking_id": booking.id})
    elif report.status is WriteStatus.FAILURE:
        leads.fail_job_of(booking.id)
        leads.move(booking.id, BookingState.FAILED, why="job_failed", now=now, reasons=reasons)
        log.error("booking_failed", extra={"booking_id": booking.id})
    elif report.status is WriteStatus.PARTIAL_SUCCESS:
        _give_up(leads, booking, "partial_success", now, reasons)
    elif now - booking.updated_at > deadline:
        _give_up(leads, booking, "no_final_status", now, reasons)
    else:
        # A submitted booking was last changed when it was submitted.
        due_at = retries.next_look(booking.updated_at, now=now, chance=_chance())
        leads.look_again(booking, due_at)


def _give_up(
    leads: Leads, booking: Booking, why: str, now: dt.datetime, reasons: list[Reason]
) -> None:
    leads.move(booking.id, BookingState.UNKNOWN, why=why, now=now, reasons=reasons)
    log.error("booking_unknown", extra={"booking_id": booking.id})


def _facts(attempt: Attempt, **more: object) -> dict[str, object]:
    return {"booking_id": attempt.booking_id, "attempt_id": attempt.id, **more}


def _chance() -> float:
    return random.random()  # noqa: S311 - it spreads load and guards nothing
