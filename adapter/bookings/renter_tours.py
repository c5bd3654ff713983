"""Let renters choose, move and cancel tours with the link they received.

A chosen tour is decided on and stored like a tour that a sender requested. This module sends
nothing: a worker sends the tour later.
"""

import dataclasses
import datetime as dt
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from adapter.bookings import reconcile
from adapter.bookings.calendar_check import checks_availability
from adapter.bookings.decisions import held
from adapter.bookings.free_times import FreeTimes, calendar_key
from adapter.bookings.intake import BookingPlanner
from adapter.bookings.invitations import LIVE_CARD, without_link
from adapter.bookings.person import NEW, is_wish_to_cancel, may_exist, order
from adapter.bookings.reconcile import Related
from adapter.bookings.same_person import Relation, relation
from adapter.bookings.tour_choices import tour_choices
from adapter.exceptions import LinkRefused
from adapter.mapping.engine import Community
from adapter.mapping.engine.tour_time import fields_from_instant
from adapter.mapping.source import Source
from adapter.models import (
    CANCELED_BY_RENTER,
    CHOSEN_BY_RENTER,
    RENTER,
    REPLAYED,
    TIME_TAKEN,
    Booking,
    BookingState,
    Clock,
    Kind,
)
from adapter.propexo import appointment as fields
from adapter.settings import Settings
from adapter.store import Database, Transaction
from adapter.store.fingerprints import lock_key


class Stage(enum.StrEnum):
    """The state of a renter page, which determines its text and actions."""

    #: There is no tour yet: the renter may choose one.
    CHOOSE = "choose"
    #: The tour is being booked.
    WAITING = "waiting"
    #: The tour is booked. It may be moved or canceled.
    BOOKED = "booked"
    #: The renter asked to cancel the tour, and a user must do so in Knock.
    CANCELING = "canceling"
    #: The lead needs review, so the page allows no changes.
    TEAM = "team"
    #: The tour is over.
    PASSED = "passed"
    #: The lead was discarded, or its data was erased.
    GONE = "gone"


