"""What goes into a mapping and what comes out of it, as values."""

import dataclasses
import datetime as dt
import enum
import zoneinfo
from collections.abc import Mapping
from typing import Any

from adapter.models import Kind, Reason


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Community:
    """A place that tours are booked for, out of communities.yaml."""

    #: Its key in the file.
    key: str
    integration_id: str
    community_id: str
    timezone: zoneinfo.ZoneInfo
    #: Source → attribution id, or the sender's word → attribution id.
    attributions: Mapping[str, str | Mapping[str, str]]
    #: Source → what the source calls it.
    known_as: Mapping[str, tuple[str, ...]]


class Outcome(enum.StrEnum):
    """What one delivery, or one item of it, turned out to be."""

    #: An appointment, complete and plausible.
    BOOK = "book"
    #: No tour time: a guest card, complete.
    PROSPECT = "prospect"
    #: Known not to be a booking.
    IGNORED = "ignored"
    #: A person must look; the reasons say why.
    HELD = "held"
    #: The bytes are not what they claim to be.
    UNREADABLE = "unreadable"
    #: Calls off an earlier booking.
    CANCELLATION = "cancellation"


class WithoutTime(enum.StrEnum):
    """What becomes of a lead without a tour time, by its mapping."""

    #: A person picks a time, or calls.
    HOLD = "hold"
    #: It is set aside.
    IGNORE = "ignore"
    #: A guest card is made in Knock.
    PROSPECT = "prospect"


#: Outcomes that go out to Knock.
GOES_OUT = (Outcome.BOOK, Outcome.PROSPECT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One appointment, as far as it could be read."""

    outcome: Outcome
    #: What it is, or would be if nothing stood in its way.
    kind: Kind = Kind.APPOINTMENT
    community: Community | None = None
    #: Aware, UTC.
    starts_at: dt.datetime | None = None
    #: Propexo's field names, enums in neutral words.
    appointment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    #: Those of the reasons that stand in the way; the others are only told.
    because: tuple[Reason, ...] = ()
    #: What was put into the notes because it fits no field.
    notes_added: tuple[str, ...] = ()
    #: When the renter asked, by the sender's word: aware, UTC; None where it does not say.
    sent_at: dt.datetime | None = None
    #: The same for two items that make the same booking; None where the paths give nothing.
    dedupe_key: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """What a mapping made of one delivery."""

    #: Of the items: book before prospect before held before cancellation before ignored.
    outcome: Outcome
    items: tuple[Item, ...] = ()
    #: What concerns the delivery as a whole.
    reasons: tuple[Reason, ...] = ()
    dedupe_key: str | None = None
