"""Parse a mapping's paths once and keep them for checking against the samples."""

import dataclasses
from collections.abc import Iterable

from adapter.mapping.engine.fields import PathLookup, Template, template_from_text
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
        places = [self._place(text, where) for text in texts]
        return PathLookup(places=tuple(one for one in places if one), collect_all=collect_all)

    def _place(self, text: str, where: KeyPath) -> Path | Template | None:
        is_template = "{" in text and not text.startswith('"')
        return self.template(text, where) if is_template else self.path(text, where)

    def template(self, text: str, where: KeyPath, field: str | None = None) -> Template | None:
        """Return the template. If it is invalid, return None and add a problem."""
        try:
            compiled = template_from_text(
                text, lambda name: self.path(name, where, field) or Path(name, ("",))
            )
        except ValueError as exc:
            self.document.add(where, str(exc), field=field)
            return None
        return compiled
