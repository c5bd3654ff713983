"""One tour for one person at one community: every case of the verdict, as a table."""

import datetime as dt

import pytest

from adapter import order
from adapter.events import Booking, BookingState
from adapter.order import Verdict, judge

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
TWO, FOUR = NOW + dt.timedelta(days=2, hours=2), NOW + dt.timedelta(days=2, hours=4)
EARLY, LATE = NOW - dt.timedelta(minutes=9), NOW - dt.timedelta(minutes=1)
PENDING, BOOKED, UNKNOWN = BookingState.PENDING, BookingState.BOOKED, BookingState.UNKNOWN


def other(
    id_: int,
    starts_at: dt.datetime | None,
    asked_at: dt.datetime,
    state: BookingState = BOOKED,
    event_id: int = 1,
) -> Booking:
    return Booking(
        id=id_,
        event_id=event_id,
        source="rentfeed",
        state=state,
        community="maple-court",
        timezone="America/Denver",
        starts_at=starts_at,
        appointment={},
        reasons=(),
        job_id=None,
        due_at=None,
        created_at=NOW,
        updated_at=NOW,
        reason=None,
        asked_at=asked_at,
        person_keys=(1,),
    )


@pytest.mark.parametrize(
    ("others", "starts_at", "asked_at", "verdict"),
    [
        ([], TWO, LATE, Verdict(state=PENDING)),
        # The same tour again.
        (
            [other(7, TWO, EARLY)],
            TWO,
            LATE,
            Verdict(state=BookingState.DUPLICATE, reason="same_person_and_time", because_of=7),
        ),
        (
            [other(7, TWO, EARLY, UNKNOWN)],
            TWO,
            LATE,
            Verdict(state=BookingState.DUPLICATE, reason="same_person_and_time", because_of=7),
        ),
        # A reschedule: the newer one goes, the older one, if it still waits, does not.
        ([other(7, TWO, EARLY)], FOUR, LATE, Verdict(state=PENDING)),
        ([other(7, TWO, EARLY, PENDING)], FOUR, LATE, Verdict(state=PENDING, replaces=(7,))),
        (
            [other(7, TWO, EARLY, PENDING), other(8, None, EARLY, PENDING)],
            FOUR,
            LATE,
            Verdict(state=PENDING, replaces=(7,)),
        ),
        # An older request that comes late never goes out after a newer one.
        (
            [other(7, FOUR, LATE)],
            TWO,
            EARLY,
            Verdict(state=BookingState.SUPERSEDED, reason="newer_request_came_first", because_of=7),
        ),
        (
            [other(7, FOUR, LATE, PENDING)],
            TWO,
            EARLY,
            Verdict(state=BookingState.SUPERSEDED, reason="newer_request_came_first", because_of=7),
        ),
        # There and back again: the first time is asked for once more, after another one.
        ([other(7, TWO, EARLY), other(8, FOUR, LATE)], TWO, NOW, Verdict(state=PENDING)),
        # The same, and what lay between has not gone out: the first still stands.
        (
            [other(7, TWO, EARLY), other(8, FOUR, LATE, PENDING)],
            TWO,
            NOW,
            Verdict(
                state=BookingState.DUPLICATE,
                reason="same_person_and_time",
                because_of=7,
                replaces=(8,),
            ),
        ),
        # A tour that is over does not count.
        ([other(7, NOW, LATE)], TWO, EARLY, Verdict(state=PENDING)),
        # Two tours of one person here in one webhook: a person must choose.
        (
            [other(7, FOUR, LATE, PENDING, event_id=2)],
            TWO,
            LATE,
            Verdict(state=BookingState.HELD, reason="two_tours_at_once", because_of=7),
        ),
    ],
)
def test_verdicts(
    others: list[Booking], starts_at: dt.datetime, asked_at: dt.datetime, verdict: Verdict
) -> None:
    found = judge(event_id=2, starts_at=starts_at, asked_at=asked_at, others=others, now=NOW)

    assert found == verdict


def test_only_what_stands_or_may_stand_is_live() -> None:
    assert set(BookingState) - set(order.LIVE) == {
        BookingState.HELD,
        BookingState.FAILED,
        BookingState.SUPERSEDED,
        BookingState.DUPLICATE,
        BookingState.EXPIRED,
        BookingState.DISCARDED,
    }
