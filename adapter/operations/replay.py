"""Map stored events again after a mapping was fixed, and report the changes."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from adapter.bookings.fetch_documents import Fetcher
from adapter.bookings.intake import BookingPlanner
from adapter.bookings.invitations import renter_links
from adapter.bookings.person import MERGED
from adapter.bookings.shared_keys import chain_of, is_of_another_person
from adapter.exceptions import NotPossible
from adapter.mapping.engine import SENT_OUTCOMES, Item, Mapped, Outcome
from adapter.mapping.engine.fetched import without_failures
from adapter.mapping.source import Source
from adapter.models import RENTER, REPLAYED, Booking, BookingState, Clock, Event, EventState, Kind
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
    """The changes that result from mapping an event again."""

    event_id: int
    source: str
    #: Why the event cannot be replayed, or None.
    refusal: str | None
    outcome: str
    #: ``item.field`` → (before, after).
    fields: Mapping[str, tuple[Any, Any]]
    #: Why leads that the mapping can book are not booked, such as a contact shared with another
    #: person.
    not_booked: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """The result of mapping an event again, before it is stored. The event is locked."""

    event: Event
    source: Source | None
    #: All bookings of the event, and the IDs of the bookings that are not replaced.
    bookings: tuple[Booking, ...]
    kept: frozenset[int]
    #: The IDs of the bookings whose states allow a replay to replace them.
    replaceable: frozenset[int]
    mapped: Mapped
    #: Why the event cannot be replayed, or None.
    refusal: str | None
    is_forced: bool

    @property
    def is_bookable(self) -> bool:
        """True if the mapping can book at least one of the event's leads."""
        return any(item.outcome in SENT_OUTCOMES for item in self.mapped.items)

    @property
    def replaced(self) -> tuple[Booking, ...]:
        """The event's bookings that will be replaced by the new ones."""
        return tuple(
            booking
            for booking in self.bookings
            if booking.id not in self.kept
            and (booking.id in self.replaceable or (self.is_forced and booking.reason != REPLAYED))
        )


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
        those that the renter made on the renter page, or that were merged with another request from
        the same person. Several tours in one webhook are handled separately if the mapping gives
        each a dedupe key. With ``forced_because``, a reason for the history, only bookings in
        flight are not changed: a booked tour is booked again, and a past tour is held. New bookings
        are sent after ``send_after``, if it is given. If ``is_replaced`` is given, bookings are
        kept if it returns False.
        """
        if not dry_run:
            self._fetch(event_id)
        now = self._clock()
        self._store.fingerprints()  # inside the transaction, this would take a second connection
        with self._store.transaction() as tx:
            plan = self._plan(tx, event_id, now, is_replaced, is_forced=forced_because is not None)
            new: Sequence[Booking] = ()
            if plan.refusal is None and not dry_run:
                new = self._apply(tx, plan, now, by=by, why=forced_because or REPLAYED)
                if send_after is not None:
                    tx.send_queue.delay(event_id, send_after)
            elif plan.refusal is None and plan.is_bookable and not plan.is_forced:
                replaced = {booking.id for booking in plan.replaced}
                new = self._planner().preview(
                    tx, plan.event, plan.mapped, plan.source, replaced, now
                )
        return _difference(plan, new)

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
        drafts = self._planner().drafts(event, mapped, now)
        replaceable = _replaceable(tx, bookings, drafts)
        left = replaceable - kept
        if not is_forced:
            mapped = _without_settled(self._store.fingerprints(), event, bookings, mapped, left)
        refusal = _refusal(event, source, bookings, mapped, left, is_forced=is_forced)
        if refusal is None and not is_forced and _is_past(mapped, now):
            refusal = "its tour has passed"
        return _Plan(
            event=event,
            source=source,
            bookings=bookings,
            kept=kept,
            replaceable=replaceable,
            mapped=mapped,
            refusal=refusal,
            is_forced=is_forced,
        )

    def _apply(
        self, tx: Transaction, plan: _Plan, now: dt.datetime, *, by: str, why: str
    ) -> Sequence[Booking]:
        """Replace an event's bookings with the result of mapping the event again.

        Return the new bookings.
        """
        event, planner = plan.event, self._planner()
        planner.lock(tx, event, plan.mapped, plan.bookings, now)
        for booking in plan.replaced:
            tx.bookings.move(booking.id, BookingState.SUPERSEDED, why=REPLAYED, now=now, by=by)
        tx.events.reopen(event.id, why=why, by=by, now=now)
        new = planner.apply(tx, event, plan.mapped, plan.source, now, is_forced=plan.is_forced)
        _pass_on(tx, event.id, plan.bookings, plan.kept)
        action = "replayed_by_force" if plan.is_forced else "replayed"
        tx.audit.record(action, by=by, at=now, lead_id=event.id)
        return new

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
    """Return the IDs of bookings that must be kept although their states allow replacing them.

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


