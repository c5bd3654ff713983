"""Forms, multipart and query strings: bytes that hold named fields."""

import dataclasses
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from adapter.exceptions import PayloadError
from adapter.parsing.charsets import charset_from, decoded

#: More fields in a form, or parts in a multipart body, are refused.
MAX_FIELDS: Final = 10_000
MAX_PARTS: Final = 1_000
#: RFC 2046 allows 70; a longer boundary only makes the search slow.
MAX_BOUNDARY: Final = 200


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One part of a multipart body."""

    name: str
    content: bytes
    #: Of a file; its content is not kept.
    filename: str | None
    #: As the part's own header says.
    charset: str | None


def query_values(query: str) -> dict[str, object]:
    """The fields of a raw query string; a repeated one is a list. Never raises."""
    return grouped(urllib.parse.parse_qsl(query, keep_blank_values=True, errors="replace"))


def data_from_form(body: bytes, parameters: Mapping[str, str]) -> object:
    """The fields of a URL-encoded form; a repeated one is a list."""
    charset = charset_from(parameters.get("charset"))
    text = decoded(body.strip(), charset)
    try:
        pairs = urllib.parse.parse_qsl(
            text,
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeError:
        raise PayloadError("form: the bytes are not in the charset they claim") from None
    except ValueError:
        raise PayloadError(f"form: more than {MAX_FIELDS} fields") from None
    return grouped(pairs)


def data_from_multipart(body: bytes, parameters: Mapping[str, str]) -> object:
    """Text parts by name; of a file the value is its name only."""
    try:
        parts = list(_parts(body, _boundary_from(body, parameters)))
    except RequestEntityTooLarge:
        raise PayloadError(f"multipart: more than {MAX_PARTS} parts") from None
    except ValueError:
        raise PayloadError("multipart: the parts cannot be told apart") from None
    charsets = _declared_charsets(parts)
    return grouped((part.name, _text_from(part, charsets)) for part in parts)


def _text_from(part: _Part, charsets: Mapping[str, str]) -> str:
    if part.filename is not None:
        return part.filename
    return decoded(part.content, part.charset or charsets.get(part.name) or charsets.get(""))


def _boundary_from(body: bytes, parameters: Mapping[str, str]) -> bytes:
    """The header's boundary; without one, that of the first line."""
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
    is_file = isinstance(head, File)
    return _Part(
        name=head.name,
        content=b"" if is_file else content,
        filename=head.filename if isinstance(head, File) else None,
        charset=parse_options_header(head.headers.get("content-type"))[1].get("charset"),
    )


def _declared_charsets(parts: Iterable[_Part]) -> dict[str, str]:
    """Charsets by the names of parts, where the form itself tells; ``""`` is for all others.

    Two forms do: HTML's ``_charset_`` field, for all parts, and SendGrid's ``charsets`` field,
    JSON with a charset for each name.
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


def grouped(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Values by name."""
    values: dict[str, object] = {}
    for name, value in pairs:
        add(values, name, value)
    return values


def add(values: dict[str, object], name: str, value: object) -> None:
    """Puts a value under its name; the second of a name makes a list."""
    known = values.get(name)
    if name not in values:
        values[name] = value
    elif isinstance(known, list):
        known.append(value)
    else:
        values[name] = [known, value]
