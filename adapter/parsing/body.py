"""Parse a webhook's body (JSON, form, multipart or XML) or its query string."""

import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from werkzeug.http import parse_options_header

from adapter.exceptions import PayloadError
from adapter.parsing.forms import parse_form, parse_query
from adapter.parsing.json_xml import parse_json, parse_xml
from adapter.parsing.multipart import parse_multipart

_PARSERS: Final[Mapping[str, Callable[[bytes, Mapping[str, str], list[str]], object]]] = {
    "json": parse_json,
    "form": parse_form,
    "multipart": parse_multipart,
    "xml": parse_xml,
}

#: Allowed values of ``body:`` in a mapping.
KINDS: Final = (*_PARSERS, "query")

#: The first bytes of gzip data. No other kind of body starts with them.
_GZIP: Final = b"\x1f\x8b"
#: Maximum size of a compressed body after decompression.
MAX_UNPACKED_BYTES: Final = 1024 * 1024


def parse(
    body: bytes,
    content_type: str,
    *,
    kind: str | Sequence[str] | None = None,
    query: str = "",
    repairs: list[str] | None = None,
) -> object:
    """Parse a webhook's payload, and return it as dictionaries, lists and scalars.

    ``kind`` is one of :data:`KINDS`, or several of them. If it is None, the kind is determined from
    the body's first character or its content type. An unknown content type, such as ``text/plain``,
    means JSON. If ``kind`` is ``query``, the raw query string is parsed instead of the body. If it
    contains several kinds, the first kind that fits is used, starting with the declared kind. A
    body compressed with gzip is decompressed. Malformed input is corrected if possible, so that no
    lead is lost because of one bad character. A sentence for each correction is appended to
    ``repairs``.

    Raise :class:`~adapter.exceptions.PayloadError` if the body cannot be parsed. The message quotes
    nothing from the body.
    """
    repairs = [] if repairs is None else repairs
    declared, parameters = _parse_content_type(content_type)
    if kind == "query":
        return parse_query(query, repairs)
    body = unpacked(body, repairs)
    if kind is None or isinstance(kind, str):
        kind = kind or _kind_from_start(body, declared, repairs)
        return _PARSERS[kind](body, parameters, repairs)
    return _parsed_as_any(sorted(kind, key=lambda one: one != declared), body, parameters, repairs)


def unpacked(body: bytes, repairs: list[str]) -> bytes:
    """Decompress a body if it is compressed with gzip. Return any other body unchanged.

    Raise :class:`PayloadError` if it cannot be decompressed, or is too large.
    """
    if not body.startswith(_GZIP):
        return body
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacking.decompress(body, MAX_UNPACKED_BYTES)
    except zlib.error:
        raise PayloadError("gzip: malformed") from None
    if not unpacking.eof:
        is_cut = len(plain) < MAX_UNPACKED_BYTES
        limit = f"larger than {MAX_UNPACKED_BYTES // 1024} kB"
        raise PayloadError(f"gzip: {'cut off' if is_cut else limit}")
    repairs.append("the body was compressed with gzip")
    return plain


def _parsed_as_any(
    kinds: Sequence[str], body: bytes, parameters: Mapping[str, str], repairs: list[str]
) -> object:
    problem = PayloadError("the body is none of " + ", ".join(kinds))
    for kind in kinds:
        corrected: list[str] = []
        try:
            data = _PARSERS[kind](body, parameters, corrected)
        except PayloadError as exc:
            problem = exc if kind == kinds[0] else problem
            continue
        repairs += corrected
        return data
    raise problem


def _kind_from_start(body: bytes, declared: str, repairs: list[str]) -> str:
    """Detect the kind of body from its first character. If that fails, return the declared kind."""
    kind = {b"{": "json", b"<": "xml"}.get(body[:100].lstrip(b"\xef\xbb\xbf \t\r\n")[:1], declared)
    if kind != declared:
        repairs.append(f"the body was read as {kind}, although its content type says otherwise")
    return kind


@functools.lru_cache(maxsize=256)  # a sender always uses the same content type
def _parse_content_type(content_type: str) -> tuple[str, Mapping[str, str]]:
    """Parse a content type. Return the kind of body it indicates, and its parameters."""
    mime, parameters = parse_options_header(content_type)
    return _kind_from_mime(mime.lower()), parameters


def _kind_from_mime(mime: str) -> str:
    if mime == "application/x-www-form-urlencoded":
        return "form"
    if mime == "multipart/form-data":
        return "multipart"
    if mime in {"application/xml", "text/xml"} or mime.endswith("+xml"):
        return "xml"
    return "json"
