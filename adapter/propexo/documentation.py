"""Download a page of Propexo's documentation."""

import requests

from adapter.exceptions import ConfigurationError

TIMEOUT_SECONDS = 10.0
MAX_BYTES = 10 * 1024 * 1024


def read_page(url: str) -> str:
    """Return the text of the page at ``url``. Raise ConfigurationError if that fails."""
    try:
        with requests.get(url, timeout=TIMEOUT_SECONDS, stream=True) as answer:
            answer.raise_for_status()
            raw = answer.raw.read(MAX_BYTES + 1, decode_content=True)
    except requests.RequestException as exc:
        raise ConfigurationError(f"{url} cannot be read: {type(exc).__name__}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"{url} is larger than 10 MiB")
    return str(raw.decode("utf-8", "replace"))
