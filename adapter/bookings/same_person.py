"""Decide whether two requests come from the same person.

Knock identifies a person at a community by email or phone. But people may share a contact, such as
an office's email, a portal's relay number or a partner's phone. So if two requests share one
contact but have different names, the later one needs review.
"""

import enum
import functools
import itertools
import re
import unicodedata
from collections.abc import Mapping, Set
from typing import Any

from adapter.models import Booking

#: Appointment fields that erasure removes. Every request with a contact has at least one of them.
_PERSONAL = frozenset({"first_name", "last_name", "email_1", "phone_1"})


class Relation(enum.Enum):
    """The relation between the people who made two requests."""

    SAME = "the same person"
    DIFFERENT = "two people"
    #: The requests share one contact, but have different names.
    UNCLEAR = "needs review"


def relation(one: Booking, other: Booking) -> Relation:
    """Compare the people who made two requests that share a contact or a sender's key."""
    shared = one.person_keys & other.person_keys
    agree = names_agree(one.appointment, other.appointment)
    has_erased = is_erased(one) or is_erased(other)
    has_two = len(shared) > 1 and not _share_no_name(one, other)
    if has_two or (shared and agree is not False and not has_erased):
        return Relation.SAME
    if one.item_key is not None and one.item_key == other.item_key:
        return _relation_under_one_key(one, other)
    return Relation.UNCLEAR if shared else Relation.DIFFERENT


def _relation_under_one_key(one: Booking, other: Booking) -> Relation:
    """Compare the people who made two requests with the same sender and key.

    Some senders use one key for many leads (``0``, ``{{lead.id}}``, an event with seats).
    """
    agree = names_agree(one.appointment, other.appointment)
    has_changed = has_another_contact(one, other) and not is_one_full_name(one, other)
    has_same_contacts = one.person_keys == other.person_keys
    is_corrected = has_same_contacts and one.person_keys and _have_one_first_name(one, other)
    if is_corrected or (agree is not False and not has_changed):
        return Relation.SAME
    # A "Maria" whose contact differs from Maria Lopez's may be a correction, or another Maria. The
    # same is true of a different name if neither lead has a contact that could decide.
    is_unclear = agree or has_same_contacts or one.person_keys & other.person_keys
    return Relation.UNCLEAR if is_unclear else Relation.DIFFERENT


def has_another_contact(one: Booking, other: Booking) -> bool:
    """Return True if both requests have contact details but share none of them."""
    is_here = one.community == other.community
    contacts = [row.person_keys if is_here else _contacts(row) for row in (one, other)]
    return all(contacts) and contacts[0].isdisjoint(contacts[1])


def is_one_full_name(one: Booking, other: Booking) -> bool:
    """Return True if two requests have the same name, with at least two words."""
    return len(name_of(one)) > 1 and name_of(one) == name_of(other)


def _share_no_name(one: Booking, other: Booking) -> bool:
    """Return True if both requests have a name, and no word of one is a word of the other.

    An agent who books for several renters may enter the same email and phone for all of them.
    """
    names = _words(one.appointment), _words(other.appointment)
    return all(names) and not any(_match(*words) for words in itertools.product(*names))


def _have_one_first_name(one: Booking, other: Booking) -> bool:
    """Return True if only the last names differ. Families share an email, but not a first name."""
    fewer, more = (_words_of(row.appointment.get("first_name")) for row in (one, other))
    return bool(fewer and more) and _match(fewer[0], more[0])


def have_other_first_names(one: Booking, other: Booking) -> bool:
    """Return True if two requests' names differ in more than the last name."""
    has_both = all(row.appointment.get("first_name") for row in (one, other))
    is_other_name = names_agree(one.appointment, other.appointment) is False
    return has_both and is_other_name and not _have_one_first_name(one, other)


def are_two_people(one: Booking, other: Booking) -> bool:
    """Return True if two requests have different names and share no contact."""
    is_other_name = names_agree(one.appointment, other.appointment) is False
    return is_other_name and one.person_keys.isdisjoint(other.person_keys)


def name_of(booking: Booking) -> tuple[str, ...]:
    """Return a name's words in sorted order, so that ``Ana Roe`` equals ``Roe Ana``."""
    return tuple(sorted(_words(booking.appointment)))


def _contacts(booking: Booking) -> Set[object]:
    """Return a booking's email and phone in a form that can be compared across communities."""
    return {booking.appointment.get("email_1"), booking.appointment.get("phone_1")} - {None, ""}


def names_agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Return True if two names may belong to the same person, or None if a name is missing.

    Every word of the shorter name must be a word of the longer one, or its initial: "D. Okafor" and
    "Dana Okafor" agree, "Dan Okafor" and "Dana Okafor" do not.
    """
    fewer, more = sorted((_words(one), _words(other)), key=len)
    if not fewer:
        return None
    return all(any(_match(one, other) for other in more) for one in fewer)


def _match(one: str, other: str) -> bool:
    """Return True if two words of a name are equal, or if one is the initial of the other."""
    return one == other or (1 in (len(one), len(other)) and one[0] == other[0])


def is_erased(booking: Booking) -> bool:
    """Return True if the renter's data was erased, leaving only hashes of the contact details."""
    return bool(booking.person_keys) and not booking.appointment.keys() & _PERSONAL


def _words(appointment: Mapping[str, Any]) -> list[str]:
    return _words_of(appointment.get("first_name"), appointment.get("last_name"))


@functools.lru_cache(1024)
def _words_of(*names: str | None) -> list[str]:
    text = unicodedata.normalize("NFKD", " ".join(filter(None, names))).casefold()
    return re.findall(r"[^\W_]+", "".join(c for c in text if not unicodedata.combining(c)))
