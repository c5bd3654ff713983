"""Update bookings from Knock's records, for example after a tour was confirmed or canceled.

The records come from Propexo's webhooks and from searches for unknown bookings. A lost webhook is
harmless, because a booking's job and the searches are checked anyway.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Final

from adapter.bookings import knock_facts, knock_records, transitions
from adapter.bookings.person import SENT, is_wish_to_cancel, posted_later
from adapter.bookings.reconcile import lock_others, reconcile
from adapter.bookings.same_person import Relation, relation
from adapter.bookings.shared_keys import come_from_several
from adapter.bookings.transitions import UnknownMatch
from adapter.models import Booking, BookingState, Clock
from adapter.propexo.crm_records import KnockRecord, Model
from adapter.settings import Settings
from adapter.store import Database, Transaction
from adapter.store.crm_models import HEARD_INTERVAL, Reading

log = logging.getLogger(__name__)

#: Propexo sends a webhook again for two and a half hours.
EARLY: Final = dt.timedelta(hours=2)


class Confirmer:
    """Applies the records that Propexo sends about tours and guest cards in Knock."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock

    def handle(self, record: KnockRecord) -> bool:
        """Apply a new or changed record from Knock to the renter's bookings.

        If a record may be about an unknown booking, bring forward the next search for that booking.
        Return False if the record came too early and Propexo must send it again.
        """
        now = self.clock()
        emails, phones = knock_records.contacts_of(record)
        prospect_id = knock_records.prospect_of(record)
        with self.store.transaction() as tx:
            is_first = tx.crm_models.hear(record.integration_id, record.model, now)
            found = tx.bookings.of_record(record.id, prospect_id, emails, phones)
            found = tuple(one for one in found if knock_records.is_theirs(record, one))
            found = () if _is_unclear(record, found) else _of_same_person(tx, found, now)
        if record.model is Model.PROSPECTS:
            for booking in found:
                self._apply(booking, record)
        elif tour := knock_records.tour_of(record, found):
            self._apply(tour, record)
        else:
            return self._search_soon(record, is_first=is_first)
        return True

    def _search_soon(self, record: KnockRecord, *, is_first: bool) -> bool:
        """Bring forward the searches for bookings that a tour record may belong to.

        A record without the tour's start may be about any unknown booking, so searches after
        these records are limited. Return False if Propexo must send the record again.
        """
        now, instants = self.clock(), knock_records.instants_of(record)
        with self.store.transaction() as tx:
            at = now if is_first or instants else now + HEARD_INTERVAL
            tx.bookings.search_again_soon(record.integration_id, instants, at)
            return not self._is_early(tx, record, now)

    def _is_early(self, tx: Transaction, record: KnockRecord, now: dt.datetime) -> bool:
        """Return True if the tour may belong to a booking whose guest card is still unknown.

        Propexo may send a tour before its guest card's contact details. Only the first webhook
        about a tour names its guest card and its start, so an update cannot be distinguished from
        another tour's.
        """
        status = knock_records.status_of(record)
        if record.model is not Model.EVENTS or status is None or _is_off(tx, record):
            return False
        is_update = knock_records.prospect_of(record) is None
        return tx.bookings.has_unseen_tour(
            record.integration_id,
            () if is_update else knock_records.instants_of(record),
            now - EARLY,
            is_of_any_card=is_update,
        )

    def _apply(self, booking: Booking, record: KnockRecord) -> None:
        now = self.clock()
        with self.store.transaction() as tx:
            others = lock_others(tx, booking, now)
            current = tx.bookings.get(booking.id, lock=True)
            if current is None:
                return
            if knock_facts.is_proof(current, record):
                self._settle(tx, current, record, others)
            apply_found(tx, current.id, record, others, now, by="web")
            _end_wishes(tx, current.id, others, now)
            is_card = record.model is Model.PROSPECTS and current.due_at is not None
            if is_card and current.state is BookingState.UNKNOWN:
                tx.bookings.reschedule(current, now)  # its tour may be listed too
            tx.messages.hurry((current, *others), now)
            if others:
                reconcile(tx, current, now)

    def _settle(
        self, tx: Transaction, booking: Booking, record: KnockRecord, others: Sequence[Booking]
    ) -> None:
        """Record that a booking with an unknown or failed outcome exists in Knock."""
        now, is_canceled = self.clock(), knock_records.is_canceled(record)
        if booking.state is BookingState.UNKNOWN:
            attempt = tx.attempts.of_booking(booking.id)[-1]
            until = now + dt.timedelta(hours=self.settings.sync_lag_hours)
            match = UnknownMatch(job_id=None)
            known = () if is_canceled else others  # a later tour does not make this one doubtful
            transitions.record_search(tx, booking, attempt, match, now, until, known)
        elif knock_records.is_failed_job(booking) and not is_canceled:
            transitions.record_booked(tx, booking, "seen_in_knock", now)


