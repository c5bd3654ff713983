"""Parse a mapping's paths once and keep them for checking against the samples."""

import dataclasses
from collections.abc import Iterable

from adapter.mapping.engine.fields import PathLookup
from adapter.mapping.loader.yaml_document import Document, KeyPath
from adapter.parsing.paths import Path, path_from_text


@dataclasses.dataclass(frozen=True, slots=True)
class UsedPath:
    """A path and its position in the file."""

    path: Path
    where: KeyPath
    field: str


@dataclasses.dataclass(slots=True)
class PathRegistry:
    """All paths of one mapping."""

    document: Document
    used: list[UsedPath] = dataclasses.field(default_factory=list)

    def path(self, text: str, where: KeyPath, field: str | None = None) -> Path | None:
        """Return the path. If the text is not a path, return None and add a problem."""
        name = field or ".".join(where)
        try:
            path = path_from_text(text)
        except ValueError as exc:
            self.document.add(where, str(exc), field=name)
            return None
        self.used.append(UsedPath(path, where, name))
        return path

    def lookup(
        self, texts: Iterable[str], where: KeyPath, *, collect_all: bool = False
    ) -> PathLookup:
        """Return one field's lookup. Omit invalid paths and add a problem for each."""
        paths = [self.path(text, where) for text in texts]
        return PathLookup(paths=tuple(path for path in paths if path), collect_all=collect_all)
