"""Inputs and results of a mapping, as values."""

import dataclasses
import datetime as dt
import enum
import zoneinfo
from collections.abc import Mapping
from typing import Any

from adapter.models import Kind, Reason


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Community:
    """A community of communities.yaml."""

    #: Its key in the file.
    key: str
    integration_id: str
    community_id: str
    timezone: zoneinfo.ZoneInfo
    #: Source → attribution id, or a table from the sender's values to ids.
    attributions: Mapping[str, str | Mapping[str, str]]
    #: Source → the names that the source uses.
    known_as: Mapping[str, tuple[str, ...]]


class Outcome(enum.StrEnum):
    """The outcome of a delivery or an item. A delivery has the first of its items' outcomes."""

    #: A complete and plausible appointment.
    BOOK = "book"
    #: A complete guest card, without a tour time.
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
    """``without_time`` of a mapping: the handling of a lead without a tour time."""

    #: It needs review: an agent picks a time, or calls.
    HOLD = "hold"
    #: It is ignored.
    IGNORE = "ignore"
    #: It becomes a guest card in Knock.
    PROSPECT = "prospect"


#: Outcomes that are sent to Knock.
SENT_OUTCOMES = (Outcome.BOOK, Outcome.PROSPECT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One appointment, as far as the payload gives it."""

    outcome: Outcome
    #: What it is, or would be if nothing blocked it.
    kind: Kind = Kind.APPOINTMENT
    community: Community | None = None
    #: Aware, UTC.
    starts_at: dt.datetime | None = None
    #: By Propexo's field names; enums in neutral words.
    appointment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    #: The reasons that block the booking; the others are only reported.
    blocking_reasons: tuple[Reason, ...] = ()
    #: Text added to the notes because it fits no field.
    notes_added: tuple[str, ...] = ()
    #: When the renter made the request, by the sender: aware, UTC; None if not given.
    sent_at: dt.datetime | None = None
    #: Two items with the same key make the same booking; None if a path has no value.
    dedupe_key: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """The result of a mapping for one delivery."""

    #: The first that an item has of: book, prospect, held, cancellation, ignored.
    outcome: Outcome
    items: tuple[Item, ...] = ()
    #: Reasons that concern the delivery as a whole.
    reasons: tuple[Reason, ...] = ()
    dedupe_key: str | None = None
