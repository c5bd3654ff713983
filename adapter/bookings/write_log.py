"""Find jobs in Propexo's write log that are missing from a restored database.

The log lists only finished writes, and Propexo does not document that it contains writes to Knock.
So it proves that a lead was not sent only if it lists everything that is known to have been sent.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from adapter.bookings.matching import CONTACTS, IDENTIFYING, SKEW, WRITE_LOG, parse_instant
from adapter.bookings.matching import time_range as time_range_of
from adapter.exceptions import UpstreamError
from adapter.mapping.engine import Community
from adapter.mapping.source import Source
from adapter.models import Booking, Clock, Kind
from adapter.propexo.directory import RateLimitedReads
from adapter.store import Database

#: Number of records per page, which is Propexo's maximum, and maximum number of pages to read.
PAGE = 100
MOST_PAGES = 500


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A finished job in Propexo's write log."""

    id: str
    created_at: dt.datetime
    is_success: bool
    parameters: Mapping[str, Any]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self | None:
        """Create a job from a log record, or return None if it has no ID, time or parameters."""
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
    def is_note(self) -> bool:
        """True if the job added a note to a guest card."""
        return "event_name" in self.parameters

    @property
    def starts_at(self) -> dt.datetime | None:
        """The tour's start in UTC, or None for a guest card."""
        date, time = (self.parameters.get(f"appointment_{part}") for part in ("date", "time"))
        return parse_instant(f"{date}T{time}+00:00")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The source and the community that a job was created for."""

    source: str
    community: Community


def identity_of(request: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the fields of a POST body that identify the person and the tour."""
    return tuple(request.get(name) or None for name in (*IDENTIFYING, *CONTACTS))


def owners(sources: Iterable[Source]) -> dict[tuple[object, ...], Owner]:
    """Return each source and community, keyed by the Propexo IDs that their jobs contain."""
    return {
        (community.integration_id, community.community_id, attribution): Owner(
            source=source.name, community=community
        )
        for source in sources
        for community in source.communities.values()
        for attribution in _attributions(community, source.name)
    }


def owner_of(job: Job, known: Mapping[tuple[object, ...], Owner]) -> Owner | None:
    """Return the source and community of a job, or None if another program created the job."""
    names = ("integration_id", "community_id", "attribution_id")
    return known.get(tuple(job.parameters.get(name) for name in names))


def _attributions(community: Community, source: str) -> Iterable[str]:
    entry = community.attributions.get(source, ())
    return (entry,) if isinstance(entry, str) else (entry.values() if entry else ())


def without(jobs: Iterable[Job], bookings: Iterable[Booking]) -> Iterator[Job]:
    """Yield the jobs that do not match any of the bookings."""
    identities = {identity_of(booking.appointment) for booking in bookings}
    return (job for job in jobs if identity_of(job.parameters) not in identities)


class WriteLog:
    """Reads Propexo's write log within the rate limit, even while sending is stopped."""

    def __init__(self, store: Database, reads: RateLimitedReads, clock: Clock) -> None:
        self._store = store
        self._reads = reads
        self._clock = clock

    def unknown(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs that do not belong to any booking in this database."""
        with self._store.statement() as tx:
            known = set(tx.bookings.known_jobs([job.id for job in jobs]))
        return [job for job in jobs if job.id not in known]

    def read(self, integrations: Iterable[str], since: dt.datetime) -> list[Job]:
        """Return all jobs created after ``since``, oldest first. Raise UpstreamError on failure."""
        jobs = {job.id: job for page in self.pages(integrations, since) for job in page}
        return sorted(jobs.values(), key=lambda job: job.created_at)

    def pages(self, integrations: Iterable[str], since: dt.datetime) -> Iterator[list[Job]]:
        """Yield pages of the jobs created after ``since``. Raise UpstreamError on failure."""
        age = (self._clock() - since + SKEW).total_seconds()
        for one in sorted(set(integrations)):
            for records in self._pages({"integration_id": one, "time_range": time_range_of(age)}):
                jobs = filter(None, map(Job.from_record, records))
                yield [job for job in jobs if job.created_at >= since - SKEW]

    def _pages(self, query: Mapping[str, str]) -> Iterator[list[Mapping[str, Any]]]:
        for page in range(MOST_PAGES):
            numbers = {"limit": str(PAGE), "offset": str(page * PAGE)}
            records = self._reads.page(WRITE_LOG, {**query, **numbers}).records
            yield records
            if len(records) < PAGE:
                return
        raise UpstreamError("Propexo's write log is too long to be read")
