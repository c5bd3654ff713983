"""Send renters' later messages to Knock as notes on their guest cards.

Like bookings, a message is posted once, between two commits. The first stores its text and the
state ``sending``, and the second stores the outcome. Without a clear response, it is never sent
again, and all other messages wait until a read shows that Propexo works. A person's messages are
sent in the order they were written, and only while no booking is waiting for the rate limit.
"""

import dataclasses
import datetime as dt
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from adapter.bookings import backoff, later_words, matching, reconcile, transitions
from adapter.bookings.knock_records import is_complete_card, shares_contact
from adapter.bookings.later_words import Said
from adapter.bookings.person import MERGED, SENT, Person
from adapter.bookings.sender import (
    LEASE_MARGIN_SECONDS,
    MAX_RUN_SECONDS,
    record_patiently,
    shows_that_it_works,
)
from adapter.exceptions import (
    KeyMissing,
    NotAuthorized,
    NotSent,
    OutcomeUnknown,
    StoreUnavailable,
    Unreachable,
    UpstreamError,
    WrongPath,
)
from adapter.models import REPLAYED, Booking, BookingState, Clock, Message, MessageState
from adapter.propexo.client import Propexo
from adapter.propexo.crm_records import KnockRecord, Model
from adapter.propexo.directory import PAGE_SIZE
from adapter.propexo.responses import Accepted, WriteStatus, is_rejected
from adapter.settings import Settings
from adapter.store import Database, Transaction, rate_limit
from adapter.store.rate_limit import RateState

log = logging.getLogger(__name__)

