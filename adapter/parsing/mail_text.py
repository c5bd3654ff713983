"""Extract the text that an email's author wrote, leaving out any quoted emails."""

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


def is_forwarded(subject: str) -> bool:
    """Return True if an email's subject marks it as forwarded, as in ``Fwd: …``."""
    return bool(_FORWARDED.match(subject))


def own_text(mail: str, *, forwarded: bool = False) -> str:
    """Return an email's plain text, without any emails that it quotes.

    A forwarded email is kept, but not its headers, because the author meant to send it. If
    ``forwarded`` is True, the first email that Outlook quotes counts as forwarded. If nothing
    would be left, return the whole text, so that no lead is lost.
    """
    text = plain_text(mail)
    kept = _OwnLines(text.splitlines(), forwarded=forwarded).kept()
    is_left = any(not _ADDED.fullmatch(line.strip()) for line in kept)
    return "\n".join(kept).strip() if is_left else text


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
