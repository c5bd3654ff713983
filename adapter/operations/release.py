"""Release, confirm and discard leads in review. Record each action in the audit log.

This module sends nothing: a released booking joins the send queue and is checked like any other. A
booking that may exist in Knock is released only if the user states that it does not.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from adapter.bookings import precedence, reconcile
from adapter.bookings.calendar_check import TimeCheck
from adapter.bookings.decisions import Decision, held
from adapter.bookings.new_request import held_person
from adapter.bookings.person import MERGED, NEW, canceling, may_exist, order
from adapter.bookings.reconcile import Related
from adapter.exceptions import NotPossible, TimeNotAvailable
from adapter.mapping.source import Source
from adapter.models import AttemptOutcome, Booking, BookingState, Clock, Kind
from adapter.operations import release_changes
from adapter.operations.allowed_actions import (
    check_confirm,
    check_release,
    is_tour_for_prospect,
)
from adapter.settings import Settings
from adapter.store import Database, Transaction
from adapter.store.fingerprints import Fingerprints

#: Reason codes of held leads that may be from another person. By releasing one, a user decides.
_QUESTIONS = ("another_name", "another_person", "changed_after_first", "shared_key")


class Repairs:
    """Performs users' actions on bookings that need review."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        sources: Mapping[str, Source],
        clock: Clock,
        *,
        hold_for: dt.timedelta = dt.timedelta(),
        time_check: TimeCheck | None = None,
    ) -> None:
        """Create an instance. Users can undo a release until ``hold_for`` has passed.

        With ``time_check``, a tour is not released without confirmation if its time is taken.
        """
        self._hold_for = hold_for
        self._time_check = time_check
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
        is_another_person: bool = False,
        is_any_hour: bool = False,
        is_taken_time: bool = False,
    ) -> Booking:
        """Release a held, failed, expired or unknown booking after applying a user's changes.

        Two options override a decision to merge, replace, hold or cancel the booking because of
        another one. With ``is_wanted_anyway``, it becomes the person's latest request. With
        ``is_another_person``, contact details that both bookings share are moved to the notes.

        ``changes`` contains appointment fields, ``community`` (its key) and ``starts_at`` (ISO
        8601; without an offset, in the community's time zone). If a guest card that was sent gets a
        ``starts_at``, the card is kept, and a tour is added and returned. If the booking cannot be
        released, raise :class:`NotPossible` with every reason, and change nothing.
        """
        if not is_taken_time:
            self._refuse_taken_time(
                booking_id, changes, is_any_hour=is_any_hour, is_another_person=is_another_person
            )
        fingerprints, now = self._store.fingerprints(), self._clock()
        is_taken_back = is_wanted_anyway or is_another_person
        with self._store.transaction() as tx:
            booking = _booking(tx, booking_id)
            if is_another_person:
                changes = _without_shared_contact(tx, booking, changes)
            adds_tour = is_tour_for_prospect(booking, changes)
            if not adds_tour:
                check_release(
                    booking, is_not_in_knock=is_not_in_knock, is_wanted_anyway=is_taken_back
                )
            edited = self._edited(booking, changes, fingerprints)
            # A guest card expires a fixed time after its request, so a release restarts the clock.
            if is_taken_back or adds_tour or edited.kind is Kind.PROSPECT:
                edited = dataclasses.replace(edited, asked_at=now)
            release_changes.check(edited, self._settings, now, is_any_hour=is_any_hour)
            _lock_unchanged(tx, booking, now, edited)
            if adds_tour:
                tour = dataclasses.replace(edited, due_at=now + self._hold_for)
                released, action = _add_tour(tx, tour, by, now), "time_given"
            else:
                is_question = booking.reason in _QUESTIONS and not is_another_person
                is_confirmed = is_wanted_anyway or is_question
                _send_again(tx, booking, edited, by, now, self._hold_for, is_confirmed=is_confirmed)
                released, action = edited, "edited_and_released" if changes else "released"
            confirmed = ["anyway"] * is_wanted_anyway + ["another_person"] * is_another_person
            detail = ", ".join((*confirmed, *sorted(changes)))
            tx.audit.record(action, by=by, at=now, lead_id=released.id, detail=detail)
        return released

    def check_unchanged(self, booking_id: int, *, is_taken_time: bool = False) -> None:
        """Raise :class:`NotPossible` if a booking cannot be released without changes."""
        with self._store.transaction() as tx:
            booking = _booking(tx, booking_id)
        check_release(booking, is_not_in_knock=False)
        release_changes.check(booking, self._settings, self._clock(), is_any_hour=False)
        if not is_taken_time:
            self._refuse_taken_time(booking_id, {}, is_any_hour=False, is_another_person=False)

    def _refuse_taken_time(
        self,
        booking_id: int,
        changes: Mapping[str, Any],
        *,
        is_any_hour: bool,
        is_another_person: bool,
    ) -> None:
        """Raise :class:`TimeNotAvailable` if Knock's calendar shows that a tour's time is taken.

        This happens before the transaction, because it may take a few seconds. A release that is
        refused for another reason is left to the caller, for example if the renter already has
        this tour.
        """
        if self._time_check is None:
            return
        with self._store.transaction() as tx:
            booking = _booking(tx, booking_id)
        try:
            edited = self._edited(booking, changes, self._store.fingerprints())
            release_changes.check(edited, self._settings, self._clock(), is_any_hour=is_any_hour)
        except NotPossible:
            return
        times = self._time_check.other_times(edited)
        if times is not None and (is_another_person or not self._is_renters_own(edited)):
            raise TimeNotAvailable(times)

    def _is_renters_own(self, booking: Booking) -> bool:
        """Return True if the renter has another tour at this time that is not in Knock yet.

        A tour of someone else with the same email address or phone number does not count.
        """
        with self._store.statement() as tx:
            rows = tx.bookings.of_keys(booking.match_keys, self._clock())
        return any(_is_same_unsent_tour(one, booking) for one in Related.to(booking, rows).same)

    def _edited(
        self, booking: Booking, changes: Mapping[str, Any], fingerprints: Fingerprints
    ) -> Booking:
        source, policy = self._sources.get(booking.source), self._settings.policy
        communities = source.communities if source else {}
        edited = release_changes.edited(booking, changes, communities, policy)
        keys = fingerprints.person_keys(
            edited.community, edited.appointment, policy.shared_contacts
        )
        item = () if edited.item_key is None else (edited.item_key,)
        return dataclasses.replace(edited, match_keys=(*keys, *item))

    def confirm(self, booking_id: int, *, by: str) -> None:
        """Mark a booking as booked because a user found it in Knock or booked it there.

        Raise :class:`NotPossible` if it is being sent, or has no tour that Knock could have.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            booking = _booking(tx, booking_id)
            _lock_unchanged(tx, booking, now)
            check_confirm(booking)
            if booking.state is BookingState.UNKNOWN:
                last = tx.attempts.of_booking(booking_id)[-1]
                tx.attempts.finish(last.id, AttemptOutcome.ACCEPTED, now=now, status=last.status)
            _check_newer_pending(tx, booking, now)
            tx.bookings.move(
                booking_id,
                BookingState.BOOKED,
                why="seen_in_knock",
                now=now,
                by=by,
                # If the tour was never posted, a user has just booked it in Knock.
                posted_at=booking.posted_at or now,
            )
            reconcile.reconcile(tx, booking, now)
            tx.audit.record("confirmed", by=by, at=now, lead_id=booking_id)

    def discard(self, lead_id: int, reason: str, *, by: str) -> None:
        """Discard a booking or event in review. Raise :class:`NotPossible` for other states."""
        now = self._clock()
        with self._store.transaction() as tx:
            booking = tx.bookings.get(lead_id)
            if booking is not None:
                _discard(tx, booking, reason, by, now)
            elif not tx.events.discard(lead_id, why=reason, by=by, now=now):
                raise NotPossible(f"{lead_id} is neither a booking nor a held webhook")
            is_report = booking is not None and booking.reason == "cancellation"
            action = "reported_canceled" if is_report else "discarded"
            tx.audit.record(action, by=by, at=now, lead_id=lead_id)


def _is_same_unsent_tour(one: Booking, tour: Booking) -> bool:
    is_unsent = one.state in (BookingState.PENDING, BookingState.SENDING, BookingState.SUBMITTED)
    is_tour = one.kind is Kind.APPOINTMENT and not one.is_cancellation
    is_same = (one.community, one.starts_at) == (tour.community, tour.starts_at)
    return is_unsent and is_tour and is_same


def _booking(tx: Transaction, booking_id: int) -> Booking:
    booking = tx.bookings.get(booking_id)
    if booking is None:
        raise NotPossible(f"there is no booking {booking_id}")
    return booking


def _without_shared_contact(
    tx: Transaction, booking: Booking, changes: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the changes, and move contact details shared with the other person to the notes."""
    other = tx.bookings.get(booking.because_of or 0)
    if other is None or other.is_cancellation:
        raise NotPossible(f"booking {booking.id} was not matched to another person: release it")
    return release_changes.changes_for_another_person(booking, other, changes)


