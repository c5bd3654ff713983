"""Find a renter's leads by email, phone, name or ID, and explain what happened to each.

Bookings are found through indexes. Webhooks without bookings and rejected requests have no index,
so their text is searched in pages, newest first, until a time limit.
"""

import dataclasses
import datetime as dt
import re
import time
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from adapter.bookings.reconcile import replacing_in_knock
from adapter.exceptions import KeyMissing, Unreadable
from adapter.mapping import transforms
from adapter.mapping.communities_yaml import communities_in
from adapter.models import REPLAYED, Booking, BookingState, Clock, Event, EventState
from adapter.operations.allowed_actions import RELEASABLE
from adapter.operations.contact_matcher import Contact
from adapter.operations.health import Verdict, verdict_of
from adapter.operations.lead_cause import (
    Cause,
    cause_of_booking,
    cause_of_event,
    cause_of_rejection,
)
from adapter.operations.pms_hint import pms_hint
from adapter.operations.serializers import person
from adapter.settings import Policy, Settings
from adapter.store import LARGEST_NUMBER, Database, Filter, Rejection, Transaction
from adapter.store.rows import id_from_text

_T = TypeVar("_T")

#: Number of webhooks to search in one statement. Each body may have a megabyte.
PAGE = 200
#: Time limit for searching stored requests, in seconds.
MAX_SECONDS = 60.0
#: A number with fewer digits is an ID or the end of a phone number. It is not searched for in text.
MIN_DIGITS = 7


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A search result: a booking, a webhook without bookings, or a rejected request."""

    #: ``booking``, ``webhook`` or ``rejection``.
    kind: str
    id: int
    source: str
    state: str
    received_at: dt.datetime
    #: The renter's name, or None if it is unknown.
    person: str | None
    cause: str
    next: str
    #: What Knock needs before it can export the guest card, or None.
    hint: str | None = None


@dataclasses.dataclass(kw_only=True, slots=True)
class Searched:
    """The scope of a search: its period and the number of requests searched."""

    since: dt.datetime | None
    until: dt.datetime | None
    #: Stored requests from before this time may have been deleted (ADAPTER_PAYLOAD_DAYS).
    payloads_since: dt.datetime
    #: False if only bookings were searched, because many texts contain the short number.
    has_text: bool
    webhooks: int = 0
    rejections: int = 0
    #: Number of requests that are encrypted with a key that is not set.
    unreadable: int = 0
    is_complete: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Messages:
    """Messages that contain a contact and have no bookings or need review, newest first."""

    #: The messages without bookings.
    events: tuple[Event, ...]
    #: The bookings that need review. Their own fields may not contain the searched contact.
    bookings: tuple[Booking, ...]
    rejections: tuple[Rejection, ...]
    searched: Searched


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The results of a search, newest first, and the scope of the search."""

    hits: tuple[Hit, ...]
    searched: Searched


def contact_of(word: str, policy: Policy) -> tuple[str, Contact | None]:
    """Return the text to look up in bookings, and the contact to find in stored requests."""
    try:
        phone = transforms.phone_from(word, policy=policy)
        number = phone.value if isinstance(phone, transforms.Noted) else phone
        if str(number).startswith("+") and not re.search("[a-z@]{3}", word.lower()):
            return str(number), Contact.from_phone(str(number))
    except Unreadable:
        pass
    if re.fullmatch(r"[^\s@]+@[^\s@]+\.[a-z]+", word.lower()):
        return word.lower(), Contact.from_email(word.lower())
    if re.search(r"[^\W\d]", word):
        return word, Contact.from_words(word)
    digits = re.sub(r"\D", "", word)
    return word, Contact.from_phone(digits) if len(digits) >= MIN_DIGITS else None


