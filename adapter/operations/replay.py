"""Map stored events again after a mapping was fixed, and report the changes."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from adapter.bookings.fetch_documents import Fetcher
from adapter.bookings.intake import BookingPlanner
from adapter.bookings.invitations import renter_links
from adapter.exceptions import NotPossible
from adapter.mapping.engine import Item, Mapped, Outcome
from adapter.mapping.engine.fetched import without_failures
from adapter.mapping.source import Source
from adapter.models import RENTER, Booking, BookingState, Clock, Event, EventState, Kind
from adapter.operations.diff import changed_fields, facts_of_item, tour_of
from adapter.settings import Settings
from adapter.store import Database, Transaction
from adapter.store.fingerprints import Fingerprints, lock_key

#: States of bookings that a replay replaces.
REPLACEABLE = (BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED, BookingState.PENDING)

#: States of events whose documents are fetched again.
REFETCHED = (EventState.HELD, EventState.MAPPED)

#: States of bookings that even a forced replay does not change, because they may reach Knock.
NOT_FORCEABLE = (BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The changes from mapping an event again."""

    event_id: int
    source: str
    #: Why the event cannot be replayed, or None.
    refusal: str | None
    outcome: str
    #: ``item.field`` → (before, after).
    fields: Mapping[str, tuple[Any, Any]]
    #: Why the leads are held although the mapping can read them, such as ``another_person``, or "".
    held_because: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """The result of mapping an event again, before it is stored. The event is locked."""

    event: Event
    source: Source | None
    #: All bookings of the event, and the IDs of those that are not replaced.
    bookings: tuple[Booking, ...]
    kept: frozenset[int]
    mapped: Mapped
    #: Why the event cannot be replayed, or None.
    refusal: str | None
    is_forced: bool

    @property
    def replaced(self) -> tuple[Booking, ...]:
        """The bookings to replace, if their states allow it."""
        return tuple(booking for booking in self.bookings if booking.id not in self.kept)


