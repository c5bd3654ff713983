"""Bytes and their content type become plain data: JSON, forms, multipart, XML, query strings."""

import functools
from collections.abc import Callable, Mapping
from typing import Final

from werkzeug.http import parse_options_header

from adapter.parsing.forms import data_from_form, data_from_multipart, query_values
from adapter.parsing.json_xml import data_from_json, data_from_xml

_PARSERS: Final[Mapping[str, Callable[[bytes, Mapping[str, str]], object]]] = {
    "json": data_from_json,
    "form": data_from_form,
    "multipart": data_from_multipart,
    "xml": data_from_xml,
}

#: What ``body:`` in a mapping may say.
KINDS: Final = (*_PARSERS, "query")


def parse(body: bytes, content_type: str, *, kind: str | None = None, query: str = "") -> object:
    """Plain data out of a webhook's bytes.

    ``kind`` is one of :data:`KINDS`; without it the content type decides, and a content type
    that is missing or names none of these (``text/plain``) is tried as JSON. ``query`` is the
    raw query string, read for the kind ``query`` in place of the body.

    Raises :class:`~adapter.exceptions.PayloadError`; its message quotes nothing of the body.
    """
    named, parameters = _read_type(content_type)
    kind = kind or named
    if kind == "query":
        return query_values(query)
    return _PARSERS[kind](body, parameters)


@functools.lru_cache(maxsize=256)  # a sender writes the same one each time
def _read_type(content_type: str) -> tuple[str, Mapping[str, str]]:
    """The kind that a content type names, and its parameters."""
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
