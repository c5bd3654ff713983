"""Communities as text: those of communities.yaml, and what can be pasted into it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapter.directory import Place
from adapter.sources.communities import Communities
from adapter.sources.document import text_from_data
from adapter.stories import table


def communities_as_dicts(communities: Communities) -> list[dict[str, Any]]:
    """The communities of communities.yaml as plain data."""
    return [
        {
            "community": one.key,
            "integration_id": one.integration_id,
            "community_id": one.community_id,
            "timezone": one.timezone.key,
            "attributions": dict(one.attributions),
            "known_as": {source: list(names) for source, names in one.known_as.items()},
        }
        for one in communities.by_key.values()
    ]


def communities_table(communities: Communities) -> str:
    """The communities of communities.yaml, a line for each source that knows them."""
    rows = [
        (one.key, one.community_id, one.timezone.key, source, _credit(one.attributions.get(source)))
        for one in communities.by_key.values()
        for source in sorted({*one.known_as, *one.attributions}) or ["-"]
    ]
    return table(("community", "community_id", "time zone", "source", "attribution"), rows)


def _credit(said: str | Mapping[str, str] | None) -> str | None:
    if isinstance(said, Mapping):
        return ", ".join(f"{word}: {one}" for word, one in said.items())
    return said


def place_as_dict(place: Place, known: Mapping[str, str]) -> dict[str, Any]:
    """A community as Propexo lists it, as plain data; ``known``: id → key in communities.yaml."""
    return {
        "integration_id": place.integration_id,
        "community_id": place.community_id,
        "name": place.name,
        "community": known.get(place.community_id),
        "attributions": [{"id": one, "name": name} for one, name in place.attributions.items()],
    }


def stubs_text(places: Iterable[Place], known: Mapping[str, str]) -> str:
    """What can be pasted into communities.yaml; of those that stand there, only who gets credit."""
    taken = set(known.values())
    return "\n\n".join("\n".join(_stub_lines(place, known, taken)) for place in places)


def _stub_lines(place: Place, known: Mapping[str, str], taken: set[str]) -> Iterator[str]:
    credits_ = [f"# SOURCE: {_scalar(one)}   # {name}" for one, name in place.attributions.items()]
    if place.community_id in known:
        yield f"# {known[place.community_id]} ({place.community_id}) is listed; its attributions:"
        yield from credits_
        return
    yield f"{_key(place, taken)}:   # {place.name}"
    yield f"  integration_id: {_scalar(place.integration_id)}"
    yield f"  community_id: {_scalar(place.community_id)}"
    yield "  timezone: TODO   # such as America/Denver: Propexo does not tell it"
    yield "  attributions:   # for each source the one that gets the credit"
    yield from (f"    {line}" for line in credits_)
    yield "  known_as:   # for each source what it calls this community"
    yield f"    # SOURCE: [{_scalar(place.name or place.community_id)}]"


def _scalar(text: str) -> str:
    """A text as YAML writes it."""
    return text_from_data([text]).removeprefix("- ").strip()


def _key(place: Place, taken: set[str]) -> str:
    """A key for communities.yaml, out of the name; no two are the same."""
    plain = re.sub(r"[^a-z0-9]+", "-", (place.name or place.community_id).lower()).strip("-")
    base = key = plain or "community"
    number = 2
    while key in taken:
        key, number = f"{base}-{number}", number + 1
    taken.add(key)
    return key
