"""``appointment:`` to what fills an appointment, with every constant put through its target."""

import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.fields import (
    Constant,
    Field,
    FieldFiller,
    FullName,
    Lines,
    OnUnreadable,
)
from adapter.mapping.engine.fields import line_from_text as line_from_template
from adapter.mapping.engine.tables import Table, key_from_value
from adapter.mapping.engine.tour_time import NoTourTime, TourTime
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.schema import FieldOptions, StartSection, field_schema, load_into
from adapter.mapping.loader.yaml_document import Document, Where
from adapter.mapping.problems import unknown
from adapter.mapping.transforms import TRANSFORMS, Reader
from adapter.parsing.date_formats import Format, compile_format
from adapter.parsing.paths import Path
from adapter.parsing.timezones import zone_from_name
from adapter.propexo.appointment import FILLED_BY, TARGETS, Target
from adapter.settings import NEUTRAL_WORDS, Policy

SECTION: Final = "appointment"
#: Keys of a field that are not options of its transform.
OWN_KEYS: Final = frozenset(FieldOptions._declared_fields)  # noqa: SLF001
UNNAMED_MONEY: Final = "say whether this is dollars or cents: add 'as: dollars' or 'as: cents'"


class FieldCompiler:
    """Turns the fields of one mapping into what fills an appointment."""

    def __init__(self, document: Document, places: PathRegistry, policy: Policy) -> None:
        self.document = document
        self.places = places
        self.policy = policy

    def fills(self, section: Mapping[str, Any], *, needs_name: bool = True) -> list[FieldFiller]:
        """Everything that fills, and a problem for everything that is wrong.

        A sender of guest cards only needs no name.
        """
        found = [self._one(name, value) for name, value in section.items()]
        self._refuse_gaps(section, needs_name=needs_name)
        if "starts_at" not in section:
            found.append(NoTourTime(at=self.document.at((SECTION,))))
        return [fill for fill in found if fill is not None]

    def _one(self, name: str, value: Any) -> FieldFiller | None:
        where = (SECTION, name)
        if name in FILLED_BY:
            self.document.add(where, f"{name} is filled by {FILLED_BY[name]}")
        elif name not in TARGETS:
            self.document.add(where, unknown("field", name, list(TARGETS)))
        elif name == "starts_at":
            return self._start(value, where)
        elif name == "notes":
            return self._lines(value, where)
        else:
            return self._field(TARGETS[name], value, where)
        return None

    def _refuse_gaps(self, section: Mapping[str, Any], *, needs_name: bool) -> None:
        if "name" in section:
            for name in ("first_name", "last_name"):
                if name in section:
                    self.document.add((SECTION, name), f"{name} is filled by 'name' already")
        elif needs_name and "last_name" not in section:
            self.document.add((SECTION,), "nothing fills last_name, which is required")
        if not {"email_1", "phone_1"} & section.keys():
            self.document.add(
                (SECTION,), "nothing fills email_1 or phone_1, and one of them is required"
            )

    def _start(self, value: Any, where: Where) -> TourTime | None:
        if not isinstance(value, Mapping):
            value = {"from": value}
        loaded = load_into(self.document, StartSection(), value, where)
        if loaded is None:
            return None
        if ("from_" in loaded) == ("date" in loaded) or ("time" in loaded) != ("date" in loaded):
            self.document.add(where, "needs either 'from', or both 'date' and 'time'")
            return None
        keys = [key for key in ("from_", "date", "time") if key in loaded]
        zone, zone_from = self._zone(loaded.get("timezone"), (*where, "timezone"))
        return TourTime(
            at=self.document.at(where),
            looks=tuple(self._look(loaded[key], (*where, key.rstrip("_"))) for key in keys),
            formats=self._formats(loaded.get("format", ()), where),
            zone=zone,
            zone_from=zone_from,
            dst=loaded.get("dst"),
            ignore_offset=loaded.get("ignore_offset", False),
            must_agree=loaded.get("offset") in ("must_agree", "own_clock"),
            doubts_z=loaded.get("offset") == "own_clock",
            fetch_by=self._look(loaded["fetch_by"], (*where, "fetch_by"))
            if "fetch_by" in loaded
            else None,
        )

    def _look(self, texts: list[str], where: Where) -> Any:
        return self.places.look(texts, where)

    def _zone(self, value: Any, where: Where) -> tuple[zoneinfo.ZoneInfo | None, Any]:
        if isinstance(value, Mapping):
            return None, self._look(value["from_"], (*where, "from"))
        if value is None:
            return None, None
        try:
            return zone_from_name(value), None
        except Unreadable as exc:
            self.document.add(where, f"{value[:60]!r}: {exc}")
            return None, None

    def _formats(self, texts: Iterable[str], where: Where) -> tuple[Format, ...]:
        formats = []
        for text in texts:
            try:
                formats.append(compile_format(text))
                _check_instant(formats[-1])
            except ValueError as exc:
                self.document.add(where, str(exc))
        return tuple(formats)

    def _lines(self, value: Any, where: Where) -> Lines | None:
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            self.document.add(where, "must be a line, or a list of lines")
            return None
        lines = []
        for number, text in enumerate(texts):
            place = (*where, str(number)) if isinstance(value, list) else where
            try:
                lines.append(line_from_template(text, self._path_reader(place)))
            except ValueError as exc:
                self.document.add(place, str(exc), field=".".join(where))
        return Lines(lines=lines)

    def _path_reader(self, where: Where) -> Callable[[str], Path]:
        def path_from(text: str) -> Path:
            path = self.places.path(text, where, ".".join((SECTION, "notes")))
            return path or Path(text, ("",))

        return path_from

    def _field(self, target: Target, value: Any, where: Where) -> FieldFiller | None:
        if not isinstance(value, Mapping):
            value = {"from": value}
        name = value.get("as", target.transform)
        schema = field_schema(name if isinstance(name, str) else None)
        loaded = load_into(self.document, schema(), value, where)
        if loaded is None or not self._is_one_way(loaded, where):
            return None
        if "always" in loaded:
            return self._constant(target, loaded["always"], (*where, "always"))
        return self._read(target, loaded, where)

    def _is_one_way(self, loaded: Mapping[str, Any], where: Where) -> bool:
        ways = [key.rstrip("_") for key in ("from_", "all", "always") if key in loaded]
        if len(ways) != 1:
            self.document.add(where, "needs one of 'from', 'all', 'always'")
        elif ways == ["always"] and len(loaded) > 1:
            self.document.add(where, "'always' stands alone")
        elif "table" in loaded and "as_" in loaded:
            self.document.add(where, "takes 'as' or 'table', not both")
        else:
            return True
        return False

    def _constant(self, target: Target, value: Any, where: Where) -> Constant | None:
        checked = self._checked(target, value, where)
        return None if checked is None else Constant(name=target.name, value=checked)

    def _checked(self, target: Target, value: Any, where: Where) -> Any:
        """A constant as the target takes it; None, and a problem, where it does not."""
        if target.field is None:
            self.document.add(where, f"{target.name} takes no constant; give first and last name")
            return None
        try:
            return target.check(value)
        except Unreadable as exc:
            shown = f'"{value}"' if isinstance(value, str) else value
            self.document.add(where, f"{shown}: {exc}")
            return None

    def _read(self, target: Target, loaded: Mapping[str, Any], where: Where) -> Field | None:
        reader = self._reader(target, loaded, where)
        key = "all" if "all" in loaded else "from"
        texts = loaded.get("all") or loaded["from_"]
        self._refuse_bare_words(target, texts, where)
        look = self.places.look(texts, (*where, key), gather=key == "all")
        default = loaded.get("default")
        if default is not None:
            default = self._checked(target, default, (*where, "default"))
        if reader is None:
            return None
        kind = FullName if target.name == "name" else Field
        return kind(
            name=target.name,
            label=target.label,
            at=self.document.at(where),
            look=look,
            read=reader,
            check=_check_names if target.name == "name" else target.check,
            default=None if default is None else {target.name: default},
            required=target.required,
            takes_lists=target.many or target.name == "notes",
            unreadable=OnUnreadable(loaded.get("unreadable", OnUnreadable.NOTE)),
        )

    def _refuse_bare_words(self, target: Target, texts: list[str], where: Where) -> None:
        for text in texts:
            if text in NEUTRAL_WORDS.get(target.name, ()):
                self.document.add(
                    where,
                    f"{text} is read as a place in the payload; "
                    f"for a constant write {{ always: {text} }}",
                )

    def _reader(self, target: Target, loaded: Mapping[str, Any], where: Where) -> Reader | None:
        if "table" in loaded:
            return self._table(target, loaded["table"], (*where, "table"))
        name = loaded.get("as_", target.transform)
        if name is None:
            self.document.add(where, UNNAMED_MONEY)
            return None
        if name == "table":
            words = NEUTRAL_WORDS[target.name]
            return Table(rows={word: word for word in words}, many=target.many, label=target.label)
        options = {key: value for key, value in loaded.items() if key not in OWN_KEYS}
        try:
            return TRANSFORMS[name].bind(options, self.policy)
        except ValueError as exc:
            self.document.add(where, str(exc))
            return None

    def _table(self, target: Target, rows: Mapping[str, Any], where: Where) -> Table:
        made: dict[str, Any] = {}
        for word, result in rows.items():
            key = key_from_value(word) or ""
            if key in made:
                self.document.add((*where, word), f"{word!r} has a row already")
            made[key] = self._row(target, result, (*where, word))
        return Table(rows=made, many=target.many, label=target.label)

    def _row(self, target: Target, result: Any, where: Where) -> Any:
        if result == []:
            return result
        if target.many and not isinstance(result, list):
            result = [result]
        return self._checked(target, result, where)


def _check_instant(made: Format) -> None:
    if not made.has_date or not made.has_time:
        raise ValueError(f"{made.text!r} needs a date and an hour")


def _check_names(names: Mapping[str, str]) -> dict[str, Any]:
    return {name: TARGETS[name].check(text) for name, text in names.items() if text}
