"""Parse the paths in a mapping, and collect them so that they can be checked later."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Final

from adapter.mapping.engine.fields import PathLookup, Template, template_from_text
from adapter.mapping.loader.yaml_document import Document, KeyPath
from adapter.parsing.paths import Path, path_from_text

#: Sections whose paths do not read lead data.
NOT_DATA: Final = ("accept", "ignore", "cancellation", "dedupe", "respond")


@dataclasses.dataclass(frozen=True, slots=True)
class UsedPath:
    """A path in a mapping, with its position in the file."""

    path: Path
    where: KeyPath
    field: str


@dataclasses.dataclass(slots=True)
class PathRegistry:
    """All paths that occur in one mapping."""

    document: Document
    used: list[UsedPath] = dataclasses.field(default_factory=list)

    def path(self, text: str, where: KeyPath, field: str | None = None) -> Path | None:
        """Parse a path, or add a problem to the document and return None if it is invalid."""
        name = field or ".".join(where)
        try:
            path = path_from_text(text)
            if _is_template(text):
                raise ValueError(f"takes a path, not a template: remove the braces from {text!r}")
        except ValueError as exc:
            self.document.add(where, str(exc), field=name)
            return None
        self.used.append(UsedPath(path, where, name))
        return path

    def reads(self) -> Iterator[tuple[Path, str, tuple[Path, ...]]]:
        """Yield each path that reads lead data, with its position and the paths tried before it."""
        before: dict[KeyPath, tuple[Path, ...]] = {}
        for one in self.used:
            if one.where[0] in NOT_DATA:
                continue
            earlier = before.get(one.where, ()) if one.where[-1] != "all" else ()
            yield one.path, self.document.at(one.where), earlier
            before[one.where] = (*earlier, one.path)

    def lookup(
        self, texts: Iterable[str], where: KeyPath, *, collect_all: bool = False
    ) -> PathLookup:
        """Parse a field's paths. Add a problem to the document for each invalid path."""
        places = [self._place(text, where) for text in texts]
        return PathLookup(places=tuple(one for one in places if one), collect_all=collect_all)

    def _place(self, text: str, where: KeyPath) -> Path | Template | None:
        return self.template(text, where) if _is_template(text) else self.path(text, where)

    def template(self, text: str, where: KeyPath, field: str | None = None) -> Template | None:
        """Parse a template, or add a problem to the document and return None if it is invalid."""
        try:
            compiled = template_from_text(
                text, lambda name: self.path(name, where, field) or Path(name, ("",))
            )
        except ValueError as exc:
            self.document.add(where, str(exc), field=field)
            return None
        return compiled


def _is_template(text: str) -> bool:
    return "{" in text and not text.startswith('"')
