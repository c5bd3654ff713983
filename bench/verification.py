"""Compare each signature scheme with a plain HMAC of the same bytes (section ``verify``)."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from adapter import signatures
from adapter.models import WebhookRequest
from bench.rounds import Effort, microseconds
from bench.tables import Row

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_790_000_000.0
LONG = "x" * 2980
JSON_BODY = b'{"comments": "' + LONG.encode() + b'"}'
FORM_BODY = b"comments=" + LONG.encode()

Block = Mapping[str, Any]
TIMED = {"signed": "{timestamp}.{body}", "timestamp": {"header": "X-Timestamp"}}
HMAC: Block = {"scheme": "hmac", "header": "X-Signature"}

#: Names of the schemes, with their blocks and the algorithms of their baselines.
SCHEMES: tuple[tuple[str, Block, str], ...] = (
    ("hmac sha256, hex, with timestamp", {**HMAC, **TIMED}, "sha256"),
    ("hmac sha256, base64", {**HMAC, "encoding": "base64"}, "sha256"),
    ("hmac sha1, hex", {**HMAC, "algorithm": "sha1"}, "sha1"),
    ("hmac sha512, hex", {**HMAC, "algorithm": "sha512"}, "sha512"),
    ("stripe (t=…,v1=…)", {"preset": "stripe"}, "sha256"),
    ("standard webhooks", {"preset": "standard-webhooks"}, "sha256"),
    ("hash of secret and body", {"scheme": "hash", "header": "X-Signature"}, "plain"),
    ("token in a header", {"scheme": "token", "in": "header", "name": "X-Token"}, "sha256"),
    ("token in the query", {"scheme": "token", "in": "query", "name": "token"}, "sha256"),
    ("token in a form", {"scheme": "token", "in": "form", "name": "token"}, "sha256"),
    ("token in JSON", {"scheme": "token", "in": "json", "name": "token"}, "sha256"),
    ("basic", {"scheme": "basic", "username": "portal"}, "sha256"),
)


def rows(effort: Effort) -> Iterator[Row]:
    """Yield one row per scheme, measured with a 3 kB body."""
    for what, block, algorithm in SCHEMES:
        yield _row(what, block, algorithm, effort)


def _row(what: str, block: Block, algorithm: str, effort: Effort) -> Row:
    secret = SECRET
    if block.get("preset") == "standard-webhooks":
        secret = "whsec_" + base64.b64encode(SECRET.encode()).decode()
    request = signatures.sign(block, secret, _unsigned(block), NOW)
    verify = partial(signatures.verifier(block, [secret]).verify, request, NOW)
    name, bare = _bare(algorithm, request.body)
    taken = microseconds({"ours": verify, "bare": bare}, effort)
    return Row(
        section="verify",
        what=what,
        figure=taken["ours"],
        unit="µs",
        beside=name,
        other=taken["bare"],
    )


def _unsigned(block: Block) -> WebhookRequest:
    is_form = block.get("in") == "form"
    content_type = "application/x-www-form-urlencoded" if is_form else "application/json"
    return WebhookRequest(
        method="POST",
        url="https://adapter.example.com/hooks/portal",
        headers={"Host": "adapter.example.com", "Content-Type": content_type},
        body=FORM_BODY if is_form else JSON_BODY,
    )


def _bare(algorithm: str, body: bytes) -> tuple[str, Callable[[], bool]]:
    """Return the name and the function of the baseline that verifies the same bytes."""
    key = SECRET.encode()
    if algorithm == "plain":
        expected = hashlib.sha256(key + body).hexdigest()
        return "hashlib, compare_digest", lambda: hmac.compare_digest(
            hashlib.sha256(key + body).hexdigest(), expected
        )
    signature = hmac.new(key, body, algorithm).hexdigest()
    return "hmac.new, compare_digest", lambda: hmac.compare_digest(
        hmac.new(key, body, algorithm).hexdigest(), signature
    )
