"""What a transform is, and the register of all of them."""

import dataclasses
import difflib
import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapter.parsing.text import clean_text, single_value
from adapter.settings import Policy

#: What a reader returns when the value counts as empty.
EMPTY: Final = None

#: Takes one value; returns plain data, :data:`EMPTY` or a :class:`Noted`, or raises Unreadable.
Reader = Callable[[object], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Noted:
    """A value that was read, and a remark for the notes about what was left out of it."""

    value: object
    note: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a transform."""

    name: str
    meaning: str
    #: Makes the option's value of what the mapping says; raises ValueError with the reason.
    read: Callable[[object], Any]
    default: Any = None
    #: The words it takes, where there is a fixed choice.
    allowed: tuple[str, ...] = ()
    #: What else it takes, for people.
    takes: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One line of a transform's table: what is given, and what comes of it."""

    given: object
    gives: object = None
    note: str | None = None
    unreadable: bool = False
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """A named way of reading one value."""

    name: str
    description: str
    options: tuple[Option, ...]
    examples: tuple[Example, ...]
    read: Callable[..., object]

    def bind(self, options: Mapping[str, object], policy: Policy) -> Reader:
        """The reader for one field of a mapping.

        Raises ValueError for an unknown option or a value that the option does not take.
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
    """Registers a function under a name.

    The function takes the value, and by keyword each of the options; ``policy`` if it wants.
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
    """A check for options that take one of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return read


def text_or_empty(value: object, cap: int) -> str | None:
    """The words of one value, or of a list of one; :data:`EMPTY` where it says nothing."""
    value = single_value(value)
    return EMPTY if value is None or value == [] else clean_text(value, cap) or EMPTY


def reference() -> str:
    """All transforms as Markdown: heading, description, options, table of examples."""
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
    near = difflib.get_close_matches(name[:50], known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(known)}" if known else "; this transform has none"
