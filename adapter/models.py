"""Define requests, events, bookings and attempts, their states and transitions."""

import dataclasses
import datetime as dt
import enum
import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

#: A clock returns the current time, aware and in UTC.
Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Return the current time. Every process uses this clock."""
    return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True)
class WebhookRequest:
    """One HTTP request, as it arrived.

    ``url`` is the URL as the sender wrote it, ``body`` the raw bytes. The URL is complete
    if a signature may cover it; otherwise, path and query are enough.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    #: The sender's IP address, as far as it can be trusted; None: unknown.
    client: str | None = None

    @classmethod
    def from_body(
        cls,
        body: bytes,
        content_type: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> Self:
        """Build a request from what a mapping reads: body, content type, headers and query."""
        typed = {"content-type": content_type} if content_type else {}
        return cls("POST", f"?{query}" if query else "", {**typed, **(headers or {})}, body)

    def without_headers(self, names: Collection[str]) -> Self:
        """Return the request without the headers of these lower-case names."""
        kept = {name: text for name, text in self.lowercase_headers.items() if name not in names}
        return type(self)(self.method, self.url, kept, self.body, self.client)

    def header(self, name: str) -> str | None:
        """Return a header's value, or None if it is absent or empty."""
        return self.lowercase_headers.get(name.lower()) or None

    @functools.cached_property
    def lowercase_headers(self) -> Mapping[str, str]:
        """The headers by lower-case name, because servers differ in how they spell names."""
        lowercase: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            # Two spellings of one name are one header sent twice: joined as gunicorn does it.
            lowercase[key] = f"{lowercase[key]},{value}" if key in lowercase else value
        return lowercase

    @property
    def content_type(self) -> str:
        """The Content-Type header, or ""."""
        return self.lowercase_headers.get("content-type", "")

    @property
    def query(self) -> str:
        """The raw query string, split by hand because ``urlsplit`` raises for some URLs."""
        return self.url.partition("#")[0].partition("?")[2]


class EventState(enum.StrEnum):
    """The state of one stored webhook."""

    #: Stored and acknowledged; not mapped yet.
    RECEIVED = "received"
    #: One or more bookings were created from it.
    MAPPED = "mapped"
    #: Not a booking, as the mapping defines.
    IGNORED = "ignored"
    #: It could not be mapped and needs review.
    HELD = "held"
    #: Dismissed by a person.
    DISCARDED = "discarded"


class Kind(enum.StrEnum):
    """What a booking creates in Knock."""

    #: A tour. Knock creates the renter's guest card with it, if there is none.
    APPOINTMENT = "appointment"
    #: The guest card alone, for a lead without a tour time.
    PROSPECT = "prospect"


class BookingState(enum.StrEnum):
    """The state of one appointment or guest card."""

    #: Waiting to be sent, or to be retried.
    PENDING = "pending"
    #: Needs review.
    HELD = "held"
    #: The POST may be in flight. Committed before its first byte is sent.
    SENDING = "sending"
    #: Propexo accepted it and returned a job id.
    SUBMITTED = "submitted"
    #: Propexo reports that the job succeeded.
    BOOKED = "booked"
    #: Propexo or Knock rejected it.
    FAILED = "failed"
    #: Sent with an unknown outcome. Never sent again automatically.
    UNKNOWN = "unknown"
    #: A newer request of the same person for the same community takes precedence.
    SUPERSEDED = "superseded"
    #: The same item of the same source, or the same person and time, as another booking.
    DUPLICATE = "duplicate"
    #: The tour time passed before it was booked, or a lead without one waited too long.
    EXPIRED = "expired"
    #: Dismissed by a person.
    DISCARDED = "discarded"


#: The allowed transitions: for each state, the states that a booking may come from.
MOVES: Mapping[BookingState, frozenset[BookingState]] = {
    # From unknown only if the attempt reports late that it was never sent, or if a person
    # confirms that Knock has no booking.
    BookingState.PENDING: frozenset(
        {BookingState.SENDING, BookingState.UNKNOWN, BookingState.HELD, BookingState.FAILED}
        | {BookingState.EXPIRED, BookingState.SUPERSEDED, BookingState.DUPLICATE}
    ),
    BookingState.SENDING: frozenset({BookingState.PENDING}),
    # An error that would block all others, or a token that is rejected for this one only.
    # Or the lead that it was merged with ended without a tour.
    BookingState.HELD: frozenset(
        {BookingState.PENDING, BookingState.SENDING, BookingState.HELD}
        | {BookingState.SUPERSEDED, BookingState.DUPLICATE}
    ),
    # A late response settles a booking that was marked unknown.
    BookingState.SUBMITTED: frozenset({BookingState.SENDING, BookingState.UNKNOWN}),
    # From the states that need review: a person has seen it in Knock.
    BookingState.BOOKED: frozenset(
        {BookingState.SUBMITTED, BookingState.UNKNOWN, BookingState.HELD, BookingState.FAILED}
        | {BookingState.EXPIRED}
    ),
    BookingState.FAILED: frozenset(
        {BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN}
    ),
    BookingState.UNKNOWN: frozenset(
        {BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN}
    ),
    BookingState.SUPERSEDED: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED}
        | {BookingState.SUPERSEDED, BookingState.DUPLICATE}
    ),
    # From unknown if the same tour was booked by a later request.
    BookingState.DUPLICATE: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED}
        | {BookingState.SUPERSEDED, BookingState.DUPLICATE, BookingState.UNKNOWN}
    ),
    BookingState.EXPIRED: frozenset({BookingState.PENDING}),
    BookingState.DISCARDED: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.UNKNOWN}
        | {BookingState.EXPIRED}
    ),
}


