"""Respond to the verification requests that platforms send before their first webhook.

Responses contain only characters that browsers do not treat as markup.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from adapter.exceptions import ConfigurationError, Unreadable, VerificationError
from adapter.parsing.paths import Path, path_from_text
from adapter.settings import trimmed
from adapter.signatures.crypto import is_equal, keyed_hash
from adapter.signatures.request import bytes_from_text, fields_from_form

#: Default environment variable for Meta's verify token.
META_TOKEN = "META_VERIFY_TOKEN"  # noqa: S105 - a name, not a token
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Meta documents its challenge as a number.
_META_CHALLENGE = re.compile(r"[0-9]{1,64}")
_SLACK_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ZOOM_TOKEN = _SLACK_CHALLENGE
#: The characters allowed in a challenge from an unknown platform.
_SAFE = re.compile(r"[A-Za-z0-9_.~+/=-]{1,1024}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Handshake:
    """The ``handshake:`` setting of a mapping."""

    #: ``meta``, ``slack``, ``zoom`` or ``match``.
    kind: str
    #: Environment variable for Meta's verify token. None for other platforms, which sign requests.
    variable: str | None = None
    #: For ``match``: the path that distinguishes a verification request from a webhook.
    match: Path | None = None
    #: For ``match``: the required value at that path, or None if any value is accepted.
    value: str | None = None
    #: For ``match``: the path to return as text, or paths to return in a JSON object, by name.
    respond: Path | Mapping[str, Path] | None = None

    @property
    def names(self) -> frozenset[str]:
        """The top-level names in the body that the handshake reads."""
        paths = self.respond.values() if isinstance(self.respond, Mapping) else [self.respond]
        return frozenset(path.parts[0] for path in (self.match, *paths) if path)


def handshake_from(block: object) -> Handshake | None:
    """Parse a mapping's ``handshake:`` setting. Return None if there is none.

    Raise :class:`ConfigurationError` if it is invalid.
    """
    if block is None:
        return None
    if block in ("slack", "zoom"):
        return Handshake(kind=str(block))
    if block == "meta":
        return Handshake(kind="meta", variable=META_TOKEN)
    if isinstance(block, Mapping) and list(block) == ["meta"]:
        variable = block["meta"]
        if isinstance(variable, str) and _VARIABLE.fullmatch(variable):
            return Handshake(kind="meta", variable=variable)
    if isinstance(block, Mapping) and "match" in block:
        return _matching_handshake(block)
    raise ConfigurationError(
        "'handshake' must be slack, zoom, { meta: VARIABLE } with the environment variable "
        "that holds the verify token, or { match: PATH, value: TEXT, respond: PATH }"
    )


def _matching_handshake(block: Mapping[str, object]) -> Handshake:
    value, respond = block.get("value"), block.get("respond")
    if block.keys() - {"match", "value", "respond"} or not isinstance(value, str | None):
        raise ConfigurationError("'handshake' takes 'match', 'value' (text) and 'respond'")
    try:
        match = path_from_text(_required_text(block["match"]))
        paths = (
            {str(name): path_from_text(_required_text(text)) for name, text in respond.items()}
            if isinstance(respond, Mapping) and respond
            else path_from_text(_required_text(respond))
        )
    except ValueError:
        raise ConfigurationError(
            "'match' must be a path in the body; 'respond' must be a path, or names with paths, "
            "such as { challenge: challenge }"
        ) from None
    return Handshake(kind="match", match=match, value=value, respond=paths)


def _required_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - caught above, with the other errors of a path
    return value


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The HTTP response to a platform's verification request."""

    status: int
    text: str = ""
    media_type: str = "text/plain"


def meta_answer(query: str, verify_token: str) -> Answer:
    """Respond to Meta's verification request: 200 with its challenge, or 403 for an invalid token.

    ``query`` is the raw query string. Raise :class:`ConfigurationError` if ``verify_token`` is
    empty.
    """
    if not verify_token.strip():
        raise ConfigurationError("the verify token is empty; set its environment variable")
    try:
        fields = fields_from_form(bytes_from_text(query))
    except VerificationError:
        return Answer(status=400)
    mode, token, challenge = (
        _single(fields, name) for name in (b"hub.mode", b"hub.verify_token", b"hub.challenge")
    )
    is_right = any(
        is_equal(token, own.encode("utf-8", "surrogateescape"))
        for own in (verify_token, trimmed(verify_token))
    )
    if not is_right or mode != b"subscribe":
        return Answer(status=403)
    return _echo(challenge.decode("latin-1"), _META_CHALLENGE)


def signed_answer(handshake: Handshake, body: bytes, key: bytes | None) -> Answer | None:
    """Return the response to a platform's signed verification request, or None for a webhook.

    ``key`` is the key that verified the request. Zoom expects a response signed with it.
    """
    if handshake.kind == "slack":
        return slack_answer(body)
    if handshake.kind == "zoom" and key is not None:
        return zoom_answer(body, key)
    return matching_answer(handshake, body) if handshake.kind == "match" else None


def matching_answer(handshake: Handshake, body: bytes) -> Answer | None:
    """Return the response that the mapping defines for a verification request, or None.

    The response is 400 if a value is missing or contains characters that are not safe to return.
    """
    document = _document(body)
    found = _value_at(handshake.match, document)
    if not found or handshake.value not in (None, found):
        return None
    if handshake.value is None and not document.keys() <= handshake.names:
        return None  # a lead may contain a field with this name
    if not isinstance(handshake.respond, Mapping):
        return _echo(_value_at(handshake.respond, document), _SAFE)
    values = {name: _value_at(path, document) for name, path in handshake.respond.items()}
    if not all(_SAFE.fullmatch(value) for value in values.values()):
        return Answer(status=400)
    return Answer(status=200, text=json.dumps(values), media_type="application/json")


def _value_at(path: Path | None, document: Mapping[str, Any]) -> str:
    try:
        value = path.read(document) if path else None
    except Unreadable:
        return ""
    return value if isinstance(value, str) else ""


def slack_answer(body: bytes) -> Answer | None:
    """Return the response to Slack's ``url_verification``, or None for any other body.

    Call this after verifying the signature. Slack signs this request like any other.
    """
    document = _document(body)
    if document.get("type") != "url_verification":
        return None
    return _echo(document.get("challenge"), _SLACK_CHALLENGE)


def zoom_answer(body: bytes, key: bytes) -> Answer | None:
    """Return the response to Zoom's ``endpoint.url_validation``, or None for any other body.

    When the URL is saved and every 72 hours, Zoom sends a token and expects its HMAC, computed
    with the secret that signs its webhooks. Call this after verifying the signature, with the
    matching key, so that only senders who can sign get a signature.
    https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint
    """
    document = _document(body)
    if document.get("event") != "endpoint.url_validation":
        return None
    payload = document.get("payload")
    token = payload.get("plainToken") if isinstance(payload, dict) else None
    if not isinstance(token, str) or not _ZOOM_TOKEN.fullmatch(token):
        return Answer(status=400)
    proof = keyed_hash(key, token.encode()).hex()
    text = json.dumps({"plainToken": token, "encryptedToken": proof})
    return Answer(status=200, text=text, media_type="application/json")


def _document(body: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object. Return an empty dictionary if it is anything else."""
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _single(fields: list[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    values = [value for name, value in fields if name == wanted]
    return values[0] if len(values) == 1 else b""


def _echo(challenge: object, safe: re.Pattern[str]) -> Answer:
    if isinstance(challenge, str) and safe.fullmatch(challenge):
        return Answer(status=200, text=challenge)
    return Answer(status=400)
