"""Fetch documents that a webhook references only by ID."""

import base64
import collections
import dataclasses
import datetime as dt
import http
import ipaddress
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from adapter.bookings import backoff
from adapter.exceptions import PayloadError, StoreUnavailable
from adapter.mapping.engine.fetched import DOCUMENT, PROBLEM, FetchReader, documents_from
from adapter.mapping.source import Source
from adapter.models import Clock, Event, EventState
from adapter.parsing import body
from adapter.propexo.http import Response, exchange, failure_text
from adapter.propexo.responses import retry_after_seconds
from adapter.settings import Settings
from adapter.store import Database
from adapter.store.rows import delivery_headers

log = logging.getLogger(__name__)

#: Timeout for one request, in seconds.
TIMEOUT_SECONDS: Final = 10.0
#: Maximum number of requests in one run. An event with more continues in its next run.
MAX_PER_RUN: Final = 10
#: How long a run owns an event. This is longer than all of a run's timeouts together.
LEASE: Final = dt.timedelta(seconds=MAX_PER_RUN * TIMEOUT_SECONDS + 20)
#: How long a failed request is retried. After that, the lead needs review.
GIVE_UP_AFTER: Final = dt.timedelta(hours=1)
#: Pause before the first retry. It doubles with each further retry, up to a maximum.
FIRST_PAUSE: Final = dt.timedelta(seconds=10)
MAX_PAUSE: Final = dt.timedelta(minutes=10)
#: Maximum number of sources whose documents are fetched at the same time.
MAX_THREADS: Final = 4
#: Maximum total size of an event's documents, in characters of JSON.
MAX_CHARACTERS: Final = 1024 * 1024
#: Stored instead of a document that would exceed this size.
TOO_LARGE: Final = {PROBLEM: "the documents are too large"}
#: Maximum number of requests to one host per minute and process.
MAX_PER_MINUTE: Final = 60
#: Delay while another event's documents are being fetched, or while the limit is reached.
BUSY_PAUSE: Final = dt.timedelta(seconds=2)
#: Statuses that a retry would not change.
FINAL: Final = frozenset({400, 404, 405, 410, 422})


@dataclasses.dataclass(frozen=True, slots=True)
class _Failure:
    """A failed request that may succeed if retried after the delay that the host requested."""

    reason: str
    pause: dt.timedelta = dt.timedelta()
    #: True if our own rate limit prevented the request.
    is_postponed: bool = False


