"""Test notes: the limit in UTF-16 units, truncation at spaces, and the order of their parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.propexo.notes import LIMIT, append, compose, cut, units


def test_units_count_as_javascript_does() -> None:
    assert units("aé…") == 3
    assert units("🏠") == 2


@pytest.mark.parametrize(
    ("text", "limit", "result"),
    [
        ("short", 10, "short"),
        ("exactly te", 10, "exactly te"),
        ("one two three", 10, "one two…"),
        ("one two three", 8, "one two…"),
        ("one two three", 7, "one…"),
        ("unbreakable", 6, "unbre…"),
        ("🏠🏠🏠", 4, "🏠…"),
        ("ab\u0301cdef", 3, "a…"),
        ("a👩\u200d👧bcdef", 6, "a…"),
        ("first\nsecond", 9, "first…"),
        ("x", 0, ""),
    ],
)
def test_cut(text: str, limit: int, result: str) -> None:
    assert cut(text, limit) == result


def test_facts_are_kept_in_preference_to_a_long_comment() -> None:
    notes = compose(["word " * 400], ["Move in date: ASAP"])
    assert units(notes) <= LIMIT
    assert notes.endswith("word…\nMove in date: ASAP")


def test_a_short_line_is_kept_in_preference_to_a_long_one() -> None:
    notes = compose(["Subject", "A long\nemail " * 200, "Unit: 2B"], ["Move in date: ASAP"])
    assert units(notes) <= LIMIT
    assert notes.startswith("Subject\nA long")
    assert notes.endswith("…\nUnit: 2B\nMove in date: ASAP")


def test_existing_notes_are_shortened_in_their_longest_line() -> None:
    notes = append("word " * 199 + "\nUnit asked about: 2B", ["Tour type: video"])
    assert units(notes) <= LIMIT
    assert notes.endswith("…\nUnit asked about: 2B\nTour type: video")


@given(st.text(max_size=3000), st.lists(st.text(max_size=600), max_size=4))
def test_notes_always_fit(text: str, facts: list[str]) -> None:
    for lines in ([text], text.split("\n"), [text[:40], text]):
        assert units(compose(lines, facts)) <= LIMIT
    assert units(append(compose([text], []), facts)) <= LIMIT
    compose([text], facts).encode("utf-16-le", "surrogatepass")
