"""Decide whether a new request is a repeat, a change, or from another person.

:mod:`adapter.bookings.precedence` decides its effect on the person's other requests.
All functions are pure.
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
from adapter.models import Booking, BookingState, Kind


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """A webhook whose bytes are the same as an earlier one's."""

    #: The booking that the earlier webhook was mapped to.
    original: Booking
    #: True if an ID shows that it is the same delivery. Otherwise the renter may have asked again.
    is_certain: bool


def repeated_cancellation(
    new: Booking, same: Sequence[Booking], repeat: Repeat | None
) -> Decision | None:
    """Return the decision on a repeated cancellation, or None to process it as mapped.

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
    """Return the decision on a new request, or None to process it as mapped.

    ``same`` are the person's other requests, ``unclear`` those of someone who may be the same.
    ``nearby`` are all whose contacts Knock may connect with the new one's.
    ``has_sent_at``: the sender said when it was. Anyone can send to ``open_sources``.
    ``is_contact_of_many``: too many others have its email or phone to know them all.
    """
    if repeat is not None and repeat.is_certain:
        return seen_before(repeat.original, "same_delivery")
    known = _unchanged(new, same, now, repeat=repeat, has_sent_at=has_sent_at) or _older_version(
        new, same
    )
    if known is not None or new.state is not BookingState.PENDING:
        return known
    if repeat is not None and new.kind is Kind.APPOINTMENT:
        may_undo = _may_undo(new, same, now)
        return _held_repeat(new, same, now) if may_undo else seen_before(repeat.original)
    changed = _held_change(new, same, now) or _held_correction(new, same, now)
    if changed is not None:
        return changed
    planned = plan((*same, new), now).get(new.id)
    if planned is not None and planned.state is not BookingState.SUPERSEDED:
        return _held_doubtful(new, same, planned, now) or planned
    return (
        held_twins(new, same, now)
        or _held_unproved(new, same, planned, now, open_sources)
        or planned
        or _held_canceled(new, same, has_sent_at=has_sent_at)
        or held_person(new, unclear, now)
        or _held_beside(new, same, nearby, now)
        or (
            Decision(state=BookingState.HELD, code="contact_of_many")
            if is_contact_of_many
            else None
        )
    )


def _versions(new: Booking, same: Iterable[Booking]) -> list[Booking]:
    """Return the other requests with the same key as the new one, oldest first."""
    versions = [
        one
        for one in same
        if are_versions(one, new) and not one.is_cancellation and one.reason != "same_delivery"
    ]
    return sorted(versions, key=order)


def _unchanged(
    new: Booking,
    same: Sequence[Booking],
    now: dt.datetime,
    *,
    repeat: Repeat | None,
    has_sent_at: bool,
) -> Decision | None:
    """Detect a repeat of the sender's latest version, unless it has been canceled since.

    A person decides if a user has dismissed it since, or if the renter got another tour through
    another sender: the sender may repeat itself, or the renter may have asked again.
    """
    latest = next(reversed(_versions(new, same)), None)
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
    """Return True if the sender canceled the latest version before sending the new one."""
    latest = next(reversed(_versions(new, same)), None)
    return latest is not None and any(order(one) < order(new) for one in canceling(latest, same))


def _older_version(new: Booking, same: Sequence[Booking]) -> Decision | None:
    newer = [
        one
        for one in _versions(new, same)
        if order(one) > order(new) and may_replace(one.kind, new.kind)
    ]
    return superseded(new, newer[-1]) if newer else None


def held_twins(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold the second of two tours requested for one person in the same webhook."""
    twins = [
        one
        for one in Person(tuple(same), now).at(new.community).tours
        if one.event_id == new.event_id and one.starts_at != new.starts_at
    ]
    if not twins or new.kind is Kind.PROSPECT:
        return None
    return held("two_tours_at_once", max(twins, key=order))


