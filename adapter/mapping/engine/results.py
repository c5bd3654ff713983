"""Define communities and the results of applying a mapping."""

import dataclasses
import datetime as dt
import enum
import zoneinfo
from collections.abc import Mapping
from typing import Any

from adapter.models import Kind, Reason


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Community:
    """A community, as listed in communities.yaml."""

    #: Its key in the file.
    key: str
    integration_id: str
    community_id: str
    timezone: zoneinfo.ZoneInfo
    #: For each source, an attribution ID or a table of IDs, keyed by the sender's values.
    attributions: Mapping[str, str | Mapping[str, str]]
    #: The names that each source uses for this community.
    known_as: Mapping[str, tuple[str, ...]]
    #: Its display name, or "".
    name: str = ""
    #: The earliest and latest start of its tours by weekday. Monday is 0. Empty if unknown.
    tour_hours: Mapping[int, tuple[dt.time, dt.time]] = dataclasses.field(default_factory=dict)
    #: True to book tours only at times that are available in Knock, if availability is known.
    check_availability: bool = False
    #: The property management system that Knock exports guest cards to, or "" if it is unknown.
    pms: str = ""

    @property
    def title(self) -> str:
        """The community's display name, derived from its key if the file has no name."""
        return self.name or self.key.replace("-", " ").replace("_", " ").title()


class Outcome(enum.StrEnum):
    """The outcome of an item or a webhook. If items differ, the outcome listed first applies."""

    #: A complete and plausible appointment.
    BOOK = "book"
    #: A complete guest card: a lead without a tour time.
    PROSPECT = "prospect"
    #: It needs review, for the given reasons.
    HELD = "held"
    #: It cancels an earlier booking.
    CANCELLATION = "cancellation"
    #: Not a booking, according to the mapping.
    IGNORED = "ignored"
    #: The body cannot be parsed.
    UNREADABLE = "unreadable"


class WithoutTime(enum.StrEnum):
    """The ways to handle leads without a tour time (a mapping's ``without_time`` setting)."""

    #: The lead is held, and an agent picks a time or calls the renter.
    HOLD = "hold"
    #: The lead is ignored.
    IGNORE = "ignore"
    #: The lead becomes a guest card in Knock.
    PROSPECT = "prospect"
    #: The lead becomes a guest card in Knock, and the renter gets a link to choose a time.
    INVITE = "invite"

    @property
    def makes_cards(self) -> bool:
        """True if leads without a tour time become guest cards in Knock."""
        return self in (WithoutTime.PROSPECT, WithoutTime.INVITE)


#: Outcomes whose items are sent to Knock.
SENT_OUTCOMES = (Outcome.BOOK, Outcome.PROSPECT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One item of a webhook, mapped to an appointment or guest card."""

    outcome: Outcome
    #: The kind of record that it becomes in Knock if nothing blocks the booking.
    kind: Kind = Kind.APPOINTMENT
    community: Community | None = None
    #: When the tour starts (aware, UTC).
    starts_at: dt.datetime | None = None
    #: The tour's local time as sent (naive), if its time zone is unknown.
    wall_time: dt.datetime | None = None
    #: Values, keyed by Propexo's field names. Enums use the adapter's own words.
    appointment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    #: The reasons that block the booking. Other reasons are only reported.
    blocking_reasons: tuple[Reason, ...] = ()
    #: Text added to the notes because it does not fit any field.
    notes_added: tuple[str, ...] = ()
    #: When the renter made the request, according to the sender (aware, UTC), if given.
    sent_at: dt.datetime | None = None
    #: Items with the same key belong to the same booking. None if there is no key.
    dedupe_key: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """The result of mapping one webhook."""

    #: The highest-ranked item outcome: book, prospect, held, cancellation, ignored.
    outcome: Outcome
    items: tuple[Item, ...] = ()
    #: Reasons that concern the delivery as a whole.
    reasons: tuple[Reason, ...] = ()
    dedupe_key: str | None = None
