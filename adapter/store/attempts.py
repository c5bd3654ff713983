"""Store attempts. Each attempt is a POST to Propexo that is recorded before it is sent."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from adapter.models import Attempt, AttemptOutcome
from adapter.store.queries import Statements
from adapter.store.rate_limit import pause_after
from adapter.store.rows import attempt_from_row, storable

#: Maximum length of a stored response from Propexo, in characters.
ANSWER_CHARACTERS = 10_000


class Attempts(Statements):
    """Reads and writes attempts within a transaction."""

    def begin(
        self,
        booking_id: int,
        request: Mapping[str, Any],
        *,
        now: dt.datetime,
        lease_until: dt.datetime,
        why: str = "sending",
    ) -> Callable[[], Attempt]:
        """Record a POST that is about to be sent, and set its booking's state to ``sending``.

        ``why`` is the reason code for the history. It shows whether the tour's time was checked.
        Return a function that returns the attempt, or raises LookupError if the booking is not
        pending. A unique index rejects a second attempt while an earlier one may have succeeded.
        """
        rows = self._run(
            "begin_attempt",
            booking_id=booking_id,
            request=Jsonb(dict(request)),
            at=now,
            lease_until=lease_until,
            why=why,
        )

        def read() -> Attempt:
            row = rows.fetchone()
            if row is None:
                raise LookupError("the booking is not pending")
            return attempt_from_row(row)

        return read

    def accept(
        self,
        attempt_id: int,
        *,
        now: dt.datetime,
        due_at: dt.datetime,
        job_id: str,
        status: int | None,
        answer: str,
        rate: tuple[int, int] | None,
    ) -> bool:
        """Save the outcome, job ID and reported rate limit of an accepted POST in one statement.

        Return False and change nothing if an outcome was already saved.
        """
        return self._has(
            "accept_attempt",
            id=attempt_id,
            at=now,
            due_at=due_at,
            job_id=job_id,
            status=status,
            answer=storable(answer)[:ANSWER_CHARACTERS],
            allowed=rate[0] if rate else None,
            until=pause_after(*rate, now) if rate else None,
        )

    def finish(
        self,
        attempt_id: int,
        outcome: AttemptOutcome,
        *,
        now: dt.datetime,
        status: int | None = None,
        answer: str | None = None,
    ) -> bool:
        """Save the outcome of a POST. Return False if an outcome was already saved."""
        return self._has(
            "finish_attempt",
            id=attempt_id,
            outcome=outcome,
            at=now,
            status=status,
            answer=storable(answer)[:ANSWER_CHARACTERS] if answer is not None else None,
        )

    def fail_job(self, booking_id: int) -> None:
        """Record that the Propexo job started by a booking's POST has failed."""
        self._run("fail_job", booking_id=booking_id)

    def deny(self, booking_id: int, *, now: dt.datetime) -> None:
        """Record a user's report that no attempt succeeded. The booking can then be resent."""
        self._run("deny_attempts", booking_id=booking_id, at=now)

    def of_booking(self, booking_id: int) -> tuple[Attempt, ...]:
        """Return a booking's attempts, oldest first."""
        rows = self._all("attempts_of_booking", booking_id=booking_id)
        return tuple(map(attempt_from_row, rows))

    def has_accepted_since(self, attempt_id: int) -> bool:
        """Return True if Propexo accepted a POST that began after the given attempt."""
        return self._has("accepted_since", id=attempt_id)

    def shorten_leases(self, until: dt.datetime) -> None:
        """Shorten the leases of all unfinished attempts, so that they expire by ``until``."""
        self._run("shorten_leases", until=until)

    def expired(self, now: dt.datetime) -> list[Attempt]:
        """Return unfinished attempts whose lease has expired because their process has died."""
        return [attempt_from_row(row) for row in self._all("expired_attempts", now=now)]
