"""Sign and send webhooks as a lead source would, for the command line, the demo and tests."""

import dataclasses
import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from adapter import signatures
from adapter.exceptions import ConfigurationError
from adapter.mapping.source import Source
from adapter.models import Clock, WebhookRequest, utc_now

#: Timeout for the adapter's response, in seconds.
TIMEOUT_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The adapter's response to a webhook."""

    status: int
    #: Parsed JSON, or text if it is not JSON.
    body: Any


def sign_webhook(
    source: Source,
    secret: str,
    *,
    body: bytes,
    content_type: str,
    adapter_url: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    clock: Clock = utc_now,
) -> WebhookRequest:
    """Create a webhook request that is signed as this source would sign it now."""
    url = f"{adapter_url.rstrip('/')}/hooks/{source.name}"
    request = WebhookRequest(
        method="POST",
        url=f"{url}?{query}" if query else url,
        headers={"Content-Type": content_type, **(headers or {})},
        body=body,
    )
    return signatures.sign(source.signature, secret, request, clock().timestamp())


def send(request: WebhookRequest, *, timeout: float = TIMEOUT_SECONDS) -> Answer:
    """Send a webhook and return the response. Raise :class:`ConfigurationError` if that fails.

    ``timeout`` is in seconds.
    """
    if not request.url.startswith(("http://", "https://")):
        raise ConfigurationError("the URL must start with http:// or https://")
    message = urllib.request.Request(  # noqa: S310 - checked above
        request.url, data=request.body, headers=dict(request.headers), method=request.method
    )
    try:
        with urllib.request.urlopen(message, timeout=timeout) as response:  # noqa: S310
            return Answer(status=response.status, body=_parse_json(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(status=error.code, body=_parse_json(error.read()))
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigurationError(f"cannot send to {request.url}: {reason}") from error


def curl(request: WebhookRequest, file: str = "") -> str:
    """Return a curl command that sends the request, with its own body or the one in ``file``."""
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    words = ["curl", "-sS", "-X", request.method, request.url]
    for header in headers:
        words += ["-H", header]
    body = f"@{file}" if file else request.body.decode("utf-8", "replace")
    # --data-raw does not read a body that begins with "@" as a file's name.
    return shlex.join([*words, "--data-binary" if file else "--data-raw", body])


def _parse_json(content: bytes) -> Any:
    text = content.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
