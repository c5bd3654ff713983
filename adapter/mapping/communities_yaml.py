"""communities.yaml: the places that tours are booked for, and what each source calls them."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from marshmallow import fields, validate

from adapter.exceptions import Unreadable
from adapter.mapping.engine import Community
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.loader.schema import StrictSchema, Texts, load_into
from adapter.mapping.loader.yaml_document import Document, document_from_file
from adapter.mapping.problems import MappingErrors
from adapter.parsing.timezones import zone_from_name

FILE: Final = "communities.yaml"


class CommunitySchema(StrictSchema):
    """One community."""

    noun = "option"
    name = fields.String()
    integration_id = fields.String(required=True, validate=validate.Length(1, 200))
    community_id = fields.String(required=True, validate=validate.Length(1, 200))
    timezone = fields.String(required=True)
    attributions = fields.Dict(keys=fields.String(), values=fields.Raw())
    known_as = fields.Dict(keys=fields.String(), values=Texts())


@dataclasses.dataclass(frozen=True, slots=True)
class Communities:
    """All communities, and where they stand, for messages."""

    document: Document
    by_key: Mapping[str, Community]

    def known_to(self, source: str) -> dict[str, Community]:
        """Community by what a source calls it."""
        return {
            key_from_value(alias) or "": community
            for community in self.by_key.values()
            for alias in community.known_as.get(source, ())
        }

    def serving(self, source: str) -> list[Community]:
        """The communities that a source knows."""
        return [one for one in self.by_key.values() if one.known_as.get(source)]


def examples_file(mapping: Path) -> Path:
    """Where the made-up communities stand that a mapping's samples speak of, if they do."""
    return mapping.parent / "samples" / f"{mapping.stem}.communities.yaml"


def communities_from_folder(folder: Path) -> Communities:
    """The communities of a folder of mappings. Raises :class:`MappingErrors`."""
    document, _ = document_from_file(folder / FILE)
    communities = communities_from_document(document)
    if document.is_wrong:
        raise MappingErrors(document.problems)
    return communities


def communities_from_document(document: Document) -> Communities:
    """The communities; what is wrong is in the document's problems."""
    found = {}
    data = document.data if isinstance(document.data, Mapping) else {}
    if not data and not document.problems:
        document.add((), "no community is listed")
    for key, entry in data.items():
        community = _community(document, key, entry)
        if community:
            found[key] = community
    _refuse_shared_names(document, found)
    return Communities(document, found)


def _community(document: Document, key: str, entry: Any) -> Community | None:
    loaded = load_into(document, CommunitySchema(), entry, (key,))
    if loaded is None:
        return None
    try:
        zone = zone_from_name(loaded["timezone"])
    except Unreadable as exc:
        document.add((key, "timezone"), f"{loaded['timezone'][:60]!r}: {exc}")
        return None
    return Community(
        key=key,
        integration_id=loaded["integration_id"],
        community_id=loaded["community_id"],
        timezone=zone,
        attributions=dict(_attributions(document, key, loaded.get("attributions", {}))),
        known_as={source: tuple(names) for source, names in loaded.get("known_as", {}).items()},
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
            document.add(where, "must be an attribution id, or a table from words to ids")


def _refuse_shared_names(document: Document, communities: Mapping[str, Community]) -> None:
    taken: dict[tuple[str, str | None], str] = {}
    for key, community in communities.items():
        for source, names in community.known_as.items():
            for number, name in enumerate(names):
                owner = taken.setdefault((source, key_from_value(name)), key)
                if owner != key:
                    where = (key, "known_as", source, str(number))
                    document.add(where, f"{name!r} is {owner} already")
