"""Test the precedence rules for one person's requests, without a database."""

import dataclasses
import datetime as dt
import functools
import itertools
import random
from typing import Any

import pytest

from adapter.bookings.decisions import Decision
from adapter.bookings.new_request import Repeat, decide_new
from adapter.bookings.person import NEW
from adapter.bookings.precedence import plan
from adapter.bookings.same_person import Relation, names_agree, relation
from adapter.models import Booking, BookingState, Kind
from tests.cpu_time import calls
from tests.rows import booking

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
TWO, FOUR = NOW + dt.timedelta(days=2, hours=2), NOW + dt.timedelta(days=2, hours=4)
PENDING, HELD, SENDING = BookingState.PENDING, BookingState.HELD, BookingState.SENDING
BOOKED, UNKNOWN, FAILED = BookingState.BOOKED, BookingState.UNKNOWN, BookingState.FAILED
DUPLICATE, SUPERSEDED = BookingState.DUPLICATE, BookingState.SUPERSEDED
DISCARDED, EXPIRED, SUBMITTED = (
    BookingState.DISCARDED,
    BookingState.EXPIRED,
    BookingState.SUBMITTED,
)


def at(minute: float) -> dt.datetime:
    return NOW + dt.timedelta(minutes=minute - 60)


def tour(
    id_: int, starts_at: dt.datetime, asked: float, state: BookingState = PENDING, **more: Any
) -> Booking:
    """Return Dana's tour request, made (and posted, if it was sent) at the given minute."""
    is_sent = state in (SENDING, SUBMITTED, BOOKED, UNKNOWN)
    facts: dict[str, Any] = {
        "id": id_,
        "event_id": id_,
        "starts_at": starts_at,
        "asked_at": at(asked),
        "created_at": at(asked),
        "updated_at": at(asked),
        "posted_at": at(asked) if is_sent else None,
        "match_keys": (1,),
        "appointment": {"first_name": "Dana", "last_name": "Okafor"},
    }
    return booking(state, **facts | more)


def card(id_: int, asked: float, state: BookingState = PENDING, **more: Any) -> Booking:
    return dataclasses.replace(
        tour(id_, TWO, asked, state, **more), kind=Kind.PROSPECT, starts_at=None
    )


def cancel(id_: int, asked: float, key: int = 9, **more: Any) -> Booking:
    """Return a cancellation of the booking with the given key."""
    facts = {"is_cancellation": True, "item_key": key, "match_keys": (1, key)}
    facts["reason"] = "cancellation"
    return tour(id_, TWO, asked, HELD, **facts | more)


def keyed(request: Booking, key: int = 9, content: int | None = None) -> Booking:
    keys = (*request.match_keys, key)
    return dataclasses.replace(request, item_key=key, match_keys=keys, content=content)


def planned(*requests: Booking) -> dict[int, tuple[str, str, int | None]]:
    """Apply the plan until nothing changes. Return each request's state, rule and other lead."""
    now, rows = NOW, {one.id: one for one in requests}
    changed: dict[int, tuple[str, str, int | None]] = {}
    for _ in range(5):
        decisions = plan(rows.values(), now)
        if not decisions:
            return changed
        for id_, one in decisions.items():
            rows[id_] = dataclasses.replace(
                rows[id_], state=one.state, reason=one.code, because_of=one.because_of
            )
            changed[id_] = (str(one.state), one.code, one.because_of)
    raise AssertionError("the plan never settles")


def merged(request: Booking, with_id: int, code: str = "same_person_and_time") -> Booking:
    return dataclasses.replace(request, state=DUPLICATE, reason=code, because_of=with_id)


def replaced(request: Booking, by: int) -> Booking:
    return dataclasses.replace(request, state=SUPERSEDED, reason="newer_request", because_of=by)


