"""Find the bookings that were sent after the backup of a restored database.

Propexo's write log shows what was sent. A booking in the log is marked booked. For a job without a
booking, one is stored, so that its webhook is recognized if the sender repeats it. If the log is
complete, all other bookings may be sent. Otherwise, the pending bookings are searched for, like any
other booking with an unknown outcome.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapter.bookings import transitions, write_log
from adapter.bookings.messenger import leave_to_person
from adapter.bookings.reconcile import reconcile
from adapter.bookings.write_log import Job, Owner, WriteLog
from adapter.exceptions import NotPossible
from adapter.mapping.source import Source
from adapter.models import Booking, BookingState, Clock, MessageState
from adapter.propexo.appointment import FILLED_BY, TARGETS, request_from
from adapter.propexo.client import Propexo
from adapter.propexo.directory import RateLimitedReads
from adapter.settings import NEUTRAL_WORDS, Settings
from adapter.store import RESTORED, Database, Transaction

#: How much older the backup may be than the last time recorded in it.
MARGIN: Final = dt.timedelta(minutes=1)
#: How far Propexo's log reaches back.
LONGEST: Final = dt.timedelta(days=29)
#: How many jobs from before the backup the log must contain, and how old they may be.
KNOWN_JOBS: Final = 100
KNOWN_PERIOD: Final = dt.timedelta(hours=1)
#: States of bookings that this command settles if Propexo has a job for them.
_SETTLED_HERE: Final = frozenset(
    {BookingState.PENDING, BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED}
)
#: Sources that sent webhooks within this time before the backup must send them again.
SENDERS_PERIOD: Final = dt.timedelta(days=30)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """The differences between Propexo's write log and a restored database."""

    since: dt.datetime
    #: Bookings that were sent since the backup, with their jobs.
    sent: Sequence[tuple[Booking, Job]]
    #: Jobs without a booking in this database, with their source and community.
    lost: Sequence[tuple[Job, Owner]]
    #: Bookings that are not in the write log.
    pending: Sequence[Booking]
    #: Notes that were added to guest cards, whether the database has them or not.
    notes: Sequence[Job]
    #: The number of jobs from before the backup that the log should list, and that it does list.
    expected: int
    listed: int
    #: Sources that must resend everything since the backup.
    senders: Sequence[str]

    @property
    def is_complete(self) -> bool:
        """True if the write log contains every job that it should contain."""
        return 0 < self.expected == self.listed