def _end_wishes(tx: Transaction, tour_id: int, others: Sequence[Booking], now: dt.datetime) -> None:
    """Close a renter's requests to cancel a tour if the tour is no longer in Knock."""
    wishes = [one for one in others if is_wish_to_cancel(one) and one.because_of == tour_id]
    tour = tx.bookings.get(tour_id) if wishes else None
    if tour is None or not tour.is_gone:
        return
    for wish in wishes:
        tx.bookings.move(
            wish.id,
            BookingState.DISCARDED,
            why="cancellation_done",
            because_of=tour_id,
            now=now,
            by="web",
        )


def _is_off(tx: Transaction, record: KnockRecord) -> bool:
    """Return True if guest cards are not enabled in Propexo for a record's integration."""
    return any(
        one.model == Model.PROSPECTS and one.state is Reading.OFF
        for one in tx.crm_models.all()
        if one.integration_id == record.integration_id
    )


def _of_same_person(
    tx: Transaction, found: Sequence[Booking], now: dt.datetime
) -> tuple[Booking, ...]:
    """Return ``found`` and all other bookings that were sent for the same renter."""
    keys = {key for one in found for key in one.person_keys}
    others = tx.bookings.of_keys(keys, now) if keys else []
    known = {one.id for one in found}
    more = [
        one
        for one in others
        if one.id not in known
        and one.posted_at is not None
        and any(relation(one, other) is Relation.SAME for other in found)
    ]
    return (*found, *more)


def _is_unclear(record: KnockRecord, found: Sequence[Booking]) -> bool:
    """Return True if a record could belong to any of several people."""
    known = [one for one in found if one.tour_id == record.id]
    return not known and come_from_several(found)


def apply_found(
    tx: Transaction,
    booking_id: int,
    record: KnockRecord,
    others: Sequence[Booking],
    now: dt.datetime,
    *,
    by: str,
) -> None:
    """Update a booking from a record in Knock, unless a newer record was already applied.

    ``others`` contains the requests that share a key with the booking. If one of them has replaced
    the tour in Knock, its cancellation is expected. Nothing is saved if it is not certain that the
    record belongs to this booking rather than to one of the others.
    """
    booking = tx.bookings.get(booking_id)
    assert booking is not None  # noqa: S101 - bookings are never deleted
    if record.model is Model.PROSPECTS:
        facts = knock_facts.of_card(record, booking, now)
        tx.bookings.record_in_knock(booking, facts, by=by, now=now)
    elif booking.state in SENT and booking.state is not BookingState.UNKNOWN:
        _apply_tour(tx, booking, record, posted_later(booking, others), by=by, now=now)


def _apply_tour(
    tx: Transaction,
    booking: Booking,
    record: KnockRecord,
    newer: Booking | None,
    *,
    by: str,
    now: dt.datetime,
) -> None:
    facts = knock_facts.of_tour(record, booking, newer, now)
    tx.bookings.record_in_knock(booking, facts, by=by, now=now)
    if facts.status is not None:
        extra = {"booking_id": booking.id, "status": facts.status}
        log.info("knock_status_changed", extra=extra)
    if (moved := knock_facts.of_move(record, booking, now)) is not None:
        tx.bookings.record_in_knock(booking, moved, by=by, now=now)
