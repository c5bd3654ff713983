"""Read request bodies up to a size limit, and parse JSON as strictly as JavaScript does."""

import json
import math
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

MAX_BYTES = 1024 * 1024
#: Deeper than any Propexo body, and far below the limit of Python's JSON module.
MAX_DEPTH = 50


class InvalidBody(ValueError):
    """Raised if a request body cannot be used. The response has status 400 and the error's code."""

    code = "invalid_request"


def body_of(request: Request) -> bytes:
    """Return the request body. Abort with 413 if it is too large, or 400 if it is unreadable."""
    try:
        body = request.stream.read(MAX_BYTES + 1)
    except (OSError, ValueError):  # a chunk without a length, or the client stopped sending
        raise BadRequest("the body could not be read") from None
    if len(body) > MAX_BYTES:
        raise RequestEntityTooLarge(f"the body is longer than {MAX_BYTES} bytes")
    return body


def json_from(body: bytes) -> Any:
    """Parse JSON. Raise :class:`InvalidBody` if it is invalid. The message quotes no data."""
    try:
        value = json.loads(body, parse_constant=_reject, parse_float=_finite)
    except (ValueError, RecursionError):
        raise InvalidBody("the body is not JSON") from None
    if _depth(value) > MAX_DEPTH:
        raise InvalidBody(f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


def _reject(text: str) -> NoReturn:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _reject(text)


def _depth(value: Any) -> int:
    depth, level = 1, [value]
    while level := [child for item in level for child in _children(item)]:
        depth += 1
    return depth


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
