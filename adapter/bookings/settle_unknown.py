"""Search Propexo's lists for bookings whose POST got no clear response."""

import dataclasses
import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from adapter.bookings import confirm, knock_records, matching, transitions
from adapter.bookings.reconcile import lock_others, reconcile
from adapter.bookings.transitions import UnknownMatch
from adapter.exceptions import UpstreamError
from adapter.models import Attempt, Booking, BookingState, Clock, Kind
from adapter.propexo.client import Propexo
from adapter.propexo.crm_records import KnockRecord, Model
from adapter.propexo.responses import WriteStatus, is_rejected
from adapter.settings import Settings
from adapter.store import Database
from adapter.store.crm_models import Reading

log = logging.getLogger(__name__)


class _NotReadable(Exception):
    """Raised if Propexo refuses to list records because their model is not enabled."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The result of a search for a booking with an unknown outcome."""

    match: UnknownMatch | None = None
    #: The record of the tour or guest card that was found in Knock.
    record: KnockRecord | None = None
    #: The reason that nothing was found, or None.
    reading: transitions.Unfound = transitions.Unfound.ABSENT


class UnknownSettler:
    """Searches for bookings with an unknown outcome, which are never resent automatically."""

    def __init__(self, settings: Settings, store: Database, propexo: Propexo, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock

    def settle(self, booking: Booking) -> None:
        """Search Propexo's lists for a booking with an unknown outcome, and record the result."""
        with self.store.statement() as tx:
            attempt = tx.attempts.of_booking(booking.id)[-1]
        try:
            result: Found | UpstreamError = self._search(booking, attempt)
        except UpstreamError as exc:
            log.warning(
                "reconcile_read_failed", extra={"booking_id": booking.id, "status": exc.status}
            )
            result = exc
        # After a restore, the attempt's start is the time of the backup, but the POST may be later.
        sent_by = attempt.finished_at or attempt.started_at
        until = sent_by + dt.timedelta(hours=self.settings.sync_lag_hours)
        with self.store.transaction() as tx:
            others = lock_others(tx, booking, self.clock())
            current = tx.bookings.get(booking.id, lock=True)
            if current is None or current.state is not BookingState.UNKNOWN:
                return
            now = self.clock()
            if isinstance(result, UpstreamError):
                transitions.record_search_error(tx, current, result, now)
                return
            transitions.record_search(
                tx, current, attempt, result.match, now, until, others, result.reading
            )
            if result.record is not None:
                confirm.apply_found(tx, current.id, result.record, others, now, by="worker")
            if others:
                reconcile(tx, current, now)

    def _search(self, booking: Booking, attempt: Attempt) -> Found:
        """Search for the job, tour or guest card of a booking with an unknown outcome.

        The caller has already counted the first API call against the rate limit. Further calls are
        counted here.
        """
        if booking.tour_id is not None:
            return Found(match=UnknownMatch(job_id=None))  # a webhook arrived before the outcome
        if booking.job_id is not None:
            status = self.propexo.write_status(booking.job_id).status
            if status in (WriteStatus.SUCCESS, WriteStatus.FAILURE):
                return Found(match=UnknownMatch(job_id=booking.job_id))
        elif (job := self._job_in_write_log(attempt)) is not None:
            return Found(match=UnknownMatch(job_id=job[0], accepted_at=job[1]))
        try:
            return self._search_knock(booking, attempt)
        except _NotReadable:
            return Found(reading=transitions.Unfound.NOT_READABLE)

    def _job_in_write_log(self, attempt: Attempt) -> tuple[str, dt.datetime] | None:
        query = matching.write_log_query(attempt, self.clock())
        records = self.propexo.records(matching.WRITE_LOG, query)
        with self.store.transaction() as tx:
            known = tx.bookings.known_jobs(matching.jobs_of(records))
        return matching.job_in(records, attempt, known)

    def _search_knock(self, booking: Booking, attempt: Attempt) -> Found:
        """Search Knock's guest cards, and the tours on cards that share a contact."""
        request = attempt.request
        integration_id = str(request["integration_id"])
        if attempt.kind is Kind.APPOINTMENT and self._is_off(integration_id, Model.EVENTS):
            self._listed(Model.EVENTS, {"integration_id": integration_id, "limit": "1"})
        cards = self._listed(Model.PROSPECTS, matching.prospects_query(attempt))
        if attempt.kind is Kind.PROSPECT:
            found = [one for one in cards if knock_records.is_complete_card(one, request)]
        else:
            found = []
            for card in [one for one in cards if knock_records.shares_contact(one, request)][:3]:
                tours = self._listed(Model.EVENTS, matching.events_query(attempt, card.id))
                tour = knock_records.standing_tour(tours, booking)
                found += [tour.of_card(card.id)] if tour is not None else []
        if found:
            return Found(match=UnknownMatch(job_id=None), record=found[0])
        if any(knock_records.is_incomplete(one, request) for one in cards):
            return Found(reading=transitions.Unfound.INCOMPLETE)
        is_empty = not cards and self._is_empty(integration_id)
        return Found(reading=transitions.Unfound.EMPTY if is_empty else transitions.Unfound.ABSENT)

    def _is_off(self, integration_id: str, model: Model) -> bool:
        """Return True if Propexo has already refused to list a model's records."""
        with self.store.statement() as tx:
            known = tx.crm_models.all()
        return any(
            (one.integration_id, one.model, one.state) == (integration_id, model, Reading.OFF)
            for one in known
        )

    def _is_empty(self, integration_id: str) -> bool:
        """Return True if Propexo lists no guest cards at all for an integration."""
        query = {"integration_id": integration_id, "limit": "1"}
        return not self._listed(Model.PROSPECTS, query)

    def _listed(self, model: Model, query: Mapping[str, str]) -> list[KnockRecord]:
        """Return one page of a model's records.

        Raise _NotReadable if Propexo rejects the request, or UpstreamError after any other failure.
        """
        integration_id = query["integration_id"]
        try:
            rows = self._records(matching.LISTS[model], query)
        except UpstreamError as exc:
            if not is_rejected(exc):
                raise
            self._save(integration_id, model, Reading.OFF)
            log.warning("crm_model_not_readable", extra={"model": model, "status": exc.status})
            raise _NotReadable from exc
        is_whole = query.keys() <= {"integration_id", "limit"}
        if rows or is_whole:
            self._save(integration_id, model, Reading.READABLE if rows else Reading.EMPTY)
        found = (KnockRecord.listed(model, one) for one in rows)
        return [one for one in found if one is not None]

    def _save(self, integration_id: str, model: Model, state: Reading) -> None:
        with self.store.transaction() as tx:
            tx.crm_models.save(integration_id, model, state, self.clock())

    def _records(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Reserve an API call, and return one page of a list. Raise UpstreamError on failure."""
        with self.store.transaction() as tx:
            tx.rate_limit.reserve_read(self.clock(), self.settings.rate_per_minute)
        return self.propexo.records(path, query)
