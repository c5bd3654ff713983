"""Read stored messages for the console's pages."""

import contextlib

from adapter.exceptions import KeyMissing
from adapter.models import Event
from adapter.store import Transaction


def event_of(tx: Transaction, event_id: int) -> Event | None:
    """Return an event, or None if its encryption key is not set."""
    with contextlib.suppress(KeyMissing):
        return tx.events.get(event_id)
    return None