#: The stages that allow the renter to choose a time.
CHANGEABLE: Final = (Stage.CHOOSE, Stage.WAITING, Stage.BOOKED, Stage.CANCELING)
_STAGES: Final[Mapping[BookingState, Stage]] = {
    BookingState.PENDING: Stage.WAITING,
    BookingState.SENDING: Stage.WAITING,
    BookingState.SUBMITTED: Stage.WAITING,
    BookingState.BOOKED: Stage.BOOKED,
    BookingState.HELD: Stage.TEAM,
    BookingState.UNKNOWN: Stage.TEAM,
}
#: States of a tour that was not booked or was canceled.
_LOST: Final = (BookingState.FAILED, BookingState.EXPIRED, BookingState.DISCARDED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RenterView:
    """The contents of a renter page."""

    #: The guest card or tour that the link was created for.
    booking: Booking
    stage: Stage
    #: None if the community is unknown.
    community: Community | None = None
    #: The renter's upcoming tour, or None.
    tour: Booking | None = None
    #: The renter's latest tour that was not booked or was canceled, if it is newer than ``tour``.
    lost: Booking | None = None
    #: The times to offer, earliest first.
    choices: tuple[dt.datetime, ...] = ()

    @property
    def tour_id(self) -> int | None:
        """The ID of the upcoming tour, or None."""
        return self.tour.id if self.tour else None

    @property
    def needs_name(self) -> bool:
        """True if a tour cannot be booked because the last name is unknown."""
        return not self.booking.appointment.get("last_name")


class RenterTours:
    """Shows renters their tours, and requests, moves or cancels tours for them."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        sources: Callable[[], Mapping[str, Source]],
        free_times: FreeTimes,
        clock: Clock,
    ) -> None:
        self._free_times = free_times
        self._settings = settings
        self._store = store
        self._sources = sources
        self._clock = clock

    def view(self, booking_id: int) -> RenterView:
        """Return the current contents of a renter's page, with the times to choose from.

        Raise :class:`LinkRefused` if the lead does not exist.
        """
        with self._store.transaction() as tx:
            view = self._view(tx, _booking(tx, booking_id), self._clock())
        return dataclasses.replace(view, choices=self._choices(view))

    def choose(self, booking_id: int, at: dt.datetime, *, seen: int | None, name: str = "") -> None:
        """Request the tour that a renter chose, unless the tour was already requested.

        ``seen`` is the ID of the tour that the page showed. Raise :class:`LinkRefused` if the tour
        has changed since, or if the time is no longer available.
        """
        choices, fingerprints = self.view(booking_id).choices, self._store.fingerprints()
        now = self._clock()
        with self._store.transaction() as tx:
            view = self._locked_view(tx, booking_id, now)
            if (
                view.tour is not None
                and view.tour.starts_in_knock == at
                and view.stage is not Stage.CANCELING
            ):
                return
            if view.tour_id != seen or view.stage not in CHANGEABLE:
                raise LinkRefused("meanwhile")
            if at not in choices:
                raise LinkRefused("taken")
            tour = _tour_at(view, at, now, name)
            content = fingerprints.content(tour.source, tour.kind, tour.appointment)
            tour = dataclasses.replace(tour, content=lock_key(content))
            planner = BookingPlanner(
                fingerprints, self._settings.policy.shared_contacts, self._sources()
            )
            stored = planner.add_chosen(tx, tour, now)
            if stored.state is BookingState.PENDING:
                self._withdraw_cancellations(tx, view.booking, stored, now)

    def cancel(self, booking_id: int, *, seen: int | None) -> None:
        """Cancel a tour that has not been sent yet, or hold a cancellation for review.

        Do nothing if the tour was already canceled. Raise :class:`LinkRefused` if it has changed.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            view = self._locked_view(tx, booking_id, now)
            if view.stage is Stage.CANCELING or (view.tour is None and view.lost is not None):
                return
            if view.tour is None or view.tour.id != seen or view.stage not in CHANGEABLE:
                raise LinkRefused("meanwhile")
            standing: Booking | None = view.tour
            if view.tour.state is BookingState.PENDING:
                standing = _cancel_unsent(tx, view.tour, now)
            if standing is not None:
                _ask_to_cancel(tx, view.booking, standing, now)

    def _locked_view(self, tx: Transaction, booking_id: int, now: dt.datetime) -> RenterView:
        booking = _booking(tx, booking_id)
        tx.bookings.lock_related([booking], now)
        return self._view(tx, tx.bookings.get(booking.id, lock=True) or booking, now)

    def _choices(self, view: RenterView) -> tuple[dt.datetime, ...]:
        if view.community is None or view.stage not in CHANGEABLE:
            return ()
        free = None
        if checks_availability(view.booking, self._sources().get(view.booking.source)):
            key = calendar_key(view.booking)
            free = self._free_times.of(view.community.key, key.appointment_type)
        found = tour_choices(view.community, self._settings, self._clock(), free)
        tour = view.tour  # its first time is a repeat, even if Knock has moved it since
        known = (tour.starts_at, tour.starts_in_knock) if tour is not None else ()
        return tuple(at for at in found if at not in known)

    def _view(self, tx: Transaction, booking: Booking, now: dt.datetime) -> RenterView:
        source = self._sources().get(booking.source)
        community = source.communities.get(booking.community or "") if source else None
        own = [one for one in tx.bookings.of_event(booking.event_id) if _is_same(one, booking)]
        known = {one.id: one for one in own}
        if source is not None and not source.is_open:  # otherwise, a stranger could look up a tour
            rows = tx.bookings.of_keys(booking.match_keys, now)
            known |= {one.id: one for one in Related.to(booking, rows).same}
        tour = _upcoming(known.values(), own, booking, now)
        view = RenterView(
            booking=booking,
            community=community,
            stage=_stage(booking, tour, own, now),
            tour=tour,
            lost=_lost(own, tour),
        )
        if community is None and view.stage in CHANGEABLE:
            return dataclasses.replace(view, stage=Stage.TEAM)
        return view

    def _withdraw_cancellations(
        self, tx: Transaction, booking: Booking, tour: Booking, now: dt.datetime
    ) -> None:
        """Close the renter's cancellations after the renter has chosen a new tour."""
        for one in tx.bookings.of_event(booking.event_id):
            if is_wish_to_cancel(one) and relation(one, booking) is Relation.SAME:
                tx.bookings.move(
                    one.id,
                    BookingState.DISCARDED,
                    why="taken_back",
                    because_of=tour.id,
                    now=now,
                    by=RENTER,
                )


def _booking(tx: Transaction, booking_id: int) -> Booking:
    """Return the booking for a link, or its replacement if the webhook was mapped again.

    Raise :class:`LinkRefused` if the booking does not exist.
    """
    booking = tx.bookings.get(booking_id)
    if booking is None:
        raise LinkRefused("gone")
    if booking.reason != REPLAYED:
        return booking
    others = [
        one
        for one in tx.bookings.of_event(booking.event_id)
        if one.reason != REPLAYED and not one.is_cancellation and _is_same(one, booking)
    ]
    return min(others, key=lambda one: one.id, default=booking)


def _is_same(one: Booking, booking: Booking) -> bool:
    return one.id == booking.id or relation(one, booking) is Relation.SAME


def _is_upcoming_tour(one: Booking, now: dt.datetime) -> bool:
    is_tour = one.kind is Kind.APPOINTMENT and not one.is_cancellation
    return is_tour and one.starts_in_knock is not None and one.starts_in_knock > now


def _upcoming(
    known: Iterable[Booking], own: Sequence[Booking], booking: Booking, now: dt.datetime
) -> Booking | None:
    """Return the upcoming tour that the renter requested last, or None.

    A request in review from another webhook does not count, because it may be someone else's.
    """
    own_ids = {one.id for one in own}
    live = [
        one
        for one in known
        if _is_upcoming_tour(one, now)
        and one.community == booking.community
        and not one.is_gone
        and one.state in _STAGES
        and not is_time_taken(one)
        and (one.id in own_ids or one.state is not BookingState.HELD)
    ]
    return max(live, key=order, default=None)


def _lost(own: Iterable[Booking], tour: Booking | None) -> Booking | None:
    """Return the latest failed or canceled tour if it is newer than ``tour``, otherwise None."""
    lost = [
        one
        for one in own
        if one.kind is Kind.APPOINTMENT
        and not one.is_cancellation
        and (one.state in _LOST or one.is_gone or is_time_taken(one))
        and (tour is None or order(one) > order(tour))
    ]
    return max(lost, key=order, default=None)


def _stage(
    booking: Booking, tour: Booking | None, own: Iterable[Booking], now: dt.datetime
) -> Stage:
    if not {"email_1", "phone_1"} & booking.appointment.keys():
        return Stage.GONE  # erased
    if tour is not None:
        is_canceling = any(is_wish_to_cancel(one) and one.because_of == tour.id for one in own)
        return Stage.CANCELING if is_canceling else _STAGES[tour.state]
    if booking.state is BookingState.DISCARDED and booking.reason != CANCELED_BY_RENTER:
        return Stage.GONE
    if booking.kind is Kind.PROSPECT:
        return Stage.CHOOSE if booking.state in LIVE_CARD else Stage.TEAM
    if booking.starts_in_knock is None or booking.starts_in_knock <= now:
        return Stage.PASSED
    is_lost = booking.state in _LOST or booking.is_gone
    return Stage.CHOOSE if is_lost or is_time_taken(booking) else Stage.TEAM


def is_time_taken(booking: Booking) -> bool:
    """Return True if a tour is held because its time is not available in Knock."""
    return booking.state is BookingState.HELD and booking.reason == TIME_TAKEN


def _tour_at(view: RenterView, at: dt.datetime, now: dt.datetime, name: str) -> Booking:
    """Build the tour that a renter chose, without storing it.

    Raise :class:`LinkRefused` if a field that a tour needs is missing.
    """
    base = view.booking
    if view.tour is not None and view.tour.event_id == base.event_id:
        base = view.tour  # a user may have corrected it
    appointment = without_link(base.appointment) | fields_from_instant(at)
    if view.needs_name and name:
        first, _, last = name.rpartition(" ")
        appointment |= {"last_name": last} | ({"first_name": first} if first else {})
    if fields.problems(appointment, kind=Kind.APPOINTMENT):
        raise LinkRefused("name" if view.needs_name else "team")
    return dataclasses.replace(
        base,
        **_AS_NEW,
        kind=Kind.APPOINTMENT,
        state=BookingState.PENDING,
        reason=CHOSEN_BY_RENTER,
        starts_at=at,
        appointment=appointment,
        asked_at=now,
        due_at=now,
    )


#: Fields of a booking that are reset when it is copied to make a new one.
_AS_NEW: Final[Mapping[str, Any]] = {
    "id": NEW,
    "reasons": (),
    "because_of": None,
    "posted_at": None,
    "job_id": None,
    "gone_at": None,
    "tour_id": None,
    "confirmed_at": None,
    "knock_status": None,
    "knock_status_at": None,
    "moved_to": None,
    "moved_at": None,
    "snoozed_until": None,
    "assigned_to": None,
    "free_times": (),
    "prospect_id": None,
}


def _cancel_unsent(tx: Transaction, tour: Booking, now: dt.datetime) -> Booking | None:
    """Cancel a pending tour. Return an older tour that Knock may still have, or None."""
    tx.bookings.move(tour.id, BookingState.DISCARDED, why=CANCELED_BY_RENTER, now=now, by=RENTER)
    reconcile.reconcile(tx, tour, now)
    same = reconcile.load(tx, tour, now).same
    older = [one for one in same if _is_upcoming_tour(one, now) and may_exist(one)]
    return max(older, key=order, default=None)


def _ask_to_cancel(tx: Transaction, booking: Booking, tour: Booking, now: dt.datetime) -> None:
    """Hold a cancellation for review, because Propexo cannot cancel a tour."""
    wish = dataclasses.replace(
        tour,
        **_AS_NEW,
        event_id=booking.event_id,
        source=booking.source,
        match_keys=tuple(tour.person_keys),
        item_key=None,
        content=None,
        is_cancellation=True,
        asked_at=now,
        due_at=None,
    )
    number = len(tx.bookings.of_event(booking.event_id))
    tx.bookings.insert(held("cancellation", tour).applied_to(wish), number, now=now, by=RENTER)
