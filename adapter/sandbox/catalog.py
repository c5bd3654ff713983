"""Provide the sandbox's lists of integrations, communities and attributions.

Propexo lists only a community's ID and name, not its time zone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapter.exceptions import ConfigurationError

#: The records in each list, by endpoint path.
Catalog = Mapping[str, Sequence[Mapping[str, Any]]]

#: A catalog with the communities in the adapter's own communities.yaml.
BUNDLED: Final = Path(__file__).with_name("catalog.json")
INTEGRATIONS: Final = "/v1/admin/integrations/"
COMMUNITIES: Final = "/crm/v1/communities/"
ATTRIBUTIONS: Final = "/crm/v1/attributions/"
#: The time zone of each community, which determines when it is open. Propexo has no such list.
ZONES: Final = "timezones"
#: Fields that all integrations have.
_KNOCK: Final = {"vendor": "KNOCK", "active": True, "system": "SANDBOX", "can_authenticate": True}


def catalog_from(data: Any) -> Catalog:
    """Parse a catalog of integrations, communities and attributions from JSON data.

    The data has the format ``{integration: {name, communities: {id: {name, attributions: {id:
    name}}}}}``. A community may also have a ``timezone``. We assume that Propexo's communities and
    attributions have names. Raise :class:`ConfigurationError` for data in any other format.
    """
    integrations, communities, attributions, zones = [], [], [], []
    try:
        for integration_id, details in data.items():
            core = {"integration_id": integration_id}
            name = str(details["name"])
            integrations.append({"id": integration_id, "name": name, **core, **_KNOCK})
            for community_id, community in details["communities"].items():
                communities.append({"id": community_id, "name": str(community["name"]), **core})
                if "timezone" in community:
                    zones.append({"id": community_id, "timezone": str(community["timezone"])})
                attributions += [
                    {"id": one, "name": str(name), "community_id": community_id, **core}
                    for one, name in community["attributions"].items()
                ]
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(
            "a catalog must be {integration: {name, communities: "
            "{id: {name, attributions: {id: name}}}}}"
        ) from None
    return {
        INTEGRATIONS: integrations,
        COMMUNITIES: communities,
        ATTRIBUTIONS: attributions,
        ZONES: zones,
    }


NOTHING: Final = catalog_from({})