@pytest.mark.parametrize(
    ("requests", "plan_of_them"),
    [
        pytest.param([tour(1, TWO, 1)], {}, id="one request goes"),
        pytest.param(
            [tour(1, TWO, 1, BOOKED), tour(2, TWO, 2)],
            {2: ("duplicate", "same_person_and_time", 1)},
            id="the same tour again is booked once",
        ),
        pytest.param(
            [tour(1, TWO, 1, UNKNOWN), tour(2, TWO, 2)],
            {2: ("duplicate", "same_person_and_time", 1)},
            id="also while it is not known whether it was booked",
        ),
        pytest.param(
            [tour(1, TWO, 1), tour(2, TWO, 2)],
            {2: ("duplicate", "same_person_and_time", 1)},
            id="of two that wait the first goes",
        ),
        pytest.param([tour(1, TWO, 1, BOOKED), tour(2, FOUR, 2)], {}, id="a move goes out"),
        pytest.param(
            [tour(1, TWO, 1), tour(2, FOUR, 2)],
            {1: ("superseded", "newer_request", 2)},
            id="a move replaces what waits",
        ),
        pytest.param(
            [tour(1, FOUR, 2, BOOKED), tour(2, TWO, 1)],
            {2: ("superseded", "newer_request", 1)},
            id="an older request that arrives late never goes out",
        ),
        pytest.param(
            [tour(1, TWO, 1, BOOKED), tour(2, FOUR, 2, BOOKED), tour(3, TWO, 3)],
            {},
            id="moved back: the first tour was canceled by the second, so it goes out again",
        ),
        pytest.param(
            [tour(1, TWO, 1, BOOKED), tour(2, FOUR, 2), tour(3, TWO, 3)],
            {2: ("superseded", "newer_request", 3), 3: ("duplicate", "same_person_and_time", 1)},
            id="moved back before the move went out: the first stands",
        ),
        pytest.param(
            [tour(1, TWO, 1, BOOKED), merged(tour(2, TWO, 3), 1), tour(3, FOUR, 2)],
            {3: ("superseded", "newer_request", 2)},
            id="A, A again, B between them arrives late: A is the last word (V2)",
        ),
        pytest.param(
            [tour(1, TWO, 1, BOOKED), tour(2, FOUR, 2), tour(3, TWO, 3)],
            {2: ("superseded", "newer_request", 3), 3: ("duplicate", "same_person_and_time", 1)},
            id="B comes back unsent while A waits again: A stands and is not sent twice (V4)",
        ),
        pytest.param(
            [tour(1, TWO, 1, FAILED), tour(2, FOUR, 0.5)],
            {2: ("superseded", "newer_request", 1)},
            id="a failed last word waits for a person; an older request does not pass it",
        ),
        pytest.param(
            [tour(1, TWO, 1, FAILED), merged(tour(2, TWO, 2), 1)],
            {},
            id="a request that was merged with a failed one is not tried again",
        ),
        pytest.param(
            [tour(1, TWO, 1, FAILED), tour(2, FOUR, 2, BOOKED)],
            {1: ("superseded", "newer_request", 2)},
            id="a failed request is closed by a newer tour that stands",
        ),
        pytest.param(
            [tour(1, NOW, 1, BOOKED), tour(2, TWO, 0.5)],
            {},
            id="a tour that is over does not count",
        ),
        # Guest cards.
        pytest.param([card(1, 1, BOOKED), tour(2, TWO, 2)], {}, id="a tour follows a card"),
        pytest.param(
            [card(1, 2), tour(2, TWO, 1)],
            {1: ("superseded", "newer_request", 2)},
            id="a card that waits gives way to a tour, newer or not",
        ),
        pytest.param(
            [tour(1, TWO, 1, BOOKED), dataclasses.replace(card(NEW, 2), event_id=2)],
            {NEW: ("duplicate", "same_person_has_a_tour", 1)},
            id="no card beside a tour",
        ),
        pytest.param(
            [card(1, 1, BOOKED), card(2, 2)],
            {2: ("duplicate", "same_person_asked_before", 1)},
            id="one card is enough",
        ),
        pytest.param(
            [card(1, -60 * 24 * 31, BOOKED), card(2, 2)], {}, id="after a month it is a new lead"
        ),
        # Cancellations.
        pytest.param(
            [keyed(tour(1, TWO, 1)), cancel(2, 2)],
            {1: ("discarded", "cancelled_by_sender", 2), 2: ("discarded", "cancellation_done", 1)},
            id="what was not sent is not sent",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1, BOOKED)), cancel(2, 2)],
            {2: ("held", "cancellation", 1)},
            id="what stands in Knock is canceled there by a person",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1, BOOKED)), keyed(tour(2, FOUR, 2)), cancel(3, 3)],
            {2: ("discarded", "cancelled_by_sender", 3), 3: ("held", "cancellation", 1)},
            id="a canceled move leaves the first tour, which a person cancels",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1, BOOKED)), tour(2, FOUR, 2, BOOKED), cancel(3, 3)],
            {3: ("discarded", "cancellation_done", 1)},
            id="a tour that Knock has canceled for a newer one needs nobody",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1, BOOKED)), cancel(2, 2), keyed(tour(3, TWO, 3))],
            {
                2: ("discarded", "taken_back", 3),
                3: ("duplicate", "same_person_and_time", 1),
            },
            id="canceled and taken back: the tour stands, nobody is told to cancel it",
        ),
        pytest.param(
            [keyed(tour(2, TWO, 1)), cancel(1, 2)],
            {2: ("discarded", "cancelled_by_sender", 1), 1: ("discarded", "cancellation_done", 2)},
            id="a cancellation that arrives before its booking cancels it, by the sender's time",
        ),
        pytest.param(
            [
                keyed(tour(2, TWO, 2)),
                dataclasses.replace(cancel(3, 3), state=DUPLICATE, reason="same_delivery"),
            ],
            {},
            id="a cancellation that is delivered again cancels nothing that came since",
        ),
        pytest.param(
            [
                dataclasses.replace(cancel(3, 3), reason="repeat_or_change", because_of=2),
                keyed(tour(4, TWO, 4)),
            ],
            {3: ("discarded", "taken_back", 4)},
            id="a repeated cancellation that needs review is closed by a later request",
        ),
        pytest.param(
            [cancel(1, 2)],
            {},
            id="a cancellation of nothing known",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1)), merged(tour(2, TWO, 3), 1), cancel(3, 2)],
            {
                1: ("discarded", "cancelled_by_sender", 3),
                2: ("pending", "asked_again", 1),
                3: ("discarded", "taken_back", 2),
            },
            id="its duplicate was requested after the cancellation, so it goes out (V1)",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1)), merged(tour(2, TWO, 1.5), 1), cancel(3, 2)],
            {
                1: ("discarded", "cancelled_by_sender", 3),
                2: ("held", "original_canceled", 1),
                3: ("discarded", "cancellation_done", 1),
            },
            id="its duplicate was requested before the cancellation, so a person decides (V1)",
        ),
        pytest.param(
            [
                dataclasses.replace(tour(1, TWO, 1, DISCARDED), reason="wrong number"),
                merged(tour(2, TWO, 2), 1),
                merged(tour(3, TWO, 3), 1),
            ],
            {
                3: ("held", "original_dismissed", 1),
                2: ("duplicate", "same_person_and_time", 3),
            },
            id="a person dismisses the original: its duplicates are one lead for a person (V1)",
        ),
        pytest.param(
            [
                dataclasses.replace(tour(1, TWO, 1, DISCARDED), reason="called her", item_key=9),
                dataclasses.replace(merged(tour(2, TWO, 2), 1), item_key=9),
            ],
            {},
            id="a repeat by the same sender stays dismissed",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1)), keyed(tour(2, TWO, 2))],
            {1: ("superseded", "newer_request", 2)},
            id="a newer version by the same sender replaces what waits",
        ),
        pytest.param(
            [keyed(tour(1, TWO, 1, HELD, reason="held_by_mapping")), keyed(tour(2, TWO, 2))],
            {1: ("superseded", "newer_request", 2)},
            id="also what waits for a person",
        ),
        pytest.param(
            [
                keyed(tour(1, TWO, 1, FAILED)),
                keyed(replaced(tour(2, FOUR, 2), by=3)),
                keyed(merged(tour(3, TWO, 3), 1)),
            ],
            {},
            id="a failed request stays before a person, although its versions were merged with it",
        ),
        pytest.param(
            [tour(1, TWO, 1, HELD, reason="held_by_mapping"), tour(2, TWO, 2)],
            {},
            id="what another sender sent stays before a person",
        ),
    ],
)
def test_the_plan(
    requests: list[Booking], plan_of_them: dict[int, tuple[str, str, int | None]]
) -> None:
    assert planned(*requests) == plan_of_them


