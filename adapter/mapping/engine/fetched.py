"""Build URLs from a webhook's values, and read the documents that were fetched from them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

from adapter.exceptions import Unreadable
from adapter.mapping.engine.reshape import ReadResult
from adapter.mapping.engine.scope import Scope
from adapter.mapping.transforms import clean_text
from adapter.parsing.paths import Path, unwrap_single

#: Maximum length of a value in a URL, in characters.
MAX_VALUE: Final = 500
#: The key of a document that could not be fetched. Its value is the reason.
PROBLEM: Final = "problem"
#: The key of a document that was fetched.
DOCUMENT: Final = "json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FetchReader:
    """Reads the JSON document that was fetched for a name under ``fetch:``."""

    #: Pairs of literal text and the path of the value that follows.
    pieces: Sequence[tuple[str, Path | None]]
    #: Environment variables with a bearer token, or with a username and a password.
    token: str | None
    basic: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The first path in the URL, which determines whether each item has its own document."""
        return next(self.paths)

    @property
    def paths(self) -> Iterator[Path]:
        """The payload paths whose values are inserted into the URL."""
        return (path for _, path in self.pieces if path is not None)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the environment variables that contain the credentials."""
        return (self.token,) if self.token else self.basic

    def url(self, scope: Scope) -> str | None:
        """Return the URL to fetch for a webhook or item, or None if a value for the URL is missing.

        A value cannot change the host: it is percent-encoded, unless it is itself a URL that
        starts with the text before the placeholder.
        """
        url = ""
        for literal, path in self.pieces:
            url += literal
            if path is not None:
                value = _text(scope, path)
                rest = _path_in(value.removeprefix(url)) if self._takes_url(url, value) else ""
                if not value or value in (".", ".."):
                    return None
                url += rest or quote(value, safe="")
        return url

    def _takes_url(self, before: str, value: str) -> bool:
        """Return True if a value is a full URL that the mapping allows."""
        is_whole = len(self.pieces) == 2 and self.pieces[1] == ("", None)
        return is_whole and before.count("/") == 3 and value.startswith(before)

    def read(self, scope: Scope) -> ReadResult:
        """Return the fetched document, or an empty document if the fetch failed. Never raise."""
        url = self.url(scope)
        found = scope.fetched.get(url) if url else None
        if not isinstance(found, Mapping):
            return ReadResult({})
        if PROBLEM in found:
            host = urlsplit(str(url)).hostname
            return ReadResult({}, f"{host} did not return it: {found[PROBLEM]}")
        return ReadResult(found.get(DOCUMENT, {}))


def _text(scope: Scope, path: Path) -> str:
    try:
        value = unwrap_single(scope.read(path))
    except Unreadable:
        return ""
    if scope.is_empty(value) or isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    try:
        return clean_text(value, MAX_VALUE)
    except Unreadable:
        return ""


def _path_in(rest: str) -> str:
    """Return the percent-encoded path in a sender's URL, without a query string or dot segments."""
    parts = rest.partition("?")[0].partition("#")[0].split("/")
    return "/".join(quote(part, safe="") for part in parts if part not in ("", ".", ".."))


def requests_for(readers: Sequence[FetchReader], scopes: Sequence[Scope]) -> dict[str, FetchReader]:
    """Return the URLs that have not been fetched for a webhook yet, with their readers."""
    wanted = {reader.url(scope): reader for scope in scopes for reader in readers}
    known = scopes[0].fetched if scopes else {}
    return {url: reader for url, reader in wanted.items() if url and url not in known}


def documents_from(stored: Any) -> Mapping[str, Any]:
    """Return an event's stored documents, keyed by URL, or an empty mapping if they are invalid."""
    documents = stored.get("documents") if isinstance(stored, Mapping) else None
    return documents if isinstance(documents, Mapping) else {}


def without_failures(documents: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return only the documents that were fetched successfully, so that the others are retried."""
    return {url: one for url, one in documents.items() if PROBLEM not in one}
