"""Check whether Propexo lets us read Knock's tours and guest cards.

The customer must enable the models ``crm_events`` and ``crm_prospects`` for each integration. If
a model cannot be read, a search that finds nothing does not prove that the booking is missing.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from adapter.bookings.matching import LISTS
from adapter.exceptions import UpstreamError
from adapter.mapping.source import Source
from adapter.models import Clock
from adapter.propexo.crm_records import Model
from adapter.propexo.directory import Read
from adapter.propexo.responses import is_rejected
from adapter.store import Database
from adapter.store.crm_models import CrmModel, Reading

#: How often a worker reads the lists again, and how often it checks whether that is due.
RECHECK: Final = dt.timedelta(hours=6)
CHECK_SECONDS: Final = 60.0

#: The records in each model, for users.
CONTENTS: Final[Mapping[str, str]] = {Model.EVENTS: "tours", Model.PROSPECTS: "guest cards"}


class ModelState(NamedTuple):
    """The result of checking access to an integration's tours or guest cards."""

    integration_id: str
    model: str
    state: Reading

    def text(self) -> str:
        """Return a sentence about the records that cannot be read, and the consequence."""
        what = CONTENTS[self.model]
        if self.state is Reading.OFF:
            why = f"Propexo does not let us read {what} ({self.model} is not enabled)"
        else:
            why = f"Propexo lists no {what} ({self.model} is not enabled, or Knock has none yet)"
        return f"{self.integration_id}: {why}, so unknown bookings must be checked in Knock"


def states_of(integration_ids: Iterable[str], read: Read) -> Iterator[ModelState]:
    """Check each integration's models in Propexo, and yield their states.

    Raise :class:`UpstreamError` if Propexo does not respond.
    """
    for integration_id in sorted(set(integration_ids)):
        for model, path in LISTS.items():
            query = {"integration_id": integration_id, "limit": "1"}
            try:
                state = Reading.READABLE if read(path, query).records else Reading.EMPTY
            except UpstreamError as exc:
                if not is_rejected(exc):
                    raise
                state = Reading.OFF
            yield ModelState(integration_id, model, state)


def unreadable(known: Iterable[CrmModel]) -> list[ModelState]:
    """Return the models that Propexo does not let us read."""
    return [
        ModelState(one.integration_id, one.model, one.state)
        for one in known
        if one.state is not Reading.READABLE
    ]


def integrations_of(sources: Mapping[str, Source]) -> set[str]:
    """Return the IDs of the Propexo integrations of all communities."""
    return {
        one.integration_id for source in sources.values() for one in source.communities.values()
    }


class ModelWatch:
    """Checks access to each integration's models regularly, to warn users early."""

    def __init__(self, store: Database, read: Read, clock: Clock) -> None:
        self._store = store
        self._read = read
        self._clock = clock
        self._begun_at: dt.datetime | None = None

    def run(self, sources: Mapping[str, Source]) -> None:
        """Check the integrations not checked recently, except in the first minute after startup."""
        now = self._clock()
        self._begun_at = self._begun_at or now
        if now < self._begun_at + dt.timedelta(seconds=CHECK_SECONDS):
            return
        with self._store.statement() as tx:
            known = tx.crm_models.all()
        recent = {
            (one.integration_id, one.model) for one in known if one.checked_at > now - RECHECK
        }
        for integration_id in sorted(integrations_of(sources)):
            if any((integration_id, model) not in recent for model in Model):
                self._check(integration_id)

    def _check(self, integration_id: str) -> None:
        try:
            found = list(states_of([integration_id], self._read))
        except UpstreamError:
            return  # Propexo cannot be reached, which the health check reports
        with self._store.transaction() as tx:
            for one in found:
                tx.crm_models.save(one.integration_id, one.model, one.state, self._clock())
