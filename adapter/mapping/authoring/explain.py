"""Explain a mapping: for each field, where it looks and how it reads."""

import dataclasses
import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.engine import WithoutTime
from adapter.mapping.source import Source
from adapter.mapping.transforms import TRANSFORMS
from adapter.propexo.appointment import TARGETS

#: Options of a field that the middle column shows.
SHOWN_AS_PATH: Final = frozenset(
    {"from", "all", "always", "date", "time", "as", "table", "default"}
)

#: Meanings of ``without_time``.
WITHOUT_TIME: Final = {
    WithoutTime.HOLD: "held: a person picks a time",
    WithoutTime.IGNORE: "set aside",
    WithoutTime.PROSPECT: "a guest card (prospect) is made in Knock; no name is needed",
}

#: Columns of the text, and of its middle part.
WIDTH: Final = 100
WIDEST: Final = 34


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the explanation."""

    what: str
    where: str
    how: str

    def as_dict(self) -> dict[str, str]:
        """Return the row as plain data, for JSON."""
        return dataclasses.asdict(self)


def rows_from_source(source: Source) -> list[Row]:
    """Return all rows of a mapping, in the order a webhook meets them."""
    data = source.document.data
    fields = map(_field_row, data["appointment"].items())
    without_time = WithoutTime(data.get("without_time", WithoutTime.HOLD))
    last = Row("without a time", "-", WITHOUT_TIME[without_time])
    return [*_gate_rows(data), *_shape_rows(data), *fields, last]


def text_from_rows(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the rows in three columns, each wrapped between words."""
    what = max(len(row.what) for row in rows)
    where = min(WIDEST, max(len(row.where) for row in rows))
    for row in rows:
        left = textwrap.wrap(row.where, where, break_on_hyphens=False) or [""]
        right = textwrap.wrap(row.how, max(WIDTH - what - where - 6, 30)) or [""]
        names = [row.what]
        for parts in itertools.zip_longest(names, left, right, fillvalue=""):
            yield f"  {parts[0]:<{what}}  {parts[1]:<{where}}  {parts[2]}".rstrip()


def _gate_rows(data: Mapping[str, Any]) -> Iterator[Row]:
    signature = data["signature"]
    scheme = signature.get("preset") or signature.get("scheme")
    secrets = ", ".join(signature.get("secrets", [])) or "no secret"
    yield Row("signature", str(scheme), secrets)
    for section in ("ignore", "cancellation", "accept"):
        lines = data.get(section, {})
        for group in lines if isinstance(lines, list) else [lines]:
            for path, said in group.items():
                yield Row(section, path, _condition(said))


def _condition(said: Any) -> str:
    if isinstance(said, Mapping) and "empty" in said:
        return "is empty" if said["empty"] else "is not empty"
    if isinstance(said, Mapping):
        return f"is not {_words(said['not'])}"
    return f"is {_words(said)}"


def _words(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    return " or ".join(str(one).lower() if isinstance(one, bool) else str(one) for one in items)


def _shape_rows(data: Mapping[str, Any]) -> Iterator[Row]:
    for name, said in data.get("read", {}).items():
        kind = next(key for key in ("json", "list", "text") if key in said)
        how = {
            "json": "the JSON inside the text",
            "list": f"value by {said.get('by')}",
            "text": f"what follows {said.get('line')!r} in the text",
        }
        yield Row(f"read {name}", said[kind], how[kind])
    for name, path in data.get("for_each", {}).items():
        yield Row(f"for each {name}", path, "one appointment for each item, at most 50")
    yield Row("dedupe", _places(data["dedupe"], " and "), "the same values make the same booking")
    yield Row("community", *_community(data["community"]))
    if "attribution" in data:
        yield Row("attribution", _places(data["attribution"]), "looked up in communities.yaml")


def _community(said: Any) -> tuple[str, str]:
    if isinstance(said, Mapping) and "always" in said:
        return "-", f"always {said['always']}"
    said = said["from"] if isinstance(said, Mapping) else said
    return _places(said), "looked up in communities.yaml; an unknown one is held"


def _places(said: Any, between: str = ", else ") -> str:
    return between.join(map(str, said)) if isinstance(said, list) else str(said)


def _field_row(item: tuple[str, Any]) -> Row:
    name, said = item
    if name == "notes":
        lines = said if isinstance(said, list) else [said]
        return Row(name, " / ".join(lines), "each line that has something to say")
    if not isinstance(said, Mapping):
        said = {"from": said}
    if "always" in said:
        return Row(name, "-", f"always {_words(said['always'])}")
    return Row(name, _field_places(said), "; ".join(_readings(name, said)))


def _field_places(said: Mapping[str, Any]) -> str:
    if "date" in said:
        return f"{_places(said['date'])} and {_places(said['time'])}"
    if "all" in said:
        return " and ".join(said["all"])
    return _places(said["from"])


def _readings(name: str, said: Mapping[str, Any]) -> Iterator[str]:
    transform = said.get("as", TARGETS[name].transform)
    if "table" in said:
        yield "table: " + ", ".join(f"{word} → {_row(to)}" for word, to in said["table"].items())
    elif transform in TRANSFORMS:
        yield f"{transform}: {TRANSFORMS[transform].description.partition('. ')[0]}"
    elif name == "starts_at":
        yield "instant: local time is on the community's clock unless it says otherwise"
    for option, value in said.items():
        if option not in SHOWN_AS_PATH:
            yield f"{option}: {_option(value)}"
    if "default" in said:
        yield f"{_words(said['default'])} where nothing is found"
    if TARGETS[name].required:
        yield "required"


def _row(result: Any) -> str:
    return "nothing" if result == [] else _words(result)


def _option(value: Any) -> str:
    return f"from {_places(value['from'])}" if isinstance(value, Mapping) else _words(value)
