"""Parse a multipart body into a dictionary with a string for each field."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from adapter.exceptions import PayloadError
from adapter.parsing.charsets import decode
from adapter.parsing.forms import group_by_name

MAX_PARTS: Final = 1_000
#: RFC 2046 allows up to 70 characters. A longer boundary would slow down the search.
MAX_BOUNDARY: Final = 200


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One part of a multipart body."""

    name: str
    content: bytes
    #: The file name, or None if the part is not a file.
    filename: str | None
    mime: str
    #: The charset in the part's own header, or None.
    charset: str | None

    @property
    def is_text(self) -> bool:
        """True if the part is a form field, even if the client has sent it as a file.

        Browsers send a JSON blob as a file named ``blob``, and some clients give the file the same
        name as the field.
        """
        if self.filename is None or self.mime.endswith("json"):
            return True
        return self.filename in ("blob", self.name) and _is_utf8(self.content)


def parse_multipart(body: bytes, parameters: Mapping[str, str], repairs: list[str]) -> object:
    """Parse a multipart body into a dictionary of text values. The value of a file is its name."""
    try:
        parts = list(_parts(body, _boundary_from(body, parameters)))
    except RequestEntityTooLarge:
        raise PayloadError(f"multipart: more than {MAX_PARTS} parts") from None
    except ValueError:
        raise PayloadError("multipart: malformed, or the boundary is missing") from None
    charsets = _declared_charsets(parts)
    return group_by_name((part.name, _text_from(part, charsets, repairs)) for part in parts)


def _text_from(part: _Part, charsets: Mapping[str, str], repairs: list[str]) -> str:
    if not part.is_text:
        return part.filename or ""
    charset = part.charset or charsets.get(part.name) or charsets.get("")
    return decode(part.content, charset, repairs)


def _is_utf8(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _boundary_from(body: bytes, parameters: Mapping[str, str]) -> bytes:
    """Return the multipart boundary from the header, or from the first line of the body."""
    boundary = parameters.get("boundary", "").encode("ascii")
    if not boundary:
        boundary = body.lstrip()[: MAX_BOUNDARY + 3].partition(b"\n")[0].strip().removeprefix(b"--")
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        raise ValueError("no usable boundary")
    return boundary


def _parts(body: bytes, boundary: bytes) -> Iterator[_Part]:
    decoder = MultipartDecoder(boundary, max_parts=MAX_PARTS)
    decoder.receive_data(body)
    decoder.receive_data(None)
    head: Field | File | None = None
    content = bytearray()
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, Field | File):
            head, content = event, bytearray()
        elif isinstance(event, Data) and head is not None:
            content += event.data
            if not event.more_data:
                yield _part(head, bytes(content))


def _part(head: Field | File, content: bytes) -> _Part:
    if not head.name:
        raise ValueError("a part without a name")
    mime, parameters = parse_options_header(head.headers.get("content-type"))
    return _Part(
        name=head.name,
        content=content,
        filename=head.filename if isinstance(head, File) else None,
        mime=mime,
        charset=parameters.get("charset"),
    )


def _declared_charsets(parts: Iterable[_Part]) -> dict[str, str]:
    """Return the charsets that a form declares for its parts, keyed by part name.

    HTML's ``_charset_`` field sets the default, which is under the name "". SendGrid's ``charsets``
    field is JSON with a charset for each name.
    """
    contents = {part.name: part.content for part in parts}
    try:
        by_name = json.loads(contents.get("charsets", b"{}"))
    except (ValueError, RecursionError):
        by_name = {}
    declared = {"": contents.get("_charset_", b"").decode("ascii", "replace")}
    if isinstance(by_name, dict):
        declared |= {name: text for name, text in by_name.items() if isinstance(text, str)}
    return declared