#: States in which nothing more happens automatically.
SETTLED = frozenset(BookingState) - {
    BookingState.PENDING,
    BookingState.SENDING,
    BookingState.SUBMITTED,
}


class AttemptOutcome(enum.StrEnum):
    """The outcome of one POST to Propexo. A POST without one may still be in flight."""

    #: It was never sent.
    NOT_SENT = "not_sent"
    #: Propexo asked to retry later (429, or a 503 with Retry-After).
    RATE_LIMITED = "rate_limited"
    #: Propexo rejected the token (401, 403).
    NOT_AUTHORIZED = "not_authorized"
    #: Propexo rejected the request.
    REFUSED = "refused"
    #: Propexo accepted it; the job id is known.
    ACCEPTED = "accepted"
    #: Its job failed: nothing exists in Knock.
    JOB_FAILED = "job_failed"
    #: It was sent, and no clear response arrived.
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a field, a booking or an event could not be used as it arrived.

    ``value`` holds the renter's data: it is stored and shown to people, never logged.
    """

    #: The target field (``starts_at``, ``community``, ``email_1``), or ``event`` for all of it.
    field: str
    #: A sentence for a person, without the value.
    reason: str
    #: ``file:line`` of the mapping line that read it, or None.
    at: str | None = None
    #: The path that was read (several joined by ", "), or None.
    path: str | None = None
    #: The value as JSON, at most 60 characters, ASCII only; None: there is none.
    value: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return the reason as plain data, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build the reason that :meth:`as_dict` returned."""
        return cls(**data)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One stored webhook."""

    id: int
    source: str
    state: EventState
    #: Aware, UTC.
    received_at: dt.datetime
    content_type: str
    #: Header names in lower case; without credentials.
    headers: Mapping[str, str]
    #: The raw query string.
    query: str
    #: The raw bytes.
    body: bytes
    #: Hash of the mapping that was applied; None before that.
    mapping_hash: str | None
    reasons: tuple[Reason, ...]
    #: ``all``; ``lead`` after the payload is erased; ``nothing`` after all personal data is.
    kept: str = "all"
    #: Length of the body in bytes, also where a list omits the body.
    size: int = 0

    @property
    def request(self) -> WebhookRequest:
        """The stored request, without credentials, host and client IP address."""
        url = f"/hooks/{self.source}" + (f"?{self.query}" if self.query else "")
        return WebhookRequest("POST", url, self.headers, self.body)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Booking:
    """One appointment or guest card to create in Knock."""

    id: int
    event_id: int
    source: str
    state: BookingState
    #: The community's key in communities.yaml; None where it is unknown.
    community: str | None
    #: IANA name of the community's time zone; None where the community is unknown.
    timezone: str | None
    #: The tour time, aware, UTC; None where it could not be read.
    starts_at: dt.datetime | None
    #: The fields by Propexo's names, as far as they could be read.
    appointment: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    #: Propexo's job, once it has accepted the booking.
    job_id: str | None
    #: When the row is due again, aware, UTC.
    due_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    #: The code that explains the state.
    reason: str | None
    #: When the renter sent the request: the sender's time if it has one, else the arrival.
    asked_at: dt.datetime
    #: Keyed hashes that related requests share: of the person's email and phone at this community,
    #: and ``item_key``.
    match_keys: tuple[int, ...] = ()
    #: Keyed hash of the sender's own key for the lead; None: it has none.
    item_key: int | None = None
    #: Keyed hash of everything that was mapped; None: not known.
    content: int | None = None
    #: True: the sender cancels what it sent before under the same key.
    is_cancellation: bool = False
    #: The other lead that the state comes from; ``reason`` is the rule. None: no other lead.
    because_of: int | None = None
    #: When its last POST to Propexo began; None: it was never posted.
    posted_at: dt.datetime | None = None
    #: From when on it no longer stands in Knock, as a person said; None: nobody said so.
    gone_at: dt.datetime | None = None
    kind: Kind = Kind.APPOINTMENT

    @functools.cached_property
    def person_keys(self) -> frozenset[int]:
        """The keyed hashes of the person's contacts at this community."""
        return frozenset(self.match_keys) - {self.item_key}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One POST to Propexo, recorded before its first byte is sent."""

    id: int
    booking_id: int
    #: The exact body of the POST.
    request: Mapping[str, Any]
    started_at: dt.datetime
    finished_at: dt.datetime | None
    outcome: AttemptOutcome | None
    status: int | None
    #: Propexo's response, as received.
    answer: str | None
    #: What it creates.
    kind: Kind = Kind.APPOINTMENT


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One state change in the history."""

    #: None: a change of the event itself.
    booking_id: int | None
    at: dt.datetime
    from_state: str | None
    to_state: str
    #: The code that explains the change.
    why: str
    #: ``web``, ``worker``, or a person's name.
    by: str
    #: The other lead that it comes from; None: no other lead.
    because_of: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LeadHistory:
    """One event with its bookings, their attempts and the history."""

    event: Event
    bookings: tuple[Booking, ...]
    #: Attempts per booking id.
    attempts: Mapping[int, tuple[Attempt, ...]]
    history: tuple[Change, ...]
    #: How many duplicates of the webhook arrived.
    duplicates: int
    #: The other leads that the bookings and the history name, by ID.
    others: Mapping[int, Booking]
    #: The newest leads whose state comes from one of the bookings.
    related: tuple[Booking, ...]
