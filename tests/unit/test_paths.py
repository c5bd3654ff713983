"""Test the results, errors and speed of reading dotted paths, also with hostile data."""

import contextlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.exceptions import Unreadable
from adapter.parsing.paths import (
    MISSING,
    Path,
    closest_key,
    locate,
    path_from_text,
    set_value,
    unwrap_single,
    walk,
)
from tests.cpu_time import at_most

DATA = {
    "contact": {"email": "a@example.com", "second": None},
    "slots": {"move in": "May", "a-b": 1, "Move.in": 2, "0": "zero", "*": "star"},
    "tours": [{"id": "t1", "tags": ["x"]}, {"id": "t2", "tags": ["y", "z"]}],
    "one": [{"id": "only"}],
    "deep": [[{"id": "wrapped"}]],
    "bare": {"id": "alone"},
    "empty": [],
    "false": False,
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("contact.email", "a@example.com"),
        ("contact.second", None),
        ("contact.phone", MISSING),
        ("contact.email.more", MISSING),
        ("slots.move in", "May"),
        ("slots.a-b", 1),
        ('slots."Move.in"', 2),
        ("slots.0", "zero"),
        ('slots."0"', "zero"),
        ('slots."*"', "star"),
        ("tours.0.id", "t1"),
        ("tours.1.id", "t2"),
        ("tours.2.id", MISSING),
        ("tours.*.id", ["t1", "t2"]),
        ("tours.*.tags.*", ["x", "y", "z"]),
        ("tours.*.nothing", []),
        ("one.id", "only"),
        ("deep.id", "wrapped"),
        ("bare.0.id", "alone"),
        ("bare.*.id", ["alone"]),
        ("empty.id", MISSING),
        ("empty.*.id", []),
        ("false", False),
        ("contact.phones.*.id", []),
        ("contact.0.email", "a@example.com"),
        ('contact."0".email', MISSING),
    ],
)
def test_a_path_finds(text: str, found: object) -> None:
    assert path_from_text(text).read(DATA) == found


@pytest.mark.parametrize(
    "key",
    [
        "Full Name ",
        " Full Name",
        "Full\nName",
        "Full  Name",
        "Full\u00a0Name",
        "\ufeffFull Name",
        "Full Name\u200b",
        "Full Name\t\r\n",
    ],
)
def test_a_key_is_found_with_any_whitespace(key: str) -> None:
    for text in ("answers.Full Name", '"answers"."Full Name "', "answers.*.Full Name"):
        found = path_from_text(text).read({"answers": {"Email": "x", key: "Dana"}})
        assert found in ("Dana", ["Dana"])
    assert locate({key: "Dana"}, path_from_text("Full Name")) == [((key,), "Dana")]


def test_accents_may_be_characters_of_their_own() -> None:
    assert path_from_text("Prénom").read({"Pre\u0301nom": "Dana"}) == "Dana"


def test_the_key_as_written_comes_first_and_two_alike_are_none() -> None:
    both = {"Name": 1, "Name ": 2, " Name": 3}
    assert path_from_text("Name").read(both) == 1
    assert path_from_text('"Name "').read(both) == 2
    assert path_from_text("Name").read({"Name ": 2, " Name": 3}) is MISSING


def test_a_list_with_a_gap_is_a_list() -> None:
    data = {"leads": {"0": {"id": "a"}, "2": {"id": "b"}}, "no": {"0": 1, "x": 2}, "none": {}}
    assert path_from_text("leads.*.id").read(data) == ["a", "b"]
    assert path_from_text("leads.2.id").read(data) == "b"
    assert path_from_text("leads.1.id").read(data) is MISSING
    assert path_from_text("no.*.x").read(data) == [2], "an object counts as a list of one"
    assert path_from_text("none.*").read(data) == [{}]
    assert locate(data, path_from_text("leads.*.id")) == [
        (("leads", "0", "id"), "a"),
        (("leads", "2", "id"), "b"),
    ]


