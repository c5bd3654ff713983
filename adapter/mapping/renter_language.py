"""Detect the renter's language, and write messages and tour times in that language."""

import datetime as dt
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from adapter.mapping.webhook_outcome import Outcome
from adapter.models import BookingState

ENGLISH: Final = "en"
SPANISH: Final = "es"
#: A language code as a key under ``say:``.
LANGUAGE: Final = re.compile(r"[a-z]{2}\Z")

#: The message for a ``held`` outcome with available times to offer, which are in
#: :attr:`adapter.models.Booking.offered_times`.
TIME_TAKEN: Final = "time_taken"

#: The message for a lead whose renter gets a link to choose a tour time.
INVITED: Final = "invited"

#: Messages to the renter, by outcome. They promise only what is certain.
SENTENCES: Final[Mapping[str, str]] = {
    Outcome.ACCEPTED: "We have your request and will confirm shortly.",
    Outcome.BOOKED: "You are booked for {booking.starts_at}.",
    Outcome.PROSPECT: "Thank you. Our team has your details and will be in touch.",
    Outcome.HELD: "We have your request. Our team will review it and be in touch.",
    Outcome.UNKNOWN: "We have your request and will confirm shortly.",
    Outcome.FAILED: "We could not book that tour. Our team will look into it.",
    Outcome.DUPLICATE: "We already have this request. There is no need to send it again.",
    Outcome.IGNORED: "No tour was booked.",
    INVITED: "Thank you. Choose a time for your tour here: {booking.invitation}",
    BookingState.EXPIRED: "That time is too soon to book, or has passed. Please choose another.",
    BookingState.SUPERSEDED: "You have since requested another tour, which replaced this one.",
    TIME_TAKEN: "That time is not available. Would one of these work: {booking.free_times}?",
}
#: The same in Spanish. The tour time is never at the end, because it ends with a period.
IN_SPANISH: Final[Mapping[str, str]] = {
    Outcome.ACCEPTED: "Recibimos su solicitud. En breve le enviaremos la confirmación.",
    Outcome.BOOKED: "Su visita del {booking.starts_at} está confirmada.",
    Outcome.PROSPECT: "Gracias. Nuestro equipo ya tiene sus datos y se comunicará con usted.",
    Outcome.HELD: "Recibimos su solicitud. Nuestro equipo la revisará y se comunicará con usted.",
    Outcome.UNKNOWN: "Recibimos su solicitud. En breve le enviaremos la confirmación.",
    Outcome.FAILED: "No pudimos reservar esa visita. Nuestro equipo lo revisará.",
    Outcome.DUPLICATE: "Ya recibimos esta solicitud. No hace falta que la envíe de nuevo.",
    Outcome.IGNORED: "No se reservó ninguna visita.",
    INVITED: "Gracias. Elija aquí el horario de su visita: {booking.invitation}",
    BookingState.EXPIRED: "Ese horario ya pasó o está demasiado próximo. Por favor, elija otro.",
    BookingState.SUPERSEDED: "Después solicitó otra visita, que reemplazó a esta.",
    TIME_TAKEN: "Ese horario no está disponible. ¿Le sirve alguno de estos: {booking.free_times}?",
}
BY_LANGUAGE: Final[Mapping[str, Mapping[str, str]]] = {ENGLISH: SENTENCES, SPANISH: IN_SPANISH}

#: The names that senders use for a language instead of its code.
_NAMES: Final = {
    "english": ENGLISH,
    "inglés": ENGLISH,
    "ingles": ENGLISH,
    "eng": ENGLISH,
    "spanish": SPANISH,
    "español": SPANISH,
    "espanol": SPANISH,
    "castellano": SPANISH,
    "spa": SPANISH,
}
_CODE: Final = re.compile(r"([a-z]{2})(?![a-z])")
_WEEKDAYS: Final = ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo")
_MONTHS: Final = (
    *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre"),
    *("octubre", "noviembre", "diciembre"),
)


def language_from_text(text: str) -> str:
    """Return a language code for text such as ``es-MX``, ``es_419`` or ``Spanish``."""
    text = text.strip().lower()[:50]
    code = _CODE.match(text)
    return _NAMES.get(text) or (code[1] if code else ENGLISH)


def sentences_in(own: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """Return all messages to renters, keyed by language and outcome.

    A mapping's own messages take precedence. For a language without built-in messages, English
    messages are used where the mapping has none.
    """
    written: dict[str, dict[str, str]] = {ENGLISH: {}}
    for name, text in own.items():
        if isinstance(text, Mapping):
            written[name] = {**written.get(name, {}), **text}
        else:
            written[ENGLISH][name] = str(text)
    return {
        language: {**BY_LANGUAGE.get(language, SENTENCES), **written.get(language, {})}
        for language in {*BY_LANGUAGE, *written}
    }


def local_time_in(language: str, local: dt.datetime) -> str:
    """Format a local time in a language, as in ``Saturday, March 14 at 2:30 PM``."""
    day, clock = day_in(language, local), _spoken_clock(language, local)
    return f"{day}, {clock}" if language not in (ENGLISH, SPANISH) else f"{day} {clock}"


def local_times_in(language: str, locals_: Sequence[dt.datetime]) -> str:
    """Format a list of local times, as in ``Friday, March 13 at 5:00 PM or 5:30 PM``."""
    days = itertools.groupby(locals_, key=dt.datetime.date)
    return "; ".join(_times_of_day(language, list(times)) for _, times in days)


def _times_of_day(language: str, times: Sequence[dt.datetime]) -> str:
    later = clock_in if language != SPANISH else _spoken_clock
    texts = [local_time_in(language, times[0])]
    texts += [later(language, one) for one in times[1:]]
    word = {ENGLISH: " or ", SPANISH: " o "}.get(language, ", ")
    return word.join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _spoken_clock(language: str, local: dt.datetime) -> str:
    """Format a time of day with its preposition, as in ``at 2:30 PM``."""
    clock = clock_in(language, local)
    if language == SPANISH:
        return f"a {'la' if local.hour in (1, 13) else 'las'} {clock}"
    return f"at {clock}" if language == ENGLISH else clock


def day_in(language: str, local: dt.datetime) -> str:
    """Format a day in a language, as in ``Saturday, March 14``."""
    if language == SPANISH:
        return f"{_WEEKDAYS[local.weekday()]} {local.day} de {_MONTHS[local.month - 1]}"
    return f"{local:%A, %B} {local.day}" if language == ENGLISH else f"{local:%Y-%m-%d}"


def clock_in(language: str, local: dt.datetime) -> str:
    """Format a time of day in a language, as in ``2:30 PM``."""
    hour = local.hour % 12 or 12
    if language == SPANISH:
        return f"{hour}:{local:%M} {'a. m.' if local.hour < 12 else 'p. m.'}"
    return f"{hour}:{local:%M %p}"
