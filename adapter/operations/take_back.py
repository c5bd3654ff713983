"""Undo users' actions on leads, snooze leads, and assign them to users."""

import datetime as dt
import enum
from collections.abc import Callable, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from adapter.bookings import reconcile
from adapter.bookings.shared_keys import chain_of, is_of_another_person
from adapter.exceptions import NotPossible
from adapter.models import CANCELED_BY_RENTER, Booking, BookingState, Clock
from adapter.operations.advice import open_reasons
from adapter.operations.allowed_actions import RELEASABLE
from adapter.store import Database, Transaction

#: A release in the console waits for this long, so that it can be undone.
UNDO_SECONDS: Final = 10
#: How long before its tour a snoozed lead is shown again, or for how long it is snoozed if the tour
#: has no time.
BEFORE_TOUR: Final = dt.timedelta(hours=1)
WITHOUT_TOUR: Final = dt.timedelta(hours=12)
#: The hours in the afternoon and in the morning when snoozed leads are shown again.
AFTERNOON_HOUR: Final = 14
MORNING_HOUR: Final = 9
#: The mainland zone that reaches a local time first. It is used if the zone is unknown.
EARLIEST_ZONE: Final = ZoneInfo("America/New_York")
#: Reason codes of a tour that a user added to a guest card, and of one whose booking was undone.
TIME_GIVEN: Final = "time_given"
TOUR_UNDONE: Final = "tour_undone"
#: Reason codes of dismissals by the adapter, not by a user.
_AUTOMATIC: Final = frozenset(
    {"cancelled_by_sender", CANCELED_BY_RENTER, "cancellation_done", "erased", TOUR_UNDONE}
)


class Snooze(enum.StrEnum):
    """The choices for how long a user can hide a lead."""

    HOUR = "hour"
    AFTERNOON = "afternoon"
    TOMORROW = "tomorrow"
    TOUR = "tour"


