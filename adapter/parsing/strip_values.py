"""Replace the values of named fields in a body of any format, without parsing it.

A body that cannot be parsed may contain a secret too. Every pattern takes linear time.
"""

import codecs
import functools
import json
import re
from collections.abc import Callable, Sequence
from typing import Final

#: A compiled pattern, and the replacement for its matches.
Shape = tuple[re.Pattern[bytes], bytes]

#: The text that replaces a value.
REMOVED: Final = b"[removed]"

#: The first line of a multipart body, each part's headers, and the name of a form field.
_BOUNDARY: Final = re.compile(rb"\s{0,20}(--[^\s]{1,200})[ \t]{0,20}\r?\n")
_PIECE_HEAD: Final = re.compile(rb"\s{0,20}--(?:[^\r\n]{1,200}\r?\n){1,8}\r?\n")
_FORM_FIELD: Final = re.compile(rb"&?[\w%+.-][\w%+.\[\]-]{0,200}=")
#: A body with more fields is not split, because that would take too long.
MAX_PIECES: Final = 2000

# Patterns for a named field's value, and their replacements. NAME, JSON_NAME and FORM_NAME stand
# for the names: plain, as JSON may escape them, or as a form may.

#: For JSON, even if its last string is cut off, and for JSON inside a string (escaped quotes).
_JSON: Final = (
    (
        rb'("JSON_NAME"\s{0,20}:\s{0,20})(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^\s,\]}"\[{][^\s,\]}]*)',
        rb'\1"REMOVED"',
    ),
    (rb'(\\{1,7}"JSON_NAME\\{1,7}"\s{0,20}:\s{0,20}\\{1,7}")[^"\\]*', rb"\1REMOVED"),
)
_XML_START_TAG: Final = rb"(<(?:[\w-]{1,50}:)?NAME(?:\s[^<>]*)?>)"
_CDATA: Final = rb"(?:[^\]]|\](?!\]>))*+(?:\]\]>|\Z)"
#: An XML element and an attribute.
_XML: Final = (
    (_XML_START_TAG + rb"(?:[^<]|<!\[CDATA\[" + _CDATA + rb")*+", rb"\1REMOVED"),
    (rb"""(\sNAME\s{0,20}=\s{0,20})(?:"[^"]*"|'[^']*')""", rb'\1"REMOVED"'),
)
#: The same inside a JSON string. A value ends with the string, if not earlier. Otherwise, a tag in
#: a renter's message would remove the rest of the lead.
_XML_IN_JSON: Final = (
    (_XML_START_TAG + rb"(?:[^<\"\\]|\\.|<!\[CDATA\[)*+", rb"\1REMOVED"),
    (
        rb"""(\sNAME\s{0,20}=\s{0,20})(?:\\"[^"\\]*\\"|'(?:[^'"\\]|\\.)*+')""",
        rb"\1'REMOVED'",
    ),
)
_PART_HEAD: Final = rb"[^\r\n]{0,200}(?:\r?\n[^\r\n]{1,200}){0,5}\r?\n\r?\n"
#: A part of a multipart body.
_PART: Final = (
    rb'(\sname="?(?:[^"\r\n]{0,60}\[)?NAME\]?"?' + _PART_HEAD + rb")(?:[^\r\n]|\r?\n(?!--))*+",
    rb"\1REMOVED",
)
#: A field in a form or query, which may be in a string or in XML, or inside another field:
#: ``lead[name]``.
_FORM: Final = (
    rb"((?:\A|[&?])(?:[^&=?\s]{0,200}(?:\[|%5[Bb]))?FORM_NAME(?:\]|%5[Dd])?=)[^&\s\"'<>\\#]*",
    rb"\1REMOVED",
)


def without_values(body: bytes, names: tuple[str, ...]) -> bytes:
    """Return the body with the values of all fields with the given names replaced.

    The body may be JSON (also inside a string), a form, a query, XML or multipart, in UTF-8, UTF-16
    or UTF-32. Names may be escaped as the format allows. A value that is an object or a list is
    kept.
    """
    encoding = json.detect_encoding(body)
    if not encoding.startswith(("utf-16", "utf-32")):
        return _without_values(body, names)
    plain = body.decode(encoding, "replace").encode()
    left = _without_values(plain, names)
    return body if left == plain else left.decode().encode(encoding)


def _without_values(body: bytes, names: tuple[str, ...]) -> bytes:
    return b"".join(_without_in(piece, names) for piece in _pieces(body))


def _pieces(body: bytes) -> Sequence[bytes]:
    """Split a multipart body or form into fields, so that no match extends into the next field."""
    if _is_json(body):
        return [body]
    if start := _BOUNDARY.match(body):
        pieces = re.split(rb"(?=\n" + re.escape(start[1]) + rb")", body)
    else:
        pieces = re.split(rb"(?=&)", body) if _FORM_FIELD.match(body) else []
    return pieces if 0 < len(pieces) <= MAX_PIECES else [body]


def _without_in(piece: bytes, names: tuple[str, ...]) -> bytes:
    head = _PIECE_HEAD.match(piece) or _FORM_FIELD.match(piece)
    is_json = _is_json(piece) or (head is not None and _is_json(piece[head.end() :]))
    for pattern, replacement in _patterns(names, is_json=is_json):
        piece = pattern.sub(replacement, piece)
    return piece


def _is_json(data: bytes) -> bool:
    return data[:100].removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"[")


@functools.lru_cache(maxsize=64)  # a source always has the same names
def _patterns(names: tuple[str, ...], *, is_json: bool) -> Sequence[Shape]:
    """Compile a pattern for each body format. Return the patterns with their replacements."""
    plain = _any_of(names, lambda character: re.escape(character.encode()))
    in_json, in_form = _any_of(names, _in_json), _any_of(names, _in_form)
    xml = _XML_IN_JSON if is_json else _XML
    return [
        (
            re.compile(
                pattern.replace(b"JSON_NAME", in_json)
                .replace(b"FORM_NAME", in_form)
                .replace(b"NAME", plain),
                re.DOTALL,
            ),
            replacement.replace(b"REMOVED", REMOVED),
        )
        for pattern, replacement in (*_JSON, *xml, _PART, _FORM)
    ]


def _any_of(names: Sequence[str], spellings: Callable[[str], bytes]) -> bytes:
    """Return a regular expression that matches any of the names, whether plain or encoded."""
    return b"(?:" + b"|".join(b"".join(map(spellings, name)) for name in names) + b")"


def _in_json(character: str) -> bytes:
    """Return a regular expression for a character in a JSON string, escaped or not."""
    units = character.encode("utf-16-be")
    codes = (units[at : at + 2].hex().encode() for at in range(0, len(units), 2))
    escaped = b"".join(rb"\\{1,8}u(?i:%b)" % code for code in codes)
    return b"(?:" + re.escape(character.encode()) + b"|" + escaped + b")"


def _in_form(character: str) -> bytes:
    """Return a regular expression for a character in a form or query, percent-encoded or not."""
    plain, encoded = character.encode(), "".join(f"%{byte:02x}" for byte in character.encode())
    options = [re.escape(plain), b"(?i:%b)" % encoded.encode()]
    return b"(?:" + b"|".join(options + ([rb"\+"] if character == " " else [])) + b")"
