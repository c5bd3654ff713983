"""Errors of mappings with their positions: ``file:line:column: field: message``."""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

from adapter.exceptions import ConfigurationError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """An error or warning. Problems sort in the order of the file."""

    file: str
    line: int
    column: int
    field: str
    message: str
    #: True: reported, and the mapping loads all the same.
    warning: bool = False

    @classmethod
    def of_file(cls, file: object, message: str) -> "Problem":
        """Return a problem of a file or folder as a whole."""
        return cls(file=str(file), line=1, column=1, field="file", message=message)

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        return f"{self.file}:{self.line}:{self.column}: {self.field}: {kind}{self.message}"


class MappingErrors(ConfigurationError):
    """The mappings have errors. The message lists them, one per line, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


def unknown(noun: str, name: str, known: Sequence[str]) -> str:
    """Say that a name is unknown, and suggest a similar one or list them all."""
    near = difflib.get_close_matches(name[:60], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; use one of {', '.join(known)}"
    return f"unknown {noun} {name[:60]!r}{hint}"
