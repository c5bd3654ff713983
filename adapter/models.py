"""Define webhook requests, events, bookings and attempts, with their states and transitions."""

import dataclasses
import datetime as dt
import enum
import functools
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

#: A clock returns the current time, aware and in UTC.
Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Return the current time in UTC, according to the local clock."""
    return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True)
class WebhookRequest:
    """An HTTP request as received from a lead source.

    ``url`` is the URL as the sender wrote it, and ``body`` contains the raw bytes. The URL includes
    scheme and host if a signature may cover them. Otherwise, it may be only path and query.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    #: The sender's IP address, or None if it is not trustworthy.
    client: str | None = None
    #: The documents fetched for ``fetch:``, by URL. Empty when a request has just been received.
    fetched: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_body(
        cls,
        body: bytes,
        content_type: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> Self:
        """Build a request from a body, a content type, headers and a query string."""
        typed = {"content-type": content_type} if content_type else {}
        return cls("POST", f"?{query}" if query else "", {**typed, **(headers or {})}, body)

    def without_headers(self, names: Collection[str]) -> Self:
        """Return a copy of the request without the given headers. Names are lower-case."""
        kept = {name: text for name, text in self.lowercase_headers.items() if name not in names}
        return type(self)(self.method, self.url, kept, self.body, self.client)

    def header(self, name: str) -> str | None:
        """Return a header's value, or None if it is missing or empty."""
        return self.lowercase_headers.get(name.lower()) or None

    @functools.cached_property
    def lowercase_headers(self) -> Mapping[str, str]:
        """The headers, keyed by lower-case name, because header names are not case-sensitive."""
        lowercase: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            # Two spellings of a name are the same header sent twice. Join the values as gunicorn
            # does.
            lowercase[key] = f"{lowercase[key]},{value}" if key in lowercase else value
        return lowercase

    @property
    def content_type(self) -> str:
        """The Content-Type header, or an empty string if there is none."""
        return self.lowercase_headers.get("content-type", "")

    @property
    def query(self) -> str:
        """The raw query string of the URL, exactly as the sender wrote it."""
        return self.url.partition("#")[0].partition("?")[2]


class EventState(enum.StrEnum):
    """The state of a stored webhook."""

    #: Stored and acknowledged, but not yet mapped.
    RECEIVED = "received"
    #: Mapped to one or more bookings.
    MAPPED = "mapped"
    #: Not a lead, according to the mapping.
    IGNORED = "ignored"
    #: Could not be mapped, and needs review.
    HELD = "held"
    #: Dismissed by a user.
    DISCARDED = "discarded"


class Kind(enum.StrEnum):
    """The kind of record that a booking creates in Knock: a tour or a guest card."""

    #: A tour. Knock also creates a guest card if the renter has none.
    APPOINTMENT = "appointment"
    #: Only a guest card, for a lead without a tour time.
    PROSPECT = "prospect"


class BookingState(enum.StrEnum):
    """The state of a booking (a tour appointment or a guest card)."""

    #: Waiting to be sent or retried.
    PENDING = "pending"
    #: Needs review.
    HELD = "held"
    #: The POST may be in flight. This state is committed before the first byte is sent.
    SENDING = "sending"
    #: Propexo accepted it and returned a job ID.
    SUBMITTED = "submitted"
    #: Propexo reports that the job succeeded.
    BOOKED = "booked"
    #: Propexo or Knock rejected it.
    FAILED = "failed"
    #: Sent, but the outcome is unknown. Never resent automatically.
    UNKNOWN = "unknown"
    #: Replaced by a newer request from the same person at the same community.
    SUPERSEDED = "superseded"
    #: Another booking has the same source and item, or the same person and time.
    DUPLICATE = "duplicate"
    #: The tour time passed before it was booked, or a lead without a time waited too long.
    EXPIRED = "expired"
    #: Dismissed by a user.
    DISCARDED = "discarded"


#: The allowed transitions: for each state, the possible previous states.
MOVES: Mapping[BookingState, frozenset[BookingState]] = {
    # From unknown, only if the attempt reports late that it was never sent, or if a user confirms
    # that it is not in Knock. From discarded, only if a user undoes a cancellation.
    BookingState.PENDING: frozenset(
        {BookingState.SENDING, BookingState.UNKNOWN, BookingState.HELD, BookingState.FAILED}
        | {BookingState.EXPIRED, BookingState.SUPERSEDED, BookingState.DUPLICATE}
        | {BookingState.DISCARDED}
    ),
    BookingState.SENDING: frozenset({BookingState.PENDING}),
    # From these after an error that would block all others, if the token is rejected only for this
    # booking, if the lead that it was merged with ended without a tour, or if a user takes back a
    # release or a dismissal. The last reason applies to failed, unknown and expired too.
    BookingState.HELD: frozenset(
        {BookingState.PENDING, BookingState.SENDING, BookingState.HELD}
        | {BookingState.SUPERSEDED, BookingState.DUPLICATE, BookingState.DISCARDED}
    ),
    # From unknown, if a late response arrives.
    BookingState.SUBMITTED: frozenset({BookingState.SENDING, BookingState.UNKNOWN}),
    # From states that need review, if a user has found it in Knock.
    BookingState.BOOKED: frozenset(
        {BookingState.SUBMITTED, BookingState.UNKNOWN, BookingState.HELD, BookingState.FAILED}
        | {BookingState.EXPIRED}
    ),
    BookingState.FAILED: frozenset(
        {BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN}
        | {BookingState.PENDING, BookingState.DISCARDED}
    ),
    BookingState.UNKNOWN: frozenset(
        {BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN}
        | {BookingState.PENDING, BookingState.DISCARDED}
    ),
    BookingState.SUPERSEDED: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED}
        | {BookingState.SUPERSEDED, BookingState.DUPLICATE}
    ),
    # From unknown, if the same tour was booked by a later request.
    BookingState.DUPLICATE: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED}
        | {BookingState.SUPERSEDED, BookingState.DUPLICATE, BookingState.UNKNOWN}
    ),
    BookingState.EXPIRED: frozenset({BookingState.PENDING, BookingState.DISCARDED}),
    BookingState.DISCARDED: frozenset(
        {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.UNKNOWN}
        # From these, only by an erasure.
        | {BookingState.EXPIRED, BookingState.SUPERSEDED, BookingState.DUPLICATE}
    ),
}


