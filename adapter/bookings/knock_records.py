"""Interpret the records of tours and guest cards in Knock. All functions are pure.

Propexo does not document their fields, so values are recognized by their format. Uncertain values
are not used.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final

from adapter.bookings.matching import CONTACTS, normalize_contact, parse_instant
from adapter.bookings.person import SENT, posting_order
from adapter.models import Booking, BookingState, Kind, KnockStatus
from adapter.propexo.crm_records import KnockRecord, Model

#: Statuses by the beginning of their text, in lower case and without punctuation.
_STATUSES: Final[tuple[tuple[str, KnockStatus], ...]] = (
    ("cancel", KnockStatus.CANCELED),
    ("declined", KnockStatus.CANCELED),
    ("rejected", KnockStatus.CANCELED),
    ("deleted", KnockStatus.CANCELED),
    ("noshow", KnockStatus.NO_SHOW),
    ("missed", KnockStatus.NO_SHOW),
    ("visited", KnockStatus.VISITED),
    ("complete", KnockStatus.VISITED),
    ("toured", KnockStatus.VISITED),
    ("attended", KnockStatus.VISITED),
    ("waiting", KnockStatus.WAITING),
    ("pending", KnockStatus.WAITING),
    ("requested", KnockStatus.WAITING),
    ("booked", KnockStatus.BOOKED),
    ("confirmed", KnockStatus.BOOKED),
    ("scheduled", KnockStatus.BOOKED),
    ("rescheduled", KnockStatus.BOOKED),
    ("accepted", KnockStatus.BOOKED),
)
#: The status that a true value or a time means, by field name without ``is`` and ``at``.
_FLAGS: Final[Mapping[str, KnockStatus]] = {
    "cancelled": KnockStatus.CANCELED,
    "canceled": KnockStatus.CANCELED,
    "deleted": KnockStatus.CANCELED,
    "noshow": KnockStatus.NO_SHOW,
    "visited": KnockStatus.VISITED,
}
_STATUS_NAMES: Final = ("status", "appointmentstatus", "tourstatus", "eventstatus", "outcome")
_TYPE_NAMES: Final = ("eventname", "eventtype", "type")
#: Fields with times of the record itself, not of the tour.
_RECORD_TIMES: Final = frozenset({"createdat", "updatedat", "lastseen"})
#: Types of events that are never tours.
_MESSAGES: Final = frozenset({"sms", "chat", "call", "email"})
#: The statuses after which nothing else is expected.
FINAL: Final = frozenset({KnockStatus.CANCELED, KnockStatus.VISITED, KnockStatus.NO_SHOW})
#: Statuses of a tour that was not canceled.
STANDING: Final = frozenset({KnockStatus.BOOKED, KnockStatus.VISITED, KnockStatus.NO_SHOW})

#: If a record contains several statuses, the first of these counts.
_PRIORITY: Final = (
    *(KnockStatus.CANCELED, KnockStatus.NO_SHOW, KnockStatus.VISITED),
    *(KnockStatus.WAITING, KnockStatus.BOOKED),
)

_PHONE_NAME: Final = re.compile(r"phone|mobile|cell")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


def status_of(record: KnockRecord) -> KnockStatus | None:
    """Return the tour's status in Knock, or None if the record does not contain one.

    A cancellation anywhere in the record counts first.
    """
    found = {*_flags(record), *map(_status_from, record.texts(*_STATUS_NAMES))}
    if any("cancel" in _letters(text) for text in record.texts(*_TYPE_NAMES)):
        found.add(KnockStatus.CANCELED)
    return next((one for one in _PRIORITY if one in found), None)


def is_canceled(record: KnockRecord) -> bool:
    """Return True if a record says that its tour was canceled."""
    return status_of(record) is KnockStatus.CANCELED


def _flags(record: KnockRecord) -> Iterable[KnockStatus]:
    for name, value in record.values:
        bare = name.removeprefix("is").removesuffix("at").removesuffix("on")
        is_set = value is True or (isinstance(value, str) and parse_instant(value) is not None)
        if bare in _FLAGS and is_set:
            yield _FLAGS[bare]
        elif _FLAGS.get(bare) is KnockStatus.CANCELED and value is False:
            yield KnockStatus.BOOKED


def _status_from(text: str) -> KnockStatus | None:
    words = _letters(text)
    return next((status for begin, status in _STATUSES if words.startswith(begin)), None)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def instants_of(record: KnockRecord) -> Set[dt.datetime]:
    """Return the times in a record (aware, UTC). One of them may be the tour's start."""
    found = {
        parse_instant(value)
        for name, value in record.values
        if isinstance(value, str) and name not in _RECORD_TIMES
    }
    return frozenset(at for at in found if at is not None)


def changed_at(record: KnockRecord, now: dt.datetime) -> dt.datetime | None:
    """Return the time of a record's last change or read, or None. Never return a future time."""
    times = {parse_instant(text) for text in record.texts("updatedat", "lastseen")}
    latest = max((at for at in times if at is not None), default=None)
    return min(latest, now) if latest is not None else None