def test_walking_writes_paths_that_find_the_value() -> None:
    data = {"Full Name ": 1, 'the "best"': 2, '"quoted"': 3, "a.b": 4, "line\nbreak": 5, "*": 6}
    assert [path_from_text(path).read(data) for path, _ in walk(data)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.timed
def test_names_with_odd_whitespace_are_compared_in_bounded_time() -> None:
    data = {f"é {number} ": 1 for number in range(60_000)}
    start = time.process_time()
    for _ in range(30):
        assert path_from_text("b").read(data) is MISSING
    assert time.process_time() - start < 0.7


def test_an_ambiguous_name_says_what_to_write() -> None:
    with pytest.raises(Unreadable, match=r"this list has several items: for_each makes"):
        path_from_text("tours.id").read(DATA)


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", ".a", 'a."b', "a\nb", '"a"b.c'])
def test_an_invalid_path_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        path_from_text(text)


def test_a_similar_name_is_found() -> None:
    data = {"contact": {"e_mail": 1, "phone": 2}}
    assert closest_key(data, path_from_text("contact.email")) == "e_mail"
    assert closest_key(data, path_from_text("kontact.email")) == "contact"
    assert closest_key(data, path_from_text("contact.zzz")) is None


def test_a_name_that_only_shares_a_word_is_not_similar() -> None:
    data = {"answers": {"enter_phone": 1, "your_name": 2}}
    assert closest_key(data, path_from_text("answers.enter_name")) != "enter_phone"
    assert closest_key(data, path_from_text("answers.enter_phonne")) == "enter_phone"


@pytest.mark.timed
def test_five_thousand_hostile_keys_cost_nothing() -> None:
    data = {f"{'email' * 10}{number}": 1 for number in range(5000)}
    start = time.thread_time()
    closest_key(data, path_from_text("email"))
    assert time.thread_time() - start < at_most(0.5), "comparing names must be bounded"


def test_only_unwraps_lists_of_one() -> None:
    assert unwrap_single([["x"]]) == "x"
    assert unwrap_single("x") == "x"
    assert unwrap_single([]) is None
    with pytest.raises(Unreadable, match="this list has several items"):
        unwrap_single(["x", "y"])


def test_change_sets_values_and_creates_parents() -> None:
    data = {"a": {"b": 1}, "list": [{"c": 1}, {"c": 2}], "one": [{"d": 1}]}
    for text, value in (("a.b", 2), ("a.new.deep", 3), ("list.1.c", 4), ("one.d", 5)):
        set_value(data, path_from_text(text), value)
    assert data == {
        "a": {"b": 2, "new": {"deep": 3}},
        "list": [{"c": 1}, {"c": 4}],
        "one": [{"d": 5}],
    }
    with pytest.raises(Unreadable, match="not an object"):
        set_value({"a": "text"}, path_from_text("a.b.c"), 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab0*"), inner),
    max_leaves=10,
)


@given(JSON, st.lists(st.sampled_from(["a", "b", "0", "*", '"*"']), min_size=1, max_size=5))
def test_any_data_and_any_path_find_or_refuse(data: object, parts: list[str]) -> None:
    path = path_from_text(".".join(parts))
    with contextlib.suppress(Unreadable):
        path.read(data)
    closest_key(data, path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from("ab0*"), JSON),
    st.lists(st.sampled_from(["a", "b", "0", "²", "*", '"*"', '"0"']), min_size=1, max_size=4),
)
def test_the_fast_path_agrees_with_the_general_loop(data: object, parts: list[str]) -> None:
    path = path_from_text(".".join(parts))
    slow = path_from_text(".".join(["*", *parts]))
    try:
        found = path.read(data)
    except Unreadable:
        with pytest.raises(Unreadable):
            slow.read([data])
        return
    # A leading * returns a list, and uses the slow implementation.
    listed = [] if found is MISSING else [found]
    assert slow.read([data]) == (found if is_each(path) else listed)


def is_each(path: Path) -> bool:
    return any(part == "*" for n, part in enumerate(path.parts) if n not in path.quoted)


def test_too_many_items_are_not_read() -> None:
    path = path_from_text("*.*")
    assert len(path.read([["x"] * 5000] * 2)) == 10_000
    with pytest.raises(Unreadable, match="more than 10,000 items"):
        path.read([["x"] * 5000, ["x"] * 5001])


def test_deep_data_is_walked_without_recursion() -> None:
    data: object = "end"
    for _ in range(100_000):
        data = [data]
    assert path_from_text("a.b").read({"a": data}) is MISSING
    assert len(path_from_text("*.*").read(data)) == 1


@pytest.mark.parametrize(
    ("value", "only"), [(["a", "a", "a"], "a"), ([2, 2], 2), ([["a"]], "a"), ([], None), ("a", "a")]
)
def test_equal_items_of_a_list_count_as_one(value: object, only: object) -> None:
    assert unwrap_single(value) == only


@pytest.mark.parametrize("value", [["a", "b"], [1, True], [1, "1"], [{}, {}], [[1], [1]]])
def test_different_items_of_a_list_are_several(value: object) -> None:
    with pytest.raises(Unreadable):
        unwrap_single(value)
