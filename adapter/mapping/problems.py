"""Describe errors in mappings, in the format ``file:line:column: field: message``."""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

from adapter.exceptions import ConfigurationError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """An error or warning in a mapping. Problems sort by file and position."""

    file: str
    line: int
    column: int
    field: str
    message: str
    #: True for a warning, which is reported but does not keep the mapping from loading.
    warning: bool = False

    @classmethod
    def of_file(cls, file: object, message: str, *, warning: bool = False) -> "Problem":
        """Create a problem that concerns a whole file or folder."""
        return cls(file=str(file), line=1, column=1, field="file", message=message, warning=warning)

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        return f"{self.file}:{self.line}:{self.column}: {self.field}: {kind}{self.message}"


class MappingErrors(ConfigurationError):
    """Raised if mappings have errors. The message lists all errors, one per line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


def unknown(noun: str, name: str, known: Sequence[str]) -> str:
    """Return an error message for an unknown name. Suggest a similar name, or list all names."""
    near = difflib.get_close_matches(name[:60], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; use one of {', '.join(known)}"
    return f"unknown {noun} {name[:60]!r}{hint}"
