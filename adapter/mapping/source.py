"""One lead source: its mapping, compiled, and what the rest of the program asks of it."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine import Community, CompiledMapping, Mapped, Outcome, Scope
from adapter.mapping.engine.scope import reason_for
from adapter.mapping.loader.compile_paths import UsedPath
from adapter.mapping.loader.yaml_document import Document
from adapter.mapping.respond import RequestValues
from adapter.models import WebhookRequest
from adapter.parsing import body, forms
from adapter.parsing.paths import path_from_text, unwrap_single
from adapter.parsing.text import CAP_TEXT, clean_text


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One mapping file, loaded and checked."""

    name: str
    path: Path
    #: SHA-256 of the mapping and of communities.yaml, in hex.
    hash: str
    description: str
    docs: str
    #: The block as the file has it; :mod:`adapter.signatures` reads it.
    signature: Mapping[str, Any]
    #: Names of the environment variables that hold the secrets, newest last.
    secrets: tuple[str, ...]
    handshake: Any
    respond: Mapping[str, Any] | None
    #: As ``body:`` says; None: the content type decides.
    kind: str | None
    blanks: frozenset[str]
    #: All communities, by their keys.
    communities: Mapping[str, Community]
    compiled: CompiledMapping
    document: Document = dataclasses.field(repr=False)
    #: All paths, with where the file writes them.
    places: tuple[UsedPath, ...] = dataclasses.field(repr=False)
    #: The sections as loaded: for tools.
    sections: Mapping[str, Any] = dataclasses.field(repr=False)

    def dedupe_key(self, request: WebhookRequest) -> str | None:
        """What two deliveries of one booking share; None where nothing readable says so.

        The caller then uses the hash of the signed bytes. Never raises.
        """
        try:
            return self.compiled.dedupe_key(self.scope(request))
        except PayloadError:
            return None

    def map(self, request: WebhookRequest, *, now: dt.datetime) -> Mapped:
        """What the delivery becomes at ``now`` (aware). Never raises."""
        try:
            scope = self.scope(request)
        except PayloadError as exc:
            reason = reason_for("event", str(exc), at=self.document.at(("body",)))
            return Mapped(outcome=Outcome.UNREADABLE, reasons=(reason,))
        return self.compiled.apply(scope, now)

    def asked(self, request: WebhookRequest) -> RequestValues:
        """What an answer may say of the delivery itself. Never raises."""
        try:
            scope = self.scope(request)
        except PayloadError:
            return RequestValues()
        whole, each = self.compiled.scopes(scope)
        items = self.compiled.apply(scope, None).items
        booked = [item.outcome is not Outcome.IGNORED for item in items] or [True] * len(each)
        readers = [functools.partial(_text_at, one) for one in each]
        return RequestValues(
            read=functools.partial(_text_at, whole), items=tuple(zip(readers, booked, strict=True))
        )

    def scope(self, request: WebhookRequest) -> Scope:
        """What paths are read in. Raises :class:`PayloadError`."""
        payload = body.parse(
            request.body, request.content_type, kind=self.kind, query=request.query
        )
        return self.scope_of(payload, request.lowercase_headers, request.query)

    def scope_of(
        self, payload: Any, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Scope:
        """The same for a payload that is parsed already."""
        return Scope(
            payload=payload,
            headers=headers or {},
            query=forms.query_values(query),
            blanks=self.blanks,
        )


def _text_at(scope: Scope, place: str) -> str:
    """What stands at a place, as one line of text; empty where it is none."""
    try:
        value = unwrap_single(scope.read(path_from_text(place)))
        return clean_text(value, CAP_TEXT) if isinstance(value, str | int | float) else ""
    except Unreadable:
        return ""