class KnockStatus(enum.StrEnum):
    """The status of a tour in Knock, as Knock's own records report it."""

    #: The community has not accepted the request yet.
    WAITING = "waiting"
    BOOKED = "booked"
    #: Canceled by the renter, by the community, or because a newer tour replaced it.
    CANCELED = "canceled"
    VISITED = "visited"
    #: The renter did not show up.
    NO_SHOW = "no_show"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class KnockFacts:
    """The facts about a booking in a record from Knock. None means no new information."""

    prospect_id: str | None = None
    tour_id: str | None = None
    confirmed_at: dt.datetime | None = None
    status: KnockStatus | None = None
    status_at: dt.datetime | None = None
    moved_to: dt.datetime | None = None
    moved_at: dt.datetime | None = None
    #: The reason code for the history, or None if nothing is added to it.
    why: str | None = None
    #: The other lead that caused it.
    because_of: int | None = None


#: The reason code of bookings that were replaced when their event was mapped again.
REPLAYED = "replayed"

#: The reason codes of tours that the renter chose or canceled on the renter page.
CHOSEN_BY_RENTER = "chosen_by_renter"
CANCELED_BY_RENTER = "canceled_by_renter"
#: The reason code of a tour that is held because its time is unavailable in Knock.
TIME_TAKEN = "time_taken"
#: The name that the history shows for changes by the renter.
RENTER = "renter"

#: The user that the one-time link from `adapter run` signs in. No real user can have this name.
LOCAL_USER = "(local)"
#: The names that the history shows for automatic changes and for the renter's own.
_NOT_USERS = frozenset({"worker", "web", "system", RENTER})


def shown_user(name: str) -> str:
    """Return a user's display name for the console's pages."""
    return "Setup user" if name == LOCAL_USER else name


#: States that do not change automatically.
SETTLED = frozenset(BookingState) - {
    BookingState.PENDING,
    BookingState.SENDING,
    BookingState.SUBMITTED,
}


