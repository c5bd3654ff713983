"""Store whether Propexo allows reading Knock's tours and guest cards, by integration."""

import dataclasses
import datetime as dt
import enum

from adapter.store.queries import Statements

#: How often a webhook about a model's records is recorded.
HEARD_INTERVAL = dt.timedelta(seconds=60)


class Reading(enum.StrEnum):
    """Whether the list of a model's records can be read."""

    #: The list has records.
    READABLE = "readable"
    #: The list has never had a record, so the model may not be synchronized.
    EMPTY = "empty"
    #: Propexo rejects the request, because the customer has not enabled the model.
    OFF = "off"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CrmModel:
    """Whether one model of an integration can be read, and when that was checked."""

    integration_id: str
    #: ``crm_events`` or ``crm_prospects``.
    model: str
    state: Reading
    #: When Propexo last answered a request for the list.
    checked_at: dt.datetime
    #: When Propexo last sent a webhook about a record, or None.
    heard_at: dt.datetime | None


class CrmModels(Statements):
    """Reads and writes whether Propexo's models can be read."""

    def all(self) -> tuple[CrmModel, ...]:
        """Return the stored state of each model, by integration."""
        return tuple(
            CrmModel(**row | {"state": Reading(row["state"])}) for row in self._all("crm_models")
        )

    def save(self, integration_id: str, model: str, state: Reading, now: dt.datetime) -> None:
        """Save whether a model's list could be read."""
        self._run("save_crm_model", integration_id=integration_id, model=model, state=state, at=now)

    def hear(self, integration_id: str, model: str, now: dt.datetime) -> bool:
        """Record a webhook about a record. Return False if one was recorded moments ago."""
        since = now - HEARD_INTERVAL
        row = self._one(
            "hear_crm_model", integration_id=integration_id, model=model, at=now, since=since
        )
        return row is not None
