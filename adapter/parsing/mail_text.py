"""Extract the text that an email's author wrote, and sentences about a time or a change."""

import re
from typing import Final

from adapter.parsing.html_text import plain_text

#: Marks that mail programs put around lines.
_INVISIBLE: Final = "\u200b\u200e\u200f\ufeff"
#: Maximum number of lines in the sentence above a quoted email, and in its headers.
MAX_INTRO: Final = 3
MAX_HEADERS: Final = 12
#: Maximum number of ``>`` that are removed from a line of a forwarded email.
MAX_DEPTH: Final = 5
#: Maximum number of characters around a mentioned time.
MAX_SENTENCE: Final = 200

#: The line above a forwarded email, in English, French and Spanish. ``*+`` keeps long lines linear.
_FORWARD: Final = re.compile(
    r"[-_ ]*+(?:(?:begin )?forwarded message|(?:d\u00e9but du )?message (?:transf\u00e9r\u00e9|"
    r"r\u00e9exp\u00e9di\u00e9)|(?:inicio del )?mensaje reenviado)[-_ ]*+:?[-_ ]*+",
    re.IGNORECASE,
)
#: The line above a quoted email in Outlook.
_ORIGINAL: Final = re.compile(
    r"-{2,} ?(?:original message|message (?:d['\u2019]origine|original)|mensaje original) ?-{2,}",
    re.IGNORECASE,
)
#: The sentence above a quoted email: "On Mar 2, 2026, at 11:04 AM, Dana wrote:".
_INTRO: Final = re.compile(r"(?:on|le|el)\b[^\d]{0,40}\d", re.IGNORECASE)
_INTRO_END: Final = re.compile(r"\b(?:wrote|a \u00e9crit|escribi\u00f3) ?:\Z", re.IGNORECASE)
#: A header of a quoted or forwarded email, in bold or not.
_HEADER: Final = re.compile(
    r"[*_]*(?:(?P<sender>from|de)|(?P<date>sent|date|envoy\u00e9(?: le)?|enviado(?: el)?|fecha)"
    r"|(?P<rest>to|cc|bcc|reply-to|subject|para|\u00e0|objet|asunto|cci))[*_]* ?:[*_]*(?: |\Z)",
    re.IGNORECASE,
)
#: The start of the subject of a forwarded email.
_FORWARDED: Final = re.compile(r"\s*(?:fwd?|tr|rv)\s?:", re.IGNORECASE)
#: A line that mail programs add by themselves.
_ADDED: Final = re.compile(
    r"(?:sent from (?:my|mail for)|get outlook for|envoy\u00e9 de mon|enviado desde mi) .*|[-_ ]*",
    re.IGNORECASE,
)
_DAY: Final = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|tomorrow|today|(?:lunes|martes|mi\u00e9rcoles|"
    r"jueves|viernes|s\u00e1bado|domingo|ma\u00f1ana)|(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|"
    r"dimanche|demain))"
)
#: A time of day: "2 PM", "14:30", "noon", "Saturday at 2", "Saturday morning", "a las 2", "14h30".
_TIME: Final = re.compile(
    r"(?<![\w.:/])(?<!:\d\d[-+])(?:"  # not the offset of 11:04:09-07:00
    r"\d{1,2}(?::[0-5]\d)? ?[ap]\.? ?m\b\.?"
    r"|(?:[01]?\d|2[0-3]):[0-5]\d(?![\w:/])|(?:[01]?\d|2[0-3]) ?h(?: ?[0-5]\d)?\b"
    r"|noon\b|midday\b|\d{1,2} o['\u2019]clock\b|mediod\u00eda\b|a las? \d{1,2}\b"
    rf"|{_DAY}\b[^.!?\n]{{0,20}}?\b(?:at|around|after|before|between) \d{{1,2}}\b"
    rf"|{_DAY} (?:morning|afternoon|evening|(?:por|en) la (?:ma\u00f1ana|tarde|noche)|matin|"
    r"apr\u00e8s-midi|soir)\b)",
    re.IGNORECASE,
)
#: Words that ask to cancel or move a tour.
_CHANGE: Final = re.compile(
    r"\b(?:cancel(?:l?ed|l?ing)?|re-?schedul(?:e|ed|ing)|postpone"
    r"|(?:cannot|can['\u2019]t|won['\u2019]t|unable to) (?:make it|come|attend)"
    r"|cancelar(?:la|lo)?|reprogramar(?:la|lo)?|annuler|d\u00e9caler)\b",
    re.IGNORECASE,
)
#: The possible values of ``find:``, with their patterns.
MENTIONS: Final = {"time": _TIME, "change": _CHANGE}
#: The start of a line about the email itself: "Received: Mar 2, 11:04 AM", "Submitted at 11:04 AM".
_NOT_THE_RENTER: Final = re.compile(
    r"[\W_]*(?:(?:lead|inquiry|message|date|time) )*(?:(?:received|submitted|created)"
    r"(?: (?:on|at)\b| ?:)|sent ?:|(?:office|business|leasing) hours\b)",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s|\Z)|\n")


