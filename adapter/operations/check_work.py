"""Check that leads move, for ``adapter doctor``."""

import datetime as dt
from collections.abc import Iterator
from typing import Final

from adapter.exceptions import StoreUnavailable
from adapter.models import Clock
from adapter.operations.finding import Finding, fault, ok, warning
from adapter.operations.serializers import ago
from adapter.settings import Settings
from adapter.store import Database

AREA: Final = "work"
USERS: Final = "users"

#: A received webhook is mapped in less than a second, if a worker runs.
UNMAPPED: Final = dt.timedelta(minutes=1)
#: A pending booking may wait for the rate limit.
UNSENT: Final = dt.timedelta(minutes=15)


def work_findings(settings: Settings, url: str, clock: Clock) -> Iterator[Finding]:
    """Check that received webhooks are mapped and sent, and that users can sign in."""
    now = clock()
    try:
        with Database(url, size=1) as store:
            store.check_schema()
            with store.transaction() as tx:
                oldest, sending = tx.jobs.oldest(now), tx.stats.sending(now)
                users = {*settings.users, *(user.name for user in tx.users.all())}
    except StoreUnavailable:
        return  # reported with the database
    if sending.stopped_for is not None:
        text = f"sending is stopped ({sending.stopped_for}) with {sending.pending} bookings pending"
        yield fault(AREA, text, "set a valid PROPEXO_TOKEN; it goes on by itself within a minute")
    yield from _waiting("received webhooks are not mapped", oldest.unmapped_since, now, UNMAPPED)
    if sending.stopped_for is None:
        yield from _waiting("bookings are not sent", oldest.unsent_since, now, UNSENT)
    if sending.paused_until > now:
        text = f"sending is paused until {sending.paused_until:%H:%M} UTC, as Propexo asked"
        yield ok(AREA, text)
    yield _users(users)


def _waiting(
    what: str, since: dt.datetime | None, now: dt.datetime, limit: dt.timedelta
) -> Iterator[Finding]:
    if since is not None and now - since > limit:
        text = f"{what}: the oldest has been due since {ago(since, now)}"
        yield fault(AREA, text, "start adapter worker; if one runs, look at its log")
    else:
        yield ok(AREA, f"no {what.replace('are not', 'wait to be')}")


def _users(users: set[str]) -> Finding:
    real = sorted(name for name in users if not name.startswith("("))
    if not real:
        return warning(USERS, "the console has no user, so it is closed", "adapter users add NAME")
    return ok(USERS, f"the console has {len(real)} users")