class AttemptOutcome(enum.StrEnum):
    """The outcome of a POST to Propexo. A POST without an outcome may still be in flight."""

    #: The request was never sent.
    NOT_SENT = "not_sent"
    #: Propexo asked to retry later (429, or a 503 with Retry-After).
    RATE_LIMITED = "rate_limited"
    #: Propexo rejected the token (401, 403).
    NOT_AUTHORIZED = "not_authorized"
    #: Propexo rejected the request.
    REFUSED = "refused"
    #: Propexo accepted the request and returned a job ID.
    ACCEPTED = "accepted"
    #: The job failed, and nothing was booked in Knock.
    JOB_FAILED = "job_failed"
    #: The request was sent, but there was no clear response.
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """The reason why a field, booking or webhook could not be processed as received.

    ``value`` contains the renter's data. It is stored and shown to users, but never logged.
    """

    #: The target field, such as ``starts_at`` or ``community``, or ``event`` for the whole webhook.
    field: str
    #: A sentence for users, without the value.
    reason: str
    #: ``file:line`` in the mapping, or None.
    at: str | None = None
    #: The path in the payload (several are joined with ", "), or None.
    path: str | None = None
    #: The value as ASCII JSON of at most 60 characters, or None.
    value: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return the reason as JSON-compatible data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Create a reason from a dictionary that :meth:`as_dict` returned."""
        return cls(**data)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A webhook that was verified and stored."""

    id: int
    source: str
    state: EventState
    #: When the webhook was received (aware, UTC).
    received_at: dt.datetime
    content_type: str
    #: Headers without credentials, by lower-case name.
    headers: Mapping[str, str]
    #: The raw query string.
    query: str
    #: The raw bytes.
    body: bytes
    #: Hash of the mapping that was applied, or None if it has not been mapped.
    mapping_hash: str | None
    reasons: tuple[Reason, ...]
    #: ``all``, ``lead`` if the payload was erased, or ``nothing`` if all personal data was erased.
    kept: str = "all"
    #: Length of the body in bytes. It is known even if a list omits the body.
    size: int = 0
    #: The documents fetched for the mapping's ``fetch:``, as JSON, or None.
    fetched: str | None = None

    @property
    def request(self) -> WebhookRequest:
        """The stored request, without credentials, host or client address."""
        url = f"/hooks/{self.source}" + (f"?{self.query}" if self.query else "")
        documents = json.loads(self.fetched)["documents"] if self.fetched else {}
        return WebhookRequest("POST", url, self.headers, self.body, fetched=documents)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Booking:
    """An appointment or guest card to create in Knock."""

    id: int
    event_id: int
    source: str
    state: BookingState
    #: The community's key in communities.yaml, or None if it is unknown.
    community: str | None
    #: IANA name of the community's time zone, or None if the community is unknown.
    timezone: str | None
    #: The tour time (aware, UTC), or None if it could not be read.
    starts_at: dt.datetime | None
    #: The values that could be read, by Propexo's field names.
    appointment: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    #: Propexo's job ID, once the booking is accepted.
    job_id: str | None
    #: When the row is due again (aware, UTC).
    due_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    #: The reason code for the state.
    reason: str | None
    #: When the renter made the request: the time from the sender if given, or the arrival time.
    asked_at: dt.datetime
    #: Keyed hashes that related requests share: of the person's email and phone at this community,
    #: and ``item_key``.
    match_keys: tuple[int, ...] = ()
    #: Keyed hash of the sender's own key for the lead, if any.
    item_key: int | None = None
    #: Keyed hash of all mapped fields, if known.
    content: int | None = None
    #: True if the sender cancels an earlier request with the same key.
    is_cancellation: bool = False
    #: The ID of the other lead that caused this state, if any. ``reason`` is the code of the rule.
    because_of: int | None = None
    #: When the last POST to Propexo began, or None if there was none.
    posted_at: dt.datetime | None = None
    #: When a user reported that the booking no longer exists in Knock, or None.
    gone_at: dt.datetime | None = None
    kind: Kind = Kind.APPOINTMENT
    #: The tour's local time as sent (naive) if its time zone is unknown.
    wall_time: dt.datetime | None = None
    #: The time until which the lead is hidden from the review queue.
    snoozed_until: dt.datetime | None = None
    #: The name of the user who takes care of the lead.
    assigned_to: str | None = None
    #: Available times to offer (aware, UTC) if the tour's own time is taken.
    free_times: tuple[dt.datetime, ...] = ()
    #: Propexo's ID of the renter's guest card, or None if it is not known yet.
    prospect_id: str | None = None
    #: Propexo's ID of the tour's event record, or None if it is not known yet.
    tour_id: str | None = None
    #: When Knock's own records confirmed the tour, or None.
    confirmed_at: dt.datetime | None = None
    #: The tour's status in Knock, or None if it is not known.
    knock_status: KnockStatus | None = None
    #: When Knock's record got this status.
    knock_status_at: dt.datetime | None = None
    #: The tour's start in Knock (aware, UTC), if Knock has moved it.
    moved_to: dt.datetime | None = None
    #: Since when Knock's record has this start.
    moved_at: dt.datetime | None = None

    @property
    def is_gone(self) -> bool:
        """True if a user or Knock has reported that the booking no longer exists in Knock."""
        return self.gone_at is not None or self.knock_status is KnockStatus.CANCELED

    @property
    def starts_in_knock(self) -> dt.datetime | None:
        """The start of the tour, according to Knock's latest record."""
        return self.moved_to or self.starts_at

    @property
    def is_moved(self) -> bool:
        """True if Knock has moved the tour to another time."""
        return self.starts_in_knock != self.starts_at

    @property
    def offered_times(self) -> tuple[dt.datetime, ...]:
        """The times to offer to the renter if the lead is held because its time is taken."""
        is_taken = self.state is BookingState.HELD and self.reason == TIME_TAKEN
        return self.free_times if is_taken else ()

    @functools.cached_property
    def person_keys(self) -> frozenset[int]:
        """Keyed hashes of the renter's email address and phone number at this community."""
        return frozenset(self.match_keys) - {self.item_key}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A POST request to Propexo, recorded before its first byte is sent."""

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
    #: The kind of record that the POST creates.
    kind: Kind = Kind.APPOINTMENT
    #: The ID of the booking's event, if the POST is about to be sent.
    event_id: int | None = dataclasses.field(default=None, compare=False)


class MessageState(enum.StrEnum):
    """The state of a renter's message, which is sent to Knock as a note on their guest card."""

    #: Waiting until the guest card is known and no booking has to be sent.
    WAITING = "waiting"
    #: The POST may be in flight. This state is committed before the first byte is sent.
    SENDING = "sending"
    #: Propexo accepted it and returned a job ID.
    SUBMITTED = "submitted"
    #: Propexo reports that the job succeeded.
    SENT = "sent"
    #: Sent, but the outcome is unknown. Never sent again.
    UNCLEAR = "unclear"
    #: Not sent, or rejected.
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message from a renter whose guest card or tour already exists. It is sent as a note."""

    id: int
    #: The ID of the request whose text is sent, or None if its webhook was lost in a restore.
    booking_id: int | None
    state: MessageState
    #: The reason code for the state, or None.
    reason: str | None
    #: When the renter wrote it.
    asked_at: dt.datetime
    #: The text, or None before its new part is determined and after an erasure.
    text: str | None
    #: Propexo's IDs of the guest card, and of the job that added the note.
    prospect_id: str | None
    job_id: str | None
    #: How often it was sent. Only attempts that definitely failed are repeated.
    tries: int
    #: When to try or check it next, or None in a final state.
    due_at: dt.datetime | None
    created_at: dt.datetime
    #: When its state last changed.
    updated_at: dt.datetime
    posted_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InvitationMail:
    """An email with a link to choose a tour time."""

    booking_id: int
    #: The code of the renter's language.
    language: str
    created_at: dt.datetime
    #: When to send it, or None if it was sent or given up, or is being sent.
    due_at: dt.datetime | None
    #: The number of attempts, including the current one.
    attempts: int
    #: ``sent``, ``not_needed``, ``restored``, or the code of the last attempt's problem.
    outcome: str | None
    #: When the last attempt ended.
    tried_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A state change in a lead's history."""

    #: The booking's ID, or None for a change of the event itself.
    booking_id: int | None
    at: dt.datetime
    from_state: str | None
    to_state: str
    #: The reason code for the change.
    why: str
    #: ``web``, ``worker``, ``renter``, or a user's name.
    by: str
    #: The ID of the other lead that caused the change, or None.
    because_of: int | None = None

    @property
    def user(self) -> str:
        """The name of the user who made the change, or "" if none did or the name is unknown."""
        return "" if self.by in _NOT_USERS else shown_user(self.by)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LeadHistory:
    """A webhook event with its bookings, POST attempts and state changes."""

    event: Event
    bookings: tuple[Booking, ...]
    #: Attempts by booking ID.
    attempts: Mapping[int, tuple[Attempt, ...]]
    history: tuple[Change, ...]
    #: How many more webhooks had the same dedupe key.
    duplicates: int
    #: The other leads that the bookings and the history refer to, by ID.
    others: Mapping[int, Booking]
    #: The newest leads whose state was caused by one of the bookings.
    related: tuple[Booking, ...]
    #: Notes for guest cards in Knock that contain text from these bookings.
    messages: tuple[Message, ...] = ()
    #: Emails with a link to choose a tour time.
    emails: tuple[InvitationMail, ...] = ()
    #: True if at least one of the duplicates differed, so that it is an event of its own.
    has_versions: bool = False

    @property
    def current(self) -> tuple[Booking, ...]:
        """The bookings, except those that were replaced when the event was mapped again."""
        return tuple(booking for booking in self.bookings if booking.reason != REPLAYED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Alias:
    """A source's name for a community, as added by a user in the console."""

    source: str
    #: The normalized name, which is used for comparisons.
    key: str
    #: The name as the source sends it.
    name: str
    #: The community's key.
    community: str
    #: The source's attribution at the community, or None to use the one in communities.yaml.
    attribution_id: str | None = None
    by: str
    at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AddedCommunity:
    """A community that a user added in the console because communities.yaml does not list it."""

    key: str
    name: str
    integration_id: str
    community_id: str
    #: An IANA name.
    timezone: str
    by: str
    at: dt.datetime
    #: The hours for tours by weekdays, as in communities.yaml: ``{"mon-fri": "9:00 AM-6:00 PM"}``.
    tour_hours: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check_availability: bool = False
    pms: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MappingVersion:
    """A mapping that a user saved in the console to replace the mapping file."""

    source: str
    #: The source's versions are numbered from 1.
    number: int
    #: The mapping, or None if the source went back to its file.
    text: str | None
    #: SHA-256 of the mapping file that it replaces.
    file_hash: str
    reason: str
    by: str
    at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Overrides:
    """All changes to mappings and communities that users made in the console."""

    #: The number of changes so far.
    changes: int = 0
    aliases: tuple[Alias, ...] = ()
    communities: tuple[AddedCommunity, ...] = ()
    #: Each source's newest version.
    versions: Mapping[str, MappingVersion] = dataclasses.field(default_factory=dict)


NO_OVERRIDES = Overrides()


class FormatKind(enum.StrEnum):
    """A kind of feature that describes a webhook's format."""

    #: The mapping accepts the webhook.
    ACCEPTED = "accepted"
    #: A path of the mapping has a value.
    PATH = "path"
    #: Any path of the payload has a value.
    LEAF = "leaf"
    #: The mapping could read a field.
    FIELD = "field"
    #: A path that a table reads has this value, as a keyed hash.
    VALUE = "value"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FormatChange:
    """A detected change in a sender's format. It contains no values from webhooks."""

    source: str
    kind: FormatKind
    #: The path or field that is missing or has a new value.
    name: str
    #: The hash of the new value, or "".
    value: str = ""
    since: dt.datetime
    #: The ID of the first affected event.
    first_event: int
    #: How many of the webhooks since then are affected.
    affected: int
    of: int
    #: New paths that appeared at the same time, most similar first, with their webhook counts.
    new_paths: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def text(self) -> str:
        """A phrase that describes the change and the number of affected webhooks."""
        count = f"{self.affected} of {self.of} webhooks"
        if self.kind is FormatKind.ACCEPTED:
            return f"{count} do not meet the mapping's conditions"
        if self.kind is FormatKind.VALUE:
            return f"{self.name} has a value in {count} that is not in the mapping's table"
        if self.kind is FormatKind.FIELD:
            return f"{self.name} cannot be read in {count}"
        new = (f"{path} in {seen} of {self.of}" for path, seen in self.new_paths.items())
        came = f"; new: {', '.join(new)}" if self.new_paths else ""
        return f"{self.name} is missing in {count}{came}"
