"""Generate signed webhooks of equal length from one sender, each for a different lead."""

import dataclasses
import datetime as dt
import hmac
import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.webhooks import signed_client
from bench.load import Requests

#: Length of a webhook's body.
BODY_BYTES = 3000


def write(file: Path, source: Source, secret: str, sample: bytes, count: int) -> Requests:
    """Write signed requests for ``source`` to a file. They are valid for five minutes."""
    run = secrets.token_hex(4)
    length = 0
    with file.open("wb") as out:
        for number in range(count):
            request = _bytes_of(_request(source, secret, sample, f"{run}-{number:07d}"))
            length = length or len(request)
            out.write(request)
    return Requests(file=file, length=length, count=count)


def _request(source: Source, secret: str, sample: bytes, lead: str) -> WebhookRequest:
    body = _body(sample, lead)
    request = signed_client.sign_webhook(
        source,
        secret,
        body=body,
        content_type="application/json",
        adapter_url="http://127.0.0.1",
    )
    # Peers cannot verify a signature of timestamp and body, so they get one of the body alone.
    digest = hmac.new(secret.encode(), body, "sha256").hexdigest()
    headers = {**request.headers, "X-Body-Signature": digest}
    return dataclasses.replace(request, headers=headers)


def _body(sample: bytes, lead: str) -> bytes:
    payload = bookable(sample, lead)
    short = len(json.dumps(payload))
    return json.dumps(payload | {"comments": "x" * (BODY_BYTES - short)}).encode()


def bookable(sample: bytes, lead: str, *, in_days: int = 9) -> dict[str, Any]:
    """Return the sample's payload with a different person and a tour at noon on a future day."""
    payload: dict[str, Any] = json.loads(sample)
    day = dt.datetime.now(dt.UTC) + dt.timedelta(days=in_days)
    return payload | {
        "leadId": lead,
        "comments": "",
        "contact": payload["contact"] | {"email": f"{lead}@example.com", "phone": ""},
        "tour": payload["tour"] | {"date": day.strftime("%m/%d/%Y"), "time": "12:00 PM"},
    }


def _bytes_of(request: WebhookRequest) -> bytes:
    address = urlsplit(request.url)
    lines = [
        f"POST {address.path} HTTP/1.1",
        f"Host: {address.netloc}",
        *(f"{name}: {value}" for name, value in request.headers.items()),
        f"Content-Length: {len(request.body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body
