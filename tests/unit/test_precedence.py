"""One tour for one person at one community: every case of the verdict, as a table."""

import dataclasses
import datetime as dt

import pytest

from adapter.bookings import precedence
from adapter.bookings.precedence import Decision, decide
from adapter.models import Booking, BookingState, Kind
from tests.rows import other

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
TWO, FOUR = NOW + dt.timedelta(days=2, hours=2), NOW + dt.timedelta(days=2, hours=4)
EARLY, LATE = NOW - dt.timedelta(minutes=9), NOW - dt.timedelta(minutes=1)
LONG_AGO = NOW - dt.timedelta(days=30)
PENDING, BOOKED, UNKNOWN = BookingState.PENDING, BookingState.BOOKED, BookingState.UNKNOWN


def card(id_: int, asked_at: dt.datetime, state: BookingState = BOOKED) -> Booking:
    return dataclasses.replace(other(id_, None, asked_at, state), kind=Kind.PROSPECT)


def old(booking: Booking) -> Booking:
    """The same, stored a month ago."""
    return dataclasses.replace(booking, created_at=LONG_AGO)


def dup(reason: str) -> Decision:
    return Decision(state=BookingState.DUPLICATE, reason=reason, because_of=7)


@pytest.mark.parametrize(
    ("others", "starts_at", "asked_at", "verdict"),
    [
        ([], TWO, LATE, Decision(state=PENDING)),
        # The same tour again.
        (
            [other(7, TWO, EARLY)],
            TWO,
            LATE,
            Decision(state=BookingState.DUPLICATE, reason="same_person_and_time", because_of=7),
        ),
        (
            [other(7, TWO, EARLY, UNKNOWN)],
            TWO,
            LATE,
            Decision(state=BookingState.DUPLICATE, reason="same_person_and_time", because_of=7),
        ),
        # A reschedule: the newer one goes, the older one, if it still waits, does not.
        ([other(7, TWO, EARLY)], FOUR, LATE, Decision(state=PENDING)),
        ([other(7, TWO, EARLY, PENDING)], FOUR, LATE, Decision(state=PENDING, replaces=(7,))),
        (
            [other(7, TWO, EARLY, PENDING), other(8, None, EARLY, PENDING)],
            FOUR,
            LATE,
            Decision(state=PENDING, replaces=(7,)),
        ),
        # A guest card stands in no tour's way, and one that waits gives way to it, newer or not.
        ([card(7, EARLY)], TWO, LATE, Decision(state=PENDING)),
        ([card(7, LATE, PENDING)], TWO, EARLY, Decision(state=PENDING, replaces=(7,))),
        (
            [other(6, FOUR, EARLY, PENDING), card(7, LATE, PENDING)],
            TWO,
            LATE,
            Decision(state=PENDING, replaces=(6, 7)),
        ),
        # A guest card beside a tour to come, newer or not; beside one that is over.
        ([other(7, TWO, LATE)], None, EARLY, dup("same_person_has_a_tour")),
        ([other(7, TWO, EARLY, PENDING)], None, LATE, dup("same_person_has_a_tour")),
        ([other(7, TWO, EARLY), card(8, LATE)], None, LATE, dup("same_person_has_a_tour")),
        ([other(7, NOW, EARLY)], None, LATE, Decision(state=PENDING)),
        # Beside another guest card, of these days and of long ago.
        ([], None, LATE, Decision(state=PENDING)),
        ([card(7, EARLY, PENDING)], None, LATE, dup("same_person_asked_before")),
        ([card(7, EARLY, UNKNOWN)], None, LATE, dup("same_person_asked_before")),
        ([card(7, LONG_AGO)], None, LATE, dup("same_person_asked_before")),
        ([old(card(7, LONG_AGO))], None, LATE, Decision(state=PENDING)),
        ([old(card(7, EARLY))], None, LATE, dup("same_person_asked_before")),
        # An older request that comes late never goes out after a newer one.
        (
            [other(7, FOUR, LATE)],
            TWO,
            EARLY,
            Decision(
                state=BookingState.SUPERSEDED, reason="newer_request_came_first", because_of=7
            ),
        ),
        (
            [other(7, FOUR, LATE, PENDING)],
            TWO,
            EARLY,
            Decision(
                state=BookingState.SUPERSEDED, reason="newer_request_came_first", because_of=7
            ),
        ),
        # There and back again: the first time is asked for once more, after another one.
        ([other(7, TWO, EARLY), other(8, FOUR, LATE)], TWO, NOW, Decision(state=PENDING)),
        # The same, and what lay between has not gone out: the first still stands.
        (
            [other(7, TWO, EARLY), other(8, FOUR, LATE, PENDING)],
            TWO,
            NOW,
            Decision(
                state=BookingState.DUPLICATE,
                reason="same_person_and_time",
                because_of=7,
                replaces=(8,),
            ),
        ),
        # A tour that is over does not count.
        ([other(7, NOW, LATE)], TWO, EARLY, Decision(state=PENDING)),
        # Two tours of one person here in one webhook: a person must choose.
        (
            [other(7, FOUR, LATE, PENDING, event_id=2)],
            TWO,
            LATE,
            Decision(state=BookingState.HELD, reason="two_tours_at_once", because_of=7),
        ),
    ],
)
def test_verdicts(
    others: list[Booking], starts_at: dt.datetime | None, asked_at: dt.datetime, verdict: Decision
) -> None:
    found = decide(event_id=2, starts_at=starts_at, asked_at=asked_at, others=others, now=NOW)

    assert found == verdict


@pytest.mark.parametrize(
    ("booking", "among", "is_outdated"),
    [
        (other(7, TWO, EARLY), [other(8, FOUR, LATE)], True),
        (other(7, TWO, LATE), [other(8, FOUR, EARLY)], False),
        (other(7, TWO, EARLY), [card(8, LATE)], False),
        (card(7, LATE), [other(8, FOUR, EARLY)], True),
        (card(7, LATE), [other(8, NOW, EARLY)], False),
        (card(7, EARLY), [card(8, LATE)], True),
        (card(7, LATE), [card(8, EARLY)], False),
    ],
)
def test_who_gives_way_after_a_no(
    booking: Booking, among: list[Booking], is_outdated: bool
) -> None:
    assert precedence.has_newer(booking, among, NOW) is is_outdated


def test_only_what_stands_or_may_stand_is_live() -> None:
    assert set(BookingState) - set(precedence.LIVE) == {
        BookingState.HELD,
        BookingState.FAILED,
        BookingState.SUPERSEDED,
        BookingState.DUPLICATE,
        BookingState.EXPIRED,
        BookingState.DISCARDED,
    }
