"""Compare the IDs in communities.yaml with the IDs in Propexo's lists."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from adapter.mapping.communities_yaml import Communities
from adapter.mapping.problems import Problem
from adapter.propexo.directory import VENDOR, Directory


def problems_of(communities: Communities, directory: Directory) -> list[Problem]:
    """Return a problem for each ID in communities.yaml that Propexo does not list.

    Raise :class:`UpstreamError` if the lists cannot be read.
    """
    document = dataclasses.replace(communities.document, problems={})
    for key, community in communities.by_key.items():
        integration_id, community_id = community.integration_id, community.community_id
        if integration_id not in directory.integrations:
            document.add((key, "integration_id"), _no_integration(integration_id, directory))
            continue
        known = directory.communities(integration_id)
        if community_id not in known:
            text = _no_community(integration_id, community_id, directory)
            document.add((key, "community_id"), text)
            continue
        for where, attribution_id in _attribution_ids(document.data[key].get("attributions", {})):
            if attribution_id not in directory.attributions(integration_id, community_id):
                text = _no_attribution(integration_id, community_id, attribution_id, directory)
                document.add((key, "attributions", *where), text)
    return sorted(document.problems)


def _attribution_ids(attributions: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each attribution ID in communities.yaml with its path."""
    for source, entry in attributions.items():
        if isinstance(entry, Mapping):
            yield from (((source, value), one) for value, one in entry.items())
        else:
            yield (source,), entry


def _no_integration(integration_id: str, directory: Directory) -> str:
    vendor = directory.vendors.get(integration_id)
    if vendor:
        return f"{integration_id!r} is a {vendor} integration, not a {VENDOR} integration"
    hint = _hint(integration_id, directory.integrations)
    return f"the API token has no integration {integration_id!r}{hint}"


def _no_community(integration_id: str, community_id: str, directory: Directory) -> str:
    for other in directory.integrations:
        if community_id in directory.communities(other):
            return f"{community_id!r} belongs to the integration {other!r}"
    hint = _hint(community_id, directory.communities(integration_id))
    return f"the integration {integration_id!r} has no community {community_id!r}{hint}"


def _no_attribution(
    integration_id: str, community_id: str, attribution_id: str, directory: Directory
) -> str:
    own = _hint(attribution_id, directory.attributions(integration_id, community_id))
    if attribution_id not in directory.attributions(integration_id):
        return f"there is no attribution {attribution_id!r}{own}"
    for other, name in directory.communities(integration_id).items():
        if attribution_id in directory.attributions(integration_id, other):
            return f"{attribution_id!r} belongs to {name or other} ({other}){own}"
    return f"{attribution_id!r} does not belong to {community_id!r}{own}"


def _hint(text: str, known: Mapping[str, str]) -> str:
    """Return a hint for an error message: a similar ID or the known IDs."""
    near = difflib.get_close_matches(text[:100], known, n=1)
    if near:
        return f"; did you mean {near[0]!r}{_in_brackets(known[near[0]])}?"
    listed = ", ".join(one + _in_brackets(name) for one, name in list(known.items())[:10])
    return f"; the choices are: {listed or 'none'}" + (", …" if len(known) > 10 else "")


def _in_brackets(name: str) -> str:
    return f" ({name})" if name else ""