@pytest.mark.parametrize("request_", [tour(1, TWO, 1), card(1, 1)], ids=["tour", "guest card"])
@pytest.mark.parametrize("state", [PENDING, BOOKED, HELD, DISCARDED])
def test_a_request_that_its_sender_moved_to_another_community_stays_replaced(
    request_: Booking, state: BookingState
) -> None:
    moved = keyed(card(2, 2, state, community="harbor-flats", reason="held_by_mapping"))
    assert planned(keyed(replaced(request_, by=2)), moved) == {}


def test_one_of_three_guest_cards_is_sent_although_a_newer_version_arrived_last() -> None:
    """Use two versions from one sender, with a request from another sender in between."""
    first, other = keyed(card(1, 1)), merged(card(2, 3), 1, "same_person_asked_before")
    version = keyed(merged(card(3, 2), 1, "same_person_asked_before"))
    assert planned(first, other, version) == {
        1: ("superseded", "newer_request", 3),
        2: ("duplicate", "same_person_asked_before", 3),
        3: ("pending", "asked_again", 1),
    }


def test_one_guest_card_is_sent_whatever_is_stored() -> None:
    dice = random.Random(8)
    for _ in range(2000):
        cards = [keyed(card(id_, dice.randint(0, 9)), dice.choice([9, 10])) for id_ in (1, 2, 3, 4)]
        cards = [
            merged(one, 1, "same_person_asked_before")
            if one.id > 1 and dice.random() < 0.5
            else one
            for one in cards
        ]
        changed = planned(*cards)
        states = [changed.get(one.id, (str(one.state),))[0] for one in cards]
        assert states.count("pending") == 1, cards


