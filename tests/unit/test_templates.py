"""Test templates with ``{placeholder}`` names."""

import pytest

from adapter.parsing.templates import parse_template


def test_a_template_is_split_into_literals_and_placeholders() -> None:
    assert parse_template("a {b}{c.d} {{e}}") == [("a ", "b"), ("", "c.d"), (" {e}", None)]
    assert parse_template("") == [("", None)]


@pytest.mark.parametrize("text", ["{event", "event}", "{a{b}}", "{a}}", "{"])
def test_a_single_brace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a single"):
        parse_template(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a {event} b {booking.starts_at}", ["event", "booking.starts_at"]),
        ("{{event}}", []),
        ("{event!r}", ["event!r"]),
        ("{event:>9}", ["event:>9"]),
        ("{event.__class__}", ["event.__class__"]),
        ("{}", [""]),
    ],
)
def test_placeholders_are_names_and_never_followed(text: str, names: list[str]) -> None:
    assert [name for _, name in parse_template(text) if name is not None] == names
