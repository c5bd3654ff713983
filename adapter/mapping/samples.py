"""Sample payloads of a mapping's tests: a file or inline, and what a test changes in it."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from adapter.exceptions import PayloadError, Unreadable
from adapter.parsing import body
from adapter.parsing.paths import path_from_text, set_value

LARGEST_SAMPLE: Final = 1024 * 1024

CONTENT_TYPES: Final = {
    ".json": "application/json",
    ".form": "application/x-www-form-urlencoded",
    ".xml": "text/xml",
    ".multipart": "multipart/form-data",
    ".query": "application/x-www-form-urlencoded",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One payload, parsed."""

    payload: Any
    headers: Mapping[str, str]
    query: str

    def changed(self, changes: Mapping[str, Any]) -> "Sample":
        """A copy with values put at paths. Raises ValueError or :class:`Unreadable`."""
        payload = copy.deepcopy(self.payload)
        for text, value in changes.items():
            set_value(payload, path_from_text(text), value)
        return dataclasses.replace(self, payload=payload)


def content_type_of(file: Path, raw: bytes) -> str:
    """By the file's ending; a multipart body's boundary is its first line."""
    kind = CONTENT_TYPES.get(file.suffix.lower(), "")
    if kind == "multipart/form-data":
        first = raw.lstrip(b"\r\n").split(b"\n", 1)[0].strip()
        kind += "; boundary=" + first.removeprefix(b"--").decode("ascii", "replace")
    return kind


def sample_from_test(test: Mapping[str, Any], folder: Path, kind: str | None) -> Sample:
    """The payload that a test names. Raises ValueError with the reason."""
    said = test["payload"]
    headers = {name.lower(): value for name, value in test.get("headers", {}).items()}
    query = test.get("query", "")
    if isinstance(said, str):
        said = _read(folder / said, said, test.get("content_type"), kind, query)
    elif not isinstance(said, Mapping | list):
        raise ValueError("must be a file, or the payload itself")  # noqa: TRY004
    return Sample(payload=said, headers=headers, query=query)


def _read(file: Path, name: str, content_type: str | None, kind: str | None, query: str) -> Any:
    try:
        raw = file.read_bytes()
    except (OSError, ValueError):
        raise ValueError(f"{name[:100]!r} cannot be read as a file") from None
    if len(raw) > LARGEST_SAMPLE:
        raise ValueError(f"{name!r} is larger than 1 MiB")
    try:
        return body.parse(raw, content_type or content_type_of(file, raw), kind=kind, query=query)
    except PayloadError as exc:
        raise ValueError(f"{name!r}: {exc}") from None


__all__ = ["Sample", "Unreadable", "content_type_of", "sample_from_test"]
