"""Find sentences where a renter mentions a time, or asks to cancel or move a tour.

The patterns cover English, Spanish and French. Matches only raise doubts for a person to resolve:
no tour is booked, moved or canceled because of them.
"""

import re
from typing import Final

from adapter.parsing.html_text import plain_text

#: Maximum number of characters around a mentioned time.
MAX_SENTENCE: Final = 200

_DAY: Final = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|tomorrow|today|(?:lunes|martes|mi\u00e9rcoles|"
    r"jueves|viernes|s\u00e1bado|domingo|ma\u00f1ana)|(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|"
    r"dimanche|demain))"
)
_HOUR_IN_ENGLISH: Final = "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_HOUR_IN_SPANISH: Final = "(?:una|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce)"
#: A time of day: "2 PM", "14:30", "noon", "Saturday at 2", "Saturday morning", "a las 2", "14h30".
_TIME: Final = re.compile(
    r"(?<![\w.:/])(?<!:\d\d[-+])(?:"  # not the offset of 11:04:09-07:00
    r"\d{1,2}(?::[0-5]\d)? ?[ap]\.? ?m\b\.?"
    r"|(?:[01]?\d|2[0-3]):[0-5]\d(?![\w:/])|(?:[01]?\d|2[0-3]) ?h(?: ?[0-5]\d)?\b"
    r"|noon\b|midday\b|\d{1,2} o['\u2019]clock\b|\d{1,2}ish\b|mediod\u00eda\b"
    rf"|(?:half past|quarter (?:past|to)) (?:\d{{1,2}}|{_HOUR_IN_ENGLISH})\b"
    rf"|a las? (?:\d{{1,2}}|{_HOUR_IN_SPANISH})\b"
    r"|\d{1,2} (?:de|por|en) la (?:ma\u00f1ana|tarde|noche)\b"
    rf"|{_DAY}\b[^.!?\n]{{0,20}}?\b(?:at|around|after|before|between) \d{{1,2}}\b"
    rf"|{_DAY} (?:morning|afternoon|evening|(?:por|en) la (?:ma\u00f1ana|tarde|noche)|matin|"
    r"apr\u00e8s-midi|soir)\b)",
    re.IGNORECASE,
)
_NOT_ABLE: Final = (
    r"(?:cannot|can['\u2019]?t|won['\u2019]?t(?: be able to)?|unable to|no longer(?: able to)?)"
)
_NO_PUEDO: Final = r"no (?:puedo|podr\u00e9|podremos|podemos|voy a poder|vamos a poder)"
#: Words that ask to cancel or move a tour.
_CHANGE: Final = re.compile(
    r"\b(?:cancel(?:l?ed|l?ing)?|call(?:ing)? off|re-?schedul(?:e|ed|ing)|postpone"
    rf"|(?:{_NOT_ABLE}|can no longer) (?:make it|come|attend)|can['\u2019]?t (?:do )?{_DAY} anymore"
    r"|(?:move|change|push) (?:it|(?:the|my|our) (?:tour|visit|showing|appointment|viewing))"
    r" (?:back|up|to|from)"
    r"|(?:do|find|pick) another (?:day|time)|running late"
    r"|cancel(?:ar|a|en|e)(?:la|lo)?|reprogramar(?:la|lo)?|re-?agendar(?:la|lo)?"
    r"|(?:aplazar|posponer|mover|cambiar) (?:la|mi|el|nuestra) (?:visita|cita|recorrido|fecha|hora)"
    rf"|{_NO_PUEDO} (?:ir|asistir|llegar|venir)"
    r"|annuler|d\u00e9caler|reporter (?:la|ma|notre|le) (?:visite|rendez-vous)"
    r"|ne (?:peux|pourrai|pourrais|pourrons|pouvons) (?:pas|plus) (?:venir|assister))\b",
    re.IGNORECASE,
)
#: The possible values of ``find:``, with their patterns.
MENTIONS: Final = {"time": _TIME, "change": _CHANGE}
_OFFICE: Final = (
    r"(?:(?:our|the) )?(?:(?:office|business|leasing|opening|tour) )+hours\b|our hours\b"
    r"|hours ?:|(?:(?:we['\u2019]re|we are|(?:the )?(?:leasing )?office is) )?open"
    r" (?:from|daily|every day|mon|weekdays|\d)|tours (?:run|are (?:available|offered|given))\b"
    r"|(?:nuestro )?horario(?: de (?:oficina|atenci\u00f3n|visitas))\b|nuestro horario\b"
    r"|horario ?: ?(?:lunes|martes|de lunes)"
)
#: The start of a sentence that is not about the renter's own time: "Received: Mar 2, 11:04 AM",
#: "Submitted at 11:04 AM", "Our office hours are 9 AM to 6 PM".
_NOT_THE_RENTER: Final = re.compile(
    r"[\W_]*(?:(?:(?:lead|inquiry|message|date|time) )*(?:(?:received|submitted|created)"
    rf"(?: (?:on|at)\b| ?:)|sent ?:)|{_OFFICE})",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s|\Z)|\n")


def sentence_with(mention: str, text: str) -> str | None:
    """Return the first sentence that mentions a time or asks for a change, or None."""
    text = plain_text(text)
    sentences = (_sentence_around(found, text) for found in MENTIONS[mention].finditer(text))
    return next((one for one in sentences if not _NOT_THE_RENTER.match(one)), None)


def _sentence_around(found: re.Match[str], text: str) -> str:
    before = text[max(found.start() - MAX_SENTENCE, 0) : found.start()]
    after = text[found.end() : found.end() + MAX_SENTENCE]
    end = _SENTENCE_END.search(after)
    start = max((one.end() for one in _SENTENCE_END.finditer(before)), default=0)
    return " ".join((before[start:] + found[0] + (after[: end.end()] if end else after)).split())
