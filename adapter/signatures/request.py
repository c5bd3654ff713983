"""What a signature can cover: one HTTP request, as it came off the wire."""

import dataclasses
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from adapter.exceptions import VerificationError

#: A header that is longer than this is not read. Real ones stay under 700 characters.
MAX_HEADER_CHARACTERS = 4096

#: A form with more fields is not read: pairing them up costs time before anything is proved.
MAX_FORM_FIELDS = 2000

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclasses.dataclass(frozen=True)
class Request:
    """One request. ``url`` is the address as the sender wrote it, ``body`` the raw bytes.

    The address is whole where a signature may cover it; path and query are enough elsewhere.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    #: The sender's IP address, as far as it can be trusted; None: not known.
    client: str | None = None

    def __post_init__(self) -> None:
        """Names differ in case between servers, so they are looked up in lower case."""
        lowered: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            # Two spellings of one name are one header sent twice: joined as gunicorn does it.
            lowered[key] = f"{lowered[key]},{value}" if key in lowered else value
        object.__setattr__(self, "_lowered", lowered)

    def header(self, name: str) -> str | None:
        """A header's text, or None where it is absent or empty. Raises for one beyond the cap."""
        lowered: dict[str, str] = self.__dict__["_lowered"]
        value = lowered.get(name.lower())
        if value is not None and len(value) > MAX_HEADER_CHARACTERS:
            raise VerificationError("header_too_long")
        return value or None

    @property
    def query(self) -> str:
        """The raw query string. Cut out by hand: ``urlsplit`` raises for some addresses."""
        return self.url.partition("#")[0].partition("?")[2]

    @property
    def is_form(self) -> bool:
        """Whether the body says that it is a URL-encoded form."""
        return (self.header("content-type") or "").lower().startswith(FORM_TYPE)


def bytes_from_text(text: str) -> bytes:
    """The bytes that a server read this text from. WSGI hands headers over as Latin-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def fields_from_form(form: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values of a URL-encoded form or query, percent-decoded to raw bytes.

    Latin-1 stands for "each byte as it is", so no byte can make this fail.
    """
    try:
        pairs = parse_qsl(
            form.decode("latin-1"),
            keep_blank_values=True,
            encoding="latin-1",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError:
        raise VerificationError("body_unreadable") from None
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
