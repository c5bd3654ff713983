"""What people do with leads that wait: release, confirm, discard. Every act is in the history.

Nothing here is sent: a released booking waits in the line like any other, and meets the same
checks. What may stand in Knock already cannot be released, unless a person says that it does not.
"""

import dataclasses
import datetime as dt
import functools
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from adapter.bookings import precedence
from adapter.bookings.fingerprints import Fingerprints
from adapter.bookings.intake import SENTENCES
from adapter.exceptions import NotPossible, Unreadable
from adapter.mapping.engine import Community
from adapter.mapping.engine.tour_time import implausible
from adapter.mapping.source import Source
from adapter.mapping.transforms import TRANSFORMS, Noted
from adapter.models import MOVES, AttemptOutcome, Booking, BookingState, Clock, Kind
from adapter.parsing.datetimes import utc_from_local
from adapter.propexo import appointment as fields
from adapter.settings import Settings
from adapter.store import Database, NewBooking, Transaction

#: States from which a person may send a booking on its way again.
RELEASABLE = (
    BookingState.HELD,
    BookingState.FAILED,
    BookingState.EXPIRED,
    BookingState.UNKNOWN,
)

#: How what a person types is read, as a mapping reads it.
TYPED: Mapping[str, str] = {
    "first_name": "text",
    "last_name": "text",
    "email_1": "email",
    "phone_1": "phone",
}

#: What a person may set: the fields of an appointment, and what stands for several of them.
SETTABLE = frozenset(fields.TARGETS) - {"name", "starts_at"}
ALSO_SETTABLE = frozenset({"community", "starts_at"})


