"""Decide whether two requests come from the same person. All functions are pure.

Knock identifies a person at a community by email or phone. People share those: an office's email,
a portal's relay number, a partner's phone. So one contact in common is not enough where the names
contradict each other; then a person must decide.
"""

import enum
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from adapter.models import Booking


class Relation(enum.Enum):
    """Who made two requests."""

    SAME = "the same person"
    DIFFERENT = "two people"
    #: One contact in common, and other names.
    UNCLEAR = "a person must decide"


def relation(one: Booking, other: Booking) -> Relation:
    """Compare the people of two requests, which share a contact or the sender's key."""
    shared = one.person_keys & other.person_keys
    agree = names_agree(one.appointment, other.appointment)
    if len(shared) > 1 or (shared and agree is not False):
        return Relation.SAME
    if one.item_key is not None and one.item_key == other.item_key:
        return _relation_under_one_key(one, other)
    return Relation.UNCLEAR if shared else Relation.DIFFERENT


def _relation_under_one_key(one: Booking, other: Booking) -> Relation:
    """Compare requests under one key of a sender, which corrects names and contacts.

    Some senders give all leads the same key (``0``, ``{{lead.id}}``, an event with seats).
    """
    agree = names_agree(one.appointment, other.appointment)
    if agree or one.person_keys == other.person_keys:
        return Relation.SAME
    if agree is None and not (one.person_keys and other.person_keys):
        return Relation.SAME
    return Relation.UNCLEAR if one.person_keys & other.person_keys else Relation.DIFFERENT


def names_agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Return whether two appointments may have one person's name, or None if one has no name.

    Every word of the shorter name must begin a word of the longer one, or the reverse: "D. Okafor"
    and "Dana Okafor" agree, "Ben Okafor" and "Dana Okafor" do not.
    """
    fewer, more = sorted((_words(one), _words(other)), key=len)
    if not fewer:
        return None
    return all(any(a.startswith(b) or b.startswith(a) for b in more) for a in fewer)


def _words(appointment: Mapping[str, Any]) -> list[str]:
    names = (appointment.get("first_name"), appointment.get("last_name"))
    text = unicodedata.normalize("NFKD", " ".join(filter(None, names))).casefold()
    return re.findall(r"[^\W_]+", "".join(c for c in text if not unicodedata.combining(c)))
