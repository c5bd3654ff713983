"""What people do with leads that wait: release, discard, replay. Every act is in the history.

Nothing here is sent: a released booking waits in the line like any other, and meets the same
checks. What may stand in Knock already cannot be released, unless a person says that it does not.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from adapter import appointment as fields
from adapter import order
from adapter.config import Settings
from adapter.events import Booking, BookingState, Clock, Event, EventState
from adapter.exceptions import NotPossible, Unreadable
from adapter.intake import Intake
from adapter.mapping import Community, Delivery, Item, Mapped, Outcome
from adapter.seen import Seen
from adapter.sources import Source
from adapter.store import Leads, Store
from adapter.times import utc_from_local

#: States from which a person may send a booking on its way again.
RELEASABLE = (
    BookingState.HELD,
    BookingState.FAILED,
    BookingState.EXPIRED,
    BookingState.UNKNOWN,
)

#: What a person may set: the fields of an appointment, and what stands for several of them.
SETTABLE = frozenset(fields.TARGETS) - {"name", "starts_at"}
ALSO_SETTABLE = frozenset({"community", "starts_at"})

#: Bookings of an event that a replay puts aside for what the mapping makes of it now.
REPLAYED = (BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED, BookingState.PENDING)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What one event would become, beside what it is."""

    event_id: int
    source: str
    #: Why it is left alone; None: it is replayed.
    refusal: str | None
    outcome: str
    #: ``item.field`` → (as it is, as it would be).
    fields: Mapping[str, tuple[Any, Any]]


class Repairs:
    """The acts of people, over one store."""

    def __init__(
        self, settings: Settings, store: Store, sources: Mapping[str, Source], clock: Clock
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
    ) -> Booking:
        """Sends a held, failed, expired or unknown booking on its way, edited by ``changes``.

        ``changes`` are fields of the appointment, ``community`` (its key) and ``starts_at`` (ISO
        8601; without an offset on the community's clock). Raises :class:`NotPossible` with every
        reason, and then nothing is changed.
        """
        seen, now = Seen(self._store.hash_key()), self._clock()
        with self._store.transaction() as leads:
            booking = leads.booking(booking_id, lock=True)
            if booking is None:
                raise NotPossible(f"there is no booking {booking_id}")
            _check_state(booking, is_not_in_knock=is_not_in_knock)
            edited = self._edited(booking, changes)
            keys = seen.person_keys(
                edited.community, edited.appointment, self._settings.policy.shared_contacts
            )
            edited = dataclasses.replace(edited, person_keys=keys, asked_at=now)
            self._check(edited, now)
            leads.lock_keys(keys)
            self._check_order(leads, edited, now)
            leads.edit_booking(edited)
            if booking.state is BookingState.UNKNOWN:
                leads.deny_attempts(booking_id, now=now)
            leads.move(booking_id, BookingState.PENDING, why="released", now=now, by=by, due_at=now)
            leads.wake_lane(booking_id)
        return edited

    def _edited(self, booking: Booking, changes: Mapping[str, Any]) -> Booking:
        """The booking with a person's changes. Raises NotPossible for what cannot be read."""
        unknown = set(changes) - SETTABLE - ALSO_SETTABLE
        if unknown:
            raise NotPossible(
                f"unknown field {', '.join(sorted(unknown))}; there are "
                + ", ".join(sorted(SETTABLE | ALSO_SETTABLE))
            )
        appointment = dict(booking.appointment)
        plain = {name: value for name, value in changes.items() if name in SETTABLE}
        appointment = {
            name: value for name, value in (appointment | plain).items() if value not in (None, "")
        }
        community, timezone = booking.community, booking.timezone
        if "community" in changes:
            place = self._community(booking.source, str(changes["community"]))
            community, timezone = place.key, place.timezone.key
            appointment |= _ids(place, booking.source)
        starts_at = booking.starts_at
        if "starts_at" in changes:
            starts_at = _instant(str(changes["starts_at"]), timezone)
        if starts_at is not None:
            appointment |= {
                "appointment_date": starts_at.strftime("%Y-%m-%d"),
                "appointment_time": starts_at.strftime("%H:%M:%S"),
            }
        return dataclasses.replace(
            booking,
            appointment=appointment,
            community=community,
            timezone=timezone,
            starts_at=starts_at,
        )

    def _community(self, source: str, key: str) -> Community:
        known: Mapping[str, Community] = {}
        if source in self._sources:
            known = self._sources[source].communities
        if key not in known:
            raise NotPossible(
                f"there is no community {key}; there is {', '.join(sorted(known)) or 'none'}"
            )
        return known[key]

    def _check(self, booking: Booking, now: dt.datetime) -> None:
        faults = [
            f"{name}: {text}"
            for name, texts in fields.problems(booking.appointment).items()
            for text in texts
        ]
        if booking.starts_at is None:
            faults.append("starts_at: not known; --set starts_at=2026-03-14T14:30")
        elif booking.starts_at <= now + dt.timedelta(minutes=self._settings.notice_minutes):
            faults.append("starts_at: has passed, or is too soon")
        if booking.community is None:
            faults.append("community: not known; --set community=KEY")
        if faults:
            raise NotPossible("\n".join(faults))

    def _check_order(self, leads: Leads, booking: Booking, now: dt.datetime) -> None:
        others = leads.live_bookings_of(booking.person_keys, order.LIVE, except_id=booking.id)
        assert booking.starts_at is not None  # noqa: S101 - checked before
        verdict = order.judge(
            event_id=0,
            starts_at=booking.starts_at,
            asked_at=booking.asked_at,
            others=others,
            now=now,
        )
        if verdict.state is not BookingState.PENDING:
            raise NotPossible(
                f"the same person has this tour already: booking {verdict.because_of}"
            )
        for other in verdict.replaces:
            leads.move(other, BookingState.SUPERSEDED, why="newer_request", now=now)

    # --- discard

    def discard(self, lead_id: int, reason: str, *, by: str) -> None:
        """Puts a booking or a held event aside. Raises :class:`NotPossible` where it cannot be."""
        now = self._clock()
        with self._store.transaction() as leads:
            booking = leads.booking(lead_id, lock=True)
            if booking is None:
                if not leads.discard_event(lead_id, why=reason, by=by, now=now):
                    raise NotPossible(f"{lead_id} is no booking, and no event that is held")
                return
            if not leads.move(lead_id, BookingState.DISCARDED, why=reason, now=now, by=by):
                raise NotPossible(f"booking {lead_id} is {booking.state} and cannot be discarded")

    # --- replay

    def replay(self, event_id: int, *, by: str, dry_run: bool) -> Difference:
        """Maps an event again with the mapping of now; ``dry_run`` only says what would change.

        What is on its way, booked, or may be, is left alone.
        """
        intake = Intake(Seen(self._store.hash_key()), self._settings.policy.shared_contacts)
        now = self._clock()
        with self._store.transaction() as leads:
            event = leads.event(event_id, lock=True)
            if event is None:
                raise NotPossible(f"there is no event {event_id}")
            source, bookings = self._sources.get(event.source), leads.bookings_of(event_id)
            refusal = _refusal(event, source, bookings)
            mapped = Mapped(outcome=Outcome.HELD)
            if source is not None:
                mapped = source.map(delivery_of(event), now=now)
            difference = _difference(event, refusal, bookings, mapped)
            if refusal is None and source is not None and not dry_run:
                for booking in bookings:
                    leads.move(booking.id, BookingState.SUPERSEDED, why="replayed", now=now, by=by)
                leads.reopen_event(event_id, why="replayed", by=by, now=now)
                intake.keep(leads, event, mapped, source.hash, now)
        return difference


