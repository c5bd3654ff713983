"""The gallery: mappings of real senders with samples and tests, there to be copied from."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import adapter
from adapter import signatures
from adapter.mapping.engine import WithoutTime
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.registry import load
from adapter.mapping.source import Source
from adapter.settings import Policy

#: The gallery's folder, beside the mappings that are in use.
FOLDER: Final = "gallery"
#: Of a sender that names the lead and tells nothing of it.
IDS_ONLY: Final = "ids only"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a person chooses by: one sender of the gallery."""

    name: str
    description: str
    family: str
    #: The preset of its signature, or the scheme.
    signature: str
    #: The paths that tell a repeat.
    event_id: tuple[str, ...]
    #: What its webhooks can hold: ``bookable``, ``lead only`` or ``ids only``.
    holds: str
    #: What becomes of one without a tour time, by this mapping: ``guest card`` or ``waits``.
    without_time: str
    #: Where its shape was seen.
    shape: str
    docs: str
    #: The whole ``about`` section.
    about: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain data, for JSON."""
        return dataclasses.asdict(self)


def gallery_of(mappings: Path) -> Path:
    """The gallery beside some mappings, else the project's own.

    Raises :class:`MappingErrors` where there is neither.
    """
    project = Path(adapter.__file__).parents[1] / "mappings"
    places = [folder / FOLDER for folder in (mappings, project)]
    for place in places:
        if place.is_dir():
            return place
    looked = " or ".join(map(str, dict.fromkeys(places)))
    text = f"the gallery is not here: looked for {looked}; it comes with the project's source"
    raise MappingErrors(
        [Problem(file=str(places[0]), line=1, column=1, field="file", message=text)]
    )


def entries(gallery: Path, policy: Policy) -> list[Entry]:
    """All senders of the gallery by family and name. Raises :class:`MappingErrors`."""
    found = map(entry_from_source, load(gallery, policy).values())
    return sorted(found, key=lambda entry: (entry.family, entry.name))


def entry_from_source(source: Source) -> Entry:
    """What a mapping says of its sender."""
    about, holds = source.sections.get("about", {}), _held_by(source.sections)
    makes_cards = source.compiled.without_time is WithoutTime.PROSPECT and holds != IDS_ONLY
    return Entry(
        name=source.name,
        description=source.description,
        family=about.get("family", ""),
        signature=source.signature.get("preset") or signatures.scheme_of(source.signature),
        event_id=tuple(path.text for path in source.compiled.dedupe.paths),
        holds=holds,
        without_time="guest card" if makes_cards else "waits",
        shape=about.get("shape", ""),
        docs=source.docs,
        about=about,
    )


def _held_by(sections: Mapping[str, Any]) -> str:
    """Whether there is a place for a tour time, and whether the first sample has all to fetch."""
    if "starts_at" not in sections["appointment"]:
        return "lead only"
    first = sections["tests"][0].get("held", {}).get("event", "")
    return IDS_ONLY if first.startswith("needs_enrichment") else "bookable"