def prospect_of(record: KnockRecord) -> str | None:
    """Return the guest card ID in a record, or None if the record contains none."""
    return record.id if record.model is Model.PROSPECTS else record.id_of("prospectid")


def contacts_of(record: KnockRecord) -> tuple[Set[str], Set[str]]:
    """Return a record's email addresses, and the last ten digits of its phone numbers."""
    emails = {text.strip().lower() for text in record.texts() if _EMAIL.fullmatch(text.strip())}
    phones = {
        normalize_contact(value)
        for name, value in record.values
        if isinstance(value, str) and _PHONE_NAME.search(name) and "@" not in value
    }
    return emails, phones - {""}


def is_theirs(record: KnockRecord, booking: Booking) -> bool:
    """Return True if a record definitely belongs to a booking's renter.

    It has the same guest card, or the same email and phone. One may be missing only if the record
    contains the renter's last name, because roommates may share a phone and tour together.
    """
    community = record.id_of("communityid")
    request = booking.appointment
    if record.integration_id != request.get("integration_id"):
        return False
    if community is not None and community != request.get("community_id"):
        return False
    is_own_tour = record.model is Model.EVENTS and record.id == booking.tour_id
    is_own_card = booking.prospect_id is not None and booking.prospect_id == prospect_of(record)
    if is_own_tour or is_own_card:
        return True
    has_all = bool(_names_in(record)) or _contacts_in(request) <= _contacts_in_texts(record)
    return has_all and _have_same_contacts(record, request) and _may_have_name(record, request)


def _have_same_contacts(record: KnockRecord, request: Mapping[str, Any]) -> bool:
    """Return True if a record matches the request's email or phone and contradicts neither."""
    matches = [
        normalize_contact(request[name]) in known
        for name, known in zip(CONTACTS, contacts_of(record), strict=True)
        if known and request.get(name)
    ]
    return bool(matches) and all(matches)


def _may_have_name(record: KnockRecord, request: Mapping[str, Any]) -> bool:
    """Return False if a record contains last names but not the renter's."""
    names, wanted = _names_in(record), str(request.get("last_name") or "").casefold()
    return not names or not wanted or any(wanted in name for name in names)


def _names_in(record: KnockRecord) -> Sequence[str]:
    return [text.casefold() for text in record.texts("lastname", "name", "fullname")]


def shares_contact(record: KnockRecord, request: Mapping[str, Any]) -> bool:
    """Return True if any field of a guest card contains the request's email or phone."""
    return bool(_contacts_in(request) & _contacts_in_texts(record))


def _contacts_in(request: Mapping[str, Any]) -> Set[str]:
    return {normalize_contact(request.get(name)) for name in CONTACTS} - {""}


def _contacts_in_texts(record: KnockRecord) -> Set[str]:
    return {normalize_contact(text) for text in record.texts()}


def is_complete_card(record: KnockRecord, request: Mapping[str, Any]) -> bool:
    """Return True if a guest card contains a request's last name and all its contact details.

    One matching contact is not enough to prove that the request created the card, because roommates
    may share a phone.
    """
    last_name = str(request.get("last_name") or "").casefold()
    has_name = not last_name or any(last_name in text.casefold() for text in record.texts())
    return _contacts_in(request) <= _contacts_in_texts(record) and has_name


def is_incomplete(record: KnockRecord, request: Mapping[str, Any]) -> bool:
    """Return True if a guest card has no contact yet and may still be the renter's.

    Propexo may first list only its ID and name, and the contact details later.
    """
    return not any(contacts_of(record)) and _may_have_name(record, request)


def standing_tour(records: Iterable[KnockRecord], booking: Booking) -> KnockRecord | None:
    """Return the record of a booking's tour, or None if the tour is missing or canceled.

    Any field may contain the tour's start.
    """
    return next(
        (one for one in records if not is_canceled(one) and booking.starts_at in instants_of(one)),
        None,
    )


def tour_of(record: KnockRecord, bookings: Iterable[Booking]) -> Booking | None:
    """Return the booking that a tour's record definitely belongs to, or None.

    ``bookings`` belong to the record's renter. If several are for the same time, Knock has canceled
    all but the last.
    """
    known = list(bookings)
    kinds = {_letters(text) for text in record.texts(*_TYPE_NAMES)}
    if record.model is not Model.EVENTS or kinds & _MESSAGES:
        return None
    if own := [one for one in known if one.tour_id == record.id]:
        return max(own, key=posting_order)
    status, instants = status_of(record), instants_of(record)
    is_other_record = any("cancel" in kind for kind in kinds)
    fits = [
        one
        for one in known
        if one.kind is Kind.APPOINTMENT
        and one.starts_at in instants
        and (one.state in SENT or is_failed_job(one))
        and (one.tour_id is None or is_other_record)
    ]
    if status is KnockStatus.CANCELED:
        standing = [one for one in fits if not one.is_gone]
        return min(standing or fits, key=posting_order, default=None)
    return max(fits, key=posting_order, default=None)


def is_failed_job(booking: Booking) -> bool:
    """Return True if a booking's job failed. Its tour may still be in Knock."""
    return booking.state is BookingState.FAILED and booking.reason == "job_failed"
