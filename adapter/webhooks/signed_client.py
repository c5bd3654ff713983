"""What a lead source does, done by us: signs a webhook and sends it. To try out, and to demo."""

import dataclasses
import json
import mimetypes
import shlex
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from adapter import signatures
from adapter.exceptions import ConfigurationError
from adapter.mapping.source import Source
from adapter.models import Clock, utc_now

#: Longest wait for the adapter's answer, in seconds.
ANSWER_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the adapter said."""

    status: int
    #: Parsed JSON, or the text where it is none.
    body: Any


def content_type_of(file: Path) -> str:
    """The content type that a sender would name, by the file's ending."""
    endings = {".form": "application/x-www-form-urlencoded", ".xml": "application/xml"}
    return endings.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/json"


def signed(
    source: Source,
    secret: str,
    *,
    body: bytes,
    content_type: str,
    adapter_url: str,
    clock: Clock = utc_now,
) -> signatures.Request:
    """The request as this source would send it now."""
    request = signatures.Request(
        method="POST",
        url=f"{adapter_url.rstrip('/')}/hooks/{source.name}",
        headers={"Content-Type": content_type},
        body=body,
    )
    return signatures.sign(source.signature, secret, request, clock().timestamp())


def send(request: signatures.Request) -> Answer:
    """Sends it. Raises :class:`ConfigurationError` when nobody listens there."""
    if not request.url.startswith(("http://", "https://")):
        raise ConfigurationError("the address must start with http:// or https://")
    message = urllib.request.Request(  # noqa: S310 - checked above
        request.url, data=request.body, headers=dict(request.headers), method=request.method
    )
    try:
        with urllib.request.urlopen(message, timeout=ANSWER_SECONDS) as response:  # noqa: S310
            return Answer(status=response.status, body=_parsed(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(status=error.code, body=_parsed(error.read()))
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigurationError(f"cannot send to {request.url}: {reason}") from error


def curl(request: signatures.Request, file: str) -> str:
    """The same request as a command line, its body read from ``file``."""
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    words = ["curl", "-sS", "-X", request.method, request.url]
    for header in headers:
        words += ["-H", header]
    return shlex.join([*words, "--data-binary", f"@{file}"])


def _parsed(answer: bytes) -> Any:
    text = answer.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
