"""Decide whether a new request is a repeat, a change or another person's request.

:mod:`adapter.bookings.precedence` decides how the request affects the person's other requests. All
functions are pure.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Sequence

from adapter.bookings import knock_cards
from adapter.bookings.decisions import Decision, held, seen_before, superseded
from adapter.bookings.person import (
    CANCELABLE,
    SENT,
    WITHOUT_EFFECT,
    Person,
    are_versions,
    canceling,
    is_between,
    is_current,
    may_exist,
    may_replace,
    order,
    posted,
)
from adapter.bookings.precedence import may_be_gone, plan
from adapter.bookings.same_person import names_agree
from adapter.models import Booking, BookingState, Kind
from adapter.store import RESTORED


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """An earlier webhook that has the same content as a new one."""

    #: The booking from the earlier webhook.
    original: Booking
    #: True if an ID or a time proves a retry. If False, the renter may have asked again.
    is_certain: bool


def repeated_cancellation(
    new: Booking, same: Sequence[Booking], repeat: Repeat | None
) -> Decision | None:
    """Return the decision on a repeated cancellation, or None to treat it like a new one.

    A late retry must not cancel a newer request.
    """
    if repeat is None:
        return None
    since = [one for one in _versions(new, same) if order(one) > order(repeat.original)]
    if repeat.is_certain:
        return seen_before(repeat.original, "same_delivery")
    return held("repeat_or_change", since[-1]) if since else None


def decide_new(
    new: Booking,
    same: Sequence[Booking],
    unclear: Sequence[Booking],
    now: dt.datetime,
    *,
    repeat: Repeat | None,
    has_sent_at: bool,
    is_contact_of_many: bool = False,
    open_sources: Collection[str] = (),
    nearby: Sequence[Booking] = (),
) -> Decision | None:
    """Return the decision on a new request, or None to keep the state set by its mapping.

    ``same`` contains the person's other requests, ``unclear`` the requests of people who may be the
    same person, and ``nearby`` all requests whose email or phone Knock may link to it.
    ``has_sent_at`` is True if the sender reported the time of the request. ``open_sources`` are
    sources that anyone can send to. ``is_contact_of_many`` is True if so many requests share the
    email or phone that some were not read.
    """
    known = _decide_version(new, same, now, repeat=repeat, has_sent_at=has_sent_at)
    if known is not None or new.state is not BookingState.PENDING:
        return known
    early = (
        _decide_repeat(new, same, repeat, now)
        or _held_change(new, same, now)
        or _held_correction(new, same, now)
        or _held_after_restore(new, same, now, has_sent_at=has_sent_at)
    )
    if early is not None:
        return early
    planned = plan((*same, new), now).get(new.id)
    if planned is not None and planned.state is not BookingState.SUPERSEDED:
        return _held_doubtful(new, same, planned, now) or planned
    return (
        held_twins(new, same, now)
        or _held_unproved(new, same, planned, now, open_sources)
        or planned
        or _held_canceled(new, same, has_sent_at=has_sent_at)
        or _held_beside_others(new, same, unclear, nearby, now, is_of_many=is_contact_of_many)
    )


def _decide_version(
    new: Booking,
    same: Sequence[Booking],
    now: dt.datetime,
    *,
    repeat: Repeat | None,
    has_sent_at: bool,
) -> Decision | None:
    """Return the decision on a retry, an unchanged version or an older version, or None."""
    if repeat is not None and repeat.is_certain:
        return seen_before(repeat.original, "same_delivery")
    unchanged = _unchanged(new, same, now, repeat=repeat, has_sent_at=has_sent_at)
    return unchanged or _older_version(new, same)


def _decide_repeat(
    new: Booking, same: Sequence[Booking], repeat: Repeat | None, now: dt.datetime
) -> Decision | None:
    """Return the decision on a tour that was already requested with the same content, or None."""
    if repeat is None or new.kind is Kind.PROSPECT:
        return None
    is_risky = _may_undo(new, same, now)
    return _held_repeat(new, same, now) if is_risky else seen_before(repeat.original)


def decide_chosen(
    new: Booking,
    same: Sequence[Booking],
    unclear: Sequence[Booking],
    now: dt.datetime,
    *,
    nearby: Sequence[Booking],
    open_sources: Collection[str],
    is_contact_of_many: bool,
) -> Decision | None:
    """Return the decision on a tour chosen on the renter page, or None to send the tour.

    The renter has just chosen the tour, so it is neither a repeat nor an older version. Everything
    else is decided as for a request from a sender.
    """
    planned = plan((*same, new), now).get(new.id)
    if planned is not None and planned.state is not BookingState.SUPERSEDED:
        return _held_doubtful(new, same, planned, now) or planned
    return (
        _held_unproved(new, same, planned, now, open_sources)
        or planned
        or _held_beside_others(new, same, unclear, nearby, now, is_of_many=is_contact_of_many)
    )


def _held_beside_others(
    new: Booking,
    same: Sequence[Booking],
    unclear: Sequence[Booking],
    nearby: Sequence[Booking],
    now: dt.datetime,
    *,
    is_of_many: bool,
) -> Decision | None:
    """Hold a request if Knock might confuse it with another person's request."""
    of_many = Decision(state=BookingState.HELD, code="contact_of_many") if is_of_many else None
    return held_person(new, unclear, now) or _held_beside(new, same, nearby, now) or of_many


