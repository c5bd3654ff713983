"""Find jobs in Propexo's write log that are missing from a restored database.

The log lists only finished writes, and Propexo does not document that it contains writes to Knock.
So it proves that a lead was not sent only if it lists everything that is known to have been sent.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from adapter.bookings.matching import CONTACTS, IDENTIFYING, SKEW, WRITE_LOG, parse_instant
from adapter.bookings.matching import time_range as time_range_of
from adapter.exceptions import UpstreamError
from adapter.mapping.engine import Community
from adapter.mapping.source import Source
from adapter.models import Booking, Clock, Kind
from adapter.propexo.client import Propexo
from adapter.settings import Settings
from adapter.store import Database, rate_limit

#: Number of records per page, which is Propexo's maximum, and maximum number of pages to read.
PAGE = 100
MOST_PAGES = 500


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A finished write job in Propexo's write log."""

    id: str
    created_at: dt.datetime
    is_success: bool
    parameters: Mapping[str, Any]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self | None:
        """Create a job from a log record. Return None if it has no ID, time or parameters."""
        job_id, parameters = record.get("job_id"), record.get("parameters")
        created_at = parse_instant(record.get("created_at"))
        if not isinstance(job_id, str) or not isinstance(parameters, Mapping) or not created_at:
            return None
        is_success = record.get("status") == "SUCCESS"
        return cls(id=job_id, created_at=created_at, is_success=is_success, parameters=parameters)

    @property
    def kind(self) -> Kind:
        """The kind of record that the job created: a tour or a guest card."""
        has_time = "appointment_time" in self.parameters
        return Kind.APPOINTMENT if has_time else Kind.PROSPECT

    @property
    def starts_at(self) -> dt.datetime | None:
        """The time of the tour in UTC, or None for a guest card."""
        date, time = (self.parameters.get(f"appointment_{part}") for part in ("date", "time"))
        return parse_instant(f"{date}T{time}+00:00")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The source and community for which a job was created."""

    source: str
    community: Community


def identity_of(request: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the fields that identify the person and tour of a POST body."""
    return tuple(request.get(name) or None for name in (*IDENTIFYING, *CONTACTS))


def owners(sources: Iterable[Source]) -> dict[tuple[object, ...], Owner]:
    """Return the source and community for each combination of community and attribution IDs."""
    return {
        (community.integration_id, community.community_id, attribution): Owner(
            source=source.name, community=community
        )
        for source in sources
        for community in source.communities.values()
        for attribution in _attributions(community, source.name)
    }


def owner_of(job: Job, known: Mapping[tuple[object, ...], Owner]) -> Owner | None:
    """Return a job's source and community, or None if another program created it."""
    names = ("integration_id", "community_id", "attribution_id")
    return known.get(tuple(job.parameters.get(name) for name in names))


def _attributions(community: Community, source: str) -> Iterable[str]:
    entry = community.attributions.get(source, ())
    return (entry,) if isinstance(entry, str) else (entry.values() if entry else ())


def without(jobs: Iterable[Job], bookings: Iterable[Booking]) -> Iterator[Job]:
    """Yield the jobs that match none of the bookings."""
    identities = {identity_of(booking.appointment) for booking in bookings}
    return (job for job in jobs if identity_of(job.parameters) not in identities)


class WriteLog:
    """Reads Propexo's write log within the rate limit, even while sending is suspended."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        propexo: Propexo,
        clock: Clock,
        pause: Callable[[float], object],
    ) -> None:
        self._settings = settings
        self._store = store
        self._propexo = propexo
        self._clock = clock
        self._pause = pause

    def unknown(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs that do not belong to any booking in this database."""
        with self._store.statement() as tx:
            known = set(tx.bookings.known_jobs([job.id for job in jobs]))
        return [job for job in jobs if job.id not in known]

    def read(self, integrations: Iterable[str], since: dt.datetime) -> list[Job]:
        """Return all jobs since a time, oldest first. Raise UpstreamError if that is impossible."""
        age = (self._clock() - since + SKEW).total_seconds()
        jobs = {
            job.id: job
            for one in sorted(set(integrations))
            for record in self._records({"integration_id": one, "time_range": time_range_of(age)})
            if (job := Job.from_record(record)) and job.created_at >= since - SKEW
        }
        return sorted(jobs.values(), key=lambda job: job.created_at)

    def _records(self, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        for page in range(MOST_PAGES):
            self._wait_for_turn()
            numbers = {"limit": str(PAGE), "offset": str(page * PAGE)}
            records = self._propexo.records(WRITE_LOG, {**query, **numbers})
            yield from records
            if len(records) < PAGE:
                return
        raise UpstreamError("Propexo's write log is too long to be read")

    def _wait_for_turn(self) -> None:
        """Wait until the rate limit allows an API call, and count the call."""
        limit = self._settings.rate_per_minute
        while True:
            with self._store.transaction() as tx:
                now = self._clock()
                rate_state = tx.rate_limit.lock(now)
                at = rate_limit.next_call(rate_state, now, limit, is_read=True)
                if at <= now:
                    tx.rate_limit.count_call(rate_state, now, limit)
                    return
            self._pause((at - now).total_seconds())
