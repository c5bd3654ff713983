"""Store the bookings mapped from an event, taking earlier requests into account.

Everything is written in the transaction that completes the event, while locks on the people's keys
are held.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from adapter.bookings import precedence, reconcile
from adapter.bookings.decisions import Decision, seen_before
from adapter.bookings.invitations import is_invited, with_link
from adapter.bookings.new_request import (
    Repeat,
    decide_chosen,
    decide_new,
    held_twins,
    repeated_cancellation,
)
from adapter.bookings.person import NEW, are_versions, order
from adapter.bookings.reconcile import Related
from adapter.bookings.same_person import Relation, relation
from adapter.mapping.engine import SENT_OUTCOMES, Item, Mapped, Outcome
from adapter.mapping.source import Source
from adapter.models import RENTER, Booking, BookingState, Event, EventState, Reason
from adapter.signatures.renter_links import RenterLinks
from adapter.store import Transaction
from adapter.store.fingerprints import Fingerprints, lock_key

log = logging.getLogger(__name__)


class BookingPlanner:
    """Creates bookings from mapped events, decides their states and stores them."""

    def __init__(
        self,
        fingerprints: Fingerprints,
        shared_contacts: Collection[str],
        sources: Mapping[str, Source],
        links: RenterLinks | None = None,
        *,
        sends_mail: bool = False,
    ) -> None:
        """Create an instance. Without ``links``, renters get no link to choose a tour time."""
        self._links = links
        self._sends_mail = sends_mail
        self._fingerprints = fingerprints
        self._shared = shared_contacts
        self._sources = sources

    def apply(
        self,
        tx: Transaction,
        event: Event,
        mapped: Mapped,
        source: Source | None,
        now: dt.datetime,
        *,
        is_forced: bool = False,
    ) -> list[Booking]:
        """Store a mapped event's final state and its bookings. Return the bookings.

        If ``is_forced``, a user wants the bookings regardless of earlier ones. They count as
        requested now and are not treated as duplicates of earlier items or tours.
        """
        items = _wanted(mapped)
        drafts = self.drafts(event, mapped, now)
        crowded = tx.bookings.lock_related(drafts, now)
        # In a replay, number the new bookings after those from the earlier mapping.
        number = len(tx.bookings.of_event(event.id)) if event.mapping_hash else 0
        stored: list[Booking] = []
        for item, draft in zip(items, drafts, strict=True):
            related = dataclasses.replace(reconcile.load(tx, draft, now), crowded=crowded())
            if is_forced and draft.state is BookingState.PENDING:
                new, related = _force(tx, draft, related, now)
                decision = held_twins(new, related.same, now)
            else:
                new = draft
                decision = _item_twice(new, stored) or self._decide(tx, source, item, related, new)
            stored.append(_store(tx, new, decision, number + len(stored), related, now))
        self._invite(tx, event, stored, source, now)
        state = event_state(mapped)
        tx.events.settle(
            event.id,
            state,
            why=str(mapped.outcome),
            reasons=mapped.reasons,
            mapping_hash=source.hash if source else None,
            now=now,
        )
        log.info("event_settled", extra={"event_id": event.id, "state": state})
        return stored

    def preview(
        self,
        tx: Transaction,
        event: Event,
        mapped: Mapped,
        source: Source | None,
        replaced: Collection[int],
        now: dt.datetime,
    ) -> list[Booking]:
        """Return the bookings that :meth:`apply` would store, without storing anything.

        ``replaced`` contains the IDs of the event's bookings that they would replace.
        """
        items = _wanted(mapped)
        drafts = self.drafts(event, mapped, now)
        crowded = tx.bookings.lock_related(drafts, now)
        found: list[Booking] = []
        for item, draft in zip(items, drafts, strict=True):
            loaded = reconcile.load(tx, draft, now)
            related = dataclasses.replace(loaded.without(replaced), crowded=crowded())
            decision = _item_twice(draft, found) or self._decide(tx, source, item, related, draft)
            found.append(decision.applied_to(draft) if decision is not None else draft)
        return found

    def _invite(
        self,
        tx: Transaction,
        event: Event,
        stored: Iterable[Booking],
        source: Source | None,
        now: dt.datetime,
    ) -> None:
        """Add the renter's link to the notes of guest cards that will be sent."""
        for booking in stored:
            is_sent = booking.state is BookingState.PENDING and is_invited(booking, source)
            if self._links is not None and source is not None and is_sent:
                language = source.language_of(event.request)
                url = self._links.url(booking.id, language)
                appointment = with_link(booking.appointment, url)
                tx.bookings.update(dataclasses.replace(booking, appointment=appointment))
                if self._sends_mail and "email_1" in appointment:
                    tx.invitation_mails.queue(booking.id, language, now)

    def add_chosen(self, tx: Transaction, tour: Booking, now: dt.datetime) -> Booking:
        """Decide how to handle a tour chosen on the renter page, and store the tour."""
        crowded = tx.bookings.lock_related([tour], now)
        related = dataclasses.replace(reconcile.load(tx, tour, now), crowded=crowded())
        decision = decide_chosen(
            tour,
            related.same,
            related.unclear,
            now,
            nearby=related.nearby,
            open_sources=self._open_among((*related.same, tour)),
            is_contact_of_many=bool(tour.person_keys & related.crowded),
        )
        number = len(tx.bookings.of_event(tour.event_id))
        return _store(tx, tour, decision, number, related, now, by=RENTER)

    def lock(
        self,
        tx: Transaction,
        event: Event,
        mapped: Mapped,
        bookings: Iterable[Booking],
        now: dt.datetime,
    ) -> None:
        """Lock the keys of an event's stored and newly mapped bookings."""
        tx.bookings.lock_related((*self.drafts(event, mapped, now), *bookings), now)

    def drafts(self, event: Event, mapped: Mapped, now: dt.datetime) -> list[Booking]:
        """Return an unsaved booking for each item of an event that is not ignored."""
        return [self._draft(item, event, now) for item in _wanted(mapped)]

    def _draft(self, item: Item, event: Event, now: dt.datetime) -> Booking:
        """Return an unsaved booking for an item of an event."""
        community = item.community.key if item.community else None
        keys = self._fingerprints.person_keys(community, item.appointment, self._shared)
        item_key = None
        if item.dedupe_key is not None:
            item_key = lock_key(self._fingerprints.item(event.source, item.dedupe_key))
        content = self._fingerprints.content(event.source, item.kind, item.appointment)
        is_ready = item.outcome in SENT_OUTCOMES
        return Booking(
            id=NEW,
            event_id=event.id,
            source=event.source,
            kind=item.kind,
            state=BookingState.PENDING if is_ready else BookingState.HELD,
            reason=None if is_ready else "held_by_mapping",
            community=community,
            timezone=item.community.timezone.key if item.community else None,
            starts_at=item.starts_at,
            wall_time=item.wall_time,
            appointment=item.appointment,
            # Reasons that block the booking come first, because a user has to fix them.
            reasons=tuple(dict.fromkeys((*item.blocking_reasons, *item.reasons))),
            # A time in the future means that the sender's clock is wrong, so it is ignored.
            asked_at=min(item.sent_at or event.received_at, event.received_at),
            match_keys=keys if item_key is None else (*keys, item_key),
            item_key=item_key,
            content=lock_key(content),
            is_cancellation=item.outcome is Outcome.CANCELLATION,
            job_id=None,
            due_at=now if is_ready else None,
            created_at=now,
            updated_at=now,
        )

    def _open_among(self, bookings: Iterable[Booking]) -> set[str]:
        """Return the bookings' sources that accept unverified webhooks."""
        names = {booking.source for booking in bookings}
        return {name for name in names & self._sources.keys() if self._sources[name].is_open}

    def _decide(
        self,
        tx: Transaction,
        source: Source | None,
        item: Item,
        related: Related,
        draft: Booking,
    ) -> Decision | None:
        """Return the decision on a new request, or None to keep the state from its mapping."""
        now = draft.created_at
        has_sent_at = item.sent_at is not None
        repeat = _repeat(tx, source, draft, related, has_sent_at=has_sent_at)
        if draft.is_cancellation:
            if related.has_several_under(draft):
                return Decision(state=BookingState.HELD, code="cancellation_unclear")
            return (
                repeated_cancellation(draft, related.same, repeat)
                or precedence.plan((*related.same, draft), now).get(draft.id)
                or Decision(state=BookingState.HELD, code="cancellation")
            )
        return decide_new(
            draft,
            related.same,
            related.unclear,
            now,
            nearby=related.nearby,
            repeat=repeat,
            has_sent_at=has_sent_at,
            is_contact_of_many=bool(draft.person_keys & related.crowded),
            open_sources=self._open_among((*related.same, draft)),
        )


