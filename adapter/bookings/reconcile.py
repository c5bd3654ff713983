"""Update the decisions on a person's stored bookings whenever one of them changes.

Whenever a request arrives or a booking's state changes, :func:`adapter.bookings.precedence.plan` is
recomputed from all of the person's requests while the person's lock is held.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import Self

from adapter.bookings import knock_cards, precedence
from adapter.bookings.decisions import Decision, held
from adapter.bookings.later_words import new_lines, said_in
from adapter.bookings.new_request import held_person
from adapter.bookings.person import (
    CANCELABLE,
    MERGED,
    SENT,
    are_versions,
    follows_in_knock,
    is_current,
    posted,
    posting_order,
)
from adapter.bookings.same_person import (
    Relation,
    are_two_people,
    has_another_contact,
    is_one_full_name,
    name_of,
    names_agree,
    relation,
)
from adapter.bookings.shared_keys import (
    MOST_NAMES,
    are_several,
    come_from_several,
    is_only_by_key,
    left_behind,
)
from adapter.models import Booking, BookingState, Kind
from adapter.store import Transaction


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Related:
    """The other requests that share a contact or a sender's key with a request."""

    #: Requests from the same person.
    same: tuple[Booking, ...]
    #: Requests from people who may be the same person.
    unclear: tuple[Booking, ...]
    #: Requests from other people.
    different: tuple[Booking, ...]
    #: Requests from anyone whose email or phone Knock may link to this person.
    nearby: tuple[Booking, ...] = ()
    #: Keys shared by so many requests that the requests were not read.
    crowded: frozenset[int] = frozenset()
    #: True for a cancellation without a contact whose key several people share.
    is_of_several: bool = False

    @classmethod
    def to(cls, booking: Booking, rows: Iterable[Booking]) -> Self:
        """Group requests by whether they come from the same person as ``booking``."""
        people: dict[Relation, list[Booking]] = {kind: [] for kind in Relation}
        for row in rows:
            if row.id != booking.id:
                people[relation(booking, row)].append(row)
        same, different, unclear = people.values()
        two = _of_two_people([one for one in same if _is_by_name(booking, one)], same)
        two |= _of_anyone(booking, same, (*different, *unclear))
        is_of_several = _is_of_several(booking, same)
        two |= {one.id for one in same if is_of_several}
        unclear += [one for one in same if one.id in two]
        return cls(
            same=tuple(one for one in same if one.id not in two),
            different=tuple(different),
            unclear=tuple(unclear),
            is_of_several=is_of_several,
        )

    def without(self, ids: Collection[int]) -> Self:
        """Return a copy without the requests that have these IDs."""
        groups = (self.same, self.unclear, self.different, self.nearby)
        same, unclear, different, nearby = (
            tuple(one for one in group if one.id not in ids) for group in groups
        )
        return dataclasses.replace(
            self, same=same, unclear=unclear, different=different, nearby=nearby
        )

    def has_several_under(self, cancellation: Booking) -> bool:
        """Return True if a cancellation may be for requests from several people."""
        changed = [
            one
            for one in self.unclear
            if are_versions(one, cancellation)
            and has_another_contact(one, cancellation)
            and one.state in (*SENT, *CANCELABLE)
        ]
        if cancellation.person_keys:
            return bool(changed)
        return cancellation.item_key in self.crowded or self.is_of_several


def _of_anyone(
    booking: Booking, same: Sequence[Booking], others: Iterable[Booking]
) -> frozenset[int]:
    """Return the IDs of requests linked to a booking only by a key that several people share."""
    by_key = [one for one in same if is_only_by_key(booking, one)]
    rows = [one for one in (*same, *others, booking) if are_versions(one, booking)]
    if not by_key or not are_several(rows):
        return frozenset()
    return frozenset(one.id for one in by_key)


def _is_of_several(booking: Booking, same: Iterable[Booking]) -> bool:
    """Return True for a cancellation without a contact that may be for any of several people.

    Their requests must not be compared because of it, or one would replace another.
    """
    if booking.person_keys or not booking.is_cancellation:
        return False
    return come_from_several([one for one in same if are_versions(one, booking)])


def _is_by_name(one: Booking, other: Booking) -> bool:
    """Return True if two requests share only one contact and must also match by name."""
    is_version = one.item_key is not None and one.item_key == other.item_key
    return not is_version and len(one.person_keys & other.person_keys) == 1


