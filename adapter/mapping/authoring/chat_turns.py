"""Find the values that distinguish a chatbot's finished booking from its other messages."""

import re
from typing import Any, Final

from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import key_of, owned_key

#: Keys of the name of an intent.
INTENT: Final = re.compile(
    r"intent(display)?name|(currentintent|intentinfo|intent)(display)?name|intent"
)
#: An intent that books a tour.
BOOKS: Final = re.compile(
    r"book|schedul|tour|visit|viewing|showing|appointment|reserv|cita|visita|termin|rendez",
    re.IGNORECASE,
)
#: A value from a form or portal that is not a chatbot's intent.
CONSTANT: Final = re.compile(r"[A-Z]+(_[A-Z]+)+")
#: Keys that show how far a chat has progressed, with the values of its last turn.
TURNS: Final = {
    "allrequiredparamspresent": re.compile("true", re.IGNORECASE),
    "invocationsource": re.compile("FulfillmentCodeHook"),
    "dialogstate": re.compile("ReadyForFulfillment|Fulfilled"),
    "dialogactionstate": re.compile("COMPLETED"),
}


def booking_intents(observed: Observed) -> dict[str, list[Any]]:
    """Return the intents that book a tour, keyed by path. Other values are not leads."""
    for path in observed.values:
        names = {str(one): one for one in observed.filled(path)}
        is_intent = INTENT.fullmatch(key_of(path)) or INTENT.fullmatch(owned_key(path))
        is_of_chat = is_intent and not any("/" in one or CONSTANT.fullmatch(one) for one in names)
        books = [one for text, one in names.items() if BOOKS.search(text)]
        if is_of_chat and books and path.split(".")[0] not in observed.readers:
            return {path: books}
    return {}


def last_turns(observed: Observed) -> dict[str, list[Any]]:
    """Return the values that mark the last turn of a chat, keyed by path."""
    found: dict[str, list[Any]] = {}
    for path in observed.values:
        last = TURNS.get(key_of(path)) or TURNS.get(owned_key(path))
        values = [one for one in observed.filled(path) if last and last.fullmatch(str(one))]
        if values:
            found[path] = [one for n, one in enumerate(values) if one not in values[:n]]
    return found
