"""Detect duplicate webhooks. A repeated webhook is stored again only if its content changed."""

import dataclasses

from adapter import signatures
from adapter.mapping.source import Source
from adapter.store import Database, NewEvent, storable
from adapter.store.rows import delivery_headers


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The result of storing a webhook: the event ID and the duplicate status."""

    event_id: int
    #: True if an earlier webhook has the same key. ``event_id`` is then that of the earlier event.
    is_duplicate: bool
    #: The event with the new content, if a duplicate has different content, else None.
    changed_id: int | None = None
    #: True if this webhook was stored as that event, False if it only repeats it.
    is_change: bool = False

    @property
    def status(self) -> str:
        """The status for the sender. A webhook with new content does not count as a duplicate."""
        return "duplicate" if self.is_duplicate and not self.is_change else "accepted"

    @property
    def answered_id(self) -> int:
        """The event ID for the sender: that of the event with this content."""
        return self.changed_id or self.event_id


def insert_once(database: Database, event: NewEvent, source: Source, key: str) -> Receipt:
    """Store one event per dedupe key, plus another whenever the content for that key changes.

    A sender that changes a lead sends it again with the same key. Its content is stored, and the
    worker decides what changes.
    """
    event_id = database.insert_event(event)
    if event_id is not None:
        return Receipt(event_id=event_id, is_duplicate=False)
    return _insert_duplicate(database, event, source, key)


def _insert_duplicate(database: Database, event: NewEvent, source: Source, key: str) -> Receipt:
    """Count a duplicate webhook, and store its content unless it matches the latest content.

    If different content arrived in between, the same bytes may be a late retry or a change back, so
    the worker or a user decides. A held event counts as different content, because it may prove to
    be different. The same delivery ID, or a timestamp in the content, means a retry.
    """
    fingerprints = database.fingerprints()
    delivery, is_proved = _delivery_ids(event, source)
    with database.transaction() as tx:
        known = tx.claims.record_duplicate(
            source=event.source,
            digest=event.digest,
            content=event.content,
            delivery=delivery,
            now=event.received_at,
        )
        latest_id, is_change = known.latest_id, False
        is_retry = known.is_other_delivery is False
        is_proved_new = known.is_other_delivery and is_proved
        may_be_new = not is_retry and (known.is_outdated or is_proved_new)
        if not known.is_same or (
            may_be_new and not source.is_timed(event.request, now=event.received_at)
        ):
            digest = fingerprints.later_delivery(source.name, key, known.repeats)
            inserted = tx.events.insert(dataclasses.replace(event, digest=digest))
            assert inserted is not None  # noqa: S101 - each number is used once
            latest_id, is_change = inserted, True
            tx.claims.set_latest(
                source=event.source,
                digest=event.digest,
                content=event.content,
                event_id=latest_id,
            )
        changed_id = latest_id if latest_id != known.first_id else None
        return Receipt(
            event_id=known.first_id, is_duplicate=True, changed_id=changed_id, is_change=is_change
        )


def _delivery_ids(event: NewEvent, source: Source) -> tuple[dict[str, str], bool]:
    """Return the headers that identify a delivery, and True if they are authenticated."""
    headers = event.request.lowercase_headers
    names = [name for name in delivery_headers(source.delivery_header) if name in headers]
    proved = signatures.proved_headers(source.scheme, names)
    return {name: storable(headers[name]) for name in proved or names}, bool(proved)