def _held_change(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a version with a new contact or community, because Knock would keep both tours."""
    sent = [
        one
        for one in _versions(new, same)
        if may_exist(one) and is_current(one, now) and not one.person_keys & new.person_keys
    ]
    return held("changed_after_first", sent[-1]) if sent else None


def _held_correction(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a version that only corrects a contact, because Knock emails or calls the old one."""
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
    """Hold a booking whose key was already canceled, if the time of its request is not known."""
    before = [
        one
        for one in same
        if one.is_cancellation and are_versions(one, new) and one.reason not in WITHOUT_EFFECT
    ]
    if has_sent_at or not before or _versions(new, same):
        return None
    return held("canceled_before", max(before, key=order))


def _may_undo(new: Booking, same: Sequence[Booking], now: dt.datetime) -> bool:
    """Return True if a repeat could undo something a sender has sent since."""
    last = _last_tour(new, same, now)
    is_other_tour = last is None or last.starts_at != new.starts_at
    return is_other_tour or _was_canceled(new, same) or _moved(new, same) is not None


def _moved(new: Booking, same: Sequence[Booking]) -> Booking | None:
    """Return the sender's latest version if it is for another community than the new one."""
    latest = next(reversed(_versions(new, same)), None)
    return latest if latest is not None and latest.community != new.community else None


def _held_unproved(
    new: Booking,
    same: Sequence[Booking],
    planned: Decision | None,
    now: dt.datetime,
    open_sources: Collection[str],
) -> Decision | None:
    """Hold a request if an unverified source's request would replace a verified source's.

    Anyone can send to an open source: an email address must not be enough to move a tour.
    """
    is_open = new.source in open_sources
    others = [one for one in same if (one.source in open_sources) is not is_open]
    if planned is not None:
        replacing = [one for one in others if one.id == planned.because_of and not is_open]
    else:
        replacing = [one for one in others if is_open and _would_be_replaced(one, new, now)]
    return held("not_proved", max(replacing, key=order)) if replacing else None


def _would_be_replaced(one: Booking, new: Booking, now: dt.datetime) -> bool:
    """Return whether a new request, once it is sent, would replace ``one``."""
    is_tour_or_unsent = one.kind is Kind.APPOINTMENT or one.state not in SENT
    return (
        new.kind is Kind.APPOINTMENT
        and is_tour_or_unsent
        and not one.is_cancellation
        and one.community == new.community
        and one.gone_at is None
        and one.state in (*SENT, *CANCELABLE)
        and is_current(one, now)
    )


def _last_tour(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Booking | None:
    """Return the person's latest tour at the new request's community, not counting that request."""
    return Person(tuple(same), now).at(new.community).last


def _held_repeat(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision:
    """Hold a late repeat, which must not undo a newer request."""
    last = _moved(new, same) or _last_tour(new, same, now)
    since = [one for one in same if one is last or (one.is_cancellation and are_versions(one, new))]
    return held("repeat_or_change", max(since or same, key=order))


def held_person(new: Booking, unclear: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a request that may be from another person, because Knock might confuse the two."""
    others = Person(tuple(unclear), now).wanted
    if not others:
        return None
    other = max(others, key=order)
    is_shared = other.person_keys & new.person_keys
    return held("another_person" if is_shared else "changed_after_first", other)


def _held_beside(
    new: Booking, same: Sequence[Booking], nearby: Sequence[Booking], now: dt.datetime
) -> Decision | None:
    """Hold a tour if Knock might keep another one as well, or later get one that cancels it."""
    known = {one.id for one in same}
    unsent = [one for one in nearby if one.state is BookingState.PENDING and one.id not in known]
    beside = knock_cards.left_beside(new, (*posted(nearby), *unsent), known, now)
    # Another sender's tour explains more than an earlier version from the same sender.
    others = [one for one in beside if not are_versions(one, new)] or beside
    return held("two_cards", max(others, key=order)) if others else None


def _held_doubtful(
    new: Booking, same: Sequence[Booking], planned: Decision, now: dt.datetime
) -> Decision | None:
    """Hold a request that would be merged with a tour that Knock may no longer have."""
    other = next((one for one in same if one.id == planned.because_of), None)
    if other is None or new.kind is Kind.PROSPECT or other.state is not BookingState.BOOKED:
        return None
    return held("maybe_gone", other) if may_be_gone(other, same, now) else None
