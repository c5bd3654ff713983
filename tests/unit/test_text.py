"""Test cleaning text and detecting empty values."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapter.exceptions import Unreadable
from adapter.parsing.text import as_items, clean_text, is_empty, readable_json, single_value
from tests.short_ids import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Dana", "Dana"),
        ("  Dana \t\n Okafor ", "Dana Okafor"),
        ("", ""),
        (" \u00a0\u2028", ""),
        (302, "302"),
        (-1, "-1"),
        (2.0, "2.0"),
        (1234.56, "1234.56"),
        (1e22, "10000000000000000000000"),
        (2**65, "36893488147419103232"),
        ("e\u0301", "é"),
        ("a\x00b", "ab"),
        ("a\x00 \x07b", "a b"),
        ("a\ud800b", "ab"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("\ufeffDana", "Dana"),
        ("\ue000private", "private"),
        ("line\r\nbreak\x85here", "line break here"),
        # Characters as programs escape them
        ("Se&aacute;n O&#039;Brien", "Seán O'Brien"),
        ("Cats &amp; dogs &quot;ok&quot;?", 'Cats & dogs "ok"?'),
        ("O&amp;#39;Brien, O&amp;amp;apos;Brien, O&#x27;Brien", "O'Brien, O'Brien, O'Brien"),
        ("Dana&nbsp;Okafor&#8203;", "Dana Okafor"),
        ("dana&#64;example.com", "dana@example.com"),
        ("AT&T, R&D; &unknown; ?unit=1&copy=2&lt=3", "AT&T, R&D; &unknown; ?unit=1&copy=2&lt=3"),
        ("&notit; &ltd;", "&notit; &ltd;"),
        ("&#0;&#55296;", "\ufffd\ufffd"),
        (r"O\'Brien, O\\'Brien, 1\/2", "O'Brien, O'Brien, 1/2"),
        (r"Jos\u00e9", "José"),
        (r"C:\Users", r"C:\Users"),
        ("JosÃ© itâ€™s", "José it\u2019s"),
        ("Ã\x81lvarez", "Álvarez"),
        ("JOÃO MAÇÃ, Â¿qué?", "JOÃO MAÇÃ, Â¿qué?"),
        ("王小明", "王小明"),
    ],
    ids=shown,
)
def test_clean_text_is_one_line(value: object, text: str) -> None:
    assert clean_text(value, 100) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "expected text, but got true or false"),
        ([], "expected text, but got a list"),
        (["a"], "expected text, but got a list"),
        ({"a": 1}, "expected text, but got an object"),
        ({}, "expected text"),
        (None, "expected text"),
        (float("nan"), "not a number"),
        (float("1e400"), "not a number"),
        (1e300, "longer than 100 characters"),
        ("x" * 101, "longer than 100 characters"),
        ("x" * 1_000_000, "longer than 100 characters"),
        (" " * 1001, "longer than 100 characters"),
        ("\u0315\u0300" * 500_000, "longer than 100 characters"),
    ],
    ids=shown,
)
def test_clean_text_rejects_other_types(value: object, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        clean_text(value, 100)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_five_thousand_digits_is_unreadable(sign: int) -> None:
    with pytest.raises(Unreadable, match="longer than 100 characters"):
        clean_text(sign * 10**5000, 100)


def test_the_cap_counts_what_is_left_after_cleaning() -> None:
    assert clean_text("x" * 100 + " " * 800, 100) == "x" * 100
    assert clean_text("e\u0301" * 100, 100) == "é" * 100


def test_accents_piled_on_one_letter_are_cut() -> None:
    # Unbounded, this takes more than a minute: normalizing is quadratic in the accents.
    assert len(clean_text("a" + "\u0315\u0300" * 150_000, 300_000)) == 30


def test_errors_never_quote_the_value() -> None:
    with pytest.raises(Unreadable) as caught:
        clean_text("dana@example.com" * 20, 100)
    assert "dana" not in str(caught.value)


@settings(deadline=None)  # a busy machine is not a failure
@example("\x80Â¡")  # without the control character, the rest looks like misread UTF-8
@example("A\u0302¡")  # composed, it looks like misread UTF-8
@given(st.text(max_size=300))
def test_clean_text_can_be_stored_anywhere(text: str) -> None:
    clean = clean_text(text, 3000)
    clean.encode()
    assert "\x00" not in clean
    assert clean == clean_text(clean, 3000), "cleaning twice changes nothing"


@pytest.mark.parametrize(
    "value", [None, "", " \n", "\x00\u200b", [], [""], [None, " "], [[]], "\u3000"]
)
def test_blank_values_are_empty(value: object) -> None:
    assert is_empty(value)


@pytest.mark.parametrize(
    "value",
    [0, 0.0, False, "0", "false", "x", [0], [False], ["", "x"], {}, {"a": None}, "x" * 10_000],
    ids=shown,
)
def test_zero_and_false_are_values(value: object) -> None:
    assert not is_empty(value)


@given(st.text(max_size=50))
def test_a_text_without_visible_characters_is_empty(text: str) -> None:
    assert is_empty(text) == (clean_text(text, 200) == "")


def test_a_senders_fillers_are_empty() -> None:
    blanks = {"- / -", "(not provided)", "0001-01-01", "0"}
    assert is_empty(" - / - ", blanks)
    assert is_empty(["(not provided)"], blanks)
    assert is_empty(0, blanks), "a filler may be a number"
    assert not is_empty("2026-05-01", blanks)
    assert not is_empty(False, blanks), "false is not the number 0"


def test_a_long_list_is_not_searched_for_a_value() -> None:
    assert not is_empty([""] * 100_000)


def test_items_are_the_first_fifty_that_say_something() -> None:
    assert as_items("a") == ["a"]
    assert as_items(["a", "", None, 0]) == ["a", 0]
    assert as_items([]) == as_items(None) == []
    assert as_items(list(range(1000))) == list(range(50))


def test_a_list_of_one_is_its_item() -> None:
    assert single_value(["a"]) == "a"
    assert single_value(["a", "b"]) == ["a", "b"]
    assert single_value([]) == []
    assert single_value("a") == "a"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r'"s\u00e1bado, \u00bfpuedo?"', '"sábado, ¿puedo?"'),
        (r'"\u001b[2J \u202e \ud83d"', r'"\u001b[2J \u202e \ud83d"'),
        (r'"a \\u00e1"', r'"a \\u00e1"'),
        (r'"cut off \u00e', r'"cut off \u00e'),
    ],
)
def test_json_is_shown_with_accents_but_without_control_characters(text: str, shown: str) -> None:
    assert readable_json(text) == shown
