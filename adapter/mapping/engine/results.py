"""Value types for a mapping's inputs and results."""

import dataclasses
import datetime as dt
import enum
import zoneinfo
from collections.abc import Mapping
from typing import Any

from adapter.models import Kind, Reason


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Community:
    """A community from communities.yaml."""

    #: Its key in the file.
    key: str
    integration_id: str
    community_id: str
    timezone: zoneinfo.ZoneInfo
    #: Attribution ID by source, or a table from the sender's values to IDs.
    attributions: Mapping[str, str | Mapping[str, str]]
    #: The names that each source uses.
    known_as: Mapping[str, tuple[str, ...]]


class Outcome(enum.StrEnum):
    """The outcome of an item or a delivery. A delivery gets the highest-ranked item outcome."""

    #: A complete and plausible appointment.
    BOOK = "book"
    #: A complete guest card: a lead without a tour time.
    PROSPECT = "prospect"
    #: Needs review; the reasons say why.
    HELD = "held"
    #: Cancels an earlier booking.
    CANCELLATION = "cancellation"
    #: Known not to be a booking.
    IGNORED = "ignored"
    #: The body cannot be parsed.
    UNREADABLE = "unreadable"


class WithoutTime(enum.StrEnum):
    """How a mapping handles leads without a tour time: its ``without_time``."""

    #: It needs review: an agent picks a time or calls the renter.
    HOLD = "hold"
    #: It is ignored.
    IGNORE = "ignore"
    #: It becomes a guest card in Knock.
    PROSPECT = "prospect"


#: Outcomes that are sent to Knock.
SENT_OUTCOMES = (Outcome.BOOK, Outcome.PROSPECT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An appointment, with the fields that the payload provides."""

    outcome: Outcome
    #: The outcome it has, or would have if nothing blocked it.
    kind: Kind = Kind.APPOINTMENT
    community: Community | None = None
    #: Aware, UTC.
    starts_at: dt.datetime | None = None
    #: Fields by Propexo's names, with neutral words for enums.
    appointment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    #: The reasons that block the booking. Other reasons are only reported.
    blocking_reasons: tuple[Reason, ...] = ()
    #: Text added to the notes because it does not fit any field.
    notes_added: tuple[str, ...] = ()
    #: When the renter made the request, according to the sender (aware, UTC), if given.
    sent_at: dt.datetime | None = None
    #: Two items with the same key belong to the same booking. None if a path has no value.
    dedupe_key: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """The result of a mapping for one delivery."""

    #: The highest-ranked item outcome: book, prospect, held, cancellation, ignored.
    outcome: Outcome
    items: tuple[Item, ...] = ()
    #: Reasons that concern the delivery as a whole.
    reasons: tuple[Reason, ...] = ()
    dedupe_key: str | None = None
