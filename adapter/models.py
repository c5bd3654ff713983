"""The nouns: an event, the bookings made of it, the attempts to send each, and their states."""

import dataclasses
import datetime as dt
import enum
from collections.abc import Callable, Mapping
from typing import Any, Self

#: A clock: returns an aware UTC instant. Everything that needs one is given it.
Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """The clock on the wall, unless a test passes its own."""
    return dt.datetime.now(dt.UTC)


class EventState(enum.StrEnum):
    """How far one webhook request has come."""

    #: Stored and acknowledged; its task has not run yet.
    RECEIVED = "received"
    #: One or more bookings were made of it.
    MAPPED = "mapped"
    #: Not a booking, on purpose: the mapping says so.
    IGNORED = "ignored"
    #: Nothing could be made of it; a person must look.
    HELD = "held"
    #: A person put it aside.
    DISCARDED = "discarded"


class Kind(enum.StrEnum):
    """What is to be made in Knock."""

    #: A tour. It makes the guest card of the renter too, where there is none.
    APPOINTMENT = "appointment"
    #: The guest card alone, for a lead without a tour time.
    PROSPECT = "prospect"


class BookingState(enum.StrEnum):
    """How far one appointment, or one guest card, has come on its way into Knock."""

    #: Waiting to be sent, or for its next try.
    PENDING = "pending"
    #: A person must decide.
    HELD = "held"
    #: The POST may be on the wire. Committed before its first byte leaves.
    SENDING = "sending"
    #: Propexo took it and gave a job id.
    SUBMITTED = "submitted"
    #: Propexo says that the job succeeded.
    BOOKED = "booked"
    #: Propexo or Knock said no.
    FAILED = "failed"
    #: Sent, and the outcome is lost. Never sent again by itself.
    UNKNOWN = "unknown"
    #: A newer request of the same person for the same community came first.
    SUPERSEDED = "superseded"
    #: The same item of the same source, or the same person and instant, as another booking.
    DUPLICATE = "duplicate"
    #: The tour's time passed before it could be booked, or a lead without one waited too long.
    EXPIRED = "expired"
    #: A person put it aside.
    DISCARDED = "discarded"


#: Which states a booking may come from, for each state it may go to.
MOVES: Mapping[BookingState, frozenset[BookingState]] = {
    # From unknown only when the very attempt reports late that it never left, or a person says
    # that nothing stands in Knock.
    BookingState.PENDING: frozenset(
        {BookingState.SENDING, BookingState.UNKNOWN, BookingState.HELD, BookingState.FAILED}
        | {BookingState.EXPIRED}
    ),
    BookingState.SENDING: frozenset({BookingState.PENDING}),
    # A fault that would stop all others, or a token that is refused for this one only.
    BookingState.HELD: frozenset({BookingState.PENDING, BookingState.SENDING}),
    # A late answer mends a booking that was given up as unknown.
    BookingState.SUBMITTED: frozenset({BookingState.SENDING, BookingState.UNKNOWN}),
    # Where it waited for a person: somebody has seen it in Knock.
    BookingState.BOOKED: frozenset(
        {BookingState.SUBMITTED, BookingState.UNKNOWN, BookingState.HELD, BookingState.FAILED}
        | {BookingState.EXPIRED}
    ),
    BookingState.FAILED: frozenset(
        {BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN}
    ),
    BookingState.UNKNOWN: frozenset({BookingState.SENDING, BookingState.SUBMITTED}),
    BookingState.SUPERSEDED: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED}
    ),
    BookingState.DUPLICATE: frozenset({BookingState.PENDING, BookingState.HELD}),
    BookingState.EXPIRED: frozenset({BookingState.PENDING}),
    BookingState.DISCARDED: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.UNKNOWN}
        | {BookingState.EXPIRED}
    ),
}


#: States in which nothing more happens by itself, or nobody knows when.
SETTLED = frozenset(BookingState) - {
    BookingState.PENDING,
    BookingState.SENDING,
    BookingState.SUBMITTED,
}


