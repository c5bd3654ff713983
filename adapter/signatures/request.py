"""Read the parts of a request that a signature covers, and limit their size."""

import re

from adapter.exceptions import VerificationError
from adapter.models import WebhookRequest
from adapter.parsing.forms import pairs_from_form

#: Longer headers are rejected. Real ones have fewer than 700 characters.
MAX_HEADER_CHARACTERS = 4096

#: Forms with more fields are not read, because the sender is not yet verified.
MAX_FORM_FIELDS = 2000

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FORM_TYPE = "application/x-www-form-urlencoded"


def header_of(request: WebhookRequest, name: str) -> str | None:
    """Return a header's value, or None if the header is missing or empty.

    Raise VerificationError if it is too long.
    """
    value = request.header(name)
    if value is not None and len(value) > MAX_HEADER_CHARACTERS:
        raise VerificationError("header_too_long")
    return value


def required_header(request: WebhookRequest, name: str, reason: str) -> bytes:
    """Return a header's value as bytes. Raise VerificationError if the header is missing."""
    value = header_of(request, name)
    if value is None:
        raise VerificationError(reason)
    return bytes_from_text(value)


def is_form(request: WebhookRequest) -> bool:
    """Return True if the request's content type is a URL-encoded form."""
    return (header_of(request, "content-type") or "").lower().startswith(FORM_TYPE)


def bytes_from_text(text: str) -> bytes:
    """Return the original bytes of a header. WSGI servers decode headers as Latin-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def fields_from_form(form: bytes) -> list[tuple[bytes, bytes]]:
    """Parse a URL-encoded form. Raise VerificationError if it has too many fields."""
    try:
        return pairs_from_form(form, MAX_FORM_FIELDS)
    except ValueError:
        raise VerificationError("body_unreadable") from None