def _lock_unchanged(tx: Transaction, booking: Booking, now: dt.datetime, *others: Booking) -> None:
    """Lock the keys of the given bookings. Raise NotPossible if ``booking`` has changed.

    Keys are always locked before rows, so that two transactions cannot deadlock.
    """
    tx.bookings.lock_related((booking, *others), now)
    if tx.bookings.get(booking.id, lock=True) != booking:
        raise NotPossible(f"booking {booking.id} has just changed: review it again")


def _discard(tx: Transaction, booking: Booking, reason: str, by: str, now: dt.datetime) -> None:
    """Discard a booking. For a cancellation, also record that its tour was canceled in Knock."""
    tx.bookings.lock_related([booking], now)
    gone = _canceled_in_knock(tx, booking, now) if booking.reason == "cancellation" else []
    is_discarded = tx.bookings.move(booking.id, BookingState.DISCARDED, why=reason, now=now, by=by)
    if not is_discarded():
        raise NotPossible(f"booking {booking.id} is {booking.state} and cannot be discarded")
    tx.bookings.mark_gone(gone, now=now)
    reconcile.reconcile(tx, booking, now)


def _canceled_in_knock(tx: Transaction, cancellation: Booking, now: dt.datetime) -> list[int]:
    """Return the IDs of bookings that a user canceled in Knock to carry out a cancellation."""
    same = (*reconcile.load(tx, cancellation, now).same, cancellation)
    found = [one.id for one in same if may_exist(one) and cancellation in canceling(one, same)]
    named = cancellation.because_of  # not among the related bookings if too many share the key
    return found if named is None else [named, *found]


