"""Release, confirm and discard leads that need review. Every action is in the audit log.

Nothing is sent from here: a released booking joins the send queue and passes the same checks as
any other. One that may exist in Knock is released only if the user says that it does not.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from adapter.bookings import precedence
from adapter.bookings.intake import SENTENCES
from adapter.exceptions import NotPossible
from adapter.mapping.source import Source
from adapter.models import AttemptOutcome, Booking, BookingState, Clock, Kind
from adapter.operations import edit_booking
from adapter.operations.allowed_actions import check_confirm, check_release, is_tour_for_prospect
from adapter.settings import Settings
from adapter.store import Database, NewBooking, Transaction
from adapter.store.fingerprints import Fingerprints


class Repairs:
    """The actions of users on bookings that need review."""

    def __init__(
        self, settings: Settings, store: Database, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self._settings = settings
        self._store = store
        self._sources = sources
        self._clock = clock

    def release(
        self,
        booking_id: int,
        changes: Mapping[str, Any],
        *,
        by: str,
        is_not_in_knock: bool = False,
        is_wanted_anyway: bool = False,
        is_any_hour: bool = False,
    ) -> Booking:
        """Release a held, failed, expired or unknown booking, edited by ``changes``.

        ``changes`` are fields of the appointment, ``community`` (its key) and ``starts_at`` (ISO
        8601; without an offset, in the community's time zone). If a guest card that was sent gets
        a ``starts_at``, the card stays and a tour is added and returned. Raise
        :class:`NotPossible` with every reason, and change nothing.
        """
        fingerprints, now = self._store.fingerprints(), self._clock()
        with self._store.transaction() as tx:
            booking = _booking(tx, booking_id)
            adds_tour = is_tour_for_prospect(booking, changes)
            if not adds_tour:
                check_release(booking, is_not_in_knock=is_not_in_knock)
            edited = self._edited(booking, changes, fingerprints)
            # A guest card expires some time after it was requested, so a release restarts that.
            if is_wanted_anyway or adds_tour or edited.kind is Kind.PROSPECT:
                edited = dataclasses.replace(edited, asked_at=now)
            edit_booking.check(edited, self._settings, now, is_any_hour=is_any_hour)
            _lock_unchanged(tx, booking, edited.person_keys)
            if adds_tour:
                released, action = _add_tour(tx, edited, by, now), "time_given"
            else:
                _send_again(tx, booking, edited, by, now)
                released, action = edited, "edited_and_released" if changes else "released"
            detail = ", ".join(sorted(changes))
            tx.audit.record(action, by=by, at=now, lead_id=released.id, detail=detail)
        return released

    def _edited(
        self, booking: Booking, changes: Mapping[str, Any], fingerprints: Fingerprints
    ) -> Booking:
        source, policy = self._sources.get(booking.source), self._settings.policy
        communities = source.communities if source else {}
        edited = edit_booking.edited(booking, changes, communities, policy)
        keys = fingerprints.person_keys(
            edited.community, edited.appointment, policy.shared_contacts
        )
        return dataclasses.replace(edited, person_keys=keys)

    def confirm(self, booking_id: int, *, by: str) -> None:
        """Mark a tour as booked after a user found it in Knock or booked it there.

        Raise :class:`NotPossible` if it is being sent, or has no tour that Knock could have.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            booking = _booking(tx, booking_id)
            _lock_unchanged(tx, booking)
            check_confirm(booking)
            if booking.state is BookingState.UNKNOWN:
                last = tx.attempts.of_booking(booking_id)[-1]
                tx.attempts.finish(last.id, AttemptOutcome.ACCEPTED, now=now, status=last.status)
            _supersede_pending(tx, booking, now)
            tx.bookings.move(booking_id, BookingState.BOOKED, why="seen_in_knock", now=now, by=by)
            tx.audit.record("confirmed", by=by, at=now, lead_id=booking_id)

    def discard(self, lead_id: int, reason: str, *, by: str) -> None:
        """Discard a booking or a held event. Raise :class:`NotPossible` in any other state."""
        now = self._clock()
        with self._store.transaction() as tx:
            booking = tx.bookings.get(lead_id, lock=True)
            if booking is None:
                if not tx.events.discard(lead_id, why=reason, by=by, now=now):
                    raise NotPossible(f"{lead_id} is neither a booking nor a held webhook")
            elif not tx.bookings.move(
                lead_id, BookingState.DISCARDED, why=reason, now=now, by=by
            )():
                raise NotPossible(f"booking {lead_id} is {booking.state} and cannot be discarded")
            tx.audit.record("discarded", by=by, at=now, lead_id=lead_id)


def _booking(tx: Transaction, booking_id: int) -> Booking:
    booking = tx.bookings.get(booking_id)
    if booking is None:
        raise NotPossible(f"there is no booking {booking_id}")
    return booking


def _lock_unchanged(tx: Transaction, booking: Booking, keys: Iterable[int] = ()) -> None:
    """Lock the booking and its people. Raise :class:`NotPossible` if it has changed.

    Keys are locked before rows, as everywhere, so that no two transactions deadlock.
    """
    tx.lock_keys({*keys, *booking.person_keys})
    if tx.bookings.get(booking.id, lock=True) != booking:
        raise NotPossible(f"booking {booking.id} has just changed: review it again")


def _send_again(
    tx: Transaction, booking: Booking, edited: Booking, by: str, now: dt.datetime
) -> None:
    _check_precedence(tx, edited, now)
    tx.bookings.update(edited)
    if booking.state is BookingState.UNKNOWN:
        tx.attempts.deny(booking.id, now=now)
    tx.bookings.move(booking.id, BookingState.PENDING, why="released", now=now, by=by, due_at=now)


def _add_tour(tx: Transaction, edited: Booking, by: str, now: dt.datetime) -> Booking:
    """Store a tour for a lead whose guest card stays. The tour supersedes a pending card."""
    event = tx.events.get(edited.event_id)
    assert event is not None  # noqa: S101 - a booking has its event
    booking_id = tx.bookings.next_id()
    _check_precedence(tx, dataclasses.replace(edited, id=booking_id), now)
    tour = NewBooking(
        item=len(tx.bookings.of_event(event.id)),
        kind=edited.kind,
        state=BookingState.PENDING,
        reason="time_given",
        community=edited.community,
        timezone=edited.timezone,
        starts_at=edited.starts_at,
        appointment=edited.appointment,
        reasons=(),
        asked_at=edited.asked_at,
        person_keys=edited.person_keys,
    )
    tx.bookings.insert(event, tour, booking_id, now=now, by=by)
    # From now on a cancellation by the sender concerns the tour.
    tx.claims.reassign_all(edited.id, booking_id)
    return _booking(tx, booking_id)


def _check_precedence(tx: Transaction, booking: Booking, now: dt.datetime) -> None:
    """Supersede what this booking replaces. Raise :class:`NotPossible` if another one counts."""
    decision = precedence.decide(
        event_id=0,
        starts_at=booking.starts_at,
        asked_at=booking.asked_at,
        others=tx.bookings.of_people(booking.person_keys, precedence.LIVE, except_id=booking.id),
        now=now,
    )
    if decision.state is BookingState.SUPERSEDED:
        raise NotPossible(
            f"the same person has a newer request, booking {decision.because_of}, and Knock would "
            "cancel its tour. If this one is right, confirm it (command: --anyway)"
        )
    if decision.reason is not None:
        raise NotPossible(SENTENCES[decision.reason].format(decision.because_of))
    for other in decision.replaces:
        tx.bookings.move(other, BookingState.SUPERSEDED, why="newer_request", now=now)


def _supersede_pending(tx: Transaction, booking: Booking, now: dt.datetime) -> None:
    """Keep the same person's pending bookings from being sent after a tour that is in Knock.

    Raise :class:`NotPossible` for a newer request: Knock would cancel the confirmed tour.
    """
    for other in tx.bookings.of_people(booking.person_keys, (BookingState.PENDING,)):
        is_tour = other.kind is Kind.APPOINTMENT
        if is_tour and booking.kind is Kind.PROSPECT:
            continue  # a tour after a guest card is wanted
        is_same = not is_tour or other.starts_at == booking.starts_at
        if not is_same and (other.asked_at, other.id) > (booking.asked_at, booking.id):
            raise NotPossible(
                f"the same person has a newer pending request, booking {other.id}: discard it first"
            )
        state = BookingState.DUPLICATE if is_same else BookingState.SUPERSEDED
        why = "same_person_and_time" if is_same else "newer_request"
        tx.bookings.move(other.id, state, why=why, now=now)
