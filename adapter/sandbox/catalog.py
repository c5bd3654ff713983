"""What is there before anything is written: integrations, their communities, and who gets credit.

Propexo's lists say no more of a community than its ids and its name; a time zone was seen in none.
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
    """Everything that the lists show, beside the people and their tours."""

    #: Integration id → its name.
    integrations: Mapping[str, str]
    communities: tuple[Community, ...]

    def integration_records(self) -> Iterator[Record]:
        """What ``GET /v1/admin/integrations/`` says of each."""
        more = {"vendor": "KNOCK", "active": True, "system": "SANDBOX", "can_authenticate": True}
        for integration_id, name in self.integrations.items():
            yield {"id": integration_id, "integration_id": integration_id, "name": name, **more}

    def community_records(self) -> Iterator[Record]:
        """What ``GET /crm/v1/communities/`` says of each; its name is our guess."""
        for one in self.communities:
            yield {"id": one.id, "integration_id": one.integration_id, "name": one.name}

    def attribution_records(self) -> Iterator[Record]:
        """What ``GET /crm/v1/attributions/`` says of each; an attribution is a community's own."""
        for one in self.communities:
            core = {"integration_id": one.integration_id, "community_id": one.id}
            for attribution_id, name in one.attributions.items():
                yield {"id": attribution_id, "name": name, **core}


def catalog_from(data: Any) -> Catalog:
    """``{integration: {name, communities: {id: {name, attributions: {id: name}}}}}`` as a value.

    Raises :class:`ConfigurationError` that says what it must be.
    """
    try:
        return Catalog(
            integrations={one: str(said["name"]) for one, said in data.items()},
            communities=tuple(
                Community(
                    integration_id=integration_id,
                    id=community_id,
                    name=str(place["name"]),
                    attributions={one: str(name) for one, name in place["attributions"].items()},
                )
                for integration_id, said in data.items()
                for community_id, place in said["communities"].items()
            ),
        )
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(
            "a catalog must be {integration: {name, communities: "
            "{id: {name, attributions: {id: name}}}}}"
        ) from None


#: Nothing at all.
NOTHING: Final = Catalog(integrations={}, communities=())
#: Fits the communities.yaml that comes with the adapter.
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
