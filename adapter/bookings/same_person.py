"""Decide whether two requests come from the same person. All functions are pure.

Knock identifies a person at a community by email or phone. People share those: an office's email,
a portal's relay number, a partner's phone. So one shared contact is not enough if the names
contradict each other. In that case, the request needs review.
"""

import enum
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from adapter.models import Booking


class Relation(enum.Enum):
    """Whether two requests come from the same person."""

    SAME = "the same person"
    DIFFERENT = "two people"
    #: One shared contact, but different names.
    UNCLEAR = "needs review"


def relation(one: Booking, other: Booking) -> Relation:
    """Compare the people in two requests that share a contact or the sender's key."""
    shared = one.person_keys & other.person_keys
    agree = names_agree(one.appointment, other.appointment)
    if len(shared) > 1 or (shared and agree is not False):
        return Relation.SAME
    if one.item_key is not None and one.item_key == other.item_key:
        return _relation_under_one_key(one, other)
    return Relation.UNCLEAR if shared else Relation.DIFFERENT


def _relation_under_one_key(one: Booking, other: Booking) -> Relation:
    """Compare requests with the same sender and key, which may correct names and contacts.

    Some senders use the same key for all leads (``0``, ``{{lead.id}}``, an event with seats).
    """
    agree = names_agree(one.appointment, other.appointment)
    if agree or one.person_keys == other.person_keys:
        return Relation.SAME
    if agree is None and not (one.person_keys and other.person_keys):
        return Relation.SAME
    return Relation.UNCLEAR if one.person_keys & other.person_keys else Relation.DIFFERENT


def names_agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Return True if two names may belong to one person, or None if one is missing.

    Every word in the shorter name must be the start of a word in the longer one, or the reverse:
    "D. Okafor" and "Dana Okafor" match, "Ben Okafor" and "Dana Okafor" do not.
    """
    fewer, more = sorted((_words(one), _words(other)), key=len)
    if not fewer:
        return None
    return all(any(a.startswith(b) or b.startswith(a) for b in more) for a in fewer)


def _words(appointment: Mapping[str, Any]) -> list[str]:
    names = (appointment.get("first_name"), appointment.get("last_name"))
    text = unicodedata.normalize("NFKD", " ".join(filter(None, names))).casefold()
    return re.findall(r"[^\W_]+", "".join(c for c in text if not unicodedata.combining(c)))
