"""Define a lead source and its compiled mapping."""

import dataclasses
import datetime as dt
import functools
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter import signatures
from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine import Community, CompiledMapping, Mapped, Outcome, Scope
from adapter.mapping.engine.community import CommunityLookup
from adapter.mapping.engine.fetched import FetchReader, requests_for
from adapter.mapping.engine.scope import reason_for
from adapter.mapping.loader.compile_paths import UsedPath
from adapter.mapping.loader.yaml_document import Document
from adapter.mapping.problems import Problem
from adapter.mapping.renter_language import ENGLISH
from adapter.mapping.respond import RequestValues
from adapter.models import MappingVersion, WebhookRequest
from adapter.parsing import body, forms
from adapter.parsing.paths import path_from_text, unwrap_single
from adapter.parsing.text import CAP_TEXT, clean_text

log = logging.getLogger(__name__)

#: Outcomes that need no documents.
NOT_FETCHED = (Outcome.IGNORED, Outcome.CANCELLATION, Outcome.UNREADABLE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A lead source, loaded from a valid mapping file."""

    name: str
    path: Path
    #: SHA-256 of the mapping, communities.yaml and users' assignments, in hex.
    hash: str
    #: The mapping's file and communities.yaml, as they were loaded.
    files: tuple[bytes, bytes] = dataclasses.field(repr=False)
    description: str
    docs: str
    #: The ``signature`` section as written, for :mod:`adapter.signatures`.
    signature: Mapping[str, Any]
    #: Names of the environment variables that hold the secrets, newest last.
    secrets: tuple[str, ...]
    handshake: Any
    respond: Mapping[str, Any] | None
    #: The format or formats under ``body:``, or None to use the content type.
    kind: str | Sequence[str] | None
    blanks: frozenset[str]
    #: All communities, by key.
    communities: Mapping[str, Community]
    compiled: CompiledMapping
    document: Document = dataclasses.field(repr=False)
    #: All paths in the mapping, with their positions in the file.
    used_paths: tuple[UsedPath, ...] = dataclasses.field(repr=False)
    #: The names of the headers that the mapping reads, in lowercase.
    headers_read: frozenset[str]
    #: The sections as loaded, for tools.
    sections: Mapping[str, Any] = dataclasses.field(repr=False)
    #: The version from the console that is in use instead of the file, or None.
    version: MappingVersion | None = dataclasses.field(default=None, repr=False)
    #: The problems that keep the newest version from being used.
    version_problems: tuple[Problem, ...] = ()
    #: The change counter when names or communities from the console were last added, or None if
    #: there are none.
    changes: int | None = None

    @property
    def text(self) -> str:
        """The text of the current mapping, from its file or from the console."""
        if self.version is not None and self.version.text is not None:
            return self.version.text
        return file_text(self)

    @property
    def file_hash(self) -> str:
        """The SHA-256 of the mapping's file, in hex."""
        return hashlib.sha256(self.files[0]).hexdigest()

    @property
    def community_lookup(self) -> CommunityLookup:
        """The compiled ``community`` section of the mapping."""
        return next(one for one in self.compiled.fillers if isinstance(one, CommunityLookup))

    @property
    def scheme(self) -> signatures.Scheme | None:
        """The signature scheme of this source, or None if its webhooks are not signed."""
        return signatures.check_block(self.signature)[0]

    @property
    def is_open(self) -> bool:
        """True if webhooks from this source are not verified, so that anyone can send them."""
        return signatures.scheme_of(self.signature) == "none"

    def dedupe_key(self, request: WebhookRequest) -> str | None:
        """Return the key that all deliveries of the same booking share, or None. Never raise.

        If there is no key, the caller uses a hash of the signed bytes.
        """
        try:
            return self.compiled.dedupe_key(self.scope(request))
        except PayloadError:
            return None
        except Exception:
            # The webhook must be stored even if its key cannot be read.
            log.exception("dedupe_key_failed", extra={"source": self.name})
            return None

    @property
    def stripped_names(self) -> tuple[str, ...]:
        """The names of the fields whose values are removed before a request is stored."""
        return tuple(self.sections.get("strip", ()))

    @property
    def checks_availability(self) -> bool:
        """True if a tour's time must be available in Knock before the tour is booked."""
        return bool(self.sections.get("check_availability"))

    @property
    def delivery_header(self) -> str | None:
        """The lowercase name of the header that contains the sender's delivery ID, or None."""
        kind, _, name = str(self.sections.get("delivery_id", "")).partition(":")
        return name.lower() if kind == "header" else None

    @property
    def has_sent_at(self) -> bool:
        """True if the mapping has ``sent_at``, the time when the renter made the request."""
        return bool(self.compiled.sent_at.paths)

    def is_timed(self, request: WebhookRequest, *, now: dt.datetime) -> bool:
        """Return True if ``sent_at`` yields a time for each item in the webhook."""
        items = self.map(request, now=now).items if self.has_sent_at else ()
        return bool(items) and all(item.sent_at is not None for item in items)

    def map(self, request: WebhookRequest, *, now: dt.datetime) -> Mapped:
        """Map a webhook as of ``now``, an aware datetime. Never raise an exception."""
        try:
            scope = self.scope(request)
        except PayloadError as exc:
            reason = reason_for("event", str(exc), at=self.document.at(("body",)))
            return Mapped(outcome=Outcome.UNREADABLE, reasons=(reason,))
        return self.compiled.apply(scope, now)

    def request_values(self, request: WebhookRequest) -> RequestValues:
        """Return the webhook's values for a response template. Never raise."""
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

    def language_of(self, request: WebhookRequest) -> str:
        """Return the renter's language, based on the paths in ``language:`` under ``respond:``."""
        paths = (self.respond or {}).get("language", ())
        return self.request_values(request).language(paths) if paths else ENGLISH

    def scope(self, request: WebhookRequest) -> Scope:
        """Parse a webhook, and return the data for resolving the paths in a mapping.

        Raise :class:`PayloadError` if the body cannot be parsed.
        """
        repairs: list[str] = []
        payload = body.parse(
            request.body,
            request.content_type,
            kind=self.kind,
            query=request.query,
            repairs=repairs,
        )
        headers, query = request.lowercase_headers, request.query
        return self.scope_from_payload(payload, headers, query, repairs, request.fetched)

    def scope_from_payload(
        self,
        payload: Any,
        headers: Mapping[str, str] | None = None,
        query: str = "",
        repairs: Iterable[str] = (),
        fetched: Mapping[str, Any] | None = None,
    ) -> Scope:
        """Return the data for resolving the paths in a mapping, based on a parsed payload."""
        return Scope(
            payload=payload,
            headers=headers or {},
            query=forms.parse_query(query),
            blanks=self.blanks,
            repairs=tuple(dict.fromkeys(repairs)),
            fetched=fetched or {},
        )

    @property
    def fetch_readers(self) -> tuple[FetchReader, ...]:
        """The readers of the documents under ``fetch:``."""
        readers = (*self.compiled.readers, *self.compiled.item_readers)
        return tuple(one.reader for one in readers if isinstance(one.reader, FetchReader))

    def to_fetch(self, request: WebhookRequest, mapped: Mapped) -> Mapping[str, FetchReader]:
        """Return each URL to fetch before a webhook's leads can be booked, with its reader.

        Nothing is fetched for an item that can be booked without it, for an ignored one, or for a
        cancellation, which the dedupe key identifies.
        """
        if not self.fetch_readers or mapped.outcome in NOT_FETCHED:
            return {}
        scopes = self.compiled.item_scopes(self.scope(request))
        if len(mapped.items) == len(scopes):
            pairs = zip(mapped.items, scopes, strict=True)
            # An item that would be booked needs no document.
            done = (*NOT_FETCHED, Outcome.BOOK)
            scopes = [scope for item, scope in pairs if item.outcome not in done]
        return requests_for(self.fetch_readers, scopes)


def _text_at(scope: Scope, path: str) -> str:
    """Return the string or number at a path as one line of text, or "" for other values."""
    try:
        value = unwrap_single(scope.read(path_from_text(path)))
        return clean_text(value, CAP_TEXT) if isinstance(value, str | int | float) else ""
    except Unreadable:
        return ""


def file_text(source: Source) -> str:
    """Return the text of a source's mapping file, even if an edited mapping is in use."""
    return source.files[0].decode("utf-8-sig", "replace")
