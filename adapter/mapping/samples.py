"""Load the sample payloads for a mapping's tests, and apply the changes made by tests."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapter.exceptions import PayloadError
from adapter.mapping.engine.fetched import DOCUMENT
from adapter.parsing import body
from adapter.parsing.paths import path_from_text, set_value

MAX_SAMPLE_BYTES: Final = 1024 * 1024

#: Advice for a sample that is not JSON, or does not match its extension.
UNREADABLE_HINT: Final = (
    "correct the file if copying broke it; otherwise, ask the sender to correct its webhooks, "
    "which would be held as unreadable"
)
CONTENT_TYPES: Final = {
    ".json": "application/json",
    ".form": "application/x-www-form-urlencoded",
    ".xml": "text/xml",
    ".multipart": "multipart/form-data",
    ".query": "application/x-www-form-urlencoded",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A parsed sample payload, with the headers and the query string of its request."""

    payload: Any
    headers: Mapping[str, str]
    query: str
    #: The documents for ``fetch:``, by URL.
    fetched: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def changed(self, changes: Mapping[str, Any]) -> "Sample":
        """Return a copy of the sample with new values at the given paths.

        Raise ValueError for an invalid path, or :class:`Unreadable` if a value cannot be set.
        """
        payload = copy.deepcopy(self.payload)
        for text, value in changes.items():
            set_value(payload, path_from_text(text), value)
        return dataclasses.replace(self, payload=payload)


def content_type_of(file: Path, raw: bytes) -> str:
    """Return the content type of a sample file, based on its extension and first line."""
    kind = CONTENT_TYPES.get(file.suffix.lower(), "")
    if kind == "multipart/form-data":
        first = raw.lstrip(b"\r\n").split(b"\n", 1)[0].strip()
        kind += "; boundary=" + first.removeprefix(b"--").decode("ascii", "replace")
    return kind


def sample_from_test(
    test: Mapping[str, Any], folder: Path, kind: str | Sequence[str] | None
) -> Sample:
    """Load a test's sample payload. Raise ValueError with the reason if that fails."""
    payload = test["payload"]
    headers = {name.lower(): value for name, value in test.get("headers", {}).items()}
    query = test.get("query", "")
    if isinstance(payload, str):
        payload = _read(folder / payload, payload, test.get("content_type"), kind, query)
    elif not isinstance(payload, Mapping | list):
        raise ValueError("must be a file name or the payload itself")  # noqa: TRY004
    fetched = {
        url: {DOCUMENT: _read(folder / one, one, None, "json", "") if isinstance(one, str) else one}
        for url, one in test.get("fetched", {}).items()
    }
    return Sample(payload=payload, headers=headers, query=query, fetched=fetched)


def _read(
    file: Path, name: str, content_type: str | None, kind: str | Sequence[str] | None, query: str
) -> Any:
    try:
        raw = file.read_bytes()
    except (OSError, ValueError):
        raise ValueError(f"{name[:100]!r} cannot be read as a file: check its name") from None
    if len(raw) > MAX_SAMPLE_BYTES:
        raise ValueError(f"{name!r} is larger than 1 MiB: shorten it")
    try:
        return body.parse(raw, content_type or content_type_of(file, raw), kind=kind, query=query)
    except PayloadError as exc:
        raise ValueError(f"{name!r}: {exc}; {UNREADABLE_HINT}") from None
