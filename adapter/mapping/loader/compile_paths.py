"""Paths of a mapping file: parsed once and remembered, to be looked for in the samples."""

import dataclasses
from collections.abc import Iterable

from adapter.mapping.engine.fields import PathLookup
from adapter.mapping.loader.yaml_document import Document, Where
from adapter.parsing.paths import Path, path_from_text


@dataclasses.dataclass(frozen=True, slots=True)
class UsedPath:
    """One path and where the file writes it."""

    path: Path
    where: Where
    field: str


@dataclasses.dataclass(slots=True)
class PathRegistry:
    """All paths of one mapping, by the scope they are read in."""

    document: Document
    #: Read in the scope of an item (or of the delivery).
    used: list[UsedPath] = dataclasses.field(default_factory=list)

    def path(self, text: str, where: Where, field: str | None = None) -> Path | None:
        """The path; None, and a problem, where the text is none."""
        name = field or ".".join(where)
        try:
            path = path_from_text(text)
        except ValueError as exc:
            self.document.add(where, str(exc), field=name)
            return None
        self.used.append(UsedPath(path, where, name))
        return path

    def look(
        self, texts: Iterable[str], where: Where, field: str | None = None, *, gather: bool = False
    ) -> PathLookup:
        """Where one field looks; wrong paths are left out, with a problem each."""
        found = [self.path(text, where, field) for text in texts]
        return PathLookup(paths=tuple(path for path in found if path), gather=gather)
