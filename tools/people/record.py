"""Record the results of a sequence: messages, the leads made from them, and tours in Knock."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence, Set

from adapter.models import BookingState

#: States that need review.
WAITING = frozenset(
    {BookingState.HELD, BookingState.FAILED, BookingState.UNKNOWN, BookingState.EXPIRED}
)
#: States that a booking leaves automatically.
MOVING = frozenset({BookingState.PENDING, BookingState.SENDING, BookingState.SUBMITTED})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A person's message, which may be delivered several times."""

    number: int
    #: The person and community. Knock keeps one tour for each pair.
    person: str
    #: The start of the requested tour, or None for a cancellation.
    instant: dt.datetime | None
    #: When it was sent by the sender's own clock, or when it first arrived.
    at: dt.datetime
    #: The source's booking. A later message about it replaces an earlier one.
    thread: str
    #: The bookings made from it.
    leads: Set[int]
    text: str
    #: True if its time or delivery ID distinguishes it from a retry of an earlier one.
    is_told_apart: bool = True
    #: True if it says only that the source's booking is now at another community.
    is_move: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """A booking in the adapter."""

    id: int
    state: BookingState
    #: The reason code for the state.
    reason: str
    #: The sentences that explain it.
    sentences: Sequence[str]
    #: The IDs of other leads in these sentences.
    names: Set[int]
    #: User actions on it: ``released``, ``discarded``, ``confirmed``.
    acts: Set[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tour:
    """One appointment in Knock."""

    id: str
    person: str
    instant: dt.datetime
    #: True if it was not canceled.
    stands: bool
    #: The ID of the tour that replaced it, ``person``, or None.
    canceled_by: str | None
    #: The leads that it may have been booked for.
    leads: Set[int]
    #: When it was booked, or None if that is unknown.
    booked_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The final state of a sequence."""

    words: Sequence[Word]
    leads: Sequence[Lead]
    tours: Sequence[Tour]
    #: Cancellations made in Knock: person and instant, and from when on a request of it is new.
    canceled_in_knock: Mapping[tuple[str, dt.datetime | None], dt.datetime] = dataclasses.field(
        default_factory=dict
    )
    #: True if there were no faults or user actions, so that no request needed review.
    is_calm: bool = False
