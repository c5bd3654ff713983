"""Check that every sequence of actions ends with the right tour or a lead in review.

``PEOPLE_SEQUENCES=2000 PEOPLE_SEED=7`` runs more random sequences. ``python -m tools.people``
prints the shortest ones that break a promise.
"""

import dataclasses
import datetime as dt
import os
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from adapter.models import BookingState
from adapter.store import Database
from tools.people.promises import PROMISES, broken
from tools.people.record import Lead, Record, Tour, Word
from tools.people.search import faults_of, play_random, shortest, shortest_story
from tools.people.sequences import NAMED, Draw
from tools.people.steps import ANN, BO, TOURS, Ask, Meanwhile, Play, Step, Wait
from tools.people.world import Ground

COUNT = int(os.environ.get("PEOPLE_SEQUENCES", "60"))
SEED = int(os.environ.get("PEOPLE_SEED", "1"))


@pytest.fixture(scope="module")
def ground(module_database: str) -> Iterator[Ground]:
    with Database(module_database, size=4) as opened, Ground(opened) as ground:
        yield ground


@pytest.mark.parametrize("name", NAMED)
def test_a_named_sequence_ends_as_promised(ground: Ground, name: str) -> None:
    promises, told = faults_of(ground, NAMED[name])
    assert not promises, told


def test_random_sequences_end_as_promised(ground: Ground) -> None:
    failing = play_random(ground, COUNT, SEED)
    stories = (shortest_story(ground, promise, found) for promise, found in failing.items())
    assert not failing, "\n\n".join(stories)


def test_a_seed_gives_the_same_sequences_again() -> None:
    first, again = ([draw.sequence() for _ in range(50)] for draw in (Draw(5), Draw(5)))
    assert first == again
    assert len(set(first)) == 50
    assert {type(step) for sequence in first for step in sequence} == set(get_args(Step))


def test_a_failing_sequence_is_shortened() -> None:
    long = (Wait(), Ask(BO, "B"), Meanwhile(Ask(ANN, "A", late=45.0, key="new")), Wait(3.0))

    def fails(sequence: Play) -> bool:
        return any(isinstance(step, Ask) and step.who == ANN for step in map(inner, sequence))

    assert shortest(long, fails) == (Ask(ANN, "A"),)


def inner(step: Step) -> Step:
    return step.step if isinstance(step, Meanwhile) else step


# The rules themselves, with made-up records

T0 = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
BOOKED, HELD, UNKNOWN = BookingState.BOOKED, BookingState.HELD, BookingState.UNKNOWN
DUPLICATE, SUPERSEDED = BookingState.DUPLICATE, BookingState.SUPERSEDED


def word(
    number: int, tour: str | None, lead: int, person: str = "Ann Bell", **changes: Any
) -> Word:
    known: dict[str, Any] = {
        "number": number,
        "person": person,
        "instant": TOURS[tour] if tour else None,
        "at": T0 + dt.timedelta(minutes=number),
        "thread": f"portal {person}",
        "leads": frozenset({lead}),
        "text": f"message {number}",
    }
    return Word(**known | changes)


def lead(lead_id: int, state: BookingState, *names: int, reason: str = "") -> Lead:
    return Lead(id=lead_id, state=state, reason=reason, sentences=(), names=frozenset(names))


def tour(
    letter: str, lead_id: int, person: str = "Ann Bell", canceled_by: str | None = None
) -> Tour:
    return Tour(
        id=f"tour of {lead_id}",
        person=person,
        instant=TOURS[letter],
        stands=canceled_by is None,
        canceled_by=canceled_by,
        leads=frozenset({lead_id}),
    )


#: Ann requested A and then B. B is booked.
SOUND = Record(
    words=(word(1, "A", 1001), word(2, "B", 1002)),
    leads=(lead(1001, BOOKED), lead(1002, BOOKED)),
    tours=(tour("A", 1001, canceled_by="tour of 1002"), tour("B", 1002)),
    is_calm=True,
)
OTHER = word(3, "B", 1003, person="Bo Chen")
AGAIN = word(3, "B", 1003, thread="form Ann Bell")
CANCEL = word(3, None, 1003)


