"""Parse a webhook's body from JSON, forms, multipart or XML, or parse its query string."""

import functools
from collections.abc import Callable, Mapping
from typing import Final

from werkzeug.http import parse_options_header

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


def parse(
    body: bytes,
    content_type: str,
    *,
    kind: str | None = None,
    query: str = "",
    repairs: list[str] | None = None,
) -> object:
    """Parse a webhook's payload, and return it as dictionaries, lists and scalars.

    ``kind`` is one of :data:`KINDS`. If it is None, the body's first character or its content type
    decides; an unknown content type, such as ``text/plain``, means JSON. If ``kind`` is ``query``,
    the raw query string is parsed instead of the body. Malformed input is corrected if possible, so
    that one wrong character does not cost a lead. ``repairs`` gets a sentence for each correction.

    Raise :class:`~adapter.exceptions.PayloadError` if the body cannot be parsed. The message quotes
    nothing from the body.
    """
    repairs = [] if repairs is None else repairs
    declared, parameters = _parse_content_type(content_type)
    kind = kind or _kind_from_start(body, declared, repairs)
    if kind == "query":
        return parse_query(query, repairs)
    return _PARSERS[kind](body, parameters, repairs)


def _kind_from_start(body: bytes, declared: str, repairs: list[str]) -> str:
    """Return the kind of a body based on its first character, or the declared kind."""
    kind = {b"{": "json", b"<": "xml"}.get(body[:100].lstrip(b"\xef\xbb\xbf \t\r\n")[:1], declared)
    if kind != declared:
        repairs.append(f"the body was read as {kind}, although its content type says otherwise")
    return kind


@functools.lru_cache(maxsize=256)  # a sender always uses the same one
def _parse_content_type(content_type: str) -> tuple[str, Mapping[str, str]]:
    """Parse a content type into the kind of body it implies and its parameters."""
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