class Fetcher:
    """Fetches documents in the background, for one event per source at a time."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        #: False in tests, which wait for the documents.
        self.is_in_background = True
        self._lock = threading.Lock()
        #: The sources whose documents are being fetched, each by one thread.
        self._running: set[str] = set()
        #: When to try a source again after a failure. Until then, all of its events wait.
        self._blocked_until: dict[str, dt.datetime] = {}
        self._recent: dict[str, collections.deque[dt.datetime]] = {}

    def start(self, source: Source, event: Event, wanted: Mapping[str, FetchReader]) -> None:
        """Fetch the documents that an event needs, in a separate thread.

        If a document of this source is being fetched, or could not be fetched a moment ago, the
        event waits. The process may end at any time, because the event is due again after
        :data:`LEASE`.
        """
        now = self._clock()
        blocked_until = self._blocked_until.get(source.name, now)
        with self._lock:
            is_free = blocked_until <= now and self._has_slot(source.name)
            if is_free:
                self._running.add(source.name)
        if not is_free:
            self._postpone(event, max(blocked_until, now + BUSY_PAUSE))
        elif self.is_in_background:
            arguments = (source, event, wanted)
            threading.Thread(target=self._run_alone, args=arguments, daemon=True).start()
        else:
            self._run_alone(source, event, wanted)

    def _has_slot(self, name: str) -> bool:
        return name not in self._running and len(self._running) < MAX_THREADS

    def _run_alone(self, source: Source, event: Event, wanted: Mapping[str, FetchReader]) -> None:
        try:
            self.run(source, event, wanted)
        except StoreUnavailable:
            log.warning("run_postponed", extra={"task": "fetch"})
        finally:
            with self._lock:
                self._running.discard(source.name)

    def run(
        self,
        source: Source,
        event: Event,
        wanted: Mapping[str, FetchReader],
        *,
        states: tuple[EventState, ...] = (EventState.RECEIVED,),
        is_last_try: bool = False,
    ) -> None:
        """Fetch and store the documents that an event needs, and schedule the event's mapping.

        The event must be postponed by :data:`LEASE`. ``wanted`` comes from
        :meth:`~adapter.mapping.source.Source.to_fetch`. Never raise, except
        :class:`StoreUnavailable`.
        """
        stored, now = json.loads(event.fetched) if event.fetched else {}, self._clock()
        documents = dict(documents_from(stored))
        attempts, pause = stored.get("attempts", 0) + 1, dt.timedelta()
        # Counted from the first try, not the receipt, so that events are retried after an outage.
        since = dt.datetime.fromisoformat(stored.get("since", now.isoformat()))
        is_last_try |= now - since > GIVE_UP_AFTER
        size = sum(len(json.dumps(one)) for one in documents.values())
        for url, reader in list(wanted.items())[:MAX_PER_RUN]:
            found = self._document(source, url, reader)
            if not isinstance(found, _Failure):
                kept = found if size + len(json.dumps(found)) <= MAX_CHARACTERS else TOO_LARGE
                documents[url], size = kept, size + len(json.dumps(kept))
            elif is_last_try and not found.is_postponed:
                documents[url] = {PROBLEM: found.reason}
            else:
                own = backoff.doubling_pause(attempts, FIRST_PAUSE, MAX_PAUSE)
                pause = max(pause, found.pause, own)
                self._blocked_until[source.name] = now + max(found.pause, FIRST_PAUSE)
                break  # the host is failing, so do not wait for it again
        progress = {"attempts": attempts, "since": since.isoformat()} if pause else {}
        fetched = json.dumps({"documents": documents, **progress})
        readable = delivery_headers(source.delivery_header)
        due_at = self._clock() + min(pause, MAX_PAUSE)
        with self._store.transaction() as tx:
            tx.events.store_fetched(event.id, fetched, due_at, readable=readable, states=states)

    def _postpone(self, event: Event, until: dt.datetime) -> None:
        with self._store.statement() as tx:
            tx.events.postpone(event.id, until)

    def _document(
        self, source: Source, url: str, reader: FetchReader
    ) -> Mapping[str, Any] | _Failure:
        host = urlsplit(url).hostname or ""
        for name in reader.variables:
            if not self._settings.environ.get(name, "").strip():
                return {PROBLEM: f"{name} is not set"}
        if not self._take(host):
            return _Failure("too many requests in a minute", BUSY_PAUSE, is_postponed=True)
        try:
            response = exchange(
                "GET",
                url,
                headers={"Accept": "application/json", **self._authorization(reader)},
                body=None,
                timeout_seconds=TIMEOUT_SECONDS,
                check_address=None if self._settings.fetch_private else _check_public,
            )
        except (requests.RequestException, OSError, ValueError) as exc:
            failure = _Failure(failure_text(exc, url))
        else:
            found = _from_response(response)
            if not isinstance(found, _Failure):
                log.info("document_fetched", extra={"source": source.name, "host": host})
                return found
            failure = found
        log.warning(
            "fetch_failed", extra={"source": source.name, "host": host, "reason": failure.reason}
        )
        return failure

    def _take(self, host: str) -> bool:
        """Count a request toward a host's rate limit. Return False if the limit is exceeded."""
        recent, now = self._recent.setdefault(host, collections.deque()), self._clock()
        while recent and now - recent[0] > dt.timedelta(minutes=1):
            recent.popleft()
        if len(recent) >= MAX_PER_MINUTE:
            return False
        recent.append(now)
        return True

    def _authorization(self, reader: FetchReader) -> Mapping[str, str]:
        values = [self._settings.environ.get(name, "").strip() for name in reader.variables]
        if reader.token:
            return {"Authorization": f"Bearer {values[0]}"}
        if reader.basic:
            text = base64.b64encode(":".join(values).encode()).decode()
            return {"Authorization": f"Basic {text}"}
        return {}


def _check_public(address: str) -> None:
    """Raise OSError if an IP address is not public."""
    if not ipaddress.ip_address(address.partition("%")[0]).is_global:
        message = "the IP address is private; to allow it, set ADAPTER_FETCH_PRIVATE=yes"
        raise OSError(0, message)


def _from_response(response: Response) -> Mapping[str, Any] | _Failure:
    if response.status in FINAL:
        return {PROBLEM: _status_text(response.status)}
    if response.status != http.HTTPStatus.OK:
        pause = retry_after_seconds(response.headers.get("Retry-After")) or 0.0
        return _Failure(_status_text(response.status), dt.timedelta(seconds=pause))
    try:
        return {DOCUMENT: body.parse(response.text.encode(), "application/json", kind="json")}
    except PayloadError:
        return _Failure("the response is not JSON")


def _status_text(status: int) -> str:
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else ""
    return f"HTTP {status} {phrase}".strip()
