"""Queue status webhooks, claim them for delivery, and record their outcomes."""

import dataclasses
import datetime as dt
from typing import NamedTuple

from adapter.store.queries import Statements

#: Number of entries in the history to read in one transaction.
MOST_READ = 1000
#: Maximum number of waiting webhooks to count, or to delete in one statement.
MOST_WAITING = 10_000


class Horizon(NamedTuple):
    """The end of the history of state changes at a certain moment."""

    #: The last ID in the history, or 0 if it is empty.
    newest: int
    #: The open transactions that may have been assigned an earlier ID.
    writers: frozenset[str]


class HistoryEnd:
    """Determines how far the history of state changes is complete.

    An open transaction may still commit an entry with a lower ID than entries that are already
    visible. So the transactions that were open when the history was last checked must end first.
    """

    def __init__(self) -> None:
        self._awaited: Horizon | None = None

    def complete_until(self, current: Horizon) -> int | None:
        """Return the last ID in the complete part of the history, or None if still unknown."""
        awaited = self._awaited or current
        if awaited.writers & current.writers:
            self._awaited = awaited
            return None
        self._awaited = None if awaited is current else current
        return awaited.newest


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StatusWebhook:
    """A webhook that reports a lead's new status to another system."""

    id: int
    history_id: int
    event_id: int
    #: The booking's ID, or None if the lead is a webhook without bookings.
    booking_id: int | None
    #: ``booked``, ``needs_review``, ``failed`` or ``canceled``.
    status: str
    at: dt.datetime
    #: The number of attempts, including the current one.
    attempts: int
    to_state: str
    why: str
    by: str
    source: str
    kind: str | None
    community: str | None
    timezone: str | None
    starts_at: dt.datetime | None
    job_id: str | None
    #: True if the change belongs to a cancellation that made a user cancel this tour.
    is_gone: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WebhookSummary:
    """The recent failures to deliver status webhooks, and the number of waiting webhooks."""

    #: When the failures began, or None if the last attempt succeeded.
    failing_since: dt.datetime | None
    #: The latest error, even if an attempt has succeeded since.
    last_error: str | None
    #: Number of webhooks that could not be delivered in time, and when the last one was given up.
    given_up: int
    given_up_at: dt.datetime | None
    #: The number of undelivered webhooks (up to :data:`MOST_WAITING`), how many of them were tried,
    #: and when the oldest change happened.
    waiting: int
    failed: int
    oldest_at: dt.datetime | None


class Outbox(Statements):
    """Reads and writes status webhooks within a transaction."""

    def horizon(self) -> Horizon:
        """Return the end of the history of state changes. Do not call this while writing to it."""
        row = self._one("history_horizon") or {}
        return Horizon(row["newest"] or 0, frozenset(row["writers"]))

    def queue(self, until: int, oldest: dt.datetime) -> bool:
        """Queue a status webhook for each change up to an ID. Return True if more remain.

        The first call only records the ID, so that no earlier change is reported.
        """
        progress = self._one("lock_status_webhook_progress")
        if progress is None:
            return False
        after = until if progress["position"] is None else progress["position"]
        part = self._one("history_part_end", after=after, until=until, limit=MOST_READ) or {}
        end = part["id"] or after
        if end > after:
            self._run("queue_status_webhooks", after=after, until=end, oldest=oldest)
        if end != progress["position"]:
            self._run("move_status_webhook_progress", position=end)
        return bool(end < until and end > after)

    def claim(self, now: dt.datetime, lease_until: dt.datetime) -> StatusWebhook | None:
        """Claim the next status webhook until ``lease_until``, and return it.

        Return None if no webhook is due.
        """
        row = self._one("claim_status_webhook", now=now, lease_until=lease_until)
        return StatusWebhook(**row) if row else None

    def delivered(self, webhook: StatusWebhook) -> int:
        """Delete a delivered webhook. Return how many consecutive failures preceded it."""
        self._run("delete_status_webhook", id=webhook.id)
        return int(self._value("clear_status_webhook_failures") or 0)

    def failed(
        self,
        webhook: StatusWebhook,
        error: str,
        *,
        now: dt.datetime,
        due_at: dt.datetime,
        max_pause: float,
    ) -> int:
        """Postpone a failed webhook and pause the others. Return how many failed in a row."""
        self._run("postpone_status_webhook", id=webhook.id, due_at=due_at)
        values = {"error": error, "now": now, "max_pause": max_pause}
        return int(self._value("record_status_webhook_failure", **values) or 0)

    def give_up(self, before: dt.datetime, now: dt.datetime) -> int:
        """Delete undelivered webhooks for changes before a given time. Return their number."""
        values = {"before": before, "now": now, "limit": MOST_WAITING}
        return int(self._value("give_up_status_webhooks", **values) or 0)

    def summary(self) -> WebhookSummary:
        """Return a summary of the failed and the waiting status webhooks."""
        row = self._one("status_webhook_summary", limit=MOST_WAITING)
        if row is None:
            raise LookupError("the row of status_webhook_progress is missing; run adapter migrate")
        return WebhookSummary(**row)