class AttemptOutcome(enum.StrEnum):
    """What became of one POST to Propexo. ``None`` in its place: it may be on the wire now."""

    #: It never left this machine.
    NOT_SENT = "not_sent"
    #: Propexo said to come back later (429, or a 503 that says so).
    RATE_LIMITED = "rate_limited"
    #: Propexo does not accept the token (401, 403).
    NOT_AUTHORISED = "not_authorised"
    #: Propexo gave a clear no.
    REFUSED = "refused"
    #: Propexo took it; the job id is known.
    ACCEPTED = "accepted"
    #: The job that it started failed: nothing stands in Knock.
    JOB_FAILED = "job_failed"
    #: It left, and no clear answer came.
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a field, a booking or an event could not be taken as it came.

    Holds the renter's data in ``value``: kept in the record, shown to people, never logged.
    """

    #: The target field (``starts_at``, ``community``, ``email_1``), or ``event`` for the whole.
    field: str
    #: A sentence for a person, without the value.
    reason: str
    #: ``file:line`` of the mapping line that read it, or None.
    at: str | None = None
    #: The path that was looked at (several joined by ", "), or None.
    path: str | None = None
    #: What was found there as JSON text, at most 60 characters, ASCII only; None: nothing.
    value: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The reason as plain data, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The reason that :meth:`as_dict` wrote."""
        return cls(**data)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One webhook request, stored once, as it came."""

    id: int
    source: str
    state: EventState
    #: Aware, UTC.
    received_at: dt.datetime
    content_type: str
    #: Header names in lower case; credentials are replaced before storing.
    headers: Mapping[str, str]
    #: The raw query string.
    query: str
    #: The raw bytes that were signed.
    body: bytes
    #: Hash of the mapping that read it; None before that.
    mapping_hash: str | None
    reasons: tuple[Reason, ...]
    #: ``all``; ``lead``: what was sent is erased; ``nothing``: so is who it was about.
    kept: str = "all"
    #: Bytes of the body, also where a list left the body out.
    size: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Booking:
    """One appointment or one guest card to be made."""

    id: int
    event_id: int
    source: str
    state: BookingState
    #: The community's key in communities.yaml; None where it is not known.
    community: str | None
    #: IANA name of the community's zone; None where the community is not known.
    timezone: str | None
    #: The tour's start, aware, UTC; None where it could not be read.
    starts_at: dt.datetime | None
    #: The fields in Propexo's spelling, as far as they could be read.
    appointment: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    #: Propexo's job, once it took the booking.
    job_id: str | None
    #: Not before this instant (aware, UTC) is the row looked at again.
    due_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    #: Why it is in this state: a constant word.
    reason: str | None
    #: When the renter asked: the sender's own time where it has one, else the webhook's arrival.
    asked_at: dt.datetime
    #: Who asks for which community: keyed hashes, one for the e-mail and one for the phone.
    person_keys: tuple[int, ...]
    #: When the sender called it off; None: it did not.
    canceled_at: dt.datetime | None = None
    kind: Kind = Kind.APPOINTMENT


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One POST to Propexo, written down before its first byte leaves."""

    id: int
    booking_id: int
    #: Exactly what is posted.
    request: Mapping[str, Any]
    started_at: dt.datetime
    finished_at: dt.datetime | None
    outcome: AttemptOutcome | None
    status: int | None
    #: What Propexo said, as it said it.
    answer: str | None
    #: What it is to make.
    kind: Kind = Kind.APPOINTMENT


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One change of state in the history."""

    #: None: the event's own state.
    booking_id: int | None
    at: dt.datetime
    from_state: str | None
    to_state: str
    #: A constant word.
    why: str
    #: ``web``, ``worker``, or a person's name.
    by: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LeadHistory:
    """One lead's whole story."""

    event: Event
    bookings: tuple[Booking, ...]
    #: Attempts per booking id.
    attempts: Mapping[int, tuple[Attempt, ...]]
    history: tuple[Change, ...]
    #: How often the same webhook came again.
    duplicates: int
