"""Explain in a sentence what happened to a lead, and suggest a command to run."""

import datetime as dt
from typing import NamedTuple
from zoneinfo import ZoneInfo

from adapter.models import Booking, BookingState, Event, EventState, Kind, KnockStatus, shown_user
from adapter.operations.advice import DECISIONS, advice_for
from adapter.operations.health import Verdict
from adapter.signatures import REASONS
from adapter.store import IGNORED, Issue, Rejection


class Cause(NamedTuple):
    """The reason for a lead's state, and the command to run next."""

    sentence: str
    #: The command to run next.
    next: str


def clock_text(at: dt.datetime, zone: dt.tzinfo | None) -> str:
    """Format a time like ``Sat, Mar 14, 2026, 2:30 PM MDT``. None means the local zone."""
    local = at.astimezone(zone)
    return f"{local:%a, %b} {local.day}, {local.year}, {local.hour % 12 or 12}:{local:%M %p %Z}"


def cause_of_booking(
    booking: Booking,
    verdict: Verdict,
    zone: dt.tzinfo | None,
    replaced_by: Booking | None = None,
) -> Cause:
    """Explain a booking's state. ``replaced_by`` is the tour that replaced it in Knock, if any."""
    show, subject = f"adapter show {booking.id}", _subject(booking)
    match booking.state:
        case BookingState.BOOKED if replaced_by is not None:
            text = f"{subject} was canceled in Knock when it booked {replaced_by.id}"
            show = f"adapter show {replaced_by.id}"
        case BookingState.BOOKED:
            text = f"{subject} {_knock_text(booking)}{_move_text(booking)}"
        case BookingState.PENDING:
            text = f"{subject} is in the send queue; {_queue_text(booking, verdict, zone)}"
            show = "adapter stats"
        case BookingState.SENDING | BookingState.SUBMITTED:
            text = f"{subject} is being sent; Propexo has not reported the outcome"
        case BookingState.SUPERSEDED | BookingState.DUPLICATE | BookingState.DISCARDED:
            reason = booking.reason or ""
            text = f"{subject} is {booking.state}: {DECISIONS.get(reason, reason)}"
            show = f"adapter show {booking.because_of or booking.id}"
        case _:
            advice = advice_for(Issue.of(booking))
            text = f"{subject} needs review: {advice.wrong} {advice.todo}"
    return Cause(text, show)


def _knock_text(booking: Booking) -> str:
    if booking.gone_at is not None:
        return "was booked, but a user reported that it is no longer in Knock"
    status = booking.knock_status or KnockStatus.BOOKED
    return {
        KnockStatus.CANCELED: "was booked and then canceled in Knock",
        KnockStatus.WAITING: "is in Knock, but the community has not accepted it yet",
        KnockStatus.VISITED: "was booked in Knock, and the renter showed up",
        KnockStatus.NO_SHOW: "was booked in Knock, but the renter did not show up",
    }.get(status, "is booked in Knock")


def _move_text(booking: Booking) -> str:
    if not booking.is_moved or booking.starts_in_knock is None:
        return ""
    zone = ZoneInfo(booking.timezone) if booking.timezone is not None else dt.UTC
    return f"; Knock has moved it to {clock_text(booking.starts_in_knock, zone)}"


def _subject(booking: Booking) -> str:
    what = "the guest card"
    if booking.kind is Kind.APPOINTMENT:
        what = "the tour without a known time"
        if booking.starts_at is not None and booking.timezone is not None:
            what = f"the tour on {clock_text(booking.starts_at, ZoneInfo(booking.timezone))}"
    return f"{what} at {booking.community}" if booking.community else what


def _queue_text(booking: Booking, verdict: Verdict, zone: dt.tzinfo | None) -> str:
    for pause in verdict.facts.pauses if verdict.facts else ():
        if pause.covers(booking.source, booking.community):
            return f"{shown_user(pause.by)} has paused {pause.scope}: {pause.reason}"
    if verdict.why_unsent is not None:
        return f"it is not sent: {verdict.why_unsent}"
    if booking.due_at is not None and booking.due_at > verdict.at:
        return f"the next attempt is on {clock_text(booking.due_at, zone)}"
    return "it will be sent within the rate limit"


def cause_of_event(event: Event, verdict: Verdict) -> Cause:
    """Explain the state of a webhook that has no bookings."""
    retry = f"adapter replay {event.id} --dry-run"
    match event.state:
        case EventState.RECEIVED:
            codes = ("no_worker", "webhooks_not_mapped")
            why = [one.sentence for one in verdict.problems if one.code in codes]
            return Cause(": ".join(["it is waiting for a worker to map it", *why]), "adapter stats")
        case EventState.HELD:
            advice = advice_for(Issue.of_event(event))
            return Cause(f"needs review: {advice.wrong} {advice.todo}", retry)
        case EventState.IGNORED:
            reasons = "; ".join(one.reason for one in event.reasons)
            more = f" ({reasons})" if reasons else ""
            return Cause(f"ignored: {DECISIONS[IGNORED]}{more}", retry)
        case _:
            return Cause(f"{event.state} by a user", f"adapter show {event.id}")


def cause_of_rejection(rejection: Rejection, zone: dt.tzinfo | None) -> Cause:
    """Explain why a request was rejected."""
    why = REASONS.get(rejection.reason, f"{rejection.reason.replace('_', ' ')}.")
    text = f"rejected on {clock_text(rejection.received_at, zone)}: {why}"
    if rejection.can_retry:
        return Cause(text, f"adapter rejections retry {rejection.source} --dry-run")
    return Cause(text, f"adapter rejections show {rejection.id}")
