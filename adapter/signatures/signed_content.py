"""Parse the ``format`` and ``signed`` settings: the header's format and the signed text."""

import dataclasses
import re
from collections.abc import Iterator

from adapter.exceptions import ConfigurationError, VerificationError
from adapter.models import WebhookRequest
from adapter.parsing.templates import parse_template
from adapter.signatures import twilio
from adapter.signatures.request import HEADER_NAME, bytes_from_text, required_header
from adapter.signatures.timestamps import PATTERNS

#: A header with more signatures is rejected before any is compared. Secret rotation needs only two.
MAX_SIGNATURES = 16
#: A header with more items of any kind is rejected before it is parsed.
MAX_ITEMS = 64

#: The alphabet of each encoding. Text with other characters is not a signature.
_ALPHABETS = {"hex": "[0-9a-f]+", "base64": "[A-Za-z0-9+/=]+", "base64url": "[A-Za-z0-9_-]+"}
_CONTENT = ("body", "timestamp", "method", "url", "form")


def _pieces(template: str, key: str) -> list[tuple[str, str | None]]:
    try:
        return parse_template(template)
    except ValueError as exc:
        raise ConfigurationError(f"'{key}': {exc}") from None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class HeaderFormat:
    """The format of the signature header. The header may also contain a timestamp."""

    template: str
    separator: str | None
    items: tuple[re.Pattern[str], ...]

    @property
    def has_timestamp(self) -> bool:
        """True if the signature header also contains a timestamp."""
        return "{timestamp}" in self.template

    def read(self, value: str) -> tuple[list[str], str | None]:
        """Return the signatures and the timestamp in a header's value."""
        texts = value.split(self.separator) if self.separator else [value]
        if len(texts) > MAX_ITEMS:
            raise VerificationError("too_many_signatures")
        matches = [match for text in texts for match in self._matches(text)]
        signatures = [match["signature"] for match in matches if "signature" in match]
        timestamps = [match["timestamp"] for match in matches if "timestamp" in match]
        if not signatures:
            raise VerificationError("header_malformed")
        if len(signatures) > MAX_SIGNATURES:
            raise VerificationError("too_many_signatures")
        return signatures, self._single_timestamp(timestamps)

    def write(self, signature: str, timestamp: str) -> str:
        """Return the value of a signature header with this signature and timestamp."""
        values = {"signature": signature, "timestamp": timestamp, None: ""}
        return "".join(text + values[name] for text, name in _pieces(self.template, "format"))

    def _matches(self, text: str) -> Iterator[dict[str, str]]:
        for item in self.items:
            if match := item.fullmatch(text):
                yield match.groupdict()

    def _single_timestamp(self, timestamps: list[str]) -> str | None:
        if len(timestamps) > 1:
            raise VerificationError("timestamp_repeated")
        if self.has_timestamp and not timestamps:
            raise VerificationError("timestamp_missing")
        return timestamps[0] if timestamps else None


def header_format(
    template: str, *, separator: str | None, encoding: str, unit: str
) -> HeaderFormat:
    """Parse the ``format`` setting. Raise :class:`ConfigurationError` if it is invalid."""
    names = [name for _, name in _pieces(template, "format") if name is not None]
    if names.count("signature") != 1:
        raise ConfigurationError("'format' must contain {signature} exactly once")
    if names.count("timestamp") > 1 or set(names) - {"signature", "timestamp"}:
        raise ConfigurationError(
            "'format' may contain only {signature} and one {timestamp} in braces"
        )
    texts = template.split(separator) if separator else [template]
    items = tuple(_pattern(text, encoding, unit) for text in texts)
    return HeaderFormat(template=template, separator=separator, items=items)


def _pattern(template: str, encoding: str, unit: str) -> re.Pattern[str]:
    classes = {"signature": _ALPHABETS[encoding], "timestamp": PATTERNS[unit]}
    return re.compile(
        "".join(
            re.escape(literal) + (f"(?P<{name}>{classes[name]})" if name else "")
            for literal, name in _pieces(template, "format")
        )
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SignedContent:
    """The content that a sender signs, made of literal text and parts of the request."""

    pieces: tuple[tuple[bytes, str | None], ...]
    #: The names of the template's placeholders.
    names: frozenset[str]
    #: Headers that the signature covers, in lower case.
    headers: frozenset[str]

    def variants(
        self, request: WebhookRequest, timestamp: str | None, key: bytes
    ) -> Iterator[bytes]:
        """Yield each byte string that the sender may have signed. Only Twilio has more than one."""
        parts = {"body": request.body, "method": bytes_from_text(request.method), "secret": key}
        parts["timestamp"] = (timestamp or "").encode()
        urls: tuple[str, ...] = (request.url,)
        if "form" in self.names:
            parts["form"], urls = twilio.form_of(request), twilio.urls_of(request.url)
        for name in self.headers:
            parts[f"header:{name}"] = required_header(request, name, "signed_header_missing")
        for url in urls:
            parts["url"] = bytes_from_text(url)
            yield b"".join(text + (parts[name] if name else b"") for text, name in self.pieces)


def signed_content(template: str, *, is_hash: bool = False) -> SignedContent:
    """Parse the ``signed`` setting. Raise :class:`ConfigurationError` if it is invalid."""
    pieces = tuple(
        (literal.encode(), _lowered(name)) for literal, name in _pieces(template, "signed")
    )
    names = frozenset(name for _, name in pieces if name is not None)
    headers = frozenset(name.removeprefix("header:") for name in names if ":" in name)
    allowed = {*_CONTENT, *(f"header:{name}" for name in headers if HEADER_NAME.fullmatch(name))}
    if is_hash:
        allowed.add("secret")
    if unknown := names - allowed:
        raise ConfigurationError(f"'signed' has an unknown placeholder {{{min(unknown)}}}")
    if not {"body", "form"} & names:
        raise ConfigurationError(
            "'signed' must contain {body} or {form}; otherwise the body is not signed"
        )
    if "form" in names and "url" not in names:
        raise ConfigurationError(
            "'signed' must contain {url} if it contains {form}, as Twilio does"
        )
    if is_hash and pieces[0] != (b"", "secret"):
        raise ConfigurationError("'signed' must start with {secret} for the hash scheme")
    return SignedContent(pieces=pieces, names=names, headers=headers)


def _lowered(name: str | None) -> str | None:
    return name.lower() if name and name.startswith("header:") else name