class Restore:
    """Finds and records bookings that were sent after the backup."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        sources: Mapping[str, Source],
        propexo: Propexo,
        clock: Clock,
        pause: Callable[[float], object],
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._owners = write_log.owners(sources.values())
        reads = RateLimitedReads(propexo, settings, store, clock, pause)
        self._log = WriteLog(store, reads, clock)

    def since(self) -> dt.datetime:
        """Return the time of the backup, estimated from the last heartbeat in this database."""
        with self._store.statement() as tx:
            last = tx.identity.last_run()
        if last is None:
            raise NotPossible(
                "no worker has run on this database: give the backup's time (--since)"
            )
        return last.seen_at - MARGIN

    def stop(self) -> dt.datetime:
        """Stop sending. Return the current time, or the time of an earlier stop."""
        now = self._clock()
        with self._store.transaction() as tx:
            if tx.rate_limit.suspend(RESTORED, now):
                tx.identity.skip_ids()
                return now
            last = tx.identity.last_run()
        return last.stopped_at or now if last else now

    def survey(self, since: dt.datetime) -> Survey:
        """Compare the database with Propexo's write log. Raise UpstreamError on failure."""
        now = self._clock()
        if since < now - LONGEST:
            raise NotPossible("Propexo's write log does not reach back further than 29 days")
        with self._store.transaction() as tx:
            expected = tx.identity.newest_jobs(now - LONGEST, since, KNOWN_JOBS)
            bookings = tx.identity.bookings_that_may_be_sent()
            senders = tx.identity.senders_since(since - SENDERS_PERIOD)
        newest = max(expected.values(), default=since)
        expected = {job: at for job, at in expected.items() if at > newest - KNOWN_PERIOD}
        integrations = {str(integration) for integration, *_ in self._owners}
        jobs = self._log.read(integrations, min(newest - KNOWN_PERIOD, since))
        # Include jobs from before ``since``, in case it is later than the backup.
        sent, rest = _matched(self._log.unknown(jobs), bookings)
        owned = [(job, owner) for job in rest if (owner := write_log.owner_of(job, self._owners))]
        known = {booking.id for booking, _ in sent}
        return Survey(
            since=since,
            sent=[pair for pair in sent if pair[0].state in _SETTLED_HERE],
            lost=owned,
            pending=[
                one for one in bookings if one.state is BookingState.PENDING and one.id not in known
            ],
            notes=[job for job in rest if job.is_success and job.is_note],
            expected=len(expected),
            listed=sum(job.id in expected for job in jobs),
            senders=sorted({owner.source for owner in self._owners.values()} & {*senders}),
        )

    def apply(self, survey: Survey, *, by: str) -> list[Booking]:
        """Record all differences and resume sending. Return the bookings whose webhooks are lost.

        Raise :class:`NotPossible` if the log is not complete and webhooks are still to be mapped.
        """
        if not survey.is_complete:
            self._check_mapped()
        for booking, job in survey.sent:
            with self._store.transaction() as tx:
                self._record_sent(tx, booking, job)
        stored = [self._store_lost(job, owner) for job, owner in survey.lost]
        if not survey.is_complete:
            self._record_all_possibly_sent(survey.since)
        self._record_notes(survey.notes)
        with self._store.statement() as tx:
            tx.invitation_mails.end_restored()
        self.resume(by=by, detail=f"since {survey.since:%Y-%m-%dT%H:%M:%SZ}")
        return stored

    def resume(self, *, by: str, detail: str) -> None:
        """Accept this database as the one in use, and resume sending."""
        now = self._clock()
        with self._store.transaction() as tx:
            tx.identity.end_restore()
            tx.audit.record("restored", by=by, at=now, detail=detail)

    def _check_mapped(self) -> None:
        """Raise NotPossible if webhooks from before the restore are not mapped yet.

        Their leads may have been sent after the backup, and the incomplete log may not show it.
        """
        with self._store.statement() as tx:
            count = tx.identity.unmapped_events()
        if count:
            raise NotPossible(
                f"{count} webhooks from before the restore are not mapped yet: start a worker to "
                "map them, check `adapter events --state received`, and run this command again"
            )

    def _record_all_possibly_sent(self, since: dt.datetime) -> None:
        """Mark all pending bookings as ``unknown``, because they may have been sent."""
        with self._store.statement() as tx:
            bookings = tx.identity.bookings_that_may_be_sent()
        for booking in bookings:
            if booking.state is BookingState.PENDING:
                with self._store.transaction() as tx:
                    self._record_possibly_sent(tx, booking, since)

    def _record_notes(self, notes: Sequence[Job]) -> None:
        """Store lost notes, and mark for review the notes possibly sent after the backup."""
        now = self._clock()
        with self._store.statement() as tx:
            messages = tx.messages.possibly_sent()
        for message in messages:
            with self._store.transaction() as tx:
                leave_to_person(tx, message, MessageState.UNCLEAR, "note_restored", now)
        for job in notes:
            card, text = job.parameters.get("prospect_id"), job.parameters.get("notes")
            with self._store.statement() as tx:
                tx.messages.add_lost(job.id, str(card), str(text or ""), job.created_at, now)

    def _record_sent(self, tx: Transaction, booking: Booking, job: Job) -> None:
        now = self._clock()
        current = _locked(tx, booking, now)
        if current.state in _SETTLED_HERE:
            transitions.record_lost_job(tx, current, job, now, why="found_in_write_log")

    def _record_possibly_sent(self, tx: Transaction, booking: Booking, since: dt.datetime) -> None:
        now = self._clock()
        current = _locked(tx, booking, now)
        if current.state is BookingState.PENDING:
            spellings = self._settings.policy.spellings
            request = request_from(current.appointment, spellings, current.kind)
            transitions.record_possibly_sent(tx, current, request, since, now)

    def _store_lost(self, job: Job, owner: Owner) -> Booking:
        fingerprints, now = self._store.fingerprints(), self._clock()
        appointment = _appointment(job.parameters)
        shared = self._settings.policy.shared_contacts
        keys = fingerprints.person_keys(owner.community.key, appointment, shared)
        with self._store.transaction() as tx:
            event_id = tx.identity.insert_lost_event(owner.source, job.created_at)
            draft = Booking(
                id=0,
                event_id=event_id,
                source=owner.source,
                kind=job.kind,
                state=BookingState.PENDING,
                reason=RESTORED,
                community=owner.community.key,
                timezone=owner.community.timezone.key,
                starts_at=job.starts_at,
                appointment=appointment,
                reasons=(),
                asked_at=job.created_at,
                match_keys=keys,
                job_id=None,
                due_at=now,
                created_at=now,
                updated_at=now,
            )
            tx.bookings.lock_related([draft], now)
            stored = tx.bookings.insert(draft, 0, now=now)
            transitions.record_lost_job(tx, stored, job, now, why=RESTORED)
            reconcile(tx, stored, now)
        return stored


def _locked(tx: Transaction, booking: Booking, now: dt.datetime) -> Booking:
    tx.bookings.lock_related([booking], now)
    return tx.bookings.get(booking.id, lock=True) or booking


def _matched(
    jobs: Sequence[Job], bookings: Sequence[Booking]
) -> tuple[list[tuple[Booking, Job]], list[Job]]:
    """Return the bookings with their matching jobs, and the jobs that match no booking."""
    by_request: dict[object, list[Booking]] = {}
    for booking in bookings:
        by_request.setdefault(write_log.identity_of(booking.appointment), []).append(booking)
    pairs, rest = [], []
    for job in jobs:
        found = by_request.get(write_log.identity_of(job.parameters))
        if found:
            pairs.append((found.pop(0), job))
        else:
            rest.append(job)
    return pairs, rest


def _appointment(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's parameters that can be copied into an appointment unchanged."""
    return {
        name: value
        for name, value in parameters.items()
        if name in TARGETS.keys() | FILLED_BY.keys() and name not in NEUTRAL_WORDS
    }