class Repairs:
    """The acts of people, over one store."""

    def __init__(
        self, settings: Settings, store: Database, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self._settings = settings
        self._store = store
        self._sources = sources
        self._clock = clock

    # --- release

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
        """Sends a held, failed, expired or unknown booking on its way, edited by ``changes``.

        ``changes`` are fields of the appointment, ``community`` (its key) and ``starts_at`` (ISO
        8601; without an offset on the community's clock). A guest card that is made already stays,
        and its ``starts_at`` books a tour beside it: then that is what is returned. Raises
        :class:`NotPossible` with every reason, and then nothing is changed.
        """
        seen, now = Fingerprints(self._store.hash_key()), self._clock()
        with self._store.transaction() as tx:
            booking = tx.bookings.get(booking_id)
            if booking is None:
                raise NotPossible(f"there is no booking {booking_id}")
            is_beside = _is_beside(booking, changes)
            if not is_beside:
                _check_state(booking, is_not_in_knock=is_not_in_knock)
            edited = self._edited(booking, changes)
            keys = seen.person_keys(
                edited.community, edited.appointment, self._settings.policy.shared_contacts
            )
            # A guest card is tried for some time from when it was asked for: that is now.
            is_new_wish = is_wanted_anyway or is_beside or edited.kind is Kind.PROSPECT
            asked_at = now if is_new_wish else booking.asked_at
            edited = dataclasses.replace(edited, person_keys=keys, asked_at=asked_at)
            self._check(edited, now, is_any_hour=is_any_hour)
            # Keys before rows, as everywhere: two that need both cannot wait for each other.
            tx.lock_keys({*keys, *booking.person_keys})
            if tx.bookings.get(booking_id, lock=True) != booking:
                raise NotPossible(f"booking {booking_id} has changed just now: look at it again")
            note = functools.partial(
                tx.audit.record, by=by, at=now, detail=", ".join(sorted(changes))
            )
            if is_beside:
                tour = self._book_beside(tx, edited, by, now)
                note("time_given", lead_id=tour.id)
                return tour
            self._check_order(tx, edited, now)
            tx.bookings.update(edited)
            if booking.state is BookingState.UNKNOWN:
                tx.attempts.deny(booking_id, now=now)
            tx.bookings.move(
                booking_id, BookingState.PENDING, why="released", now=now, by=by, due_at=now
            )
            tx.send_queue.schedule_sender(booking_id)
            note("edited_and_released" if changes else "released", lead_id=booking_id)
        return edited

    def _book_beside(self, tx: Transaction, edited: Booking, by: str, now: dt.datetime) -> Booking:
        """A tour for a lead whose guest card stays what it is: one that waits gives way to it."""
        event = tx.events.get(edited.event_id)
        assert event is not None  # noqa: S101 - a booking has its event
        booking_id = tx.bookings.next_id()
        self._check_order(tx, dataclasses.replace(edited, id=booking_id), now)
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
        # What is called off from now on is the tour.
        tx.claims.reassign_all(edited.id, booking_id)
        tx.send_queue.schedule_sender(booking_id)
        made = tx.bookings.get(booking_id)
        assert made is not None  # noqa: S101 - it was stored just now
        return made

    def _edited(self, booking: Booking, changes: Mapping[str, Any]) -> Booking:
        """The booking with a person's changes. Raises NotPossible for what cannot be read."""
        unknown = set(changes) - SETTABLE - ALSO_SETTABLE
        if unknown:
            raise NotPossible(
                f"unknown field {', '.join(sorted(unknown))}; there are "
                + ", ".join(sorted(SETTABLE | ALSO_SETTABLE))
            )
        plain = {name: value for name, value in changes.items() if name in SETTABLE}
        typed = {name: self._read(name, value) for name, value in plain.items()}
        appointment = {
            name: value
            for name, value in {**booking.appointment, **typed}.items()
            if value not in (None, "", [])
        }
        community, timezone = booking.community, booking.timezone
        if "community" in changes:
            place = self._community(booking.source, str(changes["community"]))
            community, timezone = place.key, place.timezone.key
            appointment |= _ids(place, booking.source)
        starts_at = booking.starts_at
        if "starts_at" in changes:
            text = str(changes["starts_at"]).strip()
            starts_at = _instant(text, timezone) if text else None
        elif starts_at is not None and booking.timezone not in (None, timezone):
            raise _fault("starts_at", f"write the hour on the other community's clock: {timezone}")
        if starts_at is not None:
            appointment |= {
                "appointment_date": starts_at.strftime("%Y-%m-%d"),
                "appointment_time": starts_at.strftime("%H:%M:%S"),
            }
        return dataclasses.replace(
            booking,
            kind=booking.kind if starts_at is None else Kind.APPOINTMENT,
            appointment=appointment,
            community=community,
            timezone=timezone,
            starts_at=starts_at,
        )

    def _read(self, name: str, value: Any) -> Any:
        """What was typed, read as a mapping reads it: a contact tells who it is by its one form."""
        reader = TYPED.get(name)
        if reader is None or not isinstance(value, str) or not value.strip():
            return value
        try:
            read = TRANSFORMS[reader].bind({}, self._settings.policy)(value)
        except Unreadable as exc:
            raise _fault(name, str(exc)) from None
        return read.value if isinstance(read, Noted) else read

    def _community(self, source: str, key: str) -> Community:
        known: Mapping[str, Community] = {}
        if source in self._sources:
            known = self._sources[source].communities
        if key not in known:
            text = f"there is no community {key}; there is {', '.join(sorted(known)) or 'none'}"
            raise NotPossible(text, {"community": text})
        return known[key]

    def _check(self, booking: Booking, now: dt.datetime, *, is_any_hour: bool) -> None:
        faults = {
            name: "; ".join(texts)
            for name, texts in fields.problems(booking.appointment, kind=booking.kind).items()
        }
        if booking.kind is Kind.PROSPECT:
            pass
        elif booking.starts_at is None:
            faults["starts_at"] = "not known: set it, as in 2026-03-14T14:30"
        elif booking.starts_at <= now + dt.timedelta(minutes=self._settings.notice_minutes):
            faults["starts_at"] = "has passed, or is too soon"
        elif not is_any_hour and (odd := self._odd_hours(booking.starts_at, booking, now)):
            faults["starts_at"] = f"{odd}. If that is right, say so (command: --any-hour)"
        if booking.community is None:
            faults["community"] = "not known: set it"
        if faults:
            lines = (f"{name}: {text}" for name, text in faults.items())
            raise NotPossible("\n".join(lines), faults)

    def _odd_hours(self, at: dt.datetime, booking: Booking, now: dt.datetime) -> str:
        zone = ZoneInfo(booking.timezone) if booking.timezone else None
        return "; ".join(implausible(at, zone, self._settings.policy, now))

    def _check_order(self, tx: Transaction, booking: Booking, now: dt.datetime) -> None:
        others = tx.bookings.of_people(booking.person_keys, precedence.LIVE, except_id=booking.id)
        verdict = precedence.decide(
            event_id=0,
            starts_at=booking.starts_at,
            asked_at=booking.asked_at,
            others=others,
            now=now,
        )
        if verdict.state is BookingState.SUPERSEDED:
            raise NotPossible(
                f"a newer request of the same person stands, and Knock would cancel it: booking "
                f"{verdict.because_of}. If this one is right, say so (command: --anyway)"
            )
        if verdict.reason is not None:
            raise NotPossible(SENTENCES[verdict.reason].format(verdict.because_of))
        for other in verdict.replaces:
            tx.bookings.move(other, BookingState.SUPERSEDED, why="newer_request", now=now)

    # --- confirm, discard

    def confirm(self, booking_id: int, *, by: str) -> None:
        """A person has seen the tour in Knock, or has booked it there by hand: it is booked.

        Raises :class:`NotPossible` where it is on its way, or no tour that could stand there.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            booking = tx.bookings.get(booking_id)
            if booking is None:
                raise NotPossible(f"there is no booking {booking_id}")
            tx.lock_keys(booking.person_keys)
            if tx.bookings.get(booking_id, lock=True) != booking:
                raise NotPossible(f"booking {booking_id} has changed just now: look at it again")
            if booking.state not in RELEASABLE:
                raise NotPossible(f"booking {booking_id} is {booking.state}: nothing to confirm")
            if not may_confirm(booking):
                raise NotPossible(f"booking {booking_id} is no tour: discard it when it is done")
            if booking.state is BookingState.UNKNOWN:
                last = tx.attempts.of_booking(booking_id)[-1]
                tx.attempts.finish(last.id, AttemptOutcome.ACCEPTED, now=now, status=last.status)
            _stop_what_waits(tx, booking, now)
            tx.bookings.move(booking_id, BookingState.BOOKED, why="seen_in_knock", now=now, by=by)
            tx.send_queue.wake_siblings(booking_id)
            tx.audit.record("confirmed", by=by, at=now, lead_id=booking_id)

    def discard(self, lead_id: int, reason: str, *, by: str) -> None:
        """Puts a booking or a held event aside. Raises :class:`NotPossible` where it cannot be."""
        now = self._clock()
        with self._store.transaction() as tx:
            booking = tx.bookings.get(lead_id, lock=True)
            if booking is None:
                if not tx.events.discard(lead_id, why=reason, by=by, now=now):
                    raise NotPossible(f"{lead_id} is no booking, and no event that is held")
            elif not tx.bookings.move(lead_id, BookingState.DISCARDED, why=reason, now=now, by=by):
                raise NotPossible(f"booking {lead_id} is {booking.state} and cannot be discarded")
            tx.audit.record("discarded", by=by, at=now, lead_id=lead_id)


def _stop_what_waits(tx: Transaction, booking: Booking, now: dt.datetime) -> None:
    """What still waits of the same person does not go out after a tour that stands in Knock.

    Raises :class:`NotPossible` where a newer request waits: Knock would cancel the confirmed tour.
    """
    for other in tx.bookings.of_people(booking.person_keys, (BookingState.PENDING,)):
        is_tour = other.kind is Kind.APPOINTMENT
        if is_tour and booking.kind is Kind.PROSPECT:
            continue  # a tour beside a guest card is wanted
        is_same = not is_tour or other.starts_at == booking.starts_at
        if not is_same and (other.asked_at, other.id) > (booking.asked_at, booking.id):
            raise NotPossible(
                f"a newer request of the same person waits: booking {other.id}. Discard it first"
            )
        state = BookingState.DUPLICATE if is_same else BookingState.SUPERSEDED
        why = "same_person_and_time" if is_same else "newer_request"
        tx.bookings.move(other.id, state, why=why, now=now)


def why_not_release(booking: Booking) -> str | None:
    """Why a booking cannot be sent on its way again; None: it can, an unknown one after a look."""
    if booking.state in (BookingState.SENDING, BookingState.SUBMITTED):
        return "It is on its way."
    if booking.state is BookingState.PENDING:
        return "It waits to be sent, and goes out by itself."
    if booking.state is BookingState.BOOKED and booking.kind is Kind.PROSPECT:
        return (
            "Its guest card stands in Knock. With a time, adapter release books a tour beside it."
        )
    if booking.state is BookingState.BOOKED:
        return (
            "It is booked. Sending it again would mail the renter again and cancel the first tour."
        )
    if booking.state not in RELEASABLE:
        return f"It is {booking.state}: another one counts, or nobody wants it."
    if booking.reason == "cancellation":
        return "It is a cancellation: cancel the tour in Knock by hand."
    return None


def may_confirm(booking: Booking) -> bool:
    """Whether a person may say that the tour, or the guest card, stands in Knock."""
    is_card = booking.kind is Kind.PROSPECT
    can_stand = booking.reason != "cancellation" and (is_card or booking.starts_at is not None)
    return booking.state in RELEASABLE and can_stand


#: Why leads wait that may go on as they are, all at once: nobody has to look in Knock or ask.
RELEASED_TOGETHER: Mapping[BookingState, frozenset[str]] = {
    BookingState.HELD: frozenset({"held_by_mapping", "not_authorised", "internal_error"}),
    BookingState.FAILED: frozenset({"refused"}),
}


def may_release_together(state: str, word: str) -> bool:
    """Whether leads that wait for this reason may be released, or mapped again, as a group."""
    return word in RELEASED_TOGETHER.get(BookingState(state), ())


def may_discard(booking: Booking) -> bool:
    """Whether a person may put it aside."""
    return booking.state in MOVES[BookingState.DISCARDED]


def _is_beside(booking: Booking, changes: Mapping[str, Any]) -> bool:
    """Whether a guest card that is made, or will be, gets a time: then a tour is booked beside."""
    is_card = booking.kind is Kind.PROSPECT and booking.state in precedence.LIVE
    has_time = bool(str(changes.get("starts_at") or "").strip())
    return is_card and booking.state is not BookingState.UNKNOWN and has_time


def _check_state(booking: Booking, *, is_not_in_knock: bool) -> None:
    if booking.state not in RELEASABLE:
        raise NotPossible(f"booking {booking.id} is {booking.state}: there is nothing to release")
    if booking.reason == "cancellation":
        raise NotPossible(f"booking {booking.id} is a cancellation: discard it when it is done")
    if booking.state is BookingState.UNKNOWN and not is_not_in_knock:
        raise NotPossible(
            f"booking {booking.id} is unknown: it may stand in Knock, and another POST would mail "
            "the renter again. Look in Knock; if it is not there, say so (command: --not-in-knock)"
        )


def _ids(place: Community, source: str) -> dict[str, str]:
    """What a community is called at Propexo, and who gets the credit there."""
    attribution = place.attributions.get(source)
    if isinstance(attribution, Mapping):
        attribution = attribution.get("*")
    if attribution is None:
        raise NotPossible(f"community {place.key} has no attribution for {source}")
    return {
        "integration_id": place.integration_id,
        "community_id": place.community_id,
        "attribution_id": attribution,
    }


def _instant(text: str, timezone: str | None) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise _fault("starts_at", "write it as 2026-03-14T14:30") from None
    if not dt.MINYEAR < at.year < dt.MAXYEAR:  # on another clock it might have no date
        raise _fault("starts_at", "has a year that no tour is in")
    if at.tzinfo is None:
        if timezone is None:
            raise _fault("starts_at", "set the community too, or write an offset")
        try:
            return utc_from_local(at, ZoneInfo(timezone))
        except Unreadable as exc:
            raise _fault("starts_at", str(exc)) from None
    return at.astimezone(dt.UTC)


def _fault(field: str, text: str) -> NotPossible:
    return NotPossible(f"{field}: {text}", {field: text})
