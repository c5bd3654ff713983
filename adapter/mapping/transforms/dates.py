"""Convert dates with the ``date`` transform."""

from adapter.mapping.transforms.base import EMPTY, Example, Option, text_or_empty, transform
from adapter.parsing.date_formats import Format, compile_format
from adapter.parsing.local_time import read_date
from adapter.parsing.text import CAP_NUMBER


def formats_from(value: object) -> tuple[Format, ...]:
    """Compile one or more date formats. Raise ValueError if one of them is invalid."""
    items = value if isinstance(value, list) else [value]
    texts = [text for text in items if isinstance(text, str)]
    if not texts or len(texts) < len(items):
        raise ValueError("must be a format such as MM/DD/YYYY, or a list of formats")
    return tuple(map(compile_format, texts))


def _date_formats(value: object) -> tuple[Format, ...]:
    formats = formats_from(value)
    for form in formats:
        if not form.has_date:
            raise ValueError(f"{form.text!r} must have a year, month and day")
    return formats


@transform(
    "date",
    description=(
        "A calendar date, in ISO 8601 unless `format` is set. If the value also has a time, the "
        "date is used as written, without time zone conversion. A value with a UTC time other than "
        "midnight is unreadable, because its date depends on the time zone."
    ),
    options=[
        Option(
            name="format",
            read=_date_formats,
            default=(),
            takes="a format such as `MM/DD/YYYY`, or a list of formats",
            meaning="The sender's date format. All matching formats must give the same date.",
        )
    ],
    examples=[
        Example(given="2026-05-01", gives="2026-05-01"),
        Example(given="2026-05-01T00:00:00.0", gives="2026-05-01"),
        Example(given="2026-05-01T17:30:00-06:00", gives="2026-05-01"),
        Example(given="5/1/2026", options={"format": "MM/DD/YYYY"}, gives="2026-05-01"),
        Example(
            given="May 1 2026",
            options={"format": ["YYYY-MM-DD", "MMM D YYYY"]},
            gives="2026-05-01",
        ),
        Example(given="1777593600", options={"format": "epoch"}, gives="2026-05-01"),
        Example(given="May 1st, 2026", options={"format": "MMMM D, YYYY"}, gives="2026-05-01"),
        Example(
            given="03/04/2026", options={"format": ["MM/DD/YYYY", "DD/MM/YYYY"]}, unreadable=True
        ),
        Example(given="2026-05-01T17:30:00Z", unreadable=True),
        Example(given="05/01/2026", unreadable=True),
        Example(given="ASAP", unreadable=True),
        Example(given="0001-01-01", unreadable=True),
    ],
)
def date_from(value: object, *, format: tuple[Format, ...]) -> object:  # noqa: A002
    """Convert a date to ISO 8601, such as ``2026-05-01``."""
    text = text_or_empty(value, CAP_NUMBER)
    return EMPTY if text is EMPTY else read_date(text, format).isoformat()
