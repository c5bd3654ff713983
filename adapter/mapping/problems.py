"""What is wrong with a mapping, and where: ``file:line:column: field: message``."""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

from adapter.exceptions import ConfigurationError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """One mistake; sorts in the order of the file."""

    file: str
    line: int
    column: int
    field: str
    message: str
    #: Told, and no reason not to start.
    warning: bool = False

    def as_dict(self) -> dict[str, str | int | bool]:
        """The problem as plain data, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        return f"{self.file}:{self.line}:{self.column}: {self.field}: {kind}{self.message}"


class MappingErrors(ConfigurationError):
    """The mappings have mistakes; the message is all of them, one a line, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


def unknown(noun: str, name: str, known: Sequence[str]) -> str:
    """The sentence for a word that is not in the vocabulary."""
    near = difflib.get_close_matches(name[:60], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there is {', '.join(known)}"
    return f"unknown {noun} {name[:60]!r}{hint}"
