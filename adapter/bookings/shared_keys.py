"""Recognize keys that several people share, and requests merged only because of such a key.

All functions are pure.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from adapter.bookings.person import MERGED, are_versions, order
from adapter.bookings.same_person import (
    Relation,
    are_two_people,
    have_other_first_names,
    is_erased,
    is_one_full_name,
    name_of,
    relation,
)
from adapter.models import REPLAYED, Booking

#: If requests with one contact have more names than this, they are from several people.
MOST_NAMES = 20


def is_only_by_key(one: Booking, other: Booking) -> bool:
    """Return True if two requests have the same key, and nothing else shows who made them."""
    is_cancellation = one.is_cancellation or other.is_cancellation
    is_known = one.person_keys & other.person_keys or is_one_full_name(one, other)
    return are_versions(one, other) and not is_cancellation and not is_known


def are_several(rows: Iterable[Booking]) -> bool:
    """Return True if requests with the same key are clearly from different people."""
    return _are_any(
        lambda one, other: are_two_people(one, other) or relation(one, other) is Relation.DIFFERENT,
        (one for one in rows if not one.is_cancellation),
    )


def come_from_several(rows: Iterable[Booking]) -> bool:
    """Return True if the requests may be from more than one person."""
    return _are_any(lambda one, other: relation(one, other) is not Relation.SAME, rows)


def _are_any(differ: Callable[[Booking, Booking], bool], rows: Iterable[Booking]) -> bool:
    """Return True if any two requests differ, or if there are too many names to compare."""
    people = _one_per_person(rows)
    pairs = itertools.combinations(people, 2)
    return len(people) > MOST_NAMES or any(differ(one, other) for one, other in pairs)


def _one_per_person(rows: Iterable[Booking]) -> Sequence[Booking]:
    """Return one request from each group with the same contact details, name and key."""
    return [*{(one.person_keys, name_of(one), one.item_key): one for one in rows}.values()]


def chain_of(booking: Booking, get: Callable[[int], Booking | None]) -> Iterator[Booking]:
    """Follow a booking's chain of merges, and yield each request in it."""
    seen = {booking.id}
    while booking.state in MERGED and booking.because_of not in seen:
        found = get(booking.because_of or 0)
        if found is None:
            return
        seen.add(found.id)
        yield found
        booking = found


def is_of_another_person(booking: Booking, other: Booking | None) -> bool:
    """Return True if a request was merged with another person's because they have the same key.

    When they were merged, it may not have been known that they are different people.
    """
    is_decided = booking.state in MERGED and booking.reason != REPLAYED
    if other is None or not is_decided or booking.is_cancellation or other.is_cancellation:
        return False
    is_by_key = booking.item_key == other.item_key is not None
    return is_by_key and relation(booking, other) is not Relation.SAME


def left_behind(rows: Iterable[Booking]) -> Iterator[tuple[Booking, Booking]]:
    """Yield each merged request that may be another person's, with the last request in its chain.

    For example, a lead without a name is replaced by one without a contact, and that by one with
    another contact. Seen from the last one, the first is from someone else.
    """
    known = {row.id: row for row in rows}
    merged = [row for row in known.values() if row.state in MERGED and row.item_key is not None]
    chains = {row.id: [*chain_of(row, known.get)] for row in merged}
    found = set[int]()
    for row in sorted(merged, key=lambda one: (len(chains[one.id]), order(one))):
        chain = chains[row.id]
        if chain and found.isdisjoint(one.id for one in chain) and _is_apart(row, chain, known):
            found.add(row.id)
            yield row, chain[-1]


def _is_apart(row: Booking, chain: Sequence[Booking], known: Mapping[int, Booking]) -> bool:
    """Return True if a chain of merges may end at another person.

    Shared contacts show that it does not, unless the last request has another first name.
    """
    other, end = chain[0], chain[-1]
    has_same_content = row.content == other.content is not None
    if end.state in MERGED or end.is_cancellation or is_erased(row) or is_erased(end):
        return False
    if has_same_content or not (is_of_another_person(row, end) or is_only_by_key(row, other)):
        return False
    rows = [one for one in known.values() if are_versions(one, row) or one is row]
    is_linked = _share_contacts((row, *chain)) and not have_other_first_names(row, end)
    return not is_linked and (is_of_another_person(row, end) or are_several(rows))


def _share_contacts(chain: Sequence[Booking]) -> bool:
    return all(one.person_keys & other.person_keys for one, other in itertools.pairwise(chain))
