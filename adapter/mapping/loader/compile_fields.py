"""Compile the ``appointment`` section into field fillers, and validate its constants."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.fields import (
    Constant,
    Field,
    FieldFiller,
    FullName,
    NotesFiller,
    OnUnreadable,
)
from adapter.mapping.engine.tables import Table, key_from_value
from adapter.mapping.engine.tour_time import NoTourTime, TourTime
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.schema import FieldOptions, StartSection, field_schema, load_into
from adapter.mapping.loader.yaml_document import Document, KeyPath
from adapter.mapping.problems import unknown
from adapter.mapping.transforms import TRANSFORMS, Reader
from adapter.parsing.date_formats import Format, compile_format
from adapter.propexo.appointment import FILLED_BY, TARGETS, Target
from adapter.settings import NEUTRAL_WORDS, Policy

SECTION: Final = "appointment"
#: Options that every field has, regardless of its transform.
RENT: Final = ("rent_minimum_in_cents", "rent_maximum_in_cents")
OWN_KEYS: Final = frozenset(FieldOptions._declared_fields)  # noqa: SLF001
NO_NAME: Final = (
    "nothing fills last_name, which is required: add 'name: <path>', with 'default: Unknown' if "
    "the sender does not always have it, or 'last_name: { always: Unknown }' if it never does"
)
NO_CONTACT: Final = "nothing fills email_1 or phone_1: add 'email_1: <path>' or 'phone_1: <path>'"
UNNAMED_MONEY: Final = "specify dollars or cents: add 'as: dollars' or 'as: cents'"


class FieldCompiler:
    """Compiles the ``appointment`` section of one mapping."""

    def __init__(self, document: Document, paths: PathRegistry, policy: Policy) -> None:
        self.document = document
        self.paths = paths
        self.policy = policy

    def compile(self, section: Mapping[str, Any], *, needs_name: bool = True) -> list[FieldFiller]:
        """Compile the fields. Add a problem to the document for each error.

        If ``needs_name`` is False, the mapping creates only guest cards, which need no name.
        """
        # A full name is the fallback for a name in parts, so it comes last.
        names = sorted(section, key=lambda name: name == "name" and "last_name" in section)
        found = [self._one(name, section[name]) for name in names]
        self._require_contact_and_name(section, needs_name=needs_name)
        if "starts_at" not in section:
            found.append(NoTourTime(at=self.document.at((SECTION,))))
        return [fill for fill in found if fill is not None]

    @property
    def _has_full_name(self) -> bool:
        return "name" in self.document.data.get(SECTION, {})

    def _one(self, name: str, value: Any) -> FieldFiller | None:
        where = (SECTION, name)
        if name in FILLED_BY:
            self.document.add(where, f"is filled by {FILLED_BY[name]}: remove this line")
        elif name not in TARGETS:
            self.document.add(where, unknown("field", name, list(TARGETS)))
        elif name == "starts_at":
            return self._start(value, where)
        elif name == "notes":
            return self._notes(value, where)
        else:
            return self._field(TARGETS[name], value, where)
        return None

    def _require_contact_and_name(self, section: Mapping[str, Any], *, needs_name: bool) -> None:
        if needs_name and not {"name", "last_name"} & section.keys():
            self.document.add((SECTION,), NO_NAME)
        if not {"email_1", "phone_1"} & section.keys():
            self.document.add((SECTION,), NO_CONTACT)

    def _start(self, value: Any, where: KeyPath) -> TourTime | None:
        if not isinstance(value, Mapping):
            value = {"from": value}
        loaded = load_into(self.document, StartSection(), value, where)
        if loaded is None:
            return None
        date = loaded.get("date", {})
        if ("from_" in loaded) == bool(date) or ("time" in loaded) != bool(date):
            self.document.add(where, "needs either 'from', or both 'date' and 'time'")
            return None
        paths = {"from": loaded.get("from_"), "date": date.get("from_"), "time": loaded.get("time")}
        formats, read_date = self._start_formats(loaded, date, where)
        zone, zone_from = loaded.get("timezone"), None
        if isinstance(zone, Mapping):
            zone_from = self.paths.lookup(zone["from_"], (*where, "timezone", "from"))
            zone = None
        return TourTime(
            at=self.document.at(where),
            lookups=tuple(
                self.paths.lookup(texts, (*where, key)) for key, texts in paths.items() if texts
            ),
            formats=formats,
            has_date=bool(date),
            read_date=read_date,
            zone=zone,
            zone_from=zone_from,
            dst=loaded.get("dst"),
            ignore_offset=loaded.get("ignore_offset", False),
            offset=loaded.get("offset", ""),
            takes_start="take" in loaded,
            fetch_by=self.paths.lookup(loaded["fetch_by"], (*where, "fetch_by"))
            if "fetch_by" in loaded
            else None,
        )

    def _start_formats(
        self, loaded: Mapping[str, Any], date: Mapping[str, Any], where: KeyPath
    ) -> tuple[tuple[Format, ...], Reader | None]:
        """Return the formats of the time, and a parser for a date that is parsed separately."""
        texts = loaded.get("format", ())
        try:
            is_apart = bool(date) and not any(compile_format(text).has_date for text in texts)
            if "format" in date and not is_apart:
                raise ValueError("'format' and 'date: format' both have a date: remove one")
            prefix = "YYYY-MM-DD " if is_apart else ""
            formats = tuple(_instant_format(prefix + text) for text in texts)
            options = {key: date[key] for key in ("format",) if key in date}
            return formats, TRANSFORMS["date"].bind(options, self.policy) if is_apart else None
        except ValueError as exc:
            self.document.add(where, str(exc))
            return (), None

    def _notes(self, value: Any, where: KeyPath) -> NotesFiller | None:
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            self.document.add(where, "must be a line of text or a list of lines")
            return None
        lines = []
        for number, text in enumerate(texts):
            line_at = (*where, str(number)) if isinstance(value, list) else where
            lines.append(self.paths.template(text, line_at, ".".join(where)))
        return NotesFiller(lines=[line for line in lines if line])

    def _field(self, target: Target, value: Any, where: KeyPath) -> FieldFiller | None:
        if not isinstance(value, Mapping):
            value = {"from": value}
        name = value.get("as", target.transform)
        schema = field_schema(name if isinstance(name, str) else None)
        loaded = load_into(self.document, schema(), value, where)
        if loaded is None or not self._has_one_origin(loaded, where):
            return None
        if "always" in loaded:
            value = self._checked(target, loaded["always"], (*where, "always"))
            return None if value is None else Constant(name=target.name, value=value)
        return self._read(target, loaded, where)

    def _has_one_origin(self, loaded: Mapping[str, Any], where: KeyPath) -> bool:
        origins = [key for key in ("from_", "all", "always") if key in loaded]
        if len(origins) != 1:
            self.document.add(where, "needs exactly one of 'from', 'all', 'always'")
        elif origins == ["always"] and len(loaded) > 1:
            self.document.add(where, "'always' cannot have other options: remove them")
        elif "table" in loaded and "as_" in loaded:
            self.document.add(where, "takes 'as' or 'table', not both")
        else:
            return True
        return False

    def _checked(self, target: Target, value: Any, where: KeyPath) -> Any:
        """Validate a constant and return it. If it is invalid, add a problem and return None."""
        if target.field is None:
            message = f"{target.name} cannot be a constant: set first_name and last_name instead"
            self.document.add(where, message)
            return None
        try:
            return target.check(value)
        except Unreadable as exc:
            shown = f'"{value}"' if isinstance(value, str) else value
            self.document.add(where, f"{shown}: {exc}")
            return None

    def _read(self, target: Target, loaded: Mapping[str, Any], where: KeyPath) -> Field | None:
        reader = self._reader(target, loaded, where)
        key = "all" if "all" in loaded else "from"
        texts = loaded.get("all") or loaded["from_"]
        self._reject_bare_words(target, texts, where)
        lookup = self.paths.lookup(texts, (*where, key), collect_all=key == "all")
        default = loaded.get("default")
        if default is not None:
            default = self._checked(target, default, (*where, "default"))
        if reader is None:
            return None
        kind: Callable[..., Field] = Field
        if target.name == "name":
            parts = "last_name" in self.document.data.get(SECTION, {})
            kind = functools.partial(FullName, is_fallback=parts)
        return kind(
            name=target.name,
            label=self._label(target),
            at=self.document.at(where),
            lookup=lookup,
            read=reader,
            check=_check_names if target.name == "name" else target.check,
            default=None if default is None else {target.name: default},
            required=target.required and not (target.name == "last_name" and self._has_full_name),
            takes_lists=target.many or target.name == "notes",
            unreadable=OnUnreadable(loaded.get("unreadable", OnUnreadable.NOTE)),
        )

    def _label(self, target: Target) -> str:
        """Return a field's label for the notes, or "Rent" if two fields use one rent range."""
        section = self.document.data.get(SECTION, {})
        ends = [section.get(name) for name in RENT]
        both = [one.get("from") for one in ends if isinstance(one, Mapping)]
        if target.name in RENT and len(both) == 2 and both[0] == both[1]:
            return "Rent"
        return target.label

    def _reject_bare_words(self, target: Target, texts: list[str], where: KeyPath) -> None:
        for text in texts:
            if text in NEUTRAL_WORDS.get(target.name, ()):
                self.document.add(
                    where,
                    f"{text} is read as a path in the payload; "
                    f"for a constant, write {{ always: {text} }}",
                )

    def _reader(self, target: Target, loaded: Mapping[str, Any], where: KeyPath) -> Reader | None:
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

    def _table(self, target: Target, rows: Mapping[str, Any], where: KeyPath) -> Table:
        compiled: dict[str, Any] = {}
        for word, result in rows.items():
            key = key_from_value(word) or ""
            if key in compiled:
                message = f"{word!r} already has a row (case does not matter): remove one of them"
                self.document.add((*where, word), message)
            compiled[key] = self._row(target, result, (*where, word))
        return Table(rows=compiled, many=target.many, label=target.label)

    def _row(self, target: Target, result: Any, where: KeyPath) -> Any:
        if result == []:
            return result
        if target.many and not isinstance(result, list):
            result = [result]
        return self._checked(target, result, where)


def _instant_format(text: str) -> Format:
    form = compile_format(text)
    if not form.has_date or not form.has_time:
        raise ValueError(f"{text!r} must contain a date and an hour, such as MM/DD/YYYY h:mm A")
    return form


def _check_names(names: Mapping[str, str]) -> dict[str, Any]:
    return {name: TARGETS[name].check(text) for name, text in names.items() if text}
