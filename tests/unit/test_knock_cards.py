"""Test that the tours kept by Knock are predicted correctly, without a database."""

import dataclasses
import datetime as dt

import pytest

from adapter.bookings import knock_cards
from adapter.models import Booking, BookingState, Kind
from tests.rows import booking

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
EMAIL, PHONE, HOME = 1, 2, 3
#: All bookings of these tests are from one person.
SAME = range(10)


def tour(id_: int, *contacts: int, state: BookingState = BookingState.BOOKED) -> Booking:
    return booking(state, id=id_, match_keys=contacts, starts_at=NOW + dt.timedelta(days=id_))


def card(id_: int, *contacts: int) -> Booking:
    return dataclasses.replace(tour(id_, *contacts), kind=Kind.PROSPECT, starts_at=None)


@pytest.mark.parametrize(
    ("posted", "replaced", "beside"),
    [
        pytest.param([tour(1, EMAIL, PHONE)], {}, [], id="the same contacts"),
        pytest.param([tour(1, PHONE)], {}, [], id="one contact of two"),
        pytest.param([tour(1, HOME)], {}, [], id="another person's"),
        pytest.param([tour(1, EMAIL), tour(2, PHONE)], {}, [1, 2], id="two people in Knock"),
        pytest.param([card(1, EMAIL), tour(2, PHONE)], {}, [2], id="a card and a tour"),
        pytest.param([card(1, EMAIL), card(2, PHONE)], {}, [], id="two cards have no tour"),
        pytest.param(
            [tour(1, EMAIL, PHONE), tour(2, EMAIL)], {1: 2}, [], id="the first was replaced"
        ),
        pytest.param(
            [tour(1, EMAIL, PHONE), tour(2, EMAIL, state=BookingState.UNKNOWN)],
            {},
            [],
            id="what is unknown replaces nothing for certain",
        ),
        pytest.param(
            [tour(1, EMAIL), tour(2, PHONE), tour(3, EMAIL, PHONE)],
            {},
            [1, 2, 3],
            id="nobody knows which of two was replaced",
        ),
        pytest.param(
            [tour(1, EMAIL, HOME), tour(2, HOME, PHONE), tour(3, HOME, 4)],
            {1: 2, 2: 3},
            [3],
            id="both contacts were overwritten",
        ),
        pytest.param(
            [tour(1, EMAIL), tour(2, EMAIL, state=BookingState.PENDING)],
            {},
            [2],
            id="what is not sent yet would cancel the new one",
        ),
    ],
)
def test_what_knock_keeps(
    posted: list[Booking], replaced: dict[int, int], beside: list[int]
) -> None:
    assert {id_: one.id for id_, one in knock_cards.replaced(posted).items()} == replaced
    new = tour(9, EMAIL, PHONE, state=BookingState.PENDING)
    assert [one.id for one in knock_cards.left_beside(new, posted, SAME, NOW)] == beside
    assert knock_cards.left_beside(card(9, EMAIL, PHONE), posted, SAME, NOW) == []


def test_a_tour_of_someone_else_on_the_same_card_is_left() -> None:
    new, other = tour(9, PHONE, state=BookingState.PENDING), tour(1, EMAIL, PHONE)
    assert knock_cards.left_beside(new, [other], {1}, NOW) == []
    assert knock_cards.left_beside(new, [other], {2}, NOW) == [other]


def test_what_is_over_or_gone_is_not_left() -> None:
    new = tour(9, EMAIL, PHONE, state=BookingState.PENDING)
    over = dataclasses.replace(tour(1, EMAIL), starts_at=NOW)
    gone = dataclasses.replace(tour(2, PHONE), gone_at=NOW)
    assert knock_cards.left_beside(new, [over, gone], SAME, NOW) == []


def test_a_tour_that_knock_moved_to_a_later_day_may_be_left() -> None:
    new = tour(9, EMAIL, PHONE, state=BookingState.PENDING)
    moved = dataclasses.replace(tour(1, EMAIL), starts_at=NOW, moved_to=NOW + dt.timedelta(days=1))
    other = tour(2, PHONE)
    assert knock_cards.left_beside(new, [moved, other], SAME, NOW) == [moved, other]
