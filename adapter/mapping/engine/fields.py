"""Fill an appointment's fields from a payload, and handle values that cannot be read."""

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from adapter.exceptions import Unreadable
from adapter.mapping.engine.conditions import absence
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.engine.tables import NO_VALUE, text_from_value
from adapter.mapping.transforms import EMPTY, Noted, Reader
from adapter.parsing.paths import MISSING, SEVERAL, Path, read, unwrap_single
from adapter.parsing.templates import parse_template
from adapter.parsing.text import CAP_ITEMS


class OnUnreadable(enum.StrEnum):
    """The ways to handle an optional value that is unreadable."""

    #: The original text goes into the notes.
    NOTE = "note"
    DROP = "drop"
    HOLD = "hold"


class FieldFiller(Protocol):
    """Fills the appointment fields that one line of a mapping defines."""

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Read values and add them to the draft, without raising an exception."""


#: Maximum length of a value in a template, in characters.
CAP_TEMPLATE_VALUE: Final = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """Text with ``{path}`` placeholders, such as a line of the notes."""

    #: As written in the mapping.
    text: str
    #: Pairs of literal text and the path that follows it, or None.
    pieces: tuple[tuple[str, Path | None], ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of all placeholders."""
        return tuple(path for _, path in self.pieces if path)

    def value(self, scope: Scope) -> str:
        """Return the text with its placeholders filled in, or "" if a placeholder has no value."""
        parts = []
        for literal, path in self.pieces:
            value = _text_at(scope, path) if path else ""
            if path and not value:
                return ""
            parts += [literal, value]
        return "".join(parts).strip()


def _text_at(scope: Scope, path: Path) -> str:
    try:
        value = scope.read(path)
    except Unreadable:
        return ""
    return "" if scope.is_empty(value) else text_from_value(value, CAP_TEMPLATE_VALUE)


