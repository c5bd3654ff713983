"""The fields of an appointment: where each looks, how it reads, what becomes of failure."""

import dataclasses
import enum
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from adapter.exceptions import Unreadable
from adapter.mapping.engine.conditions import absence
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.engine.tables import SILENT, text_from_value
from adapter.mapping.transforms import EMPTY, Noted, Reader
from adapter.parsing.paths import MISSING, Path, unwrap_single


class OnUnreadable(enum.StrEnum):
    """What becomes of an optional value that cannot be read."""

    #: What they wrote goes into the notes.
    NOTE = "note"
    DROP = "drop"
    HOLD = "hold"


class FieldFiller(Protocol):
    """One line of ``appointment:``."""

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Puts what it reads into the draft; never raises."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PathLookup:
    """Places in order: the first that is not empty counts, or all of them together."""

    paths: tuple[Path, ...]
    gather: bool = False

    @property
    def text(self) -> str:
        """The paths, for people."""
        return ", ".join(path.text for path in self.paths)

    def found(self, scope: Scope) -> Iterator[tuple[Path, Any]]:
        """What is not empty, place by place. Raises :class:`Unreadable`."""
        for path in self.paths:
            value = scope.read(path)
            if not scope.is_empty(value):
                yield path, value

    def missing(self, scope: Scope) -> str:
        """The sentence for "nothing there"."""
        for path in self.paths:
            try:
                if scope.read(path) is MISSING:
                    return absence(scope, path)
            except Unreadable as exc:
                return str(exc)
        return f"{self.text} is empty"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """``{ always: … }``: checked when the mapping loads."""

    name: str
    value: Any

    def fill(self, scope: Scope, draft: Draft) -> None:  # noqa: ARG002 - the protocol's
        """Puts the constant."""
        draft.appointment[self.name] = self.value
        draft.checked.add(self.name)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A field that is read from the payload."""

    name: str
    #: For people: "Move in date".
    label: str
    at: str
    look: PathLookup
    read: Reader
    #: What the target field takes; raises :class:`Unreadable`.
    check: Callable[[Any], Any]
    #: Field → value where nothing is found; None: there is none.
    default: Mapping[str, Any] | None = None
    required: bool = False
    #: Whether the reader takes a list as it is.
    takes_lists: bool = False
    unreadable: OnUnreadable = OnUnreadable.NOTE

    @property
    def paths(self) -> Sequence[Path]:
        """All that it reads."""
        return self.look.paths

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Reads the first place that is not empty."""
        for path, value in self._values(scope, draft):
            draft.found += 1
            try:
                read = self.read(value if self.takes_lists else unwrap_single(value))
                if read is EMPTY:
                    continue
                self._put(read, draft)
            except Unreadable as exc:
                self._refuse(str(exc), path, value, draft)
            return
        self._put_default(scope, draft)

    def _values(self, scope: Scope, draft: Draft) -> Iterator[tuple[str, Any]]:
        try:
            found = [(path.text, value) for path, value in self.look.found(scope)]
        except Unreadable as exc:
            self._refuse(str(exc), self.look.text, None, draft)
            return
        if self.look.gather and found:
            yield self.look.text, [item for _, value in found for item in _listed(value)]
        elif found:
            yield from found

    def _put(self, read: object, draft: Draft) -> None:
        value = read.value if isinstance(read, Noted) else read
        if value is not SILENT:
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
            reason = self.look.missing(scope)
            draft.block(reason_for(self.name, reason, at=self.at, path=self.look.text))

    def _refuse(self, why: str, path: str, value: object, draft: Draft) -> None:
        reason = reason_for(self.name, why, at=self.at, path=path, value=value)
        said = text_from_value(value) if self.unreadable is OnUnreadable.NOTE else ""
        fact = f"{self.label}: {said}" if said else None
        if self.required or self.unreadable is OnUnreadable.HOLD:
            draft.block(reason)
            draft.unread += [fact] if fact else []
            return
        draft.note(reason, fact)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FullName(Field):
    """``name``: one text that fills first_name and last_name."""

    def _checked(self, value: Any) -> dict[str, Any]:
        return dict(self.check(value))


#: How much of one value a line of the notes takes.
CAP_LINE_VALUE: Final = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of the notes: literal text and ``{path}``."""

    #: (text before, path or None).
    pieces: tuple[tuple[str, Path | None], ...]

    def text(self, scope: Scope) -> str:
        """The line; empty when one of its paths has nothing to say."""
        said = []
        for literal, path in self.pieces:
            said.append(literal)
            if path is None:
                continue
            value = _said(scope, path)
            if not value:
                return ""
            said.append(value)
        return "".join(said).strip()


def _said(scope: Scope, path: Path) -> str:
    try:
        value = scope.read(path)
    except Unreadable:
        return ""
    return "" if scope.is_empty(value) else text_from_value(value, CAP_LINE_VALUE)


def line_from_text(text: str, path_from_text: Callable[[str], Path]) -> Line:
    """A template, parsed once. Raises ValueError with the reason."""
    pieces: list[tuple[str, Path | None]] = []
    for literal, name, spec, conversion in string.Formatter().parse(text):
        if spec or conversion:
            raise ValueError(f"{{{name}}} takes no ':' and no '!'")
        pieces.append((literal, path_from_text(name) if name is not None else None))
    return Line(tuple(pieces))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """``notes``."""

    lines: Sequence[Line]

    @property
    def paths(self) -> Sequence[Path]:
        """All that it reads."""
        return [path for line in self.lines for _, path in line.pieces if path]

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Joins the lines that say something."""
        texts = (line.text(scope) for line in self.lines)
        draft.text = "\n".join(text for text in texts if text)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