class Replays:
    """Maps stored events again with the current mappings."""

    def __init__(
        self, settings: Settings, store: Database, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self._settings = settings
        self._store = store
        self._sources = sources
        self._clock = clock
        self._fetcher = Fetcher(settings, store, clock)

    def replay(
        self,
        event_id: int,
        *,
        by: str,
        dry_run: bool,
        forced_because: str | None = None,
        send_after: dt.datetime | None = None,
        is_replaced: Callable[[Booking], bool] | None = None,
    ) -> Difference:
        """Map an event again with the current mapping. With ``dry_run``, only report the changes.

        Bookings that are in flight, booked, discarded or past are not changed, and neither are
        those that the renter made on the renter page. Several tours in one webhook are handled
        separately if the mapping gives each a dedupe key. With ``forced_because``, a reason for the
        history, only bookings in flight are not changed: a booked tour is booked again, and a past
        tour is held. New bookings are sent after ``send_after``, if it is given. If ``is_replaced``
        is given, the bookings for which it returns False are kept.
        """
        if not dry_run:
            self._fetch(event_id)
        now = self._clock()
        self._store.fingerprints()  # inside the transaction, this would take a second connection
        with self._store.transaction() as tx:
            plan = self._plan(tx, event_id, now, is_replaced, is_forced=forced_because is not None)
            why, held = forced_because or "replayed", ""
            if plan.refusal is None and not dry_run:
                self._apply(tx, plan, now, by=by, why=why)
                held = _held_because(tx, plan)
                if send_after is not None:
                    tx.send_queue.delay(event_id, send_after)
            elif plan.refusal is None and _may_stay_held(plan):
                with tx.trial():
                    self._apply(tx, plan, now, by=by, why=why)
                    held = _held_because(tx, plan)
        return _difference(plan, held)

    def _plan(
        self,
        tx: Transaction,
        event_id: int,
        now: dt.datetime,
        is_replaced: Callable[[Booking], bool] | None,
        *,
        is_forced: bool,
    ) -> _Plan:
        """Lock an event and map it again, without storing anything."""
        event = tx.events.get(event_id, lock=True)
        if event is None:
            raise NotPossible(f"there is no event {event_id}")
        source, bookings = self._sources.get(event.source), tx.bookings.of_event(event_id)
        mapped = Mapped(outcome=Outcome.HELD)
        if source is not None:
            mapped = source.map(event.request, now=now)
        kept = _kept(bookings, is_replaced, tx.bookings.made_by(event_id, RENTER))
        if not is_forced:
            mapped = _without_settled(self._store.fingerprints(), event, bookings, mapped, kept)
        refusal = _refusal(event, source, bookings, mapped, kept, is_forced=is_forced)
        if refusal is None and not is_forced and _is_past(mapped, now):
            refusal = "its tour has passed"
        return _Plan(
            event=event,
            source=source,
            bookings=bookings,
            kept=kept,
            mapped=mapped,
            refusal=refusal,
            is_forced=is_forced,
        )

    def _apply(self, tx: Transaction, plan: _Plan, now: dt.datetime, *, by: str, why: str) -> None:
        """Replace an event's bookings with the result of mapping the event again."""
        event, planner = plan.event, self._planner()
        planner.lock(tx, event, plan.mapped, plan.bookings, now)
        for booking in plan.replaced:
            tx.bookings.move(booking.id, BookingState.SUPERSEDED, why="replayed", now=now, by=by)
        tx.events.reopen(event.id, why=why, by=by, now=now)
        planner.apply(tx, event, plan.mapped, plan.source, now, is_forced=plan.is_forced)
        _pass_on(tx, event.id, plan.bookings, plan.kept)
        action = "replayed_by_force" if plan.is_forced else "replayed"
        tx.audit.record(action, by=by, at=now, lead_id=event.id)

    def _planner(self) -> BookingPlanner:
        return BookingPlanner(
            self._store.fingerprints(),
            self._settings.policy.shared_contacts,
            self._sources,
            renter_links(self._settings, self._store, self._clock),
            sends_mail=self._settings.smtp_url is not None,
        )

    def _fetch(self, event_id: int) -> None:
        """Fetch documents that an event's mapping needs and that could not be fetched before."""
        with self._store.statement() as tx:
            event = tx.events.get(event_id)
        source = self._sources.get(event.source) if event else None
        if event is None or source is None or not source.fetch_readers:
            return
        known = without_failures(event.request.fetched)
        request = dataclasses.replace(event.request, fetched=known)
        wanted = source.to_fetch(request, source.map(request, now=self._clock()))
        if wanted and event.state in REFETCHED:
            self._fetcher.run(source, event, wanted, states=REFETCHED, is_last_try=True)


def _kept(
    bookings: tuple[Booking, ...],
    is_replaced: Callable[[Booking], bool] | None,
    renters: Collection[int],
) -> frozenset[int]:
    """Return the IDs of bookings that could be replaced but must be kept.

    ``renters`` contains the IDs of bookings that the renter made on the renter page, which are not
    in the webhook. If any booking is kept for another reason, bookings without an item's key are
    kept too, because it is unknown which item would replace them.
    """
    replaceable = [booking for booking in bookings if booking.state in REPLACEABLE]
    own = frozenset(booking.id for booking in replaceable if booking.id in renters)
    if is_replaced is None or all(map(is_replaced, replaceable)):
        return own
    return own | frozenset(
        booking.id
        for booking in replaceable
        if booking.item_key is None or not is_replaced(booking)
    )


def _pass_on(
    tx: Transaction, event_id: int, bookings: tuple[Booking, ...], kept: Collection[int]
) -> None:
    """Redirect references from replaced bookings to the event's new bookings.

    The new bookings also keep the assigned user and the snooze time of those that they replace.
    """
    known = {booking.id for booking in bookings}
    new = [booking for booking in tx.bookings.of_event(event_id) if booking.id not in known]
    for old in bookings:
        same = [booking for booking in new if booking.item_key == old.item_key]
        successors = same or new
        if successors and old.id not in kept:
            tx.bookings.repoint(old.id, successors[0].id)
        if len(successors) == 1 and old.id not in kept and old.state in REPLACEABLE:
            tx.bookings.pass_on_plan(old, successors[0].id)


def _without_settled(
    fingerprints: Fingerprints,
    event: Event,
    bookings: tuple[Booking, ...],
    mapped: Mapped,
    kept: Collection[int],
) -> Mapped:
    """Return the mapping result without items whose bookings must be kept."""
    if not kept and not any(map(_is_settled, bookings)):
        return mapped
    replaceable = {
        booking.item_key
        for booking in bookings
        if booking.state in REPLACEABLE and booking.id not in kept
    }

    def is_replaceable(item: Item) -> bool:
        if item.dedupe_key is None:
            return False
        return lock_key(fingerprints.item(event.source, item.dedupe_key)) in replaceable

    return dataclasses.replace(mapped, items=tuple(filter(is_replaceable, mapped.items)))


def _refusal(
    event: Event,
    source: Source | None,
    bookings: tuple[Booking, ...],
    mapped: Mapped,
    kept: Collection[int],
    *,
    is_forced: bool,
) -> str | None:
    if source is None:
        return f"there is no mapping called {event.source}"
    if event.state is EventState.RECEIVED:
        return "it is not mapped yet"
    if event.kept != "all":
        return "its payload was erased"
    if event.state is EventState.DISCARDED and not is_forced:
        return "it was discarded"
    if mapped.items and not is_forced:
        return None  # items that cannot be replaced were already left out
    for booking in bookings:
        is_settled = _is_settled(booking) or booking.id in kept
        if booking.state in NOT_FORCEABLE if is_forced else is_settled:
            return f"its booking {booking.id} is {booking.state}"
    return None


def _is_settled(booking: Booking) -> bool:
    return booking.state not in REPLACEABLE and booking.reason != "replayed"


def _is_past(mapped: Mapped, now: dt.datetime) -> bool:
    """Return True if all tours in a mapping result have started."""
    starts = [item.starts_at for item in mapped.items if item.outcome is not Outcome.IGNORED]
    return bool(starts) and all(start is not None and start <= now for start in starts)


def _may_stay_held(plan: _Plan) -> bool:
    """Return True if bookings were held for a reason that the mapping cannot change."""
    by_mapping = (None, "held_by_mapping")
    held = [one for one in plan.replaced if one.state is BookingState.HELD]
    return any(one.reason not in by_mapping for one in held)


def _held_because(tx: Transaction, plan: _Plan) -> str:
    """Return why all new bookings of an event are held although it can be mapped, or ""."""
    known = {booking.id for booking in plan.bookings}
    new = [one for one in tx.bookings.of_event(plan.event.id) if one.id not in known]
    reasons = {one.reason or "" for one in new if one.state is BookingState.HELD}
    is_held = len(new) > 0 and all(one.state is BookingState.HELD for one in new)
    return min(reasons - {"held_by_mapping"}, default="") if is_held else ""


def _difference(plan: _Plan, held_because: str = "") -> Difference:
    items = [item for item in plan.mapped.items if item.outcome is not Outcome.IGNORED]
    before = [
        booking
        for booking in plan.replaced
        if booking.state in REPLACEABLE or (plan.is_forced and booking.reason != "replayed")
    ]
    changed = changed_fields(
        [_facts_of_booking(booking) for booking in before],
        [
            {**facts_of_item(item), "outcome": str(Outcome.HELD)}
            if held_because
            else facts_of_item(item)
            for item in items
        ],
    )
    return Difference(
        event_id=plan.event.id,
        source=plan.event.source,
        refusal=plan.refusal,
        outcome=str(Outcome.HELD if held_because else plan.mapped.outcome),
        fields=changed,
        held_because=held_because,
    )


def _facts_of_booking(booking: Booking) -> dict[str, Any]:
    is_ready = booking.state in (BookingState.PENDING, BookingState.BOOKED)
    outcome = Outcome.BOOK if booking.kind is Kind.APPOINTMENT else Outcome.PROSPECT
    zone = ZoneInfo(booking.timezone) if booking.timezone is not None else None
    facts = {**booking.appointment, **tour_of(booking.starts_at, zone)}
    return facts | {"outcome": str(outcome if is_ready else Outcome.HELD)}
