"""Find senders in the gallery whose webhooks have the same format as the given samples."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapter.exceptions import PayloadError
from adapter.mapping.engine import Mapped
from adapter.mapping.loader.loader import load_files
from adapter.mapping.registry import names_in
from adapter.mapping.samples import CONTENT_TYPES, content_type_of
from adapter.models import WebhookRequest, utc_now
from adapter.parsing.body import parse
from adapter.parsing.paths import leaves
from adapter.settings import Policy

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


def reading_senders(body: bytes, content_type: str, payload: Any, gallery: Path) -> list[str]:
    """Return the senders in the gallery whose mappings read a renter and a key in a body.

    This also finds a sender whose webhooks have only a few paths in common, such as those of a CRM.
    """
    request, now = WebhookRequest.from_body(body, content_type), utc_now()
    names = [one for one in names_in(gallery) if _has_sample_of(one, content_type, gallery)]
    likely = [gallery / f"{name}.yaml" for name in names]
    keys = {key for key in payload if len(key) > 2} if isinstance(payload, Mapping) else set()
    likely = [file for file in likely if any(key in file.read_text("utf-8") for key in keys)]
    sources = load_files(gallery, likely, Policy(), strict=False).sources
    return sorted(name for name, one in sources.items() if _reads_renter(one.map(request, now=now)))


def _has_sample_of(name: str, content_type: str, gallery: Path) -> bool:
    kind = content_type.partition(";")[0]
    files = (gallery / "samples").glob(f"{name}*")
    return any(CONTENT_TYPES.get(one.suffix, "").partition(";")[0] == kind for one in files)


def _reads_renter(mapped: Mapped) -> bool:
    """Return True if a mapping finds a name, a contact and a dedupe key."""
    found = {field for item in mapped.items for field in item.appointment}
    has_renter = "last_name" in found and bool({"email_1", "phone_1"} & found)
    return has_renter and bool(mapped.dedupe_key)


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
