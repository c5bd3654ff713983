"""The read-only data of the sandbox: integrations, their communities and attributions.

Propexo's lists give only a community's ID and name, not its time zone.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter.exceptions import ConfigurationError

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Community:
    """One community of an integration."""

    integration_id: str
    id: str
    name: str
    #: Attribution id → its name.
    attributions: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """Everything the lists return besides people and their tours."""

    #: Integration id → its name.
    integrations: Mapping[str, str]
    communities: tuple[Community, ...]

    def integration_records(self) -> Iterator[Record]:
        """Yield the records of ``GET /v1/admin/integrations/``."""
        constants = {
            "vendor": "KNOCK",
            "active": True,
            "system": "SANDBOX",
            "can_authenticate": True,
        }
        for integration_id, name in self.integrations.items():
            yield {
                "id": integration_id,
                "integration_id": integration_id,
                "name": name,
                **constants,
            }

    def community_records(self) -> Iterator[Record]:
        """Yield the records of ``GET /crm/v1/communities/``. That they have a name is our guess."""
        for one in self.communities:
            yield {"id": one.id, "integration_id": one.integration_id, "name": one.name}

    def attribution_records(self) -> Iterator[Record]:
        """Yield the records of ``GET /crm/v1/attributions/``, each with its one community."""
        for one in self.communities:
            core = {"integration_id": one.integration_id, "community_id": one.id}
            for attribution_id, name in one.attributions.items():
                yield {"id": attribution_id, "name": name, **core}


def catalog_from(data: Any) -> Catalog:
    """Parse ``{integration: {name, communities: {id: {name, attributions: {id: name}}}}}``.

    Raise :class:`ConfigurationError` for any other shape.
    """
    try:
        return Catalog(
            integrations={one: str(details["name"]) for one, details in data.items()},
            communities=tuple(
                Community(
                    integration_id=integration_id,
                    id=community_id,
                    name=str(community["name"]),
                    attributions={
                        one: str(name) for one, name in community["attributions"].items()
                    },
                )
                for integration_id, details in data.items()
                for community_id, community in details["communities"].items()
            ),
        )
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(
            "a catalog must be {integration: {name, communities: "
            "{id: {name, attributions: {id: name}}}}}"
        ) from None


NOTHING: Final = Catalog(integrations={}, communities=())
#: Matches the communities.yaml that comes with the adapter.
DEFAULT: Final = catalog_from(
    {
        "int_7Qm2": {
            "name": "Made-up Living",
            "communities": {
                "com_maple": {
                    "name": "Maple Court",
                    "attributions": {
                        "att_rentfeed_m": "RentFeed",
                        "att_website_m": "Property Website",
                        "att_chat_m": "Chat",
                        "att_drive_by_m": "Drive by",
                    },
                },
                "com_harbor": {
                    "name": "Harbor Flats",
                    "attributions": {
                        "att_rentfeed_h": "RentFeed",
                        "att_website_h": "Property Website",
                        "att_chat_h": "Chat",
                    },
                },
                "com_elm": {
                    "name": "Elm Row",
                    "attributions": {"att_rentfeed_e": "RentFeed", "att_chat_e": "Chat"},
                },
            },
        }
    }
)