#: Maximum number of messages that one run processes before it frees its thread.
MOST_MESSAGES: Final = 10
#: The booking of a message is checked often until the message is this old, and then less often.
NEW_MESSAGE: Final = dt.timedelta(minutes=10)
#: How long a message waits for its person's booking.
LONGEST_WAIT: Final = dt.timedelta(days=30)
#: Maximum number of pages of the list of prospects that are searched for a guest card.
MOST_PAGES: Final = 4
#: A note needs review after this many 404s and similar responses.
MOST_TRIES: Final = 5
#: Delay after an error in this program, or while a key is missing.
RETRY_DELAY: Final = dt.timedelta(minutes=5)
#: Delay while a user has paused the lead's source or community.
PAUSE_DELAY: Final = dt.timedelta(minutes=1)
#: Delay after a booking's POST got no clear response.
FAILURE_DELAY: Final = dt.timedelta(seconds=30)
#: Delay while an earlier message from the same person is in flight.
ORDER_DELAY: Final = dt.timedelta(seconds=1)
#: States of a message whose text is or may be in Knock.
_POSTED: Final = frozenset(MessageState) - {MessageState.WAITING, MessageState.FAILED}
_IN_FLIGHT: Final = (MessageState.SENDING, MessageState.SUBMITTED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Draft:
    """The notes to send for a message once its guest card is known."""

    message: Message
    lead: Booking
    #: The booking that the lead was merged with. It created the guest card.
    card: Booking
    texts: Sequence[str]
    prospect_id: str | None


class Messenger:
    """Sends renters' messages to Knock as notes, with one POST at a time."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        propexo: Propexo,
        clock: Clock,
        pause: Callable[[float], object],
    ) -> None:
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock
        self.pause = pause
        #: How long a message may take before this process counts as dead.
        self.lease = dt.timedelta(seconds=propexo.timeout_seconds + LEASE_MARGIN_SECONDS)
        #: Set when this process must stop. After that, no more messages are sent.
        self.stopping = threading.Event()

    def send_due(self) -> None:
        """Send or check all messages that are due, until a booking is due."""
        started_at = self.clock()
        for _ in range(MOST_MESSAGES):
            is_long = (self.clock() - started_at).total_seconds() > MAX_RUN_SECONDS
            message = None if self.stopping.is_set() or is_long else self._claim()
            if message is None:
                return
            if not self._try(message):
                return

    def _try(self, message: Message) -> bool:
        """Process a message. Return False if no API call is allowed now.

        After an unexpected error, postpone it so that it does not hold up other messages.
        """
        try:
            return self._process(message)
        except KeyMissing as exc:
            self._postpone_unreadable(exc, message.id)
        except StoreUnavailable:
            raise
        except Exception as exc:
            log.exception("note_not_processed", extra={"message_id": message.id}, exc_info=exc)
            self._postpone(message, RETRY_DELAY)
        return True

    def _claim(self) -> Message | None:
        """Claim and return the message that has been due longest, or None if none is due."""
        now = self.clock()
        try:
            with self.store.statement() as tx:
                return tx.messages.claim(now, now + self.lease)
        except KeyMissing as exc:
            self._postpone_unreadable(exc, exc.row_id)
            return None

    def _postpone_unreadable(self, exc: KeyMissing, message_id: int) -> None:
        log.error("encryption_key_missing", extra={"reason": str(exc)})
        with self.store.statement() as tx:
            tx.messages.postpone(message_id, self.clock() + RETRY_DELAY)

    def _process(self, message: Message) -> bool:
        """Send a message or check a sent message. Return False if no API call is allowed now."""
        if message.state is MessageState.SENDING:
            self._leave_to_person(message, MessageState.UNCLEAR, "note_unclear")
            return True
        if message.state is MessageState.SUBMITTED:
            return self._follow_up(message)
        draft = self._drafted(message)
        if draft is None:
            return True
        if draft.prospect_id is None:
            return self._search(draft)
        return self._send(draft)

    # --- what to send

    def _drafted(self, message: Message) -> _Draft | None:
        """Return the notes to send for a message, or None if it must wait or says nothing new."""
        with self.store.transaction() as tx:
            return self._draft(tx, message)

    def _draft(self, tx: Transaction, claimed: Message) -> _Draft | None:
        """Lock the keys of a message's lead. Return the notes that can be sent now, or None."""
        now, lead = self.clock(), tx.bookings.get(claimed.booking_id or 0)
        if lead is None:
            tx.messages.delete(claimed.id)
            return None
        tx.bookings.lock_related([lead], now)
        message, lead = tx.messages.lock(claimed.id), tx.bookings.get(lead.id) or lead
        if message is None or message.state is not MessageState.WAITING:
            return None
        if lead.state not in MERGED or lead.reason == REPLAYED:
            tx.messages.delete(message.id)  # its own booking contains its text
            return None
        related = reconcile.load(tx, lead, now)
        person = Person((*related.same, lead), now)
        others = tx.messages.of_bookings(person.requests)
        if (turn := _turn(message, others)) is not None:
            tx.messages.postpone(message.id, max(turn, now + ORDER_DELAY))
            return None
        card = person.end_of(lead)
        if card.state is not BookingState.BOOKED:
            self._wait_for_booking(tx, message, card, now)
            return None
        if tx.send_queue.pause_of(lead.source, card.community) is not None:
            tx.messages.postpone(message.id, now + PAUSE_DELAY)
            return None
        texts = _texts(message, lead, person, others)
        if not texts:
            tx.messages.delete(message.id)
            return None
        here = [one for one in person.requests if one.community == card.community]
        known = _prospect_of(card, person) or tx.messages.known_prospect(here)
        prospect_id = known or message.prospect_id  # found by a search for this message
        return _Draft(message=message, lead=lead, card=card, texts=texts, prospect_id=prospect_id)

    def _wait_for_booking(
        self, tx: Transaction, message: Message, card: Booking, now: dt.datetime
    ) -> None:
        """Postpone a message until its booking is made, for at most 30 days.

        After that, a user must add it to the guest card, unless the booking was dismissed. The wait
        does not end earlier, because users can undo a dismissal.
        """
        is_over = now > message.created_at + LONGEST_WAIT
        if is_over and _is_dismissed(tx, card):
            tx.messages.delete(message.id)
            return
        if is_over:
            leave_to_person(tx, message, MessageState.FAILED, "note_waited_too_long", now)
            return
        is_new = now - message.created_at < NEW_MESSAGE
        next_try = backoff.next_status_read if is_new else backoff.next_search
        due_at = next_try(message.created_at, now=now, chance=transitions.jitter())
        tx.messages.postpone(message.id, due_at)

    # --- the guest card

    def _search(self, draft: _Draft) -> bool:
        """Search Propexo's list for the guest card, and schedule the message's next step."""
        try:
            found, is_readable = self._cards(draft.card), True
        except NotSent:
            return self._postpone(draft.message, ORDER_DELAY)
        except UpstreamError as exc:
            # The list may not be enabled. Otherwise, it will be read again.
            found, is_readable = [], not is_rejected(exc)
            if is_readable:
                with self.store.transaction() as tx:
                    transitions.apply_rate_headers(tx, exc, self.clock())
        now = self.clock()
        with self.store.transaction() as tx:
            tx.bookings.lock_related([draft.lead], now)
            if len(found) == 1:
                tx.bookings.record_prospect(draft.card.id, found[0])
                tx.messages.record_prospect(draft.message.id, found[0])
                tx.messages.postpone(draft.message.id, now)
                return True
            since = max(draft.card.updated_at, draft.message.created_at)
            is_over = now > since + dt.timedelta(hours=self.settings.sync_lag_hours)
            if is_over or not is_readable:
                tx.messages.save_text(draft.message, "\n".join(draft.texts))
                leave_to_person(tx, draft.message, MessageState.FAILED, "note_without_card", now)
            else:
                due_at = backoff.next_search(since, now=now, chance=transitions.jitter())
                tx.messages.postpone(draft.message.id, due_at)
        return True

    def _cards(self, card: Booking) -> list[str]:
        """Return the IDs of the listed guest cards that belong to the booking ``card``."""
        found = []
        for number in range(MOST_PAGES):
            with self.store.transaction() as tx:
                tx.rate_limit.reserve_read(self.clock(), self.settings.rate_per_minute)
            query = matching.cards_query(card) | {"offset": str(number * PAGE_SIZE)}
            page = self.propexo.page(matching.LISTS[Model.PROSPECTS], query)
            records = [KnockRecord.listed(Model.PROSPECTS, one) for one in page.records]
            found += [one.id for one in records if one is not None and _is_card(one, card)]
            if not page.has_more:
                break
        return found

    # --- the POST

    def _send(self, drafted: _Draft) -> bool:
        """Send a message. Return False if the message must wait or no API call is allowed now."""
        if not self._is_propexo_working(drafted.message):
            return False
        begun = self._begin(drafted.message)
        if begun is None:
            return False
        draft, message = begun
        request = _request_of(draft, message)
        error: UpstreamError | None = None
        try:
            if self.clock() - (message.posted_at or self.clock()) > rate_limit.CLOCK_LAG:
                raise NotSent("the process was suspended between the first commit and the request")
            accepted = self.propexo.add_note(request)
        except UpstreamError as exc:
            error = exc
        self._record(
            lambda tx: (
                self._record_error(tx, message, error)
                if error
                else self._record_accepted(tx, message, accepted)
            )
        )
        return True

    def _is_propexo_working(self, message: Message) -> bool:
        """After a note fails to send, return False until a read shows that Propexo is working.

        Only one worker tries this at a time.
        """
        with self.store.transaction() as tx:
            now, limiter = self.clock(), tx.rate_limit
            state = limiter.lock(now)
            if not state.note_failures:
                return True
            is_tried = state.note_retry_at > now
            if is_tried or limiter.try_read(now, self.settings.rate_per_minute) is not None:
                tx.messages.postpone(message.id, now + ORDER_DELAY)
                return False
            limiter.delay_notes(now + self.lease)
        try:
            self.propexo.check_token()
        except UpstreamError as exc:
            if shows_that_it_works(exc):
                return True
            with self.store.transaction() as tx:
                tx.messages.postpone(message.id, self.clock())
                tx.rate_limit.count_note_failure(self.clock())
                transitions.apply_rate_headers(tx, exc, self.clock())
            return False
        return True

    def _begin(self, claimed: Message) -> tuple[_Draft, Message] | None:
        """Reserve an API call and store the note in one commit. Return None if the note must wait.

        The text is computed again, because the lead may have changed since it was drafted.
        """
        now, limit = self.clock(), self.settings.rate_per_minute
        until = now + self.lease
        with self.store.transaction() as tx:
            draft = self._draft(tx, claimed)
            if draft is None or draft.prospect_id is None:
                return None
            state = tx.rate_limit.lock(now)
            at = rate_limit.next_call(state, now, limit, is_read=False)
            if state.stopped_for or state.waiting or _has_just_failed(state, now) or at > now:
                tx.messages.postpone(draft.message.id, max(at, now + ORDER_DELAY))
                return None
            tx.rate_limit.count_call(state, now, limit, is_read=False)
            first, *rest = draft.texts
            begun = tx.messages.begin(
                draft.message, first, draft.prospect_id, now=now, lease_until=until
            )
            for text in rest if begun else ():
                tx.messages.add(draft.lead, now, text)
            return (draft, begun) if begun else None

    def _record(self, write: Any) -> None:
        record_patiently(self.store.transaction, write, self.pause)

    def _record_accepted(self, tx: Transaction, message: Message, accepted: Accepted) -> None:
        now = self.clock()
        due_at = backoff.next_status_read(now, now=now, chance=transitions.jitter())
        tx.messages.move(
            message.id,
            MessageState.SUBMITTED,
            why="accepted",
            now=now,
            due_at=due_at,
            job_id=accepted.job_id,
        )
        tx.rate_limit.save_limit(accepted.rate, now)
        tx.rate_limit.end_note_failures()

    def _record_error(self, tx: Transaction, message: Message, error: UpstreamError) -> None:
        """Record a failed POST. Schedule a retry or hold the lead for review.

        These errors do not stop the sending of bookings, because they may concern only notes.
        """
        now = self.clock()
        if isinstance(error, OutcomeUnknown):
            leave_to_person(tx, message, MessageState.UNCLEAR, "note_unclear", now)
        elif is_rejected(error) and (
            not isinstance(error, WrongPath) or message.tries >= MOST_TRIES
        ):
            leave_to_person(tx, message, MessageState.FAILED, "note_refused", now)
        elif now > message.created_at + LONGEST_WAIT:
            leave_to_person(tx, message, MessageState.FAILED, "note_waited_too_long", now)
        else:
            self._retry(tx, message, error, now)
        # The rate limit's row is locked after the keys of people.
        if isinstance(error, OutcomeUnknown | Unreachable):
            tx.rate_limit.count_note_failure(now)
        elif error.status is not None:
            tx.rate_limit.end_note_failures()

    def _retry(
        self, tx: Transaction, message: Message, error: UpstreamError, now: dt.datetime
    ) -> None:
        if not isinstance(error, NotAuthorized):
            transitions.apply_rate_headers(tx, error, now)
        chance = transitions.jitter()
        due_at = backoff.next_try(error, tries=message.tries, now=now, chance=chance)
        tx.messages.move(message.id, MessageState.WAITING, why="postponed", now=now, due_at=due_at)

    # --- the job

    def _follow_up(self, message: Message) -> bool:
        """Read the status of a message's job. Return False if no API call is allowed now."""
        with self.store.transaction() as tx:
            now = self.clock()
            if tx.rate_limit.try_read(now, self.settings.rate_per_minute) is not None:
                tx.messages.postpone(message.id, now + ORDER_DELAY)
                return False
        try:
            status = self.propexo.write_status(message.job_id or "").status
        except UpstreamError as exc:
            with self.store.transaction() as tx:
                transitions.apply_rate_headers(tx, exc, self.clock())
            status = WriteStatus.PENDING
        self.record_status(message, status)
        return True

    def record_status(self, message: Message, status: WriteStatus) -> None:
        """Record the job status of a message, or schedule the next check."""
        now, posted_at = self.clock(), message.posted_at or message.created_at
        deadline = dt.timedelta(hours=self.settings.sync_lag_hours)
        if status is WriteStatus.SUCCESS:
            with self.store.statement() as tx:
                tx.messages.move(message.id, MessageState.SENT, why="note_sent", now=now)
            log.info("note_sent", extra=_facts(message))
        elif status is WriteStatus.FAILURE:
            self._leave_to_person(message, MessageState.FAILED, "note_failed")
        elif status is WriteStatus.PARTIAL_SUCCESS or now > posted_at + deadline:
            self._leave_to_person(message, MessageState.UNCLEAR, "note_unclear")
        else:
            due_at = backoff.next_status_read(posted_at, now=now, chance=transitions.jitter())
            with self.store.statement() as tx:
                tx.messages.postpone(message.id, due_at)

    def _postpone(self, message: Message, delay: dt.timedelta) -> bool:
        with self.store.statement() as tx:
            tx.messages.postpone(message.id, self.clock() + delay)
        return False

    def _leave_to_person(self, message: Message, to: MessageState, cause: str) -> None:
        with self.store.transaction() as tx:
            leave_to_person(tx, message, to, cause, self.clock())


def leave_to_person(
    tx: Transaction, message: Message, to: MessageState, cause: str, now: dt.datetime
) -> None:
    """Record that a message may not be in Knock, and hold its lead for review."""
    lead = _lock_lead(tx, message, now)
    if not tx.messages.move(message.id, to, why=cause, now=now):
        return
    log.error("note_not_sent", extra=_facts(message, why=cause))
    current = tx.bookings.get(lead.id, lock=True) if lead is not None else None
    if current is not None and current.state in MERGED and current.reason != REPLAYED:
        tx.bookings.move(
            current.id,
            BookingState.HELD,
            why="note_not_sent",
            because_of=current.because_of,
            now=now,
        )


def _lock_lead(tx: Transaction, message: Message, now: dt.datetime) -> Booking | None:
    """Lock the keys of a message's lead. Return the lead, or None if it is unknown."""
    lead = tx.bookings.get(message.booking_id or 0)
    if lead is not None:
        tx.bookings.lock_related([lead], now)
    return lead


def _has_just_failed(state: RateState, now: dt.datetime) -> bool:
    """Return True if a recent POST of a booking got no clear response.

    After that, notes are sent again, because the next booking may not come until tomorrow.
    """
    return state.failures > 0 and now < min(state.retry_at, now) + FAILURE_DELAY


def _facts(message: Message, **more: object) -> dict[str, object]:
    return {"message_id": message.id, "booking_id": message.booking_id, **more}


def _turn(message: Message, others: Sequence[Message]) -> dt.datetime | None:
    """Return when the messages that must be sent before this one are due, or None.

    These are the person's earlier waiting messages, and any message in flight.
    """
    before = [
        one
        for one in others
        if one.id != message.id
        and (
            one.state in _IN_FLIGHT
            or (one.state is MessageState.WAITING and _place(one) < _place(message))
        )
    ]
    return max((one.due_at for one in before if one.due_at), default=None)


def _place(message: Message) -> tuple[dt.datetime, int, int]:
    """Return a message's sort key, which is unique even if a lead has several messages."""
    return *_order(message), message.id


def _order(message: Message) -> tuple[dt.datetime, int]:
    return message.asked_at, message.booking_id or 0


def _texts(
    message: Message, lead: Booking, person: Person, others: Sequence[Message]
) -> Sequence[str]:
    """Return the notes to send, with only text that is not in Knock yet.

    A message has its own text if it is a retry, or the rest of a text too long for one note.
    Another message with the same words may have been sent since.
    """
    own = later_words.said_in(lead)
    if message.text is not None:
        own = Said(order=own.order, lines=message.text.splitlines())
    posted = {one.booking_id for one in others if one.state in _POSTED}
    said = [
        later_words.said_in(one)
        for one in person.requests
        if one.state in (BookingState.PENDING, *SENT) or one.id in posted - {lead.id}
    ]
    said += [
        Said(order=_order(one), lines=one.text.splitlines())
        for one in others
        if one.state in _POSTED and one.text is not None
    ]
    return later_words.texts_of(later_words.new_lines(own, said))


def _is_card(record: KnockRecord, card: Booking) -> bool:
    """Return True if a record is a booking's guest card, judging by their contact details."""
    request = card.appointment
    return shares_contact(record, request) and is_complete_card(record, request)


def _prospect_of(card: Booking, person: Person) -> str | None:
    """Return the ID of a booking's guest card, or None. Other bookings may share the card.

    A card that is known only by a shared contact may be a roommate's, so it does not count.
    """
    if card.prospect_id is not None and _is_confirmed(card):
        return card.prospect_id
    same = [one for one in person.requests if one.prospect_id and one.community == card.community]
    known = [one for one in same if one.person_keys == card.person_keys and _is_confirmed(one)]
    ids = {one.prospect_id for one in known}
    return ids.pop() if len(ids) == 1 else None


def _is_dismissed(tx: Transaction, card: Booking) -> bool:
    """Return True if a user dismissed a booking or the booking that it was merged with."""
    is_merged = (
        card.state in MERGED
    )  # the other lead may be too old to be among the person's requests
    other = tx.bookings.get(card.because_of or 0) if is_merged else card
    return other is not None and other.state is BookingState.DISCARDED


def _is_confirmed(card: Booking) -> bool:
    """Return True if a tour's record or a complete guest card confirmed the booking."""
    return card.tour_id is not None or card.confirmed_at is not None


def _request_of(draft: _Draft, message: Message) -> dict[str, Any]:
    return {
        "integration_id": draft.card.appointment["integration_id"],
        "prospect_id": message.prospect_id,
        "community_id": draft.card.appointment["community_id"],
        "event_name": "ACTIVITY",
        "notes": message.text,
        "event_datetime": message.asked_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
