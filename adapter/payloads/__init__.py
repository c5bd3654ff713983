"""Bytes and their content type become plain data: JSON, forms, multipart, XML, query strings."""

from collections.abc import Callable, Mapping
from typing import Final

from werkzeug.http import parse_options_header

from adapter.payloads.fields import data_from_form, data_from_multipart, query_values
from adapter.payloads.trees import data_from_json, data_from_xml

__all__ = ["KINDS", "parse", "query_values"]

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
    mime, parameters = parse_options_header(content_type)
    kind = kind or _kind_from_mime(mime.lower())
    if kind == "query":
        return query_values(query)
    return _PARSERS[kind](body, parameters)


def _kind_from_mime(mime: str) -> str:
    if mime == "application/x-www-form-urlencoded":
        return "form"
    if mime == "multipart/form-data":
        return "multipart"
    if mime in {"application/xml", "text/xml"} or mime.endswith("+xml"):
        return "xml"
    return "json"
