"""Find senders in the gallery whose webhooks have the same format as the given samples."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from adapter.exceptions import PayloadError
from adapter.mapping.registry import names_in
from adapter.mapping.samples import CONTENT_TYPES, content_type_of
from adapter.parsing.body import parse
from adapter.parsing.paths import leaves

#: Minimum share and number of common paths for two webhooks to have the same format.
ALIKE: Final = 0.4
FEWEST_COMMON: Final = 4
#: The same for paths inside objects, which are less common than ``email`` and ``phone``.
ALIKE_INSIDE: Final = 0.2
FEWEST_INSIDE: Final = 6
#: Maximum difference from the best share for a sender to be included too.
TIE: Final = 0.02


def similar_senders(payloads: Sequence[Any], gallery: Path) -> list[str]:
    """Return the senders in the gallery whose samples share the most paths with the payloads."""
    given = [*map(_paths, payloads)]
    shares: dict[str, float] = {}
    for name, paths in _gallery_paths(gallery):
        best = max((_share(one, paths) for one in given), default=0)
        shares[name] = max(best, shares.get(name, 0))
    most = max(shares.values(), default=0)
    return sorted(name for name, one in shares.items() if one and one >= most - TIE)


def _gallery_paths(gallery: Path) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the sender's name and the set of paths for each sample in the gallery."""
    names = sorted(names_in(gallery), key=len, reverse=True)
    for file in sorted((gallery / "samples").glob("*")):
        name = next((one for one in names if file.name.startswith(one)), None)
        if name and file.suffix in CONTENT_TYPES:
            raw = file.read_bytes()
            try:
                yield name, _paths(parse(raw, content_type_of(file, raw)))
            except PayloadError:
                continue


def _paths(payload: Any) -> frozenset[str]:
    return frozenset(re.sub(r"\.\d+(?=\.|$)", "", path) for path, _ in leaves(payload))


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the fraction of paths that two samples share, or 0 if it is too low for a match."""
    common = one & other
    share = len(common) / len(one | other) if common else 0
    inside = sum("." in path for path in common)
    is_alike = share >= ALIKE and len(common) >= FEWEST_COMMON
    is_alike_inside = share >= ALIKE_INSIDE and inside >= FEWEST_INSIDE
    return share if is_alike or is_alike_inside else 0
