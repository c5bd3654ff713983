"""Detect that the database was restored from a backup, before sending any of its bookings.

A restored database does not know what was sent after the backup, so it would send those bookings
again. Each worker records that it runs, and on which database. The view ``gate`` compares this in
the transaction that begins each POST, so that no process has to notice a restore in time.

An exact copy of the server's files has the same identity. So if no worker ran for a while, the
adapter reads Propexo's write log for this time. If the log contains one of our writes, the database
is older.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence

from adapter.bookings import write_log
from adapter.bookings.matching import SKEW
from adapter.bookings.write_log import Job, Owner, WriteLog
from adapter.exceptions import NotAuthorized, NotSent, RateLimited, Refused, UpstreamError
from adapter.mapping.source import Source
from adapter.models import BookingState, Clock
from adapter.store import RESTORED, Database, LastRun, Transaction

log = logging.getLogger(__name__)

#: States of bookings whose job is not known yet.
_IN_FLIGHT = (BookingState.SENDING, BookingState.UNKNOWN)
#: How long to keep asking Propexo before bookings are sent without a usable response.
GIVE_UP_SECONDS = 300.0
#: While these errors occur, nothing can be sent anyway, so the check never gives up.
_NOTHING_CAN_BE_SENT = (NotAuthorized, NotSent, RateLimited)


class DatabaseCheck:
    """Suspends sending if the database may have been restored from a backup."""

    def __init__(self, store: Database, writes: WriteLog, clock: Clock) -> None:
        self._store = store
        self._writes = writes
        self._clock = clock
        #: When Propexo first failed to respond (monotonic seconds), or None.
        self._asked_at: float | None = None

    def run(self, sources: Collection[Source]) -> None:
        """Record that a worker is running, or suspend sending if the database was restored."""
        # A lost record is written again five seconds later.
        with self._store.pipeline(is_durable=False) as tx:
            if tx.identity.record_worker():
                return
        with self._store.statement() as tx:
            last = tx.identity.last_run()
        if last is not None and last.stopped_for == RESTORED:
            return
        try:
            cause = None if last is None else last.difference or self._newer_writes(last, sources)
        except UpstreamError:
            return  # nothing is sent until Propexo responds, and nothing could be
        self._asked_at = None
        with self._store.transaction() as tx:
            # Reading the log takes minutes. Meanwhile, the database may have been restored, or
            # another worker or a user may have decided.
            is_current = tx.identity.is_unchanged(last)
            if is_current and cause is None:
                tx.identity.adopt()
            is_suspended = bool(is_current and cause and self._suspend(tx))
        if is_suspended:
            log.error("database_restored", extra={"reason": cause})

    def _suspend(self, tx: Transaction) -> bool:
        """Suspend sending. Return False if it was already suspended because of a restore."""
        is_first = tx.rate_limit.suspend(RESTORED, self._clock())
        if is_first:
            tx.identity.skip_ids()
        return is_first

    def _newer_writes(self, last: LastRun, sources: Collection[Source]) -> str | None:
        """Return a message if Propexo has newer writes than this database, otherwise None.

        Stop reading at the first newer write. Raise UpstreamError if the log cannot be read yet.
        """
        known = write_log.owners(sources)
        integrations = {str(integration) for integration, *_ in known}
        pages = self._writes.pages(integrations, last.seen_at + 2 * SKEW)
        try:
            if any(self._has_lost_job(page, known) for page in pages):
                return "Propexo lists newer writes"
        except UpstreamError as exc:
            if not (isinstance(exc, Refused) or self._has_asked_enough(exc)):
                raise
            log.warning("restore_not_excluded", extra={"status": exc.status})
        return None

    def _has_lost_job(self, jobs: Sequence[Job], known: Mapping[tuple[object, ...], Owner]) -> bool:
        """Return True if this adapter sent a job that has no booking in this database."""
        # Read in this order so that a job that another worker is recording appears in one of them.
        jobs = [job for job in jobs if write_log.owner_of(job, known)]
        with self._store.statement() as tx:
            open_ones = tx.identity.bookings_that_may_be_sent() if jobs else ()
        in_flight = [one for one in open_ones if one.state in _IN_FLIGHT]
        return any(write_log.without(self._writes.unknown(jobs), in_flight))

    def _has_asked_enough(self, error: UpstreamError) -> bool:
        """Return True if Propexo has been failing for long enough to give up."""
        if self._asked_at is None:
            log.warning("database_unchecked", extra={"status": error.status, "reason": str(error)})
        now = time.monotonic()
        if self._asked_at is None or isinstance(error, _NOTHING_CAN_BE_SENT):
            self._asked_at = now
        return now - self._asked_at > GIVE_UP_SECONDS