def plus(one: Word, made: Lead, **changes: Any) -> Record:
    """Return the valid record with an additional message and its lead."""
    record = dataclasses.replace(SOUND, words=(*SOUND.words, one), leads=(*SOUND.leads, made))
    return dataclasses.replace(record, **changes)


SOUND_RECORDS = {
    "the newest stands": SOUND,
    "the same again": plus(AGAIN, lead(1003, DUPLICATE, 1002)),
    "canceled, and a user is asked": plus(CANCEL, lead(1003, HELD, 1002, reason="cancellation")),
    "the newest waits": plus(
        dataclasses.replace(AGAIN, instant=TOURS["C"]), lead(1003, UNKNOWN), is_calm=False
    ),
    "the older one never went out": dataclasses.replace(
        SOUND, leads=(lead(1001, SUPERSEDED, 1002), lead(1002, BOOKED)), tours=(tour("B", 1002),)
    ),
}

UNSOUND_RECORDS = {
    "at rest": plus(AGAIN, lead(1003, BookingState.PENDING)),
    "last word": plus(
        AGAIN,
        lead(1003, BOOKED),
        tours=(
            tour("B", 1002, canceled_by="person"),
            tour("B", 1003, canceled_by="tour of 1001"),
            tour("A", 1001),
        ),
    ),
    "accounted for": plus(AGAIN, lead(1003, DUPLICATE)),
    "one mail": plus(
        AGAIN,
        lead(1003, BOOKED),
        tours=(
            SOUND.tours[0],
            tour("B", 1002, canceled_by="tour of 1003"),
            tour("B", 1003),
        ),
    ),
    "kept apart": plus(
        OTHER,
        lead(1003, BOOKED),
        tours=(
            tour("C", 1003, "Bo Chen", canceled_by="tour of 1002"),
            tour("B", 1003, "Bo Chen"),
            *SOUND.tours,
        ),
    ),
    "booked is booked": plus(AGAIN, lead(1003, BOOKED)),
    "asked for a reason": plus(AGAIN, lead(1003, HELD)),
}


@pytest.mark.parametrize("name", SOUND_RECORDS)
def test_a_correct_result_breaks_no_promise(name: str) -> None:
    assert broken(SOUND_RECORDS[name]) == []


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_can_be_broken_alone(promise: str) -> None:
    assert {one.promise for one in broken(UNSOUND_RECORDS[promise])} == {promise}


@pytest.mark.parametrize(
    ("record", "promise"),
    [
        # The original of a duplicate is gone, but the duplicate is not booked.
        (plus(AGAIN, lead(1003, DUPLICATE, 1001), tours=()), "last word"),
        # A booked tour is canceled, but nothing is in review.
        (plus(CANCEL, lead(1003, BookingState.DISCARDED, 1002)), "last word"),
        # One request is canceled, and another one is dropped.
        (
            plus(
                CANCEL,
                lead(1003, DUPLICATE, 1001),
                words=(word(1, "A", 1001), word(2, "B", 1002, thread="form"), CANCEL),
                tours=(),
            ),
            "last word",
        ),
        # A request was mistaken for someone else's.
        (plus(OTHER, lead(1003, DUPLICATE, 1002)), "kept apart"),
        # A duplicate of a lead that is gone.
        (
            plus(
                AGAIN,
                lead(1003, DUPLICATE, 1001),
                leads=(
                    lead(1001, BookingState.DISCARDED, 1003),
                    lead(1002, BOOKED),
                    lead(1003, DUPLICATE, 1001),
                ),
            ),
            "accounted for",
        ),
        # A user is asked to cancel a tour that never existed in Knock.
        (
            plus(
                CANCEL,
                lead(1003, HELD, reason="cancellation"),
                leads=(
                    lead(1001, BookingState.DISCARDED, 1003),
                    lead(1002, BookingState.DISCARDED, 1003),
                    lead(1003, HELD, reason="cancellation"),
                ),
                tours=(),
            ),
            "asked for a reason",
        ),
    ],
)
def test_a_broken_promise_is_detected(record: Record, promise: str) -> None:
    assert promise in {one.promise for one in broken(record)}
