"""Extract text from HTML in linear time, even if the input is malicious."""

import html
import re
from typing import Final

#: Tags that never occur in plain text. Others might not be tags: ``<dana@example.com>``.
_MARKUP: Final = re.compile(
    r"</[a-z]|<(?:!doctype|html|body|p|div|br|table|tr|td)\b", re.IGNORECASE
)
#: An unclosed comment or script extends to the end of the text, and a tag never spans another
#: ``<``. Without these two rules, matching takes quadratic time.
_TAG: Final = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style)\b[^<>]*>.*?(?:</\1[^<>]*>|\Z)"
    r"|</?([a-z][a-z0-9:-]*)(?:[\s/][^<>]*)?>"
    r"|<[!?][^<>]*>",
    re.IGNORECASE | re.DOTALL,
)
_ENTITY: Final = re.compile(r"&#?[0-9a-z]{1,32};?", re.IGNORECASE)
_BREAKS: Final = frozenset(
    "p div br hr tr li ul ol table h1 h2 h3 h4 h5 h6 title body blockquote pre".split()  # noqa: SIM905
)
_GAPS: Final = frozenset({"td", "th"})


def plain_text(text: str) -> str:
    """Convert HTML to plain text with line breaks. Text without HTML tags is unchanged."""
    if "<" not in text or not _MARKUP.search(text):
        return text
    return unescape_html(_TAG.sub(_space_for, re.sub(r"\s+", " ", text)))


def unescape_html(text: str) -> str:
    """Replace HTML entities. Unlike ``html.unescape``, this accepts extremely long numbers."""
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text)


def _space_for(match: re.Match[str]) -> str:
    tag = (match[2] or "").lower()
    if tag in _BREAKS:
        return "\n"
    return " " if tag in _GAPS else ""