def _send_again(
    tx: Transaction,
    booking: Booking,
    edited: Booking,
    by: str,
    now: dt.datetime,
    hold_for: dt.timedelta,
    *,
    is_confirmed: bool,
) -> None:
    if booking.reason == "maybe_gone" and booking.because_of is not None:
        tx.bookings.mark_gone([booking.because_of], now=now)
    tx.bookings.update(edited)  # other requests are compared with the changed one
    _reconcile_with(tx, edited, now, is_confirmed=is_confirmed)
    if booking.state is BookingState.UNKNOWN:
        tx.attempts.deny(booking.id, now=now)
    due_at = now + hold_for
    tx.bookings.move(
        booking.id, BookingState.PENDING, why="released", now=now, by=by, due_at=due_at
    )
    _hold_left_behind(tx, booking, edited, now)


def _hold_left_behind(tx: Transaction, booking: Booking, edited: Booking, now: dt.datetime) -> None:
    """Hold the requests merged with a booking whose person or community was just changed."""
    for other in tx.bookings.of_keys(booking.match_keys, now):
        is_merged = other.because_of == booking.id and other.state in MERGED
        if is_merged and not other.person_keys & edited.person_keys:
            reconcile.move(tx, other, held("original_changed", booking), now)


def _add_tour(tx: Transaction, edited: Booking, by: str, now: dt.datetime) -> Booking:
    """Store a tour for a lead that has a guest card. Keep the card."""
    tour = dataclasses.replace(
        edited,
        id=NEW,
        state=BookingState.PENDING,
        reason="time_given",
        reasons=(),
        content=None,
        because_of=None,
        posted_at=None,
        job_id=None,
    )
    _reconcile_with(tx, tour, now, is_confirmed=False)
    number = len(tx.bookings.of_event(edited.event_id))
    stored = tx.bookings.insert(tour, number, now=now, by=by)
    reconcile.reconcile(tx, stored, now)
    return stored


