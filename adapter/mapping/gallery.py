"""Provide the gallery, a collection of ready-made mappings for well-known senders."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import adapter
from adapter import signatures
from adapter.mapping.registry import load
from adapter.mapping.source import Source
from adapter.settings import Policy

_INSTALLED = Path(adapter.__file__).parent / "mappings"
#: The mappings that come with the adapter. In a checkout, they are next to the package.
BUNDLED: Final = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "mappings"
#: Name of the folder inside ``mappings`` that holds the gallery.
FOLDER: Final = "gallery"
#: The value of ``holds`` for webhooks that contain only IDs.
IDS_ONLY: Final = "ids only"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A sender in the gallery, with the details that users need to choose a mapping."""

    name: str
    description: str
    family: str
    #: The preset or scheme of its signature.
    signature: str
    #: The paths under ``dedupe``.
    event_id: tuple[str, ...]
    #: The data in its webhooks: ``bookable``, ``lead only`` or ``ids only``.
    holds: str
    #: How leads without a tour time are handled: ``guest card`` or ``held``.
    without_time: str
    #: The origin of its sample payloads: ``traffic`` or ``documentation``.
    shape: str
    docs: str
    #: The whole ``about`` section.
    about: Mapping[str, str]


def gallery_folder(mappings: Path) -> Path:
    """Return the gallery folder inside ``mappings`` if it exists, otherwise the bundled gallery."""
    own = mappings / FOLDER
    return own if own.is_dir() else BUNDLED / FOLDER


def entries(gallery: Path, policy: Policy) -> list[Entry]:
    """Return all senders in the gallery, sorted by family and name.

    Raise :class:`MappingErrors` if a mapping has errors.
    """
    found = map(entry_from_source, load(gallery, policy).values())
    return sorted(found, key=lambda entry: (entry.family, entry.name))


def entry_from_source(source: Source) -> Entry:
    """Return the gallery entry for a mapping."""
    about, holds = source.sections.get("about", {}), _content_of(source.sections)
    makes_cards = source.compiled.without_time.makes_cards and holds != IDS_ONLY
    return Entry(
        name=source.name,
        description=source.description,
        family=about.get("family", ""),
        signature=source.signature.get("preset") or signatures.scheme_of(source.signature),
        event_id=tuple(lookup.text for lookup in source.compiled.dedupe),
        holds=holds,
        without_time="guest card" if makes_cards else "held",
        shape=about.get("shape", ""),
        docs=source.docs,
        about=about,
    )


def _content_of(sections: Mapping[str, Any]) -> str:
    """Return the kind of data that a sender provides: "bookable", "lead only" or "ids only"."""
    if "starts_at" not in sections["appointment"]:
        return "lead only"
    first = sections["tests"][0].get("held", {}).get("event", "")
    return IDS_ONLY if first.startswith("needs_enrichment") else "bookable"