def _wanted(mapped: Mapped) -> list[Item]:
    return [item for item in mapped.items if item.outcome is not Outcome.IGNORED]


def event_state(mapped: Mapped) -> EventState:
    """Return an event's final state, based on the result of its mapping."""
    if any(item.outcome is not Outcome.IGNORED for item in mapped.items):
        return EventState.MAPPED
    return EventState.IGNORED if mapped.outcome is Outcome.IGNORED else EventState.HELD


def _repeat(
    tx: Transaction,
    source: Source | None,
    draft: Booking,
    related: Related,
    *,
    has_sent_at: bool,
) -> Repeat | None:
    """Return an earlier request with the same content as a new request, or None.

    The new request is definitely a retry if it contains the sender's own time or the delivery ID of
    the earlier one.
    """
    before = [
        one.event_id
        for one in related.same
        if one.content == draft.content
        and one.event_id != draft.event_id
        and one.source == draft.source
        and one.is_cancellation is draft.is_cancellation
    ]
    if source is None or not before:
        return None
    found = tx.events.repeated(
        draft.event_id, before, header=source.delivery_header, scheme=source.scheme
    )
    if found is None:
        return None
    original = next(one for one in related.same if one.event_id == found[0])
    return Repeat(original=original, is_certain=found[1] or has_sent_at)