class LeadFinder:
    """Finds a renter's leads in the database."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        clock: Clock,
        *,
        zone: dt.tzinfo | None = None,
        seconds: float = MAX_SECONDS,
    ) -> None:
        """Set up the search. ``zone`` applies to times without a community (default: local)."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._zone = zone
        self._seconds = seconds

    def find(
        self,
        word: str,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        limit: int,
        by: str,
    ) -> Result:
        """Return the newest leads that match ``word``. Record the search in the audit log."""
        now, which = self._clock(), Filter(since=since, until=until)
        text, contact = contact_of(word.strip(), self._settings.policy)
        searched = self._searched(which, contact, now)
        ids, rejections = _numbers(text), []
        if contact is not None:
            deadline = time.monotonic() + self._seconds
            rejections = [*self._rejections(contact, which, searched, deadline)]
            matching = self._events(contact, which, searched, deadline)
            ids += [one.id for one in _first(limit, matching, searched)]
        verdict = verdict_of(self._store, (), self._settings, now)
        with self._store.transaction() as tx:
            bookings = tx.search.bookings(dataclasses.replace(which, text=text), limit=limit)
            events = tx.search.events(which, ids=ids, limit=limit + 1)
            of_events = (one for event in events for one in tx.bookings.of_event(event.id))
            current = (one for one in of_events if one.reason != REPLAYED)
            by_id = {one.id: one for one in (*bookings, *current)}
            unbooked = [one for one in events if one.state is not EventState.MAPPED]
            hits = [*self._hits(tx, by_id.values(), unbooked, rejections, verdict)]
            hits.sort(key=lambda hit: (hit.received_at, hit.id), reverse=True)
            tx.audit.record("searched", by=by, at=now, detail=f"{len(hits[:limit])} found")
        return Result(hits=tuple(hits[:limit]), searched=searched)

    def messages(
        self, word: str, which: Filter, *, listed: Collection[int] = (), limit: int, by: str
    ) -> Messages:
        """Find messages that contain ``word`` and have no bookings or need review.

        Leave out the bookings in ``listed``, and record the search. ``limit`` applies to webhooks
        and to rejected requests separately.
        """
        now = self._clock()
        _, contact = contact_of(word.strip(), self._settings.policy)
        searched, deadline = self._searched(which, contact, now), time.monotonic() + self._seconds
        leads: list[Event | Booking] = []
        rejections: list[Rejection] = []
        if contact is not None:
            rejected = self._rejections(contact, which, searched, deadline)
            rejections = _first(limit, rejected, searched)
            events = self._events(contact, which, searched, deadline)
            leads = _first(limit, self._leads_in(events, listed), searched)
        with self._store.transaction() as tx:
            found = len(leads) + len(rejections)
            tx.audit.record("searched", by=by, at=now, detail=f"{found} messages found")
        return Messages(
            events=tuple(one for one in leads if isinstance(one, Event)),
            bookings=tuple(one for one in leads if isinstance(one, Booking)),
            rejections=tuple(rejections),
            searched=searched,
        )

    def _leads_in(
        self, events: Iterable[Event], listed: Collection[int]
    ) -> Iterator[Event | Booking]:
        """Yield each event without bookings, and the bookings of the others that need review."""
        for event in events:
            if event.state is not EventState.MAPPED:
                yield event
                continue
            with self._store.statement() as tx:
                bookings = tx.bookings.of_event(event.id)
            for one in bookings:
                if one.state in RELEASABLE and one.reason != REPLAYED and one.id not in listed:
                    yield one

    def _searched(self, which: Filter, contact: Contact | None, now: dt.datetime) -> Searched:
        return Searched(
            since=which.since,
            until=which.until,
            payloads_since=now - dt.timedelta(days=self._settings.payload_days),
            has_text=contact is not None,
        )

    def _events(
        self, contact: Contact, which: Filter, searched: Searched, deadline: float
    ) -> Iterator[Event]:
        """Yield the matching webhooks that have no bookings or need review, newest first."""
        before: int | None = LARGEST_NUMBER
        while before is not None:
            with self._store.statement() as tx:
                search = tx.search
                page = search.unbooked_events(contact.prefilter, which, before=before, limit=PAGE)
            searched.webhooks += page.searched
            for event_id in page.ids:
                if time.monotonic() > deadline:
                    searched.is_complete = False
                    return
                event = self._event(event_id, searched)
                if event is not None and contact.is_in_request(
                    event.body, event.query, str(dict(event.headers)), event.fetched or ""
                ):
                    yield event
            before = page.last_id if page.searched == PAGE else None

    def _event(self, event_id: int, searched: Searched) -> Event | None:
        try:
            with self._store.statement() as tx:
                return tx.events.get(event_id)
        except KeyMissing:
            searched.unreadable += 1
            return None

    def _rejections(
        self, contact: Contact, which: Filter, searched: Searched, deadline: float
    ) -> Iterator[Rejection]:
        """Yield the stored rejected requests that contain a contact, newest first."""
        with self._store.statement() as tx:
            candidates = tx.erasure.rejections_that_match(contact.prefilter)
            searched.rejections = sum(tx.rejections.counts().values())
        for rejection_id in sorted(candidates, reverse=True):
            if time.monotonic() > deadline:
                searched.is_complete = False
                return
            one = self._rejection(rejection_id, searched)
            if one is None or not _is_within(one.received_at, which):
                continue
            if contact.is_in_request(one.body, one.url, str(dict(one.headers))):
                yield one

    def _rejection(self, rejection_id: int, searched: Searched) -> Rejection | None:
        try:
            with self._store.statement() as tx:
                return tx.rejections.get(rejection_id)
        except KeyMissing:
            searched.unreadable += 1
            return None

    def _hits(
        self,
        tx: Transaction,
        bookings: Collection[Booking],
        events: Iterable[Event],
        rejections: Iterable[Rejection],
        verdict: Verdict,
    ) -> Iterator[Hit]:
        booked = [one for one in bookings if one.state is BookingState.BOOKED]
        replaced = replacing_in_knock(tx, booked)
        communities = communities_in(self._settings.mappings_dir)
        received = tx.events.received_times(bookings)
        for one in bookings:
            cause = cause_of_booking(one, verdict, self._zone, replaced.get(one.id))
            name = person(one.appointment)
            hit = _hit("booking", one, one.state, received[one.id], cause, name)
            hint = pms_hint(one, communities.get(one.community or ""))
            yield dataclasses.replace(hit, hint=hint)
        for event in events:
            cause = cause_of_event(event, verdict)
            yield _hit("webhook", event, event.state, event.received_at, cause)
        for rejection in rejections:
            cause = cause_of_rejection(rejection, self._zone)
            yield _hit("rejection", rejection, rejection.reason, rejection.received_at, cause)


def _hit(
    kind: str,
    row: Booking | Event | Rejection,
    state: str,
    received_at: dt.datetime,
    cause: Cause,
    name: str | None = None,
) -> Hit:
    return Hit(
        kind=kind,
        id=row.id,
        source=row.source,
        state=str(state),
        received_at=received_at,
        person=name,
        cause=cause.sentence,
        next=cause.next,
    )


def _first(limit: int, found: Iterable[_T], searched: Searched) -> list[_T]:
    """Return the first results. Mark the search as incomplete if there are more."""
    first = [*islice(found, limit + 1)]
    searched.is_complete &= len(first) <= limit
    return first[:limit]


def _numbers(text: str) -> list[int]:
    """Return a list with the ID in a string such as ``#1061``, or an empty list."""
    number = id_from_text(text.removeprefix("#"))
    return [number] if number is not None else []


def _is_within(at: dt.datetime, which: Filter) -> bool:
    is_early = which.since is not None and at < which.since
    return not is_early and (which.until is None or at < which.until)
