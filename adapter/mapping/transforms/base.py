"""Define the class for transforms, and a registry of transforms by name."""

import dataclasses
import difflib
import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapter.parsing.text import clean_text, single_value
from adapter.settings import Policy

#: Returned by a reader for a value that counts as empty.
EMPTY: Final = None

#: Converts a value to plain data, :data:`EMPTY` or :class:`Noted`, or raises Unreadable.
Reader = Callable[[object], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Noted:
    """A converted value, with a note about information that the conversion left out."""

    value: object
    note: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An option of a transform."""

    name: str
    meaning: str
    #: Converts the value in the mapping. Raises ValueError with the reason if it is invalid.
    read: Callable[[object], Any]
    default: Any = None
    #: The allowed values, if the option has a fixed set of them.
    allowed: tuple[str, ...] = ()
    #: Otherwise, a description of the allowed values.
    takes: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """An example in a transform's documentation, which also runs as a test."""

    given: object
    gives: object = None
    note: str | None = None
    unreadable: bool = False
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """A named function that converts a value, with its documentation."""

    name: str
    description: str
    options: tuple[Option, ...]
    examples: tuple[Example, ...]
    read: Callable[..., object]

    def bind(self, options: Mapping[str, object], policy: Policy) -> Reader:
        """Return a function that converts values with the given options.

        Raise ValueError for an unknown option or an invalid value.
        """
        known = {option.name: option for option in self.options}
        for name in options:
            if name not in known:
                raise ValueError(f"unknown option {name!r}{_hint(name, list(known))}")
        values = {
            name: option.read(options[name]) if name in options else option.default
            for name, option in known.items()
        }
        if "policy" in inspect.signature(self.read).parameters:
            values["policy"] = policy
        return functools.partial(self.read, **values)


TRANSFORMS: dict[str, Transform] = {}


def transform(
    name: str,
    *,
    description: str,
    examples: Sequence[Example],
    options: Sequence[Option] = (),
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Return a decorator that registers a function as a transform.

    The function takes the value, its options as keyword arguments, and ``policy`` if declared.
    """

    def register(read: Callable[..., object]) -> Callable[..., object]:
        TRANSFORMS[name] = Transform(
            name=name,
            description=description,
            options=tuple(options),
            examples=tuple(examples),
            read=read,
        )
        return read

    return register


def choice(*allowed: str) -> Callable[[object], str]:
    """Return a parser for an option that accepts only the given values."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return read


def text_or_empty(value: object, cap: int) -> str | None:
    """Return the cleaned text of a value or a one-item list, or :data:`EMPTY`."""
    value = single_value(value)
    return EMPTY if value is None or value == [] else clean_text(value, cap) or EMPTY


def reference() -> str:
    """Return Markdown documentation for all transforms, with their options and examples."""
    return "\n".join(_section(TRANSFORMS[name]) for name in sorted(TRANSFORMS))


def _section(entry: Transform) -> str:
    lines = [f"### `{entry.name}`", "", entry.description, ""]
    if entry.options:
        lines += ["| option | takes | meaning |", "|---|---|---|"]
        lines += [_option_row(option) for option in entry.options]
        lines += [""]
    lines += ["| given | options | gives |", "|---|---|---|"]
    lines += [_example_row(example) for example in entry.examples]
    return "\n".join([*lines, ""])


def _option_row(option: Option) -> str:
    takes = ", ".join(f"`{word}`" for word in option.allowed) or option.takes
    return f"| `{option.name}` | {takes} | {option.meaning} |"


def _example_row(example: Example) -> str:
    gives = _code(example.gives)
    if example.unreadable:
        gives = "unreadable"
    elif example.gives is EMPTY:
        gives = "empty"
    if example.note:
        gives += f", and the note “{example.note}”"
    options = ", ".join(f"`{name}: {value}`" for name, value in example.options.items())
    return f"| {_code(example.given)} | {options} | {gives} |"


def _code(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
    return f"`{text}`"


def _hint(name: str, known: list[str]) -> str:
    similar = difflib.get_close_matches(name[:50], known, n=1)
    if similar:
        return f"; did you mean {similar[0]!r}?"
    return f"; its options: {', '.join(known)}" if known else "; this transform has no options"