def template_from_text(text: str, path_from_text: Callable[[str], Path]) -> Template:
    """Parse a template. Raise ValueError if a placeholder is invalid."""
    pieces = [
        (literal, None if name is None else path_from_text(name))
        for literal, name in parse_template(text)
    ]
    return Template(text, tuple(pieces))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PathLookup:
    """A list of alternative paths and templates. With ``collect_all``, all of them are used."""

    places: tuple[Path | Template, ...]
    collect_all: bool = False
    #: The paths, including those in templates.
    paths: tuple[Path, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Collect all paths once, because every item needs them."""
        paths = tuple(path for place in self.places for path in paths_of(place))
        object.__setattr__(self, "paths", paths)

    @property
    def text(self) -> str:
        """The paths and templates as a comma-separated string."""
        return ", ".join(place.text for place in self.places)

    def values(self, scope: Scope) -> Iterator[tuple[Path | Template, Any]]:
        """Yield each path or template that has a value in the payload, with the value.

        Raise :class:`Unreadable` if a path cannot be resolved.
        """
        for place in self.places:
            value = scope.read(place) if isinstance(place, Path) else place.value(scope)
            if not scope.is_empty(value):
                yield place, value

    def first(self, scope: Scope) -> tuple[str, Any]:
        """Return the first path that has a value, together with the value.

        If no path has a value, return all paths as text and None. Raise :class:`Unreadable` if a
        path cannot be resolved.
        """
        for place, value in self.values(scope):
            return place.text, value
        return self.text, None

    def missing(self, scope: Scope) -> str:
        """Return an error message that names the path that is missing or empty."""
        for path in self.paths:
            try:
                if scope.read(path) is MISSING:
                    return absence(scope, path)
            except Unreadable as exc:
                return str(exc)
        return f"{self.text} is empty"


@dataclasses.dataclass(frozen=True, slots=True)
class _Unresolved:
    """Marks a path as ambiguous because it passes through a list of several items."""

    why: str
    #: The values in the items of the list, or None.
    items: Any


def _value_at(scope: Scope, place: Path | Template) -> Any:
    try:
        return scope.read(place) if isinstance(place, Path) else place.value(scope)
    except Unreadable as exc:
        return _Unresolved(
            str(exc), _inner_values(scope, place) if isinstance(place, Path) else None
        )


def _inner_values(scope: Scope, path: Path) -> list[Any] | None:
    """Return the values inside the list that a path passes through, or None if there is no list."""
    for number in range(len(path.parts) - 1, 0, -1):
        try:
            items = scope.read(Path(path.text, path.parts[:number], path.quoted))
        except Unreadable:
            continue
        rest = frozenset(one - number for one in path.quoted)
        first = _as_list(items)[:CAP_ITEMS]
        values = (_read_inner(item, path.parts[number:], rest) for item in first)
        return [value for value in values if not scope.is_empty(value)]
    return None


def _read_inner(item: Any, parts: Sequence[str], quoted: frozenset[int]) -> Any:
    try:
        return read(item, parts, quoted)
    except Unreadable:
        return MISSING


def paths_of(place: Path | Template) -> tuple[Path, ...]:
    """Return the paths in a template, or a single path, as a tuple."""
    return place.paths if isinstance(place, Template) else (place,)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """A constant value (``always: …``). It is validated when the mapping is loaded."""

    name: str
    value: Any

    def fill(self, scope: Scope, draft: Draft) -> None:  # noqa: ARG002 - the protocol's
        """Set the field to its constant value."""
        draft.appointment[self.name] = self.value
        draft.checked.add(self.name)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A field whose value is read from the payload."""

    name: str
    #: The display name, such as "Move in date".
    label: str
    at: str
    lookup: PathLookup
    read: Reader
    #: Validates a value for the target field. Raises :class:`Unreadable` if it is invalid.
    check: Callable[[Any], Any]
    #: Default values by field, for payloads that have no value.
    default: Mapping[str, Any] | None = None
    required: bool = False
    #: True if the reader takes whole lists.
    takes_lists: bool = False
    unreadable: OnUnreadable = OnUnreadable.NOTE

    @property
    def paths(self) -> Sequence[Path]:
        """The paths that this field is read from."""
        return self.lookup.paths

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Set the field to the first value that is not empty, or to its default.

        If a path points to a list of several items, try the next path unless the field is required.
        """
        is_rejected = False
        for path, value in self._values(scope):
            draft.found += 1
            try:
                if isinstance(value, _Unresolved):
                    raise Unreadable(value.why)
                read = self.read(value if self.takes_lists else unwrap_single(value))
                if read is EMPTY:
                    continue
                self._put(read, draft)
            except Unreadable as exc:
                raw = value.items if isinstance(value, _Unresolved) else value
                self._reject(str(exc), path, raw, draft)
                if str(exc) == SEVERAL and not self._is_blocking:
                    is_rejected = True
                    continue
            return
        if not is_rejected:
            self._put_default(scope, draft)

    @property
    def _is_blocking(self) -> bool:
        return self.required or self.unreadable is OnUnreadable.HOLD

    def _values(self, scope: Scope) -> Iterator[tuple[str, Any]]:
        """Yield each path with a value, together with the value or the error from reading it."""
        if self.lookup.collect_all:
            yield from self._all_values(scope)
            return
        for place in self.lookup.places:
            value = _value_at(scope, place)
            if isinstance(value, _Unresolved) or not scope.is_empty(value):
                yield place.text, value

    def _all_values(self, scope: Scope) -> Iterator[tuple[str, Any]]:
        try:
            found = [value for _, value in self.lookup.values(scope)]
        except Unreadable as exc:
            yield self.lookup.text, _Unresolved(str(exc), None)
            return
        if found:
            yield self.lookup.text, [item for value in found for item in _as_list(value)]

    def _put(self, read: object, draft: Draft) -> None:
        value = read.value if isinstance(read, Noted) else read
        if value is not NO_VALUE:
            checked = self._checked(value)
            draft.appointment |= checked
            draft.checked |= checked.keys()
        if isinstance(read, Noted):
            draft.note(fact=read.note)

    def _checked(self, value: Any) -> dict[str, Any]:
        return {self.name: self.check(value)}

    def _put_default(self, scope: Scope, draft: Draft) -> None:
        if self.default is not None:
            draft.appointment |= self.default
            draft.checked |= self.default.keys()
        elif self.required:
            reason = self.lookup.missing(scope)
            draft.block(reason_for(self.name, reason, at=self.at, path=self.lookup.text))

    def _reject(self, why: str, path: str, value: object, draft: Draft) -> None:
        reason = reason_for(self.name, why, at=self.at, path=path, value=value)
        text = text_from_value(value) if self.unreadable is OnUnreadable.NOTE else ""
        fact = f"{self.label}: {text}" if text else None
        if self._is_blocking:
            draft.block(reason)
            draft.unread += [fact] if fact else []
            return
        draft.note(reason, fact)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FullName(Field):
    """A full name that is split into ``first_name`` and ``last_name``."""

    #: True if the mapping also reads first and last names, which take precedence.
    is_fallback: bool = False

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Set the first and last name, unless a previous line has set the last name."""
        if not (self.is_fallback and "last_name" in draft.appointment):
            Field.fill(self, scope, draft)

    def _checked(self, value: Any) -> dict[str, Any]:
        return dict(self.check(value))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NotesFiller:
    """Fills ``notes`` with the lines that the mapping defines."""

    lines: Sequence[Template]

    @property
    def paths(self) -> Sequence[Path]:
        """The paths of all placeholders in the notes."""
        return [path for line in self.lines for path in line.paths]

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Set the notes to the lines whose placeholders all have values."""
        texts = (line.value(scope) for line in self.lines)
        draft.lines = [text for text in texts if text]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
