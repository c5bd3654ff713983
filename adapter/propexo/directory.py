"""List the integrations, communities and attributions in Propexo.

Each list is read on demand. Propexo documents only the records' core fields (id, integration_id).
A record's name is used if it has one. The records of attributions do not name their community, so
the documented filter ``community_id`` is used.
"""

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from adapter.exceptions import NotSent, UpstreamError
from adapter.models import Clock
from adapter.propexo.client import INTEGRATIONS_PATH, Propexo
from adapter.propexo.responses import Page
from adapter.settings import Settings
from adapter.store import Database

COMMUNITIES_PATH: Final = "/crm/v1/communities/"

ATTRIBUTIONS_PATH: Final = "/crm/v1/attributions/"

NO_FILTER: Final[Mapping[str, str]] = {}

#: A sort order that keeps records added while we read from shifting the pages.
OLDEST_FIRST: Final = {"order-by": "created_at:asc"}

#: Records per page, which is Propexo's maximum.
PAGE_SIZE: Final = 250

#: Maximum number of pages. A longer list is an error.
MAX_PAGES: Final = 400

#: Maximum time to wait for the rate limit.
MAX_WAIT = dt.timedelta(seconds=90)

#: The vendor whose integrations accept bookings.
VENDOR: Final = "KNOCK"

#: A function that returns one page of a list, or raises :class:`UpstreamError`.
Read = Callable[[str, Mapping[str, str]], Page]


class RateLimitedReads:
    """Reads pages of Propexo's lists within the rate limit that all processes share.

    Without a database, no other process of this installation calls Propexo, so the calls are simply
    spread evenly.
    """

    def __init__(
        self,
        propexo: Propexo,
        settings: Settings,
        store: Database | None,
        clock: Clock,
        pause: Callable[[float], object],
    ) -> None:
        self._propexo = propexo
        self._limit = settings.rate_per_minute
        self._store = store
        self._clock = clock
        self._pause = pause
        self._next_at = clock()

    def page(self, path: str, query: Mapping[str, str]) -> Page:
        """Wait for the rate limit, then return a page. Raise UpstreamError on failure."""
        self.wait()
        return self._propexo.page(path, query)

    def wait(self) -> None:
        """Wait until the rate limit allows a call, and count it. Raise NotSent after 90 seconds."""
        until = self._clock() + MAX_WAIT
        while (at := self._wait_until()) is not None:
            if at > until:
                raise NotSent("the rate limit does not allow another call now; try again later")
            self._pause(max((at - self._clock()).total_seconds(), 0.01))

    def _wait_until(self) -> dt.datetime | None:
        """Reserve a call and return None, or return the time when the next call is allowed."""
        now = self._clock()
        if self._store is not None:
            with self._store.transaction() as tx:
                return tx.rate_limit.try_read(now, self._limit)
        if now < self._next_at:
            return self._next_at
        self._next_at = now + dt.timedelta(minutes=1) / self._limit
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ListedCommunity:
    """A community in Propexo's list, and its attributions."""

    integration_id: str
    community_id: str
    #: The community's name, or "" if the list has none.
    name: str
    #: Names of attributions, by ID.
    attributions: Mapping[str, str]


class Directory:
    """Propexo's lists. Each list is requested once, when it is first needed."""

    def __init__(self, read: Read) -> None:
        #: Reads one page of any list.
        self.read = read
        self._lists: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}

    @functools.cached_property
    def vendors(self) -> Mapping[str, str]:
        """The vendor of each integration, keyed by ID. An unknown vendor is an empty string."""
        return {one["id"]: _text(one.get("vendor")) for one in self._all(INTEGRATIONS_PATH)}

    @functools.cached_property
    def integrations(self) -> Mapping[str, str]:
        """The names of the Knock integrations, keyed by ID."""
        names = _names(self._all(INTEGRATIONS_PATH))
        return {one: name for one, name in names.items() if self.vendors[one] in ("", VENDOR)}

    def communities(self, integration_id: str) -> Mapping[str, str]:
        """Return the names of an integration's communities, keyed by ID."""
        records = self._all(COMMUNITIES_PATH, {"integration_id": integration_id} | OLDEST_FIRST)
        # Propexo may ignore this filter, so it is applied again here.
        return _names(one for one in records if one.get("integration_id") == integration_id)

    def attributions(
        self, integration_id: str, community_id: str | None = None
    ) -> Mapping[str, str]:
        """Return the names of the attributions of an integration or a community, keyed by ID."""
        query = {"integration_id": integration_id}
        query |= {"community_id": community_id} if community_id is not None else {}
        return _names(self._all(ATTRIBUTIONS_PATH, query | OLDEST_FIRST))

    def all_communities(self) -> Iterator[ListedCommunity]:
        """Yield the communities of all Knock integrations."""
        for integration_id in self.integrations:
            for community_id, name in self.communities(integration_id).items():
                yield ListedCommunity(
                    integration_id=integration_id,
                    community_id=community_id,
                    name=name,
                    attributions=self.attributions(integration_id, community_id),
                )

    def _all(self, path: str, query: Mapping[str, str] = NO_FILTER) -> list[Mapping[str, Any]]:
        key = (path, *map("=".join, query.items()))
        if key not in self._lists:
            self._lists[key] = list(self._pages(path, query))
        return self._lists[key]

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """Yield the records on all pages of a list. Raise UpstreamError if a page is unreadable."""
        for number in range(MAX_PAGES):
            span = {"limit": str(PAGE_SIZE), "offset": str(number * PAGE_SIZE)}
            page = self.read(path, {**query, **span})
            yield from (one for one in page.records if _text(one.get("id")))
            if not page.has_more:
                return
        raise UpstreamError(f"the list has more than {MAX_PAGES} pages")


def _names(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {one["id"]: _text(one.get("name")) for one in records}


def _text(value: object) -> str:
    """Return a string as one line of printable characters, or "" for other types."""
    text = value if isinstance(value, str) else ""
    return "".join(one if one.isprintable() else " " for one in text).strip()