def _of_two_people(fitting: Sequence[Booking], same: Sequence[Booking]) -> Set[int]:
    """Return the IDs of requests that match by name but may be from another person."""
    names = {name_of(one): one for one in same}
    if len(names) > MOST_NAMES:
        return {one.id for one in fitting}
    several = {
        name
        for name, one in names.items()
        if any(_contradict(one, other) for other in names.values())
    }
    return {one.id for one in fitting if name_of(one) in several}


def _contradict(one: Booking, other: Booking) -> bool:
    is_named_differently = names_agree(one.appointment, other.appointment) is False
    return is_named_differently and relation(one, other) is not Relation.SAME


def load(tx: Transaction, booking: Booking, now: dt.datetime) -> Related:
    """Return the requests related to a booking. The caller must have locked the booking's keys.

    A cancellation may not name a person, but the booking that it cancels does. So both are related
    to the same requests. A booking that Knock replaced with another person's tour counts as gone.
    """
    rows = tx.bookings.of_keys(booking.match_keys, now, lock=True)
    related = Related.to(booking, rows)
    keys = {key for one in (*related.same, *related.unclear) for key in one.match_keys}
    if not keys <= {*booking.match_keys}:
        rows = tx.bookings.of_keys({*booking.match_keys, *keys}, now, lock=True)
    others = [row for row in rows if row.id != booking.id]
    known = (*related.same, *_linked(booking, related.same, others))
    same = _with_cancellations(booking, known, others)
    own = knock_cards.replaced(posted((*same, booking)))
    gone = knock_cards.replaced(posted(rows)).keys() - own.keys()
    same = [dataclasses.replace(one, gone_at=now) if one.id in gone else one for one in same]
    return dataclasses.replace(related, same=tuple(same), nearby=tuple(rows))


def _linked(
    booking: Booking, same: Sequence[Booking], rows: Iterable[Booking]
) -> Iterator[Booking]:
    """Yield requests that share the full name and a contact with a related request.

    For example, one request has only the email, one has only the phone, and a third has both.
    """
    contacts = frozenset[int]().union(
        *(one.person_keys for one in same if names_agree(one.appointment, booking.appointment))
    )
    known = {one.id for one in same}
    for row in rows:
        if row.person_keys & contacts and row.id not in known and is_one_full_name(row, booking):
            yield row


def _with_cancellations(
    booking: Booking, same: Sequence[Booking], rows: Sequence[Booking]
) -> list[Booking]:
    """Return a person's requests, including cancellations and the requests that they cancel.

    Other people's requests with the same key are left out, even if a cancellation may be for them.
    """
    known = {one.id for one in same}
    known |= {row.id for row in rows if _is_canceling(booking, row, same)}
    cancellations = [row for row in rows if row.id in known and row.is_cancellation]
    return [
        row
        for row in rows
        if row.id in known
        or (
            not are_two_people(row, booking)
            and any(
                are_versions(row, one) and relation(row, one) is Relation.SAME
                for one in cancellations
            )
        )
    ]


def _is_canceling(booking: Booking, row: Booking, same: Sequence[Booking]) -> bool:
    """Return True if ``row`` is from the same person and either request is a cancellation."""
    is_cancellation = booking.is_cancellation or row.is_cancellation
    return is_cancellation and any(relation(row, one) is Relation.SAME for one in same)


#: How many times a change may spread to other people who share a contact.
MOST_STEPS = 2


def reconcile(
    tx: Transaction, booking: Booking, now: dt.datetime, *, steps: int = MOST_STEPS
) -> None:
    """Recompute and store the decisions on a person's requests after one has changed."""
    tx.bookings.lock_related([booking], now)
    current = tx.bookings.get(booking.id, lock=True) or booking
    related = load(tx, current, now)
    decisions = precedence.plan((*related.same, current), now)
    apply(tx, current, related, decisions, now, steps=steps)


