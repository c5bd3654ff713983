"""Replace the values of named fields in a body of any format, without parsing it.

A body that cannot be parsed may contain a secret too. Every pattern takes linear time.
"""

import functools
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote_plus

#: Replaces a value.
REMOVED: Final = b"[removed]"

#: The rest of a CDATA section of XML, and of the head of a part of a multipart body.
_CDATA: Final = rb"(?:[^\]]|\](?!\]>))*+(?:\]\]>|\Z)"
_PART_HEAD: Final = rb"[^\r\n]{0,200}(?:\r?\n[^\r\n]{1,200}){0,5}\r?\n\r?\n"


def without_values(body: bytes, names: tuple[str, ...]) -> bytes:
    """Return the body with the values of all fields with these names replaced.

    The body may be JSON (also inside a string), a form, a query, XML or multipart. A value that is
    an object or a list is kept.
    """
    for pattern, replacement in _patterns(names):
        body = pattern.sub(replacement, body)
    return body


@functools.lru_cache(maxsize=64)  # a source always has the same names
def _patterns(names: tuple[str, ...]) -> Sequence[tuple[re.Pattern[bytes], bytes]]:
    """Return the regular expressions for all body formats, each with its replacement."""
    plain = b"(?:" + b"|".join(re.escape(name.encode()) for name in names) + b")"
    quoted = b"(?:" + b"|".join(re.escape(quote_plus(name).encode()) for name in names) + b")"
    shapes = (
        # JSON, where a string may end with the body.
        (
            rb'("NAME"\s{0,20}:\s{0,20})(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^\s,\]}"\[{][^\s,\]}]*)',
            rb'\1"REMOVED"',
        ),
        # JSON in a JSON string, where quotes are escaped.
        (rb'(\\{1,7}"NAME\\{1,7}"\s{0,20}:\s{0,20}\\{1,7}")[^"\\]*', rb"\1REMOVED"),
        # An element of XML, and an attribute.
        (
            rb"(<(?:[\w-]{1,50}:)?NAME(?:\s[^<>]*)?>)(?:[^<]|<!\[CDATA\[" + _CDATA + rb")*+",
            rb"\1REMOVED",
        ),
        (rb"""(\sNAME\s{0,20}=\s{0,20})(?:"[^"]*"|'[^']*')""", rb'\1"REMOVED"'),
        # A part of a multipart body.
        (
            rb'(\sname="?NAME"?' + _PART_HEAD + rb")(?:[^\r\n]|\r?\n(?!--))*+",
            rb"\1REMOVED",
        ),
    )
    found = [(shape.replace(b"NAME", plain), text) for shape, text in shapes]
    found.append((rb"((?:\A|[&?])" + quoted + rb"=)[^&\s\"'<>\\#]*", rb"\1REMOVED"))
    return [
        (re.compile(shape, re.DOTALL), text.replace(b"REMOVED", REMOVED)) for shape, text in found
    ]