def _replaceable(
    tx: Transaction, bookings: Iterable[Booking], drafts: Sequence[Booking]
) -> frozenset[int]:
    """Return the IDs of the bookings whose states allow a replay to replace them."""
    return frozenset(
        booking.id
        for booking in bookings
        if booking.state in REPLACEABLE or _was_anothers(tx, booking, drafts)
    )


def _was_anothers(tx: Transaction, booking: Booking, drafts: Sequence[Booking]) -> bool:
    """Return True if a booking was merged with another person's request that has the same key.

    ``drafts`` are the event's bookings as the current mapping reads them. They show who made the
    requests, even if that could not be read before.
    """
    if booking.state not in MERGED or booking.item_key is None:
        return False
    own = [draft for draft in drafts if draft.item_key == booking.item_key]
    own = own or list(drafts if len(drafts) == 1 else ())
    readings = [booking, *(_read_again(booking, draft) for draft in own)]
    return any(
        is_of_another_person(one, other)
        for other in chain_of(booking, tx.bookings.get)
        for one in readings
    )


def _read_again(booking: Booking, draft: Booking) -> Booking:
    """Return a booking with the current mapping's appointment, but still with its stored key."""
    keys = (*draft.person_keys, *filter(None, [booking.item_key]))
    return dataclasses.replace(booking, appointment=draft.appointment, match_keys=keys)


def _without_settled(
    fingerprints: Fingerprints,
    event: Event,
    bookings: tuple[Booking, ...],
    mapped: Mapped,
    left: Collection[int],
) -> Mapped:
    """Return the mapping result with only the items whose bookings may still be replaced."""
    if not any(_is_settled(booking, left) for booking in bookings):
        return mapped
    replaceable = {booking.item_key for booking in bookings if booking.id in left}

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
    left: Collection[int],
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
        if booking.state in NOT_FORCEABLE if is_forced else _is_settled(booking, left):
            return f"its booking {booking.id} is {booking.state}"
    return None


def _is_settled(booking: Booking, left: Collection[int]) -> bool:
    return booking.id not in left and booking.reason != REPLAYED


def _is_past(mapped: Mapped, now: dt.datetime) -> bool:
    """Return True if all tours in a mapping result have started."""
    starts = [item.starts_at for item in mapped.items if item.outcome is not Outcome.IGNORED]
    return bool(starts) and all(start is not None and start <= now for start in starts)


def _difference(plan: _Plan, new: Sequence[Booking]) -> Difference:
    """Compare an event's bookings with the new ones. ``new`` is empty if nothing is replayed."""
    items = [item for item in plan.mapped.items if item.outcome is not Outcome.IGNORED]
    before = [_facts_of_booking(booking) for booking in plan.replaced]
    after = [facts_of_item(item) for item in items]
    stopped = _stopped(items, new)
    for number, booking in stopped.items():
        after[number] = {**after[number], "outcome": str(booking.state)}
    are_all = stopped and len(stopped) == len(items)
    return Difference(
        event_id=plan.event.id,
        source=plan.event.source,
        refusal=plan.refusal,
        outcome=str(stopped[0].state if are_all else plan.mapped.outcome),
        fields=changed_fields(before, after),
        not_booked=[booking.reasons[-1].reason for booking in stopped.values()],
    )


def _stopped(items: Sequence[Item], new: Sequence[Booking]) -> dict[int, Booking]:
    """Return merged or held new bookings that the mapping would have sent, keyed by index."""
    return {
        number: booking
        for number, (item, booking) in enumerate(zip(items, new, strict=False))
        if item.outcome in SENT_OUTCOMES and booking.state is not BookingState.PENDING
    }


def _facts_of_booking(booking: Booking) -> dict[str, Any]:
    is_ready = booking.state in (BookingState.PENDING, BookingState.BOOKED)
    outcome = Outcome.BOOK if booking.kind is Kind.APPOINTMENT else Outcome.PROSPECT
    zone = ZoneInfo(booking.timezone) if booking.timezone is not None else None
    facts = {**booking.appointment, **tour_of(booking.starts_at, zone)}
    return facts | {"outcome": str(outcome if is_ready else Outcome.HELD)}