def lock_others(tx: Transaction, booking: Booking, now: dt.datetime) -> tuple[Booking, ...]:
    """Lock a booking's keys, and return the other requests that share one of them.

    Keys are always locked before rows, to avoid deadlocks. If there are no other requests, nothing
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
    """Store decisions on a person's requests, and update affected requests from other people."""
    changed = [row for row in (*related.same, booking) if row.id in decisions]
    rows = {row.id: row for row in (*related.nearby, booking)}
    left = _left_behind(rows, changed, decisions, now)
    for row in changed:
        if row.id not in left:
            decision = _checked(tx, row, decisions[row.id], now)
            move(tx, row, decision, now)
            keep_words(tx, row, decision, (*related.same, booking), now)
    hidden = (*MERGED, BookingState.PENDING)  # other states already need review
    moved = [rows[number] for number in left if rows[number].state in hidden]
    for row in moved:
        move(tx, row, held("shared_key", left[row.id]), now)
    for row in changed:
        if steps and not {*row.match_keys} <= {*booking.match_keys}:
            reconcile(tx, row, now, steps=steps - 1)
    for row in moved if steps else ():
        reconcile(tx, row, now, steps=steps - 1)


def _left_behind(
    rows: Mapping[int, Booking],
    changed: Iterable[Booking],
    decisions: Mapping[int, Decision],
    now: dt.datetime,
) -> dict[int, Booking]:
    """Return the open requests that the decisions would merge with another person's, by ID.

    The values are the other people's requests. Requests that were merged earlier count too.
    """
    after = {**rows, **{row.id: decisions[row.id].changed(row) for row in changed}}
    return {
        row.id: end
        for row, end in left_behind(after.values())
        if row.starts_at is None or is_current(row, now)
    }


def keep_words(
    tx: Transaction,
    booking: Booking,
    decision: Decision,
    others: Iterable[Booking],
    now: dt.datetime,
) -> None:
    """Store a message if a merged or replaced request contains new text.

    The new text is computed when the message is sent. ``others`` contains the person's requests.
    """
    if decision.state not in MERGED or booking.is_cancellation:
        return
    said = [said_in(one) for one in others if one.id == decision.because_of]
    if new_lines(said_in(booking), said):
        tx.messages.add(booking, now)


def _checked(tx: Transaction, booking: Booking, decision: Decision, now: dt.datetime) -> Decision:
    """Return the decision, or hold the request if a different person may have made it."""
    if decision.state is not BookingState.PENDING:
        return decision
    tx.bookings.lock_related([booking], now)  # the caller may have locked other keys
    return held_person(booking, load(tx, booking, now).unclear, now) or decision


def move(tx: Transaction, booking: Booking, decision: Decision, now: dt.datetime) -> None:
    """Store a decision on a booking, and make it due if it may be sent now."""
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


#: Maximum number of earlier bookings to list for the tour that followed them in Knock.
MOST_BEFORE = 5


def replacing_in_knock(tx: Transaction, bookings: Iterable[Booking]) -> dict[int, Booking]:
    """Return the bookings that replaced tours in Knock, keyed by the replaced booking's ID."""
    tours = (one for one in bookings if one.kind is Kind.APPOINTMENT)
    found = ((one.id, after_in_knock(tx, one)) for one in tours)
    return {number: later for number, later in found if later is not None}


def after_in_knock(tx: Transaction, booking: Booking) -> Booking | None:
    """Return a booking's successor in Knock, or None.

    A tour's successor is the tour that replaced it. A guest card's is the first tour added to it.
    """
    others = _of_contacts(tx, booking, booking.updated_at)
    later = [one for one in others if follows_in_knock(one, booking)]
    return min(later, key=posting_order, default=None)


def before_in_knock(tx: Transaction, booking: Booking) -> Sequence[Booking]:
    """Return a tour's predecessors in Knock: the replaced tours and the guest card."""
    others = _of_contacts(tx, booking, booking.posted_at) if booking.posted_at else []
    earlier = sorted((one for one in others if follows_in_knock(booking, one)), key=posting_order)
    after = ((one, after_in_knock(tx, one)) for one in earlier[-MOST_BEFORE:])
    return [one for one, later in after if later and later.id == booking.id and not one.gone_at]


def _of_contacts(tx: Transaction, booking: Booking, at: dt.datetime) -> Sequence[Booking]:
    """Return other bookings that share a contact with a booking and were relevant at ``at``."""
    others = tx.bookings.of_keys(booking.match_keys, at)
    return [one for one in others if one.person_keys & booking.person_keys and one.id != booking.id]