def test_a_cancellation_that_arrives_after_it_was_taken_back_is_closed_at_once() -> None:
    again = keyed(merged(tour(2, TWO, 20), 1, "item_seen_before"))
    canceled = cancel(3, 10)
    decisions = plan([keyed(tour(1, TWO, 1, BOOKED)), again, canceled], NOW)
    assert {id_: (one.code, one.because_of) for id_, one in decisions.items()} == {
        2: ("same_person_and_time", 1),
        3: ("taken_back", 2),
    }


@pytest.mark.parametrize("reason", ["another_person", "changed_after_first", "not_proved"])
def test_a_newer_held_version_closes_the_older_held_one(reason: str) -> None:
    older = keyed(tour(1, TWO, 1, HELD, reason="another_person"))
    newer = keyed(tour(2, FOUR, 2, HELD, reason=reason))
    assert planned(older, newer) == {1: ("superseded", "newer_request", 2)}
    repeat = dataclasses.replace(newer, reason="repeat_or_change")
    assert planned(older, repeat) == {}, "it may be an old one"
    closed = [keyed(replaced(tour(1, TWO, 1), by=2)), keyed(replaced(tour(2, FOUR, 2), by=3))]
    for state in (HELD, DISCARDED):
        newest = keyed(tour(3, TWO, 3, state, reason=reason))
        assert planned(*closed, newest) == {}, "neither is sent without review"


def test_a_repeat_is_held_if_another_request_was_made_before_it() -> None:
    again = keyed(merged(tour(2, TWO, 20), 1, "item_seen_before"))
    first, elsewhere = keyed(tour(1, TWO, 1, BOOKED)), tour(3, FOUR, 10, source="other")
    assert planned(first, again, elsewhere) == {2: ("held", "repeat_or_change", 3)}
    later = dataclasses.replace(elsewhere, asked_at=at(30))
    assert planned(first, again, later) == {}