def _held_after_restore(
    new: Booking, same: Sequence[Booking], now: dt.datetime, *, has_sent_at: bool
) -> Decision | None:
    """Hold a request that may be older than a tour recovered after a restore.

    The lost webhook arrived at some time before the tour's POST. So a request that was made before
    the POST may still be newer, and one for an earlier lost tour may be a late repeat.
    """
    last = _last_tour(new, same, now)
    if new.kind is Kind.PROSPECT or last is None or last.reason != RESTORED:
        return None
    if last.starts_at == new.starts_at:
        return None
    is_known = any(one.reason == RESTORED and one.starts_at == new.starts_at for one in same)
    is_older = order(new) < order(last)
    is_unclear = not (is_older or has_sent_at) if is_known else is_older
    return held("after_restore", last) if is_unclear else None


def _versions(new: Booking, same: Iterable[Booking]) -> list[Booking]:
    """Return the other requests with the same sender and key as ``new``, oldest first."""
    versions = [
        one
        for one in same
        if are_versions(one, new) and not one.is_cancellation and one.reason != "same_delivery"
    ]
    return sorted(versions, key=order)


def _latest_version(new: Booking, same: Iterable[Booking]) -> Booking | None:
    return next(reversed(_versions(new, same)), None)


def _unchanged(
    new: Booking,
    same: Sequence[Booking],
    now: dt.datetime,
    *,
    repeat: Repeat | None,
    has_sent_at: bool,
) -> Decision | None:
    """Return the decision on a request that is identical to the latest version, or None.

    The request needs review if a user has dismissed that version since then, or if the renter has a
    later tour from another sender, because the renter may have asked again.
    """
    latest = _latest_version(new, same)
    if latest is None or latest.content != new.content or _was_canceled(new, same):
        return None
    if any(is_between(one, latest, new) for one in same):
        return None
    is_later = new.asked_at > latest.updated_at
    if latest.state is BookingState.DISCARDED and repeat is None and is_later:
        return held("dismissed_before", latest)
    last = _last_tour(new, same, now)
    if last is None or last.starts_at == new.starts_at or order(last) < order(latest):
        return seen_before(latest)
    return None if has_sent_at else held("repeat_or_change", last)


def _was_canceled(new: Booking, same: Sequence[Booking]) -> bool:
    """Return True if the sender canceled the latest version before ``new`` was requested."""
    latest = _latest_version(new, same)
    return latest is not None and any(order(one) < order(new) for one in canceling(latest, same))


def _older_version(new: Booking, same: Sequence[Booking]) -> Decision | None:
    newer = [
        one
        for one in _versions(new, same)
        if order(one) > order(new) and may_replace(one.kind, new.kind)
    ]
    return superseded(new, newer[-1]) if newer else None


