"""Load third-party signature vectors from the shared folder."""

import base64
from pathlib import Path
from typing import Any

from adapter.models import WebhookRequest
from tests.paths import SHARED

VECTORS = SHARED / "vectors"


def files(folder: str) -> list[Path]:
    return sorted((VECTORS / folder).glob("*.json"))


def request_from(vector: dict[str, Any]) -> WebhookRequest:
    body = base64.b64decode(vector.get("body_base64", ""))
    return WebhookRequest(vector["method"], vector["url"], vector.get("headers", {}), body)
