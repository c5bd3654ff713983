"""Third-party signature vectors in the shared folder."""

import base64
from pathlib import Path
from typing import Any

from adapter.signatures import Request
from tests.paths import SHARED

VECTORS = SHARED / "vectors"


def files(folder: str) -> list[Path]:
    return sorted((VECTORS / folder).glob("*.json"))


def request_from(vector: dict[str, Any]) -> Request:
    body = base64.b64decode(vector.get("body_base64", ""))
    return Request(vector["method"], vector["url"], vector.get("headers", {}), body)
