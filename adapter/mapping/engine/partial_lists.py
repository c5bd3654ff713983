"""Find lists that a mapping reads only in part, as with the path ``contacts.0.name``."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.models import Reason
from adapter.parsing.paths import EACH, Path, is_index

#: Maximum number of items that a reason lists.
MAX_LISTED: Final = 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PartialList:
    """A list in the payload. The mapping reads only some of its items."""

    #: The path of the list.
    path: Path
    indexes: frozenset[int]
    #: The position of the first line that reads an item, as ``file:line``.
    at: str

    #: The paths that each line reading an item tries before that item.
    fallbacks_of: tuple[tuple[Path, ...], ...]

    def left_out(self, scope: Scope) -> Sequence[int]:
        """Return the indexes of nonempty items that the mapping does not read."""
        try:
            if not any(self._is_reached(paths, scope) for paths in self.fallbacks_of):
                return ()
            items = scope.read(self.path)
        except Unreadable:
            return ()
        if not isinstance(items, list):
            return ()
        # At a `*`, the value is not the list itself but all items, which may be lists or objects.
        lists = [one for one in items if isinstance(one, list)] if self._reads_each else [items]
        return sorted({n for one in lists for n in self._left_in(one, scope)})

    @property
    def _reads_each(self) -> bool:
        parts = enumerate(self.path.parts)
        return any(part == EACH and number not in self.path.quoted for number, part in parts)

    def _left_in(self, items: Sequence[object], scope: Scope) -> Sequence[int]:
        pairs = enumerate(items)
        return [n for n, item in pairs if n not in self.indexes and not scope.is_empty(item)]

    def _is_reached(self, paths: Iterable[Path], scope: Scope) -> bool:
        return all(scope.is_empty(scope.read(path)) for path in paths)

    def reason(self, scope: Scope) -> Reason | None:
        """Return a reason that names the unread items, or None if there are none."""
        left = self.left_out(scope)
        if not left:
            return None
        listed = ", ".join(f".{number}" for number in left[:MAX_LISTED])
        more = ", …" if len(left) > MAX_LISTED else ""
        text = f"items of this list are not read: {listed}{more}"
        return reason_for("event", text, at=self.at, path=self.path.text)


def partial_lists_from(used: Iterable[tuple[Path, str, tuple[Path, ...]]]) -> list[PartialList]:
    """Return the lists that are read only in part by the given paths.

    ``used`` are the paths that read data, each with its position and the paths tried before it.
    """
    found: dict[tuple[str, ...], PartialList] = {}
    whole: set[tuple[str, ...]] = set()
    for path, at, before in used:
        whole.add(path.parts)
        for number, part in enumerate(path.parts):
            above = path.parts[:number]
            if number in path.quoted or not above:
                continue
            if part == EACH:
                whole.add(above)
            elif is_index(part):
                new = PartialList(
                    path=_path_above(path, number),
                    indexes=frozenset({int(part)}),
                    at=at,
                    fallbacks_of=(before,),
                )
                found[above] = _combined(found[above], new) if above in found else new
    return [one for parts, one in found.items() if parts not in whole]


def _combined(one: PartialList, other: PartialList) -> PartialList:
    return dataclasses.replace(
        one,
        indexes=one.indexes | other.indexes,
        fallbacks_of=(*one.fallbacks_of, *other.fallbacks_of),
    )


def _path_above(path: Path, number: int) -> Path:
    parts = path.parts[:number]
    return Path(".".join(parts), parts, frozenset(n for n in path.quoted if n < number))
