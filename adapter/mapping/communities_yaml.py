"""Load communities.yaml, which lists all communities and their names in each source."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from marshmallow import fields, validate

from adapter.mapping.engine import Community
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.loader.schema import StrictSchema, Texts, ZoneName, flag, load_into
from adapter.mapping.loader.yaml_document import Document, document_from_file
from adapter.mapping.problems import MappingErrors
from adapter.mapping.tour_hours import TourHours

FILE: Final = "communities.yaml"


class CommunitySchema(StrictSchema):
    """The schema for one community in communities.yaml."""

    noun = "option"
    name = fields.String()
    integration_id = fields.String(required=True, validate=validate.Length(1, 200))
    community_id = fields.String(required=True, validate=validate.Length(1, 200))
    timezone = ZoneName(required=True)
    attributions = fields.Dict(keys=fields.String(), values=fields.Raw())
    known_as = fields.Dict(keys=fields.String(), values=Texts())
    tour_hours = TourHours()
    check_availability = flag()
    pms = fields.String(validate=validate.OneOf(["yardi"]))


@dataclasses.dataclass(frozen=True, slots=True)
class Communities:
    """All communities, and the file that they were loaded from."""

    document: Document
    by_key: Mapping[str, Community]

    def aliases_of(self, source: str) -> dict[str, Community]:
        """Return a source's communities, keyed by the source's names for them."""
        return {
            key_from_value(alias) or "": community
            for community in self.by_key.values()
            for alias in community.known_as.get(source, ())
        }

    def linked_to(self, source: str) -> list[Community]:
        """Return the communities that communities.yaml links to a source."""
        return [one for one in self.by_key.values() if one.known_as.get(source)]


def examples_file(mapping: Path) -> Path:
    """Return the path of the file with made-up communities for a mapping's tests."""
    return mapping.parent / "samples" / f"{mapping.stem}.communities.yaml"


def communities_from_folder(folder: Path) -> Communities:
    """Load a folder's communities.yaml. Raise :class:`MappingErrors` if it has errors."""
    document, _ = document_from_file(folder / FILE)
    communities = communities_from_document(document)
    if document.has_errors:
        raise MappingErrors(document.problems)
    return communities


def communities_in(folder: Path) -> Mapping[str, Community]:
    """Return the communities in communities.yaml by key, or {} if the file has errors."""
    try:
        return communities_from_folder(folder).by_key
    except MappingErrors:
        return {}


def communities_from_document(document: Document) -> Communities:
    """Return a document's valid communities. Add a problem to the document for each invalid one."""
    found = {}
    data = document.data if isinstance(document.data, Mapping) else {}
    if not data and not document.problems:
        document.add((), "lists no communities: add one as shown in docs/mapping.md")
    for key, entry in data.items():
        community = _community(document, key, entry)
        if community:
            found[key] = community
    _reject_shared_aliases(document, found)
    return Communities(document, found)


def _community(document: Document, key: str, entry: Any) -> Community | None:
    loaded = load_into(document, CommunitySchema(), entry, (key,))
    if loaded is None:
        return None
    return Community(
        key=key,
        integration_id=loaded["integration_id"],
        community_id=loaded["community_id"],
        timezone=loaded["timezone"],
        attributions=dict(_attributions(document, key, loaded.get("attributions", {}))),
        known_as={source: tuple(names) for source, names in loaded.get("known_as", {}).items()},
        name=loaded.get("name", ""),
        tour_hours=loaded.get("tour_hours", {}),
        check_availability=loaded.get("check_availability", False),
        pms=loaded.get("pms", ""),
    )


def _attributions(
    document: Document, key: str, entries: Mapping[str, Any]
) -> Iterator[tuple[str, str | dict[str, str]]]:
    for source, entry in entries.items():
        if isinstance(entry, str) and entry:
            yield source, entry
        elif isinstance(entry, Mapping) and all(isinstance(one, str) for one in entry.values()):
            yield source, {key_from_value(word) or "": one for word, one in entry.items()}
        else:
            where = (key, "attributions", source)
            document.add(where, "must be an attribution ID, or a table of 'value: ID' lines")


def _reject_shared_aliases(document: Document, communities: Mapping[str, Community]) -> None:
    taken: dict[tuple[str, str | None], str] = {}
    for key, community in communities.items():
        for source, names in community.known_as.items():
            for number, name in enumerate(names):
                owner = taken.setdefault((source, key_from_value(name)), key)
                if owner != key:
                    where = (key, "known_as", source, str(number))
                    document.add(where, f"{name!r} is already a name for {owner}: remove one")
