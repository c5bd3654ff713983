"""Store whether Propexo allows reading the tours and guest cards of each integration."""

import dataclasses
import datetime as dt
import enum

from adapter.store.queries import Statements

#: Minimum interval between recorded webhooks about a model's records.
HEARD_INTERVAL = dt.timedelta(seconds=60)


class Reading(enum.StrEnum):
    """The possible results of reading a list of records from Propexo."""

    #: The list has records.
    READABLE = "readable"
    #: The list has never had a record, so the model may not be synchronized.
    EMPTY = "empty"
    #: Propexo rejects the request, because the customer has not enabled the model.
    OFF = "off"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CrmModel:
    """The latest result of checking whether Propexo can read one kind of record."""

    integration_id: str
    #: ``crm_events`` or ``crm_prospects``.
    model: str
    state: Reading
    #: When Propexo last answered a request for the list.
    checked_at: dt.datetime
    #: When Propexo last sent a webhook about a record, or None.
    heard_at: dt.datetime | None


class CrmModels(Statements):
    """Reads and writes the state of Propexo's models (kinds of records) within a transaction."""

    def all(self) -> tuple[CrmModel, ...]:
        """Return the stored state of each model in each integration."""
        return tuple(
            CrmModel(**row | {"state": Reading(row["state"])}) for row in self._all("crm_models")
        )

    def save(self, integration_id: str, model: str, state: Reading, now: dt.datetime) -> None:
        """Save the result of listing a model's records."""
        self._run("save_crm_model", integration_id=integration_id, model=model, state=state, at=now)

    def hear(self, integration_id: str, model: str, now: dt.datetime) -> bool:
        """Record a webhook about a model. Return False if another was recorded moments before."""
        since = now - HEARD_INTERVAL
        return self._has(
            "hear_crm_model", integration_id=integration_id, model=model, at=now, since=since
        )