def is_forwarded(subject: str) -> bool:
    """Return True if an email's subject marks it as forwarded, as in ``Fwd: …``."""
    return bool(_FORWARDED.match(subject))


def own_text(mail: str, *, forwarded: bool = False) -> str:
    """Return an email's plain text, without any emails that it quotes.

    A forwarded email is kept, without its headers, because the author passes it on as a
    message. If ``forwarded`` is True, the first email that Outlook quotes counts as forwarded. If
    nothing would be left, return the whole text, so that no lead is lost.
    """
    text = plain_text(mail)
    kept = _OwnLines(text.splitlines(), forwarded=forwarded).kept()
    is_left = any(not _ADDED.fullmatch(line.strip()) for line in kept)
    return "\n".join(kept).strip() if is_left else text


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


class _OwnLines:
    """Extracts the lines that an email's author wrote."""

    def __init__(self, lines: list[str], *, forwarded: bool) -> None:
        # In French, a no-break space precedes a colon.
        self._lines = [" ".join(line.strip(_INVISIBLE).split()) for line in lines]
        self._forwarded = forwarded
        #: The number of ``>`` in front of the lines of a forwarded email.
        self._depth = 0

    def kept(self) -> list[str]:
        """Return the lines that the author wrote."""
        kept: list[str] = []
        number = 0
        while number < len(self._lines):
            line = self._line(number)
            if _FORWARD.fullmatch(line):
                number = self._forwarded_text(number + 1)
            elif end := self._quote_header(number):
                if self._forwarded:
                    self._forwarded, number = False, end
                    continue
                number = self._after_blanks(end)
                if not self._line(number).startswith(">"):
                    break  # the rest is the quoted email
            else:
                kept += [] if line.startswith(">") else [line]
                number += 1
        return kept

    def _line(self, number: int) -> str:
        """Return a line without its leading ``>`` characters, or "" after the last line."""
        line = self._lines[number] if number < len(self._lines) else ""
        for _ in range(self._depth):
            line = line.removeprefix(">").lstrip()
        return line

    def _after_blanks(self, number: int) -> int:
        while number < len(self._lines) and not self._line(number):
            number += 1
        return number

    def _forwarded_text(self, number: int) -> int:
        """Return the index of the first line of text after a forwarded email's headers."""
        number = self._after_blanks(number)
        self._depth += self._depth < MAX_DEPTH and self._line(number).startswith(">")
        end = self._headers(number)[0]
        self._forwarded &= end == number  # with headers, it is the one in the subject
        return end

    def _quote_header(self, number: int) -> int:
        """Return the index of the line after a quoted email's header, or 0 if none starts here."""
        line = self._line(number)
        if _ORIGINAL.fullmatch(line):
            return self._headers(self._after_blanks(number + 1))[0]
        if _INTRO.match(line):
            return self._intro(number)
        if (found := _HEADER.match(line)) and found["sender"]:
            end, kinds = self._headers(number)
            return end if kinds >= {"sender", "date", "rest"} else 0
        return 0

    def _intro(self, number: int) -> int:
        joined = ""
        for end in range(number, number + MAX_INTRO):
            line = self._line(end)
            joined = f"{joined} {line}".lstrip()
            if _INTRO_END.search(joined):
                return end + 1
            if not line:
                break
        return 0

    def _headers(self, number: int) -> tuple[int, set[str | None]]:
        """Return the index of the line after the headers, and the kinds of headers found."""
        kinds: set[str | None] = set()
        end = number
        for _ in range(MAX_HEADERS):
            found = _HEADER.match(self._line(end))
            is_more = self._line(end).startswith("<") or self._line(end - 1).endswith(",")
            if not found and not (kinds and is_more):
                break
            kinds |= {found.lastgroup} if found else set()
            end += 1
        return end, kinds
