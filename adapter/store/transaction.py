"""Provide a database transaction with one attribute for each group of tables.

All transactions lock rows and keys in the same order, so that they do not deadlock:

1. the event that is mapped, mapped again or erased
2. the keys of its people, and of all people related to them
   (:meth:`adapter.store.bookings.Bookings.lock_related`), all at once
3. bookings, by ID, and then their messages

The rate limit's row is locked after the keys.

A transaction may skip a step, but must not go back. Rows of queues may be locked at any time,
because ``SKIP LOCKED`` never waits. A long chain of people with shared contact details may still
require more keys later. If PostgreSQL ends a transaction because of this,
:class:`StoreUnavailable` is raised, as after a lost connection: a worker repeats the step, and
senders and users get 503 and try again.
"""

import contextlib
import datetime as dt
import functools
from collections.abc import Iterable
from typing import Any, TypeVar

from adapter.store.alarm_log import AlarmLog
from adapter.store.attempts import Attempts
from adapter.store.bookings import Bookings
from adapter.store.calendars import FreeTimesTable
from adapter.store.claims import Claims
from adapter.store.crm_models import CrmModels
from adapter.store.decided import Decisions
from adapter.store.encryption import Encryption
from adapter.store.erasure import Erasure
from adapter.store.events import Events
from adapter.store.formats import Formats
from adapter.store.identity import Identity
from adapter.store.invitation_mails import InvitationMails
from adapter.store.jobs import Jobs
from adapter.store.messages import Messages
from adapter.store.meter import MetricValues
from adapter.store.monitoring import Monitoring
from adapter.store.outbox import Outbox
from adapter.store.overrides import OverridesTable
from adapter.store.portal_leads import PortalLeads
from adapter.store.queries import Statements
from adapter.store.rate_limit import RateLimiter
from adapter.store.rejections import Rejections
from adapter.store.review_queue import ReviewQueue
from adapter.store.search import Search
from adapter.store.send_queue import SendQueue
from adapter.store.stats import Stats
from adapter.store.users import AuditLog, Users

Tables = TypeVar("Tables", bound=Statements)


def _lazy(kind: type[Tables]) -> "functools.cached_property[Tables]":
    """Return a property that creates a table group's query object on first use."""
    return functools.cached_property(lambda tx: kind(tx.connection))


class Transaction(Statements):
    """A transaction on one connection, with an attribute for each group of tables."""

    alarms = _lazy(AlarmLog)
    attempts = _lazy(Attempts)
    audit = _lazy(AuditLog)
    bookings = _lazy(Bookings)
    claims = _lazy(Claims)
    crm_models = _lazy(CrmModels)
    decisions = _lazy(Decisions)
    encryption = _lazy(Encryption)
    erasure = _lazy(Erasure)
    events = _lazy(Events)
    formats = _lazy(Formats)
    free_times = _lazy(FreeTimesTable)
    identity = _lazy(Identity)
    invitation_mails = _lazy(InvitationMails)
    jobs = _lazy(Jobs)
    messages = _lazy(Messages)
    metrics = _lazy(MetricValues)
    monitoring = _lazy(Monitoring)
    outbox = _lazy(Outbox)
    overrides = _lazy(OverridesTable)
    portal_leads = _lazy(PortalLeads)
    rate_limit = _lazy(RateLimiter)
    rejections = _lazy(Rejections)
    review_queue = _lazy(ReviewQueue)
    search = _lazy(Search)
    send_queue = _lazy(SendQueue)
    stats = _lazy(Stats)
    users = _lazy(Users)

    def savepoint(self) -> contextlib.AbstractContextManager[Any]:
        """Open a savepoint. Rolling back to it does not affect the rest of the transaction."""
        return self.connection.transaction()

    def lock_keys(self, keys: Iterable[int]) -> None:
        """Lock the given 64-bit keys until the transaction ends.

        A key stands for a person at a community, an item or a sign-in. A transaction locks all keys
        that it needs at once and in a fixed order. The module's docstring describes the order of
        locks.
        """
        self._run("lock_keys", keys=list(keys))

    def is_read_only(self) -> bool:
        """Return True if PostgreSQL does not accept writes."""
        return bool(self._value("is_read_only"))

    def hash_key(self) -> bytes:
        """Return the secret key of this installation's keyed hashes, stored in the database."""
        key = self._value("hash_key")
        if key is None:
            raise LookupError("the database's hash key is missing; run adapter migrate")
        return bytes(key)

    def current_time(self) -> dt.datetime:
        """Return PostgreSQL's current time."""
        row = self._one("current_time")
        assert row is not None  # noqa: S101 - SELECT without FROM gives a row
        at: dt.datetime = row["at"]
        return at

    def record_propexo_host(self, host: str) -> None:
        """Record the host of Propexo's API unless one was recorded before."""
        self._run("record_propexo_host", host=host)

    def propexo_host(self) -> str | None:
        """Return the first recorded host of Propexo's API, or None."""
        return self._value("propexo_host")
