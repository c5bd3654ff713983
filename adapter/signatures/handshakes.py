"""What a platform asks before it sends anything: whether this address is ours.

Answers are plain text, and only of characters that no browser reads as markup.
"""

import dataclasses
import json
import re
from collections.abc import Mapping

from adapter.exceptions import ConfigurationError, VerificationError
from adapter.signatures.primitives import is_equal
from adapter.signatures.request import bytes_from_text, fields_from_form

#: Where Meta's verify token is looked for when the mapping names no variable.
META_TOKEN = "META_VERIFY_TOKEN"  # noqa: S105 - a name, not a token
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Meta describes its challenge as a number.
_META_CHALLENGE = re.compile(r"[0-9]{1,64}")
_SLACK_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,256}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Handshake:
    """The ``handshake:`` of a mapping."""

    #: ``meta`` or ``slack``.
    kind: str
    #: The environment variable that holds Meta's verify token; None: Slack signs instead.
    variable: str | None


def handshake_from(block: object) -> Handshake | None:
    """What ``handshake: slack``, ``meta`` or ``{ meta: VARIABLE }`` says; None: there is none.

    Raises :class:`ConfigurationError` for anything else.
    """
    if block is None:
        return None
    if block == "slack":
        return Handshake(kind="slack", variable=None)
    if block == "meta":
        return Handshake(kind="meta", variable=META_TOKEN)
    if isinstance(block, Mapping) and list(block) == ["meta"]:
        variable = block["meta"]
        if isinstance(variable, str) and _VARIABLE.fullmatch(variable):
            return Handshake(kind="meta", variable=variable)
    raise ConfigurationError(
        "'handshake' must be slack, or { meta: VARIABLE } with the environment variable "
        "that holds the verify token"
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer to a handshake: a status and a text, sent as ``text/plain``."""

    status: int
    text: str = ""


def meta_answer(query: str, verify_token: str) -> Answer:
    """The answer to Meta's GET: 200 with the challenge, 403 for a stranger, 400 for an unsafe text.

    ``query`` is the raw query string. Raises :class:`ConfigurationError` for an empty token.
    """
    if not verify_token.strip():
        raise ConfigurationError("the verify token is empty: set its environment variable")
    try:
        fields = fields_from_form(bytes_from_text(query))
    except VerificationError:
        return Answer(status=400)
    mode, token, challenge = (
        _only(fields, name) for name in (b"hub.mode", b"hub.verify_token", b"hub.challenge")
    )
    if not is_equal(token, verify_token.encode("utf-8", "surrogateescape")) or mode != b"subscribe":
        return Answer(status=403)
    return _challenged(challenge.decode("latin-1"), _META_CHALLENGE)


def slack_answer(body: bytes) -> Answer | None:
    """The answer to Slack's ``url_verification``, or None where the body is anything else.

    Call it after the signature was verified: Slack signs this request like any other.
    """
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("type") != "url_verification":
        return None
    return _challenged(document.get("challenge"), _SLACK_CHALLENGE)


def _only(fields: list[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    values = [value for name, value in fields if name == wanted]
    return values[0] if len(values) == 1 else b""


def _challenged(challenge: object, safe: re.Pattern[str]) -> Answer:
    if isinstance(challenge, str) and safe.fullmatch(challenge):
        return Answer(status=200, text=challenge)
    return Answer(status=400)
