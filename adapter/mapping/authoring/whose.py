"""Tell whose data a path leads to: the renter's, or someone else's."""

import re
from typing import Final

from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import names_in, words_around, words_in

CONTACT: Final = frozenset({"first_name", "last_name", "name", "email_1", "phone_1"})
#: Words in a path that indicate someone other than the renter.
STAFF: Final = frozenset(
    {"organizer", "owner", "host", "assignee", "agent", "user", "assigned", "recipient", "staff"}
    | {"location", "office", "broker", "company", "business", "member", "called", "vendor"}
    | {"provider", "to", "cc", "bcc", "teammate", "admin"}
)
#: Words in a path that indicate someone connected to the renter, the community or a portal.
OTHERS: Final = frozenset(
    {"co", "coapplicant", "cosigner", "guarantor", "roommate", "roommates", "spouse", "partner"}
    | {"occupant", "occupants", "emergency", "reference", "references", "referrer", "referral"}
    | {"landlord", "realtor", "author", "creator", "support"}
    | {"manager", "consultant", "specialist", "representative", "rep", "leasing", "sales"}
)
#: A user of the sender's program who made or changed the request.
MADE_BY: Final = re.compile(r"(created|updated|modified|assigned|referred)_?by", re.IGNORECASE)
#: Words for a place, whose email and phone are in its object.
PLACE: Final = frozenset({"property", "community", "listing", "building", "apartment"})
#: Words in a path that indicate the business's own number in a chat.
BUSINESS: Final = frozenset({"context", "display"})
#: Keys that usually contain the renter's data.
RENTER: Final = frozenset(
    {"contact", "customer", "visitor", "lead", "invitee", "applicant", "guest", "renter"}
    | {"prospect", "attendee", "attendees", "contacts", "consumer", "client", "answers", "given"}
)
#: Words for a person whose name may be the renter's.
PEOPLE: Final = frozenset({"person", "sender", "profile", "profiles", "caller"})
#: Words in a path for the time before the tour was moved, or a time that is not the tour's.
OTHER_TIMES: Final = frozenset(
    {"previous", "prev", "prior", "old", "original", "former", "alternate", "alternative"}
    | {"second", "third", "backup", "available", "availability", "hours", "reminder"}
)
#: Objects whose start is not that of a tour.
NOT_VISITS: Final = frozenset(
    {"call", "session", "conversation", "chat", "recording", "meter", "lease"}
)
#: The fields with the start of a tour.
WHEN: Final = frozenset({"starts_at", "date", "time"})


def is_of_another(target: str, path: str) -> bool:
    """Return True if a path points to someone else's data or to a time other than the tour's."""
    words = {*words_in(path)}
    if target in WHEN:
        return bool(OTHER_TIMES & words or NOT_VISITS & {*words_around(path)[-1:]})
    is_places = PLACE & words and not (RENTER - {"contact", "contacts"}) & words
    others = OTHERS | STAFF if "name" in target else OTHERS | STAFF | BUSINESS
    return target in CONTACT and bool(others & words or is_places or MADE_BY.search(path))


def owner_of(path: str) -> str:
    """Return the part of a path that identifies a person other than the renter, or ""."""
    names = names_in(path)
    for at in reversed(range(len(names))):
        index = [one for one in names[at + 1 : at + 2] if one.isdigit()]
        words = words_in(names[at])
        known = [n for n, word in enumerate(words) if word in OTHERS | STAFF | RENTER]
        if known and (words[known[-1]] not in RENTER or index not in ([], ["0"])):
            return ".".join([*names[:at], "".join(words[: known[-1] + 1]), *index])
        if known:
            return ""
    return ""


def has_renters_type(path: str, observed: Observed) -> bool:
    """Return True if the ``type`` in the same object marks a value as the renter's."""
    types = observed.filled(f"{path.rpartition('.')[0]}.type")
    return bool(types) and all(str(one).lower() in RENTER for one in types)


def may_be_renters(path: str, observed: Observed) -> bool:
    """Return True if the keys above a value do not suggest that it is someone else's."""
    is_inside = RENTER & {*words_around(path)} or path.split(".")[0] in observed.readers
    return "." not in path or bool(is_inside)
