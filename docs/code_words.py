"""Put code words in plain text into backticks, for the generated parts of docs/."""

import re
from collections.abc import Iterable
from typing import Final

#: Words with the capitals of a brand name that are fields of a payload.
FIELDS: Final = (
    "DatePicker|Dropdown|FirstName|HandshakeKey|LastName|LeadManagement|PropertyID|"
    "TourDate|TourTime"
)
#: Text that cannot be a word in plain English: URLs, headers, settings, fields and paths.
CODE: Final = "|".join(
    [
        r"[a-z]+://[^\s,)]*[^\s,).]",  # a URL
        r"…?\?\w+=[\w…-]+|#\w+=\d+|…[#+]\w[\w.=@-]*\w",  # the end of a URL or address
        r"[\w.-]+@[\w.-]*\w",  # an email address
        r"\+\d{8,}",  # a phone number
        r"\w+=[\w…]+(?:,\w+=[\w…]+)*",  # name=value, …
        r"(?:Authorization|From)(?= header)|Authorization: Bearer …",
        r"\b[Xx](?:-\w+)+|\b[A-Z]\w+(?:-[A-Z]\w+)*-Signature\b|\b(?:Retry-After|Reply-To)\b",
        r"\b(?:without_time|type): \w+",
        r"\b\w+(?:\.\w+)*\.?\w*_\w+(?:\.\w+)*\b",  # with an underscore
        r"\b[a-z]+[A-Z]\w*(?:\.\w+)*\b",  # camelCase
        r"\b[a-z]{2,}(?:\.[a-z]{2,})+\b",  # dotted
        rf"\bAMAZON\.\w+|\bPORT\b|\b(?:{FIELDS})\b",
        r"(?<![\w./…:])/[a-z]+(?:/[a-z]+)*\b",  # a path
    ]
)


def marked(text: str, names: Iterable[str] = ()) -> str:
    """Return ``text`` as Markdown, with code words and the given ``names`` in backticks."""
    pattern = f"{_names(names)}{CODE}"
    parts = re.split(r"(`[^`]*`|\[[^\]]*\]\([^)]*\))", text)
    parts[::2] = [re.sub(pattern, r"`\g<0>`", part) for part in parts[::2]]
    return "".join(parts)


def _names(names: Iterable[str]) -> str:
    """Return a pattern for names. A single word matches only before "mapping" or "preset"."""
    return "".join(
        rf"\b{re.escape(name)}\b(?!-)" + ("|" if "-" in name else "(?= mapping| preset)|")
        for name in sorted(names, key=len, reverse=True)
    )