def test_a_tour_is_replaced_by_a_version_that_is_merged_at_another_community() -> None:
    there: dict[str, Any] = {"community": "harbor-flats"}
    first, other = keyed(tour(1, TWO, 1)), tour(2, FOUR, 2, source="other", **there)
    moved = merged(keyed(tour(3, FOUR, 3, **there)), 2)
    assert planned(first, other, moved) == {1: ("superseded", "newer_request", 3)}


def test_the_order_of_the_rows_does_not_matter() -> None:
    requests = [
        keyed(tour(1, TWO, 1, BOOKED)),
        tour(2, FOUR, 2),
        merged(tour(3, TWO, 3), 1),
        cancel(4, 4),
        card(5, 5),
    ]
    plans = [planned(*order) for order in itertools.permutations(requests)]
    assert all(one == plans[0] for one in plans)


def test_the_plan_settles_whatever_is_stored() -> None:
    """Check that for any mix of states, the plan is stable and sends at most one tour."""
    dice = random.Random(7)
    for _ in range(3000):
        requests = []
        for id_ in range(1, dice.randint(2, 6)):
            state = dice.choice([PENDING, HELD, BOOKED, UNKNOWN, FAILED, DUPLICATE, SUPERSEDED])
            request = tour(id_, dice.choice([TWO, FOUR]), dice.randint(0, 50), state)
            if state in (DUPLICATE, SUPERSEDED):
                request = merged(request, dice.randint(1, 5))
            if dice.random() < 0.2:
                request = dataclasses.replace(request, community="harbor-flats")
            if dice.random() < 0.4:
                request = keyed(request, dice.choice([9, 10]))
            requests.append(request if dice.random() < 0.85 else cancel(id_, dice.randint(0, 50)))
        changed = planned(*requests)
        states = {one.id: one.state for one in requests} | {
            id_: BookingState(state) for id_, (state, _, _) in changed.items()
        }
        sent = [one.community for one in requests if states[one.id] is PENDING]
        assert len(sent) == len(set(sent)), requests


def test_a_person_with_very_many_requests_costs_little_time() -> None:
    """Use 500 requests, the most that the store returns even if a hostile sender sends more."""
    few, many = (calls(functools.partial(decide_all, count)) for count in (125, 500))
    assert many < 24 * few, "the cube would be 64 times as many"
    assert many < 3_000_000


