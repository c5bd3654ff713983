"""What a sequence came to: the words of people, the leads made of them, and the tours in Knock."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence, Set

from adapter.models import BookingState

#: States that need review.
WAITING = frozenset(
    {BookingState.HELD, BookingState.FAILED, BookingState.UNKNOWN, BookingState.EXPIRED}
)
#: States that a booking leaves without a person.
MOVING = frozenset({BookingState.PENDING, BookingState.SENDING, BookingState.SUBMITTED})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One message of a person, however often it was delivered."""

    number: int
    #: Who, at which community: Knock keeps one tour for each.
    person: str
    #: The start of the requested tour; None: a cancellation.
    instant: dt.datetime | None
    #: When it was sent by the sender's own clock, or when it first arrived.
    at: dt.datetime
    #: The booking at the source that it is about. A later word of it replaces an earlier one.
    thread: str
    #: The bookings that were made of it.
    leads: Set[int]
    text: str
    #: Its source tells it from a retry of an earlier one: by a time, or by the delivery's ID.
    is_told_apart: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """One booking of the adapter."""

    id: int
    state: BookingState
    #: The code that explains the state.
    reason: str
    #: The sentences that explain it.
    sentences: Sequence[str]
    #: The IDs of other leads in these sentences.
    names: Set[int]
    #: What users did with it: ``released``, ``discarded``, ``confirmed``.
    acts: Set[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tour:
    """One appointment in Knock."""

    id: str
    person: str
    instant: dt.datetime
    #: Not canceled.
    stands: bool
    #: The ID of the tour that replaced it, ``person``, or None.
    canceled_by: str | None
    #: The leads that it may have been booked for.
    leads: Set[int]
    #: None: not known.
    booked_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The end of a sequence."""

    words: Sequence[Word]
    leads: Sequence[Lead]
    tours: Sequence[Tour]
    #: Cancellations of the people's own, in Knock: person and instant.
    canceled_in_knock: Collection[tuple[str, dt.datetime]] = ()
    #: Nothing went wrong, nobody interfered: every request could be decided without a person.
    is_calm: bool = False
