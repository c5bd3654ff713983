"""Explain which payload paths each field is read from, and how the values are converted."""

import dataclasses
import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.engine import WithoutTime
from adapter.mapping.source import Source
from adapter.mapping.transforms import TRANSFORMS
from adapter.propexo.appointment import TARGETS

#: Field options that the last column omits or shows in another way.
SHOWN_ELSEWHERE: Final = frozenset(
    {"from", "all", "always", "date", "time", "as", "table", "default"}
)

#: An explanation of each value of ``without_time``.
WITHOUT_TIME: Final = {
    WithoutTime.HOLD: "held until an agent picks a time",
    WithoutTime.IGNORE: "ignored",
    WithoutTime.PROSPECT: "creates a guest card (prospect) in Knock; no name is required",
    WithoutTime.INVITE: "creates a guest card in Knock; the renter gets a link to choose a time",
}

#: Width of the output, and maximum width of its middle column.
WIDTH: Final = 100
MAX_MIDDLE_WIDTH: Final = 34


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row of the table that explains a mapping, with a field, its paths and their conversion."""

    what: str
    where: str
    how: str


#: The row for a mapping with ``check_availability``.
CHECKED: Final = Row("availability", "-", "a tour is booked only if its time is available in Knock")


def rows_from_source(source: Source) -> list[Row]:
    """Return a row for each section and field of a mapping, in processing order."""
    data = source.document.data
    fields = map(_field_row, data["appointment"].items())
    without_time = WithoutTime(data.get("without_time", WithoutTime.HOLD))
    last = Row("without a time", "-", WITHOUT_TIME[without_time])
    checks = [CHECKED] if source.checks_availability else []
    return [*_filter_rows(data), *_reshape_rows(data), *fields, *checks, last]


def text_from_rows(rows: Sequence[Row]) -> Iterator[str]:
    """Format rows as lines of a three-column table, wrapping long text."""
    what = max(len(row.what) for row in rows)
    where = min(MAX_MIDDLE_WIDTH, max(len(row.where) for row in rows))
    for row in rows:
        left = textwrap.wrap(row.where, where, break_on_hyphens=False) or [""]
        right = textwrap.wrap(row.how, max(WIDTH - what - where - 6, 30)) or [""]
        names = [row.what]
        for parts in itertools.zip_longest(names, left, right, fillvalue=""):
            yield f"  {parts[0]:<{what}}  {parts[1]:<{where}}  {parts[2]}".rstrip()


def _filter_rows(data: Mapping[str, Any]) -> Iterator[Row]:
    signature = data["signature"]
    scheme = signature.get("preset") or signature.get("scheme")
    secrets = ", ".join(signature.get("secrets", [])) or "no secret"
    yield Row("signature", str(scheme), secrets)
    for section in ("ignore", "cancellation", "accept"):
        lines = data.get(section, {})
        for group in lines if isinstance(lines, list) else [lines]:
            for path, expected in group.items():
                yield Row(section, path, _condition(expected))


def _condition(expected: Any) -> str:
    if isinstance(expected, Mapping) and "empty" in expected:
        return "is empty" if expected["empty"] else "is not empty"
    if isinstance(expected, Mapping):
        return f"is not {_values(expected['not'])}"
    return f"is {_values(expected)}"


def _values(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    return " or ".join(str(item).lower() if isinstance(item, bool) else str(item) for item in items)


def _reshape_rows(data: Mapping[str, Any]) -> Iterator[Row]:
    for name, reader in data.get("read", {}).items():
        kind = next(key for key in ("json", "xml", "list", "text") if key in reader)
        how = {
            "json": "the JSON in the text",
            "xml": "the XML in the text",
            "list": f"values, keyed by {reader.get('by')}",
            "text": _next_to(reader),
        }
        if "equals" in reader:
            how["list"] = f"the item whose {reader['by']} equals {reader['equals']}"
        if "without" in reader:
            how["text"] = "the email without quoted emails"
        if "find" in reader:
            how["text"] = f"the first sentence that mentions a {reader['find']}"
        yield Row(f"read {name}", _paths(reader[kind]), how[kind])
    for name, path in data.get("for_each", {}).items():
        yield Row(f"for each {name}", path, "one appointment per item, at most 50")
    keys = data["dedupe"] if isinstance(data["dedupe"], list) else [data["dedupe"]]
    parts = " and ".join(map(_paths, keys))
    yield Row("dedupe", parts, "the same values identify the same booking")
    if "sent_at" in data:
        yield Row("sent_at", _paths(data["sent_at"]), "a person's latest request counts")
    yield Row("community", *_community(data["community"]))
    if "attribution" in data:
        yield Row("attribution", _paths(data["attribution"]), "looked up in communities.yaml")


def _next_to(reader: Mapping[str, Any]) -> str:
    """Describe the text that a ``read:`` entry extracts, as in ``the text after 'Tour date:'``."""
    where = next((key for key in ("line", "after", "before") if key in reader), "after")
    labels = reader.get(where, "")
    quoted = map(repr, labels if isinstance(labels, list) else [labels])
    return f"the text {'before' if where == 'before' else 'after'} {' or '.join(quoted)}"


def _community(section: Any) -> tuple[str, str]:
    if isinstance(section, Mapping) and "always" in section:
        return "-", f"always {section['always']}"
    paths = section["from"] if isinstance(section, Mapping) else section
    return _paths(paths), "looked up in communities.yaml; leads for an unknown one are held"


def _paths(paths: Any) -> str:
    return ", else ".join(map(str, paths)) if isinstance(paths, list) else str(paths)


def _field_row(item: tuple[str, Any]) -> Row:
    name, field = item
    if name == "notes":
        lines = field if isinstance(field, list) else [field]
        return Row(name, " / ".join(lines), "each line whose values are not empty")
    if not isinstance(field, Mapping):
        field = {"from": field}
    if "always" in field:
        return Row(name, "-", f"always {_values(field['always'])}")
    return Row(name, _field_paths(field), "; ".join(_readings(name, field)))


def _field_paths(field: Mapping[str, Any]) -> str:
    if "date" in field:
        date = field["date"]["from"] if isinstance(field["date"], Mapping) else field["date"]
        return f"{_paths(date)} and {_paths(field['time'])}"
    if "all" in field:
        return " and ".join(field["all"])
    return _paths(field["from"])


def _readings(name: str, field: Mapping[str, Any]) -> Iterator[str]:
    transform = field.get("as", TARGETS[name].transform)
    if "table" in field:
        rows = (f"{value} → {_result(result)}" for value, result in field["table"].items())
        yield "table: " + ", ".join(rows)
    elif transform in TRANSFORMS:
        yield f"{transform}: {TRANSFORMS[transform].description.partition('. ')[0]}"
    elif name == "starts_at":
        yield "instant: in the community's time zone unless the value has an offset"
    for option, value in field.items():
        if option not in SHOWN_ELSEWHERE:
            yield f"{option}: {_option(value)}"
    if "default" in field:
        yield f"{_values(field['default'])} if no value is found"
    if TARGETS[name].required:
        yield "required"


def _result(result: Any) -> str:
    return "nothing" if result == [] else _values(result)


def _option(value: Any) -> str:
    return f"from {_paths(value['from'])}" if isinstance(value, Mapping) else _values(value)