def held_twins(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a tour if its webhook also requests another tour for the same person."""
    twins = [
        one
        for one in Person(tuple(same), now).at(new.community).tours
        if one.event_id == new.event_id and one.starts_at != new.starts_at
    ]
    if not twins or new.kind is Kind.PROSPECT:
        return None
    return held("two_tours_at_once", max(twins, key=order))


def _held_change(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a changed request for review if the contact or community is different."""
    sent = [
        one
        for one in map(Person(tuple(same), now).end_of, _versions(new, same))
        if may_exist(one) and is_current(one, now) and not one.person_keys & new.person_keys
    ]
    return held("changed_after_first", sent[-1]) if sent else None


def _held_correction(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a request that only corrects a contact, because Knock would ignore the correction."""
    sent = [
        one
        for one in _versions(new, same)
        if may_exist(one)
        and is_current(one, now)
        and one.starts_at == new.starts_at
        and one.person_keys & new.person_keys
    ]
    is_replaced = sent and (
        sent[-1].person_keys - new.person_keys and new.person_keys - sent[-1].person_keys
    )
    return held("contact_changed", sent[-1]) if is_replaced else None


def _held_canceled(new: Booking, same: Sequence[Booking], *, has_sent_at: bool) -> Decision | None:
    """Hold a request whose cancellation arrived first, unless the request is provably newer."""
    before = [
        one
        for one in same
        if one.is_cancellation and are_versions(one, new) and one.reason not in WITHOUT_EFFECT
    ]
    if has_sent_at or not before or _versions(new, same):
        return None
    return held("canceled_before", max(before, key=order))


def _may_undo(new: Booking, same: Sequence[Booking], now: dt.datetime) -> bool:
    """Return True if booking a repeated request might undo a later change by the sender."""
    last = _last_tour(new, same, now)
    is_other_tour = last is None or last.starts_at != new.starts_at
    return is_other_tour or _was_canceled(new, same) or _moved(new, same) is not None


def _moved(new: Booking, same: Sequence[Booking]) -> Booking | None:
    """Return the latest version of a request if it is for another community, or None."""
    latest = _latest_version(new, same)
    return latest if latest is not None and latest.community != new.community else None


def _held_unproved(
    new: Booking,
    same: Sequence[Booking],
    planned: Decision | None,
    now: dt.datetime,
    open_sources: Collection[str],
) -> Decision | None:
    """Hold a request if an unverified source would change a verified source's tour.

    Anyone can send to an open source, and an email address must not be enough to move a tour.
    """
    is_open = new.source in open_sources
    others = [one for one in same if (one.source in open_sources) is not is_open]
    if planned is not None:
        replacing = [one for one in others if one.id == planned.because_of and not is_open]
    else:
        replacing = [one for one in others if is_open and _would_be_replaced(one, new, now)]
    return held("not_proved", max(replacing, key=order)) if replacing else None


def _would_be_replaced(one: Booking, new: Booking, now: dt.datetime) -> bool:
    """Return True if Knock would replace ``one`` when ``new`` is booked."""
    is_tour_or_unsent = one.kind is Kind.APPOINTMENT or one.state not in SENT
    return (
        new.kind is Kind.APPOINTMENT
        and is_tour_or_unsent
        and not one.is_cancellation
        and one.community == new.community
        and not one.is_gone
        and one.state in (*SENT, *CANCELABLE)
        and is_current(one, now)
    )


def _last_tour(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Booking | None:
    """Return the person's most recently requested tour at the new request's community, or None."""
    return Person(tuple(same), now).at(new.community).last


def _held_repeat(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision:
    """Return the decision to hold a late repeat that might undo a newer request."""
    last = _moved(new, same) or _last_tour(new, same, now)
    since = [one for one in same if one is last or (one.is_cancellation and are_versions(one, new))]
    return held("repeat_or_change", max(since or same, key=order))


def held_person(new: Booking, unclear: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a request if a different person may have the same contact."""
    others = Person(tuple(unclear), now).wanted
    if not others:
        return None
    other = max(others, key=order)
    if other.person_keys & new.person_keys:
        return held("another_person", other)
    is_other_name = names_agree(new.appointment, other.appointment) is False
    return held("another_name" if is_other_name else "changed_after_first", other)


def _held_beside(
    new: Booking, same: Sequence[Booking], nearby: Sequence[Booking], now: dt.datetime
) -> Decision | None:
    """Hold a tour if Knock might also keep another tour, or might cancel this one later."""
    known = {one.id for one in same}
    unsent = [one for one in nearby if one.state is BookingState.PENDING and one.id not in known]
    beside = knock_cards.left_beside(new, (*posted(nearby), *unsent), known, now)
    # Another sender's tour tells users more than an earlier version from the same sender.
    others = [one for one in beside if not are_versions(one, new)] or beside
    return held("two_cards", max(others, key=order)) if others else None


def _held_doubtful(
    new: Booking, same: Sequence[Booking], planned: Decision, now: dt.datetime
) -> Decision | None:
    """Hold a request instead of merging it with a tour that may be gone from Knock."""
    other = next((one for one in same if one.id == planned.because_of), None)
    if other is None or new.kind is Kind.PROSPECT or other.state is not BookingState.BOOKED:
        return None
    return held("maybe_gone", other) if may_be_gone(other, same, now) else None
