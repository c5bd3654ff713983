"""Find leads in review that the current mapping can book, but an earlier version could not.

Each lead is tried once per version of its mapping.
"""

import collections
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import flask

from adapter.console.context import services
from adapter.console.stored_messages import event_of
from adapter.mapping.engine import SENT_OUTCOMES, Item, Outcome
from adapter.models import Booking, BookingState
from adapter.store import Group, Transaction

#: Maximum number of leads to try per request. The next requests try the others.
MOST_TRIED: Final = 100
#: Maximum number of results to keep.
MOST_KEPT: Final = 50_000
#: The result for a lead that the mapping cannot book.
NEVER: Final = -math.inf

#: The time until which a lead can be booked, in seconds since 1970, keyed by the mapping's hash and
#: the lead's ID.
_results: collections.OrderedDict[tuple[str, int], float] = collections.OrderedDict()
_lock: Final = threading.Lock()


def readable_leads(groups: Sequence[Group]) -> frozenset[int]:
    """Return the IDs of the groups' leads that can be booked now. Try them once per request."""
    if "readable_leads" not in flask.g:
        flask.g.readable_leads = _readable(groups)
    found: frozenset[int] = flask.g.readable_leads
    return found


def _readable(groups: Sequence[Group]) -> frozenset[int]:
    hashes = {name: source.hash for name, source in services.sources.items()}
    keys = [
        (hashes[group.issue.source], number)
        for group in groups
        if is_held_by_mapping(group) and group.issue.source in hashes
        for number in group.ids
    ]
    with _lock:
        new = [number for key in keys for number in key[1:] if key not in _results]
    if new:
        _remember(_tried(new, hashes))
    now = services.now().timestamp()
    with _lock:
        return frozenset(key[1] for key in keys if _results.get(key, NEVER) > now)


def is_held_by_mapping(group: Group) -> bool:
    """Return True if the mapping could not read a group's leads completely."""
    issue = group.issue
    is_held = issue.kind == "booking" and issue.state == BookingState.HELD
    return is_held and issue.code == "held_by_mapping"


def _remember(results: Mapping[tuple[str, int], float]) -> None:
    with _lock:
        _results.update(results)
        while len(_results) > MOST_KEPT:
            _results.popitem(last=False)


def _tried(numbers: Sequence[int], hashes: Mapping[str, str]) -> dict[tuple[str, int], float]:
    """Try to map leads whose mapping has changed since they arrived, up to a limit."""
    with services.store.transaction() as tx:
        rows = tx.review_queue.mapped_with(numbers)
        same = {
            (hashes[row["source"]], row["id"]): NEVER
            for row in rows
            if row["mapping_hash"] == hashes[row["source"]]
        }
        others = [row["id"] for row in rows if (hashes[row["source"]], row["id"]) not in same]
        bookings = tx.bookings.of_ids(others[:MOST_TRIED])
        return same | {
            (hashes[booking.source], booking.id): _until(tx, booking) for booking in bookings
        }


def _until(tx: Transaction, booking: Booking) -> float:
    """Return the time until which the current mapping can book a lead, or NEVER."""
    event, source = event_of(tx, booking.event_id), services.sources.get(booking.source)
    if event is None or source is None or event.kept != "all":
        return NEVER
    items = source.map(event.request, now=event.received_at).items
    item = items[most_similar(booking, items)] if items else None
    if item is None or item.outcome not in SENT_OUTCOMES:
        return NEVER
    return item.starts_at.timestamp() if item.starts_at is not None else math.inf


def most_similar(booking: Booking, items: Sequence[Item]) -> int:
    """Return the index of the item in a webhook that is most similar to a booking."""

    def likeness(number: int) -> int:
        if items[number].outcome is Outcome.IGNORED:
            return -1
        pairs = items[number].appointment.items()
        return sum(booking.appointment.get(name) == value for name, value in pairs)

    return max(range(len(items)), key=likeness, default=0)
