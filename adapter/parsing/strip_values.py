"""Replace the values of named fields in a body of any format, without parsing it.

A body that cannot be parsed may contain a secret too. Every pattern takes linear time.
"""

import codecs
import functools
import json
import re
from collections.abc import Callable, Sequence
from typing import Final

#: Replaces a value.
REMOVED: Final = b"[removed]"

#: The rest of an XML CDATA section, and of a multipart part's headers.
_CDATA: Final = rb"(?:[^\]]|\](?!\]>))*+(?:\]\]>|\Z)"
_XML_TEXT: Final = rb"(?:[^<]|<!\[CDATA\[" + _CDATA + rb")*+"
_PART_HEAD: Final = rb"[^\r\n]{0,200}(?:\r?\n[^\r\n]{1,200}){0,5}\r?\n\r?\n"
#: The first line of a multipart body, each part's headers, and the name of a form field.
_BOUNDARY: Final = re.compile(rb"\s{0,20}(--[^\s]{1,200})[ \t]{0,20}\r?\n")
_PIECE_HEAD: Final = re.compile(rb"\s{0,20}--(?:[^\r\n]{1,200}\r?\n){1,8}\r?\n")
_FORM_FIELD: Final = re.compile(rb"&?[\w%+.-][\w%+.\[\]-]{0,200}=")
#: A body with more fields is not split, because that would take too long.
MAX_PIECES: Final = 2000
#: A value in a form or a query, which may be in a string or in XML.
_FORM_VALUE: Final = rb"[^&\s\"'<>\\#]*"


def without_values(body: bytes, names: tuple[str, ...]) -> bytes:
    """Return the body with the values of all fields with these names replaced.

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
def _patterns(
    names: tuple[str, ...], *, is_json: bool
) -> Sequence[tuple[re.Pattern[bytes], bytes]]:
    """Return the regular expressions for all body formats, each with its replacement.

    XML inside a JSON string ends with that string. Otherwise, a tag in a renter's message would
    remove the rest of the lead.
    """
    text = rb"(?:[^<\"\\]|\\.|<!\[CDATA\[)*+" if is_json else _XML_TEXT
    attribute = (rb"""(\sNAME\s{0,20}=\s{0,20})(?:"[^"]*"|'[^']*')""", rb'\1"REMOVED"')
    if is_json:
        in_string = rb"""(\sNAME\s{0,20}=\s{0,20})(?:\\"[^"\\]*\\"|'(?:[^'"\\]|\\.)*+')"""
        attribute = (in_string, rb"\1'REMOVED'")
    plain = _any_of(names, lambda character: re.escape(character.encode()))
    in_json, in_form = _any_of(names, _in_json), _any_of(names, _in_form)
    shapes = (
        # JSON, in which a string may be cut off at the end of the body.
        (
            rb'("JSON_NAME"\s{0,20}:\s{0,20})(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^\s,\]}"\[{][^\s,\]}]*)',
            rb'\1"REMOVED"',
        ),
        # JSON in a JSON string, where quotes are escaped.
        (rb'(\\{1,7}"JSON_NAME\\{1,7}"\s{0,20}:\s{0,20}\\{1,7}")[^"\\]*', rb"\1REMOVED"),
        # An element of XML, and an attribute.
        (
            rb"(<(?:[\w-]{1,50}:)?NAME(?:\s[^<>]*)?>)" + text,
            rb"\1REMOVED",
        ),
        attribute,
        # A part of a multipart body.
        (
            rb'(\sname="?(?:[^"\r\n]{0,60}\[)?NAME\]?"?'
            + _PART_HEAD
            + rb")(?:[^\r\n]|\r?\n(?!--))*+",
            rb"\1REMOVED",
        ),
        # A form or a query, where the field may be inside another: lead[name].
        (
            rb"((?:\A|[&?])(?:[^&=?\s]{0,200}(?:\[|%5[Bb]))?FORM_NAME(?:\]|%5[Dd])?=)"
            + _FORM_VALUE,
            rb"\1REMOVED",
        ),
    )
    found = [
        (
            shape.replace(b"JSON_NAME", in_json)
            .replace(b"FORM_NAME", in_form)
            .replace(b"NAME", plain),
            text,
        )
        for shape, text in shapes
    ]
    return [
        (re.compile(shape, re.DOTALL), text.replace(b"REMOVED", REMOVED)) for shape, text in found
    ]


def _any_of(names: Sequence[str], spellings: Callable[[str], bytes]) -> bytes:
    """Return a regular expression for any of the names, with each character in any spelling."""
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