def _reconcile_with(
    tx: Transaction, booking: Booking, now: dt.datetime, *, is_confirmed: bool
) -> None:
    """Update the other requests of a booking's renter before the booking is released.

    Raise :class:`NotPossible` if another request takes precedence. ``is_confirmed`` means that the
    user knows that someone else has the same contact.
    """
    ready = dataclasses.replace(
        booking,
        state=BookingState.PENDING,
        reason=None,
        because_of=None,
        gone_at=None,
        knock_status=None,
    )
    related = reconcile.load(tx, ready, now)
    decisions = precedence.plan((*related.same, ready), now)
    decision = decisions.pop(ready.id, None)
    if decision is None and not is_confirmed:
        decision = held_person(ready, related.unclear, now)
    if decision is not None:
        raise NotPossible(_refusal(booking, decision))
    if ready.id != NEW:
        reconcile.apply(tx, ready, related, decisions, now)
        _hold_unclear(tx, ready, related, now)


def _hold_unclear(tx: Transaction, booking: Booking, related: Related, now: dt.datetime) -> None:
    """Hold pending tours that share a contact with this booking and would cancel it in Knock."""
    for other in related.unclear:
        is_pending = other.state is BookingState.PENDING and other.kind is Kind.APPOINTMENT
        if is_pending and other.person_keys & booking.person_keys:
            reconcile.move(tx, other, held("another_person", booking), now)


def _refusal(booking: Booking, decision: Decision) -> str:
    sentence = decision.reason.reason
    if decision.state is BookingState.SUPERSEDED:
        return (
            f"the same person has a newer request, booking {decision.because_of}, which would be "
            "replaced by this one. If this one is right, confirm it (command: --anyway)"
        )
    if decision.code in ("another_name", "another_person", "cancelled_by_sender"):
        return f"{sentence}. If it is right, confirm it (command: --anyway)"
    if decision.state is BookingState.DUPLICATE:
        return (
            f"{sentence}. Booking it again would email the renter again. If Knock no longer has "
            f"it, run: adapter replay {booking.event_id} --force --reason …"
        )
    return sentence


def _check_newer_pending(tx: Transaction, booking: Booking, now: dt.datetime) -> None:
    """Raise :class:`NotPossible` if a newer pending request would cancel the tour."""
    if booking.kind is Kind.PROSPECT:
        return  # a tour after a guest card is intended
    for other in reconcile.load(tx, booking, now).same:
        is_other_tour = other.kind is Kind.APPOINTMENT and other.starts_at != booking.starts_at
        is_newer = order(other) > order(booking)
        if other.state is BookingState.PENDING and is_other_tour and is_newer:
            raise NotPossible(
                f"the same person has a newer pending request, booking {other.id}: discard it first"
            )