def _item_twice(draft: Booking, stored: Sequence[Booking]) -> Decision | None:
    """Return a decision that marks an item as repeated in its webhook, or None if it is not."""
    if draft.item_key is None or draft.is_cancellation:
        return None
    for other in stored:
        is_same = other.item_key == draft.item_key and other.content == draft.content
        if is_same and not other.is_cancellation and relation(other, draft) is Relation.SAME:
            return seen_before(other)
    return None


def _force(
    tx: Transaction, draft: Booking, related: Related, now: dt.datetime
) -> tuple[Booking, Related]:
    """Make a new booking the renter's latest request, even if the same tour is in Knock."""
    gone = [
        one
        for one in related.same
        if one.state is BookingState.BOOKED and one.starts_at == draft.starts_at
    ]
    tx.bookings.mark_gone([one.id for one in gone], now=now)
    same = tuple(
        dataclasses.replace(one, gone_at=now) if one in gone else one for one in related.same
    )
    forced = dataclasses.replace(draft, asked_at=now, reason="forced")
    return forced, dataclasses.replace(related, same=same)


def _store(
    tx: Transaction,
    draft: Booking,
    decision: Decision | None,
    number: int,
    related: Related,
    now: dt.datetime,
    *,
    by: str = "worker",
) -> Booking:
    """Store a new booking with its decision, and update the person's other requests."""
    draft = dataclasses.replace(draft, reasons=(*draft.reasons, *_key_warnings(draft, related)))
    if decision is not None:
        draft = decision.applied_to(draft)
    stored = tx.bookings.insert(draft, number, now=now, by=by)
    if decision is not None:
        reconcile.keep_words(tx, stored, decision, related.same, now)
    decisions = precedence.plan((*related.same, stored), now)
    reconcile.apply(tx, stored, related, decisions, now)
    return stored


_KEY_IS_NOT_UNIQUE = Reason(
    field="dedupe",
    reason="the sender uses this key for other people too, so it cannot identify a lead: set "
    "dedupe to a value that is unique to each lead",
)


def _key_warnings(draft: Booking, related: Related) -> Iterator[Reason]:
    """Yield a reason for review if another person's lead has, or may have, the same key."""
    different = [one for one in related.different if one.item_key == draft.item_key is not None]
    if different or draft.item_key in related.crowded:
        yield _KEY_IS_NOT_UNIQUE
        return
    unclear = [one for one in related.unclear if are_versions(one, draft)]
    if unclear and draft.state is BookingState.HELD and not draft.is_cancellation:
        other = max(unclear, key=order)
        text = f"booking {other.id} has the same key, and may be from another person"
        yield Reason(field="dedupe", reason=text)
