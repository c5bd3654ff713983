"""Reconcile a person's stored bookings with the plan: load, plan, apply.

Whenever a request arrives or a booking's state changes, :func:`adapter.bookings.precedence.plan`
is recomputed from all of the person's requests, under the person's lock.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from adapter.bookings import precedence
from adapter.bookings.decisions import Decision
from adapter.bookings.person import posting_order, replaced_in_knock
from adapter.bookings.same_person import Relation, relation
from adapter.models import Booking, BookingState
from adapter.store import Transaction


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Related:
    """The other requests that share a contact or a key with one request."""

    #: From the same person.
    same: tuple[Booking, ...]
    #: From someone who may be the same person.
    unclear: tuple[Booking, ...]
    #: From other people.
    different: tuple[Booking, ...]
    #: Keys of the request that too many others have, so that these were not read.
    crowded: frozenset[int] = frozenset()

    @classmethod
    def to(cls, booking: Booking, rows: Iterable[Booking]) -> Self:
        """Group rows by whether they come from the same person."""
        people: dict[Relation, list[Booking]] = {kind: [] for kind in Relation}
        for row in rows:
            if row.id != booking.id:
                people[relation(booking, row)].append(row)
        same, different, unclear = map(tuple, people.values())
        return cls(same=same, different=different, unclear=unclear)


def load(tx: Transaction, booking: Booking, now: dt.datetime) -> Related:
    """Return the requests related to a booking. The caller must hold the locks on the keys."""
    related = Related.to(booking, tx.bookings.of_keys(booking.match_keys, now, lock=True))
    if not booking.is_cancellation:
        return related
    # A cancellation may not name a person, but the booking that it cancels does.
    keys = {key for one in related.same for key in one.match_keys}
    if keys <= {*booking.match_keys}:
        return related
    rows = tx.bookings.of_keys(keys, now, lock=True)
    known = {one.id for one in related.same}
    near = [
        row
        for row in rows
        if row.id in known or any(relation(row, one) is Relation.SAME for one in related.same)
    ]
    return dataclasses.replace(related, same=tuple(row for row in near if row.id != booking.id))


#: How far a change may spread through requests that share a contact.
MOST_STEPS = 2


def reconcile(
    tx: Transaction, booking: Booking, now: dt.datetime, *, steps: int = MOST_STEPS
) -> None:
    """Recompute and apply the plan for a person's requests after one of them has changed."""
    tx.bookings.lock_related([booking], now)
    rows = tx.bookings.of_keys(booking.match_keys, now, lock=True)
    current = next((row for row in rows if row.id == booking.id), booking)
    related = Related.to(current, rows)
    decisions = precedence.plan((*related.same, current), now)
    apply(tx, current, related, decisions, now, steps=steps)


def lock_others(tx: Transaction, booking: Booking, now: dt.datetime) -> tuple[Booking, ...]:
    """Return the requests that share a key with this one, and lock the keys if there are any.

    Keys are locked before rows, as everywhere, to avoid deadlocks. Without other requests, nothing
    can depend on this booking, so nothing is locked.
    """

    def read(*, lock: bool = False) -> tuple[Booking, ...]:
        rows = tx.bookings.of_keys(booking.match_keys, now, lock=lock)
        return tuple(row for row in rows if row.id != booking.id)

    if not read():
        return ()
    tx.bookings.lock_related([booking], now)
    return read(lock=True)


def apply(
    tx: Transaction,
    booking: Booking,
    related: Related,
    decisions: Mapping[int, Decision],
    now: dt.datetime,
    *,
    steps: int = MOST_STEPS,
) -> None:
    """Store decisions, and reconcile the people related to changed requests."""
    changed = [row for row in (*related.same, booking) if row.id in decisions]
    for row in changed:
        move(tx, row, decisions[row.id], now)
    for row in changed:
        if steps and not {*row.match_keys} <= {*booking.match_keys}:
            reconcile(tx, row, now, steps=steps - 1)


def move(tx: Transaction, booking: Booking, decision: Decision, now: dt.datetime) -> None:
    """Store a decision on one booking. If it may be sent, it is due now."""
    is_ready = decision.state is BookingState.PENDING
    tx.bookings.move(
        booking.id,
        decision.state,
        why=decision.code,
        because_of=decision.because_of,
        now=now,
        due_at=now if is_ready else None,
        reasons=[decision.reason],
    )


def replacing_in_knock(tx: Transaction, bookings: Iterable[Booking]) -> dict[int, Booking]:
    """Return the bookings for which Knock canceled booked tours, by the ID of the canceled one."""
    found = {}
    for booking in bookings:
        others = tx.bookings.of_keys(booking.match_keys, booking.updated_at)
        later = [one for one in others if one.person_keys & booking.person_keys]
        later = [one for one in later if replaced_in_knock(one, booking)]
        if later:
            found[booking.id] = min(later, key=posting_order)
    return found


def come_from_several(rows: Sequence[Booking]) -> bool:
    """Return True if these requests come from several people."""
    return any(
        relation(one, other) is Relation.DIFFERENT
        for number, one in enumerate(rows)
        for other in rows[number + 1 :]
    )