def decide_all(count: int) -> None:
    states = [HELD, PENDING, SUPERSEDED, DUPLICATE, BOOKED]
    rows = [tour(id_, [TWO, FOUR][id_ % 2], id_ / 50, states[id_ % 5]) for id_ in range(1, count)]
    rows = [
        merged(row, row.id - 1) if row.state in (SUPERSEDED, DUPLICATE) else row for row in rows
    ]
    rows = [keyed(row, 9 + row.id % 2) if row.id % 3 else row for row in rows]
    plan(rows, NOW)
    decided(tour(900, TWO, 20), *rows[: count // 2], unclear=tuple(rows[count // 2 :]))


def new(request: Booking) -> Booking:
    return dataclasses.replace(request, id=NEW, event_id=NEW)


def decided(
    request: Booking,
    *same: Booking,
    unclear: tuple[Booking, ...] = (),
    repeat: Repeat | None = None,
    has_sent_at: bool = False,
    open_sources: tuple[str, ...] = (),
) -> tuple[str, int | None] | None:
    found: Decision | None = decide_new(
        new(request),
        same,
        unclear,
        NOW,
        repeat=repeat,
        has_sent_at=has_sent_at,
        open_sources=open_sources,
    )
    return (found.code, found.because_of) if found else None


def test_some_doubts_arise_only_for_a_new_request() -> None:
    first = keyed(tour(1, TWO, 1, BOOKED), content=5)
    moved = keyed(tour(2, FOUR, 2, BOOKED), content=6)
    back = keyed(tour(3, TWO, 3), content=5)
    assert decided(back, first) == ("item_seen_before", 1)
    assert decided(back, first, moved) is None, "it was moved back"
    other_key = dataclasses.replace(moved, item_key=8, match_keys=(1, 8))
    assert decided(back, first, other_key) is None, "under another key of the sender"
    elsewhere = dataclasses.replace(other_key, source="other")
    assert decided(back, first, elsewhere) == ("repeat_or_change", 2)
    assert decided(back, first, elsewhere, has_sent_at=True) is None
    maybe = Repeat(original=first, is_certain=False)
    assert decided(back, first, moved, repeat=maybe) == ("repeat_or_change", 2)
    surely = Repeat(original=first, is_certain=True)
    assert decided(back, first, moved, repeat=surely) == ("same_delivery", 1)
    assert decided(keyed(tour(3, TWO, 1.5), content=5), first, moved) == (
        "newer_request_came_first",
        2,
    )
    retry = merged(keyed(tour(4, TWO, 2.5), content=5), 1, "same_delivery")
    assert decided(back, first, moved, retry) is None, "a retry of the first is no new request"
    dismissed = dataclasses.replace(first, state=DISCARDED, reason="called her")
    assert decided(back, dismissed) == ("dismissed_before", 1)
    assert decided(keyed(tour(3, TWO, 0.5), content=5), dismissed) == ("item_seen_before", 1)
    canceled = cancel(4, 2)
    assert decided(back, first, canceled) == ("same_person_and_time", 1), "it was taken back"
    assert decided(back, first, canceled, repeat=maybe) == ("repeat_or_change", 4)
    other_contact = dataclasses.replace(back, match_keys=(2, 9), content=7)
    assert decided(other_contact, first) == ("changed_after_first", 1)
    assert decided(other_contact, first, moved, repeat=maybe) == ("repeat_or_change", 2)
    assert decided(back, cancel(4, 2)) == ("canceled_before", 4)
    assert decided(back, cancel(4, 2), has_sent_at=True) is None
    dismissed_cancel = dataclasses.replace(cancel(4, 2), state=DISCARDED, reason="called her")
    assert decided(back, dismissed_cancel) == ("canceled_before", 4)
    twin = tour(1, FOUR, 3, event_id=NEW)
    assert decided(tour(2, TWO, 3), twin) == ("two_tours_at_once", 1)
    assert decided(tour(2, TWO, 3), unclear=(first,)) == ("another_person", 1)
    over = dataclasses.replace(first, starts_at=NOW)
    assert decided(tour(2, TWO, 3), unclear=(over,)) is None


def test_an_open_source_replaces_a_proved_one_only_by_a_person() -> None:
    def is_held(first: Booking, second: Booking, *open_sources: str) -> bool:
        return decided(second, first, open_sources=open_sources) == ("not_proved", first.id)

    def form(request: Booking) -> Booking:
        return dataclasses.replace(request, source="form")

    second = form(tour(2, FOUR, 2))
    for state in (PENDING, HELD, FAILED, BOOKED, UNKNOWN):
        first = tour(1, TWO, 1, state)
        assert is_held(first, second, "form"), state
        assert not is_held(first, second), "both are proved"
        assert not is_held(first, second, "form", first.source), "both are open"
        assert not is_held(first, second, first.source), "a proved one may replace an open one"
    for first in (
        tour(1, TWO, 1, SUPERSEDED),
        tour(1, NOW, 1, BOOKED),
        dataclasses.replace(tour(1, TWO, 1, BOOKED), gone_at=NOW),
    ):
        assert not is_held(first, second, "form"), "it does not count any more"
    booked = tour(1, FOUR, 1, BOOKED)
    assert decided(second, booked, open_sources=("form",)) == ("same_person_and_time", 1)
    late = tour(3, TWO, 1)
    assert is_held(second, late, "form"), "the open one must not outdate the proved one either"
    assert not is_held(second, late)


NAMES = [
    ("Dana Okafor", "dana okafor", True),
    ("Dana Okafor", "Okafor, Dana", True),
    ("Dana Okafor", "D. Okafor", True),
    ("Dana Okafor", "Dana Ngozi Okafor-Lind", True),
    ("José Díaz", "Jose Diaz", True),
    ("Dana Okafor", "Dana", True),
    ("Dana Okafor", "", None),
    ("Dana Okafor", "Ben Okafor", False),
    ("Dana Okafor", "Dan Okafor", False),
    ("Dana Okafor", "Dana Smith", False),
    ("Ann Bell", "Carl Dean", False),
]


@pytest.mark.parametrize(("one", "other", "agree"), NAMES)
def test_names(one: str, other: str, agree: bool | None) -> None:
    assert names_agree({"last_name": one}, {"last_name": other}) is agree
    assert names_agree({"last_name": other}, {"last_name": one}) is agree


def person(name: str, *contacts: int, item_key: int | None = None) -> Booking:
    keys = contacts if item_key is None else (*contacts, item_key)
    first, _, last = name.rpartition(" ")
    names = {"first_name": first, "last_name": last}
    return booking(PENDING, appointment=names, match_keys=keys, item_key=item_key)


@pytest.mark.parametrize(
    ("one", "other", "who"),
    [
        (person("Ann Bell", 1, 2), person("Carl Dean", 1, 2), Relation.UNCLEAR),
        (person("Ann Bell", 1, 2), person("Ann Dean", 1, 2), Relation.SAME),
        (person("Ann Bell", 1, 2), person("Bob Bell", 1, 2), Relation.SAME),
        (person("Ann Bell", 1, 2), person("Ann Bell", 1, 3), Relation.SAME),
        (person("Ann Bell", 1, 2), person("", 1), Relation.SAME),
        (person("Ann Bell", 1, 2), person("Carl Dean", 1, 3), Relation.UNCLEAR),
        (person("Ann Bell", 1), person("Carl Dean", 1), Relation.UNCLEAR),
        (person("Ann Bell", 1), person("Ann Bell", 2), Relation.DIFFERENT),
        # Requests with the same sender and key.
        (person("Ann Bell", 1, item_key=9), person("Bell, Ann", 2, item_key=9), Relation.SAME),
        (person("Ann Bell", 1, item_key=9), person("Ann", 2, item_key=9), Relation.UNCLEAR),
        (person("Ann", 1, item_key=9), person("Ann", 2, item_key=9), Relation.UNCLEAR),
        (person("Ann Bell", 1, item_key=9), person("Ann Bell", item_key=9), Relation.SAME),
        (person("Ann Bell", 1, item_key=9), person("Ann Ball", 1, item_key=9), Relation.SAME),
        (person("Ann Bell", 1, item_key=9), person("Hal Bell", 1, item_key=9), Relation.UNCLEAR),
        (person("", item_key=9), person("Ann Bell", 1, item_key=9), Relation.SAME),
        (person("Gus Hill", 1, item_key=9), person("Ida Jones", 2, item_key=9), Relation.DIFFERENT),
        (person("", 1, item_key=9), person("", 2, item_key=9), Relation.DIFFERENT),
        (
            person("Gus Hill", 1, 2, item_key=9),
            person("Ida Jones", 1, item_key=9),
            Relation.UNCLEAR,
        ),
    ],
)
def test_who_is_the_same_person(one: Booking, other: Booking, who: Relation) -> None:
    assert relation(one, other) is relation(other, one) is who


def test_after_a_restore_an_unknown_order_is_a_question() -> None:
    """Use two lost webhooks, whose requests were made at some time before their POSTs."""
    first = tour(1, TWO, 1, BOOKED, reason="restored")
    moved = tour(2, FOUR, 3, BOOKED, reason="restored")
    question, six = ("after_restore", 2), FOUR + dt.timedelta(hours=2)
    assert decided(tour(3, FOUR, 4), first, moved) == ("same_person_and_time", 2)
    assert decided(tour(3, FOUR, 2), first, moved) == ("same_person_and_time", 2)
    assert decided(tour(3, TWO, 4), first, moved) == question, "a late repeat, or moved back"
    assert decided(tour(3, TWO, 4), first, moved, has_sent_at=True) is None, "moved back"
    assert decided(tour(3, TWO, 2), first, moved) == ("newer_request_came_first", 2)
    assert decided(tour(3, six, 2), first, moved) == question, "the sent one may be older"
    assert decided(tour(3, six, 4), first, moved) is None, "another tour, requested later"
    assert decided(card(3, 2), first, moved) == ("same_person_has_a_tour", 2)