def delivery_of(event: Event) -> Delivery:
    """What a mapping reads of a stored event."""
    return Delivery(
        body=event.body,
        content_type=event.content_type,
        headers=event.headers,
        query=event.query,
    )


def _check_state(booking: Booking, *, is_not_in_knock: bool) -> None:
    if booking.state not in RELEASABLE:
        raise NotPossible(f"booking {booking.id} is {booking.state}: there is nothing to release")
    if booking.state is BookingState.UNKNOWN and not is_not_in_knock:
        raise NotPossible(
            f"booking {booking.id} is unknown: it may stand in Knock, and another POST would mail "
            "the renter again. Look in Knock; if it is not there, release it with --not-in-knock"
        )


def _refusal(event: Event, source: Source | None, bookings: tuple[Booking, ...]) -> str | None:
    if source is None:
        return f"there is no mapping called {event.source}"
    if event.state is EventState.RECEIVED:
        return "it waits to be mapped"
    if event.state is EventState.DISCARDED:
        return "it was discarded"
    gone = [booking for booking in bookings if booking.state in order.GONE_OUT]
    if gone:
        return f"booking {gone[0].id} of it is {gone[0].state}"
    return None


def _difference(
    event: Event, refusal: str | None, bookings: tuple[Booking, ...], mapped: Mapped
) -> Difference:
    items = [item for item in mapped.items if item.outcome is not Outcome.IGNORED]
    before = [booking for booking in bookings if booking.state in REPLAYED]
    changed: dict[str, tuple[Any, Any]] = {}
    for number in range(max(len(items), len(before))):
        old = _facts_of_booking(before[number]) if number < len(before) else {}
        new = _facts_of_item(items[number]) if number < len(items) else {}
        changed |= {
            f"{number}.{name}": (old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        }
    return Difference(
        event_id=event.id,
        source=event.source,
        refusal=refusal,
        outcome=str(mapped.outcome),
        fields=changed,
    )


def _facts_of_booking(booking: Booking) -> dict[str, Any]:
    ready = booking.state is BookingState.PENDING
    return {**booking.appointment, "outcome": "book" if ready else "held"}


def _facts_of_item(item: Item) -> dict[str, Any]:
    return {**item.appointment, "outcome": str(item.outcome)}


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
        raise NotPossible("starts_at: write it as 2026-03-14T14:30") from None
    if at.tzinfo is None:
        if timezone is None:
            raise NotPossible("starts_at: set the community too, or write an offset")
        try:
            return utc_from_local(at, ZoneInfo(timezone))
        except Unreadable as exc:
            raise NotPossible(f"starts_at: {exc}") from None
    return at.astimezone(dt.UTC)