class TakeBacks:
    """Undoes a user's releases and dismissals, and snoozes and assigns leads."""

    def __init__(self, store: Database, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def undo_release(self, booking_id: int, *, by: str) -> Booking:
        """Restore a released booking's earlier state. Changed fields keep their new values.

        Raise :class:`NotPossible` if the booking may already have been sent.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            booking = _locked(tx, booking_id, now)
            if not may_undo(booking, now):
                raise NotPossible("It is too late to undo: this booking is already going out.")
            if booking.reason == TIME_GIVEN:
                _withdraw(tx, booking, by, now)
            else:
                _restore(tx, booking, "undone", by, now)
        return booking

    def bring_back(self, lead_id: int, *, by: str) -> None:
        """Send a lead that was dismissed or merged with another person's lead back to review.

        Raise :class:`NotPossible` for other leads.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            if tx.bookings.get(lead_id) is not None:
                booking = _locked(tx, lead_id, now)
                if not may_bring_back(booking, tx.bookings.get):
                    raise NotPossible("This lead is not dismissed, or was dismissed automatically.")
                _restore(tx, booking, "brought_back", by, now)
            elif not tx.events.bring_back(lead_id, by=by, now=now):
                raise NotPossible("This message is not dismissed.")
            else:
                tx.audit.record("brought_back", by=by, at=now, lead_id=lead_id)

    def snooze(
        self, booking_id: int, choice: str = Snooze.TOUR, *, by: str, zone: ZoneInfo = EARLIEST_ZONE
    ) -> dt.datetime:
        """Hide a lead until the chosen time. Return that time.

        ``zone`` is used if the community's time zone is unknown. Raise NotPossible if the lead
        cannot be snoozed until then.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            booking = tx.bookings.get(booking_id)
            choices = snooze_choices(booking, now, zone) if booking is not None else {}
            if booking is not None and choice not in choices:
                raise NotPossible(
                    "This time is after the tour or has already passed. Choose another one."
                )
            until = choices.get(Snooze(choice), now) if choices else now
            if not tx.bookings.snooze(booking_id, until):
                raise NotPossible("Only leads that need you can be snoozed.")
            tx.audit.record("snoozed", by=by, at=now, lead_id=booking_id)
        return until

    def wake(self, booking_id: int, *, by: str) -> None:
        """Show a snoozed lead again."""
        with self._store.transaction() as tx:
            if not tx.bookings.snooze(booking_id, None):
                raise NotPossible("This lead is not snoozed.")
            tx.audit.record("unsnoozed", by=by, at=self._clock(), lead_id=booking_id)

    def assign(self, booking_id: int, user: str | None, *, by: str) -> None:
        """Record the user who takes care of a lead, or None if no user does."""
        with self._store.transaction() as tx:
            if not tx.bookings.assign(booking_id, user):
                raise NotPossible("Only a lead that was read can be assigned.")
            action = "assigned" if user else "unassigned"
            tx.audit.record(action, by=by, at=self._clock(), lead_id=booking_id, detail=user or "")


def may_undo(booking: Booking, now: dt.datetime) -> bool:
    """Return True if a booking is waiting to be sent and has not been tried yet.

    Usually, a user has released or reprocessed it. It may also be waiting for Knock's calendar.
    """
    is_waiting = booking.due_at is not None and booking.due_at > now
    is_untried = booking.reason in ("released", TIME_GIVEN, None)
    return booking.state is BookingState.PENDING and is_untried and is_waiting


def may_bring_back(booking: Booking, get: Callable[[int], Booking | None]) -> bool:
    """Return True if a user has dismissed the lead, or if another person's request replaced it.

    ``get`` returns a booking by its ID. A lead may also have been replaced through other leads.
    """
    is_dismissed = booking.state is BookingState.DISCARDED and booking.reason not in _AUTOMATIC
    return is_dismissed or any(
        is_of_another_person(booking, other) for other in chain_of(booking, get)
    )


def snooze_until(booking: Booking, now: dt.datetime) -> dt.datetime:
    """Return the end of a snooze that lasts until shortly before the tour."""
    starts_at = booking.starts_at
    if starts_at is None and booking.wall_time is not None:
        starts_at = booking.wall_time.replace(tzinfo=EARLIEST_ZONE)
    if starts_at is None or starts_at <= now:
        return now + WITHOUT_TOUR
    # A tour that starts soon is shown again halfway to its start.
    return max(starts_at - BEFORE_TOUR, now + (starts_at - now) / 2)


def snooze_choices(
    booking: Booking, now: dt.datetime, zone: ZoneInfo
) -> Mapping[Snooze, dt.datetime]:
    """Return the possible end times of a lead's snooze, soonest first.

    The times are in the community's zone, or in ``zone`` if that is unknown, and never after the
    tour.
    """
    local = now.astimezone(ZoneInfo(booking.timezone) if booking.timezone else zone)
    day = local.replace(minute=0, second=0, microsecond=0)
    times = {
        Snooze.HOUR: now + dt.timedelta(hours=1),
        Snooze.AFTERNOON: day.replace(hour=AFTERNOON_HOUR),
        Snooze.TOMORROW: (day + dt.timedelta(days=1)).replace(hour=MORNING_HOUR),
        Snooze.TOUR: snooze_until(booking, now),
    }
    if local.hour >= AFTERNOON_HOUR - 2:
        del times[Snooze.AFTERNOON]
    starts_at = booking.starts_at
    is_upcoming = starts_at is not None and starts_at > now
    return {
        choice: at.astimezone(dt.UTC)
        for choice, at in times.items()
        if choice is Snooze.TOUR or not is_upcoming or starts_at is None or at < starts_at
    }


def _locked(tx: Transaction, booking_id: int, now: dt.datetime) -> Booking:
    booking = tx.bookings.get(booking_id)
    if booking is not None:
        tx.bookings.lock_related([booking], now)
        booking = tx.bookings.get(booking_id, lock=True)
    if booking is None:
        raise NotPossible("There is no such lead.")
    return booking


def _withdraw(tx: Transaction, tour: Booking, by: str, now: dt.datetime) -> None:
    """Discard a tour that a user has added to a guest card. The guest card is kept."""
    tx.bookings.move(tour.id, BookingState.DISCARDED, why=TOUR_UNDONE, now=now, by=by)
    reconcile.reconcile(tx, tour, now)
    tx.audit.record("undone", by=by, at=now, lead_id=tour.id)


def _restore(tx: Transaction, booking: Booking, action: str, by: str, now: dt.datetime) -> None:
    before, why, other = tx.bookings.state_before(booking.id)
    if before not in RELEASABLE:
        why, other = action, None
    if why == "held_by_mapping" and booking.reasons[:1] != open_reasons(booking, now)[:1]:
        why = action  # the user's changes, which are kept, have fixed what was wrong
    if why == "cancellation":
        # When a cancellation is dismissed, its tours are recorded as canceled in Knock.
        tours = [one.id for one in reconcile.load(tx, booking, now).same]
        tx.bookings.unmark_gone([*tours, other or booking.id], at=booking.updated_at)
    state = BookingState(before) if before in RELEASABLE else BookingState.HELD
    tx.bookings.move(booking.id, state, why=why or action, now=now, by=by, because_of=other)
    reconcile.reconcile(tx, booking, now)
    tx.audit.record(action, by=by, at=now, lead_id=booking.id)
