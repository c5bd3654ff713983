"""Combine the mappings and communities from files with the changes from the console.

The newest change takes precedence. A mapping from the console is used until the file that it
replaced changes. A name in communities.yaml takes precedence over an alias.
"""

import dataclasses
import hashlib
import zoneinfo
from collections.abc import Mapping

from adapter.mapping.engine import Community
from adapter.mapping.loader import loader
from adapter.mapping.source import Source
from adapter.mapping.tour_hours import hours_from_texts
from adapter.models import AddedCommunity, Alias, MappingVersion, Overrides
from adapter.settings import Policy


def apply(
    files: Mapping[str, Source], overrides: Overrides, policy: Policy
) -> Mapping[str, Source]:
    """Apply the changes from the console to the sources that were loaded from files."""
    return {
        name: with_communities(
            with_version(source, overrides.versions.get(name), policy), overrides
        )
        for name, source in files.items()
    }


def is_outdated(source: Source, version: MappingVersion) -> bool:
    """Return True if a mapping's file has changed since a user replaced it in the console."""
    return version.file_hash != source.file_hash


def with_version(source: Source, version: MappingVersion | None, policy: Policy) -> Source:
    """Return the source with its console mapping, or unchanged if that mapping is unusable."""
    if version is None or version.text is None or is_outdated(source, version):
        return source
    loaded = loader.load_checked_text(source, version.text, policy)
    errors = tuple(problem for problem in loaded.problems if not problem.warning)
    replaced = loaded.sources.get(source.name)
    if errors or replaced is None:
        return dataclasses.replace(source, version_problems=errors)
    return dataclasses.replace(replaced, files=source.files, version=version)


def with_communities(source: Source, overrides: Overrides) -> Source:
    """Return the source with the communities and aliases that users have added."""
    aliases = [alias for alias in overrides.aliases if alias.source == source.name]
    added = [one for one in overrides.communities if one.key not in source.communities]
    if not aliases and not added:
        return source
    communities = {**source.communities, **{one.key: community_from(one) for one in added}}
    lookup = source.community_lookup
    known = dict(lookup.known)
    # Aliases with an attribution are first, because it applies to all of a community's names.
    for alias in sorted(aliases, key=lambda one: one.attribution_id is None):
        if alias.community in communities and alias.key not in lookup.known:
            communities[alias.community] = _known_as(communities[alias.community], alias)
            known[alias.key] = communities[alias.community]
    return dataclasses.replace(
        _with_known(source, communities, known),
        changes=overrides.changes,
        hash=hashlib.sha256(repr((source.hash, aliases, added)).encode()).hexdigest(),
    )


def with_communities_of(edited: Source, source: Source) -> Source:
    """Return an edited mapping with the communities and aliases of the mapping in use."""
    return _with_known(edited, source.communities, source.community_lookup.known)


def _with_known(
    source: Source, communities: Mapping[str, Community], known: Mapping[str, Community]
) -> Source:
    """Return a copy of the source with different communities and different names for them."""
    lookup = source.community_lookup
    fillers = [
        dataclasses.replace(lookup, known=known) if one is lookup else one
        for one in source.compiled.fillers
    ]
    compiled = dataclasses.replace(source.compiled, fillers=fillers)
    return dataclasses.replace(source, communities=communities, compiled=compiled)


def community_from(added: AddedCommunity) -> Community:
    """Convert a community that a user has added in the console to a :class:`Community`."""
    return Community(
        key=added.key,
        integration_id=added.integration_id,
        community_id=added.community_id,
        timezone=zoneinfo.ZoneInfo(added.timezone),
        attributions={},
        known_as={},
        name=added.name,
        tour_hours=hours_from_texts(added.tour_hours),
        check_availability=added.check_availability,
        pms=added.pms,
    )


def _known_as(community: Community, alias: Alias) -> Community:
    names = (*community.known_as.get(alias.source, ()), alias.name)
    attributions = community.attributions
    if alias.attribution_id and not attributions.get(alias.source):
        attributions = {**attributions, alias.source: alias.attribution_id}
    return dataclasses.replace(
        community,
        attributions=attributions,
        known_as={**community.known_as, alias.source: names},
    )
