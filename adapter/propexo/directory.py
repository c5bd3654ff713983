"""What Propexo lists: integrations, their communities, and the attributions of each.

The lists are read as far as somebody asks. Only the core fields of their records are known (id,
integration_id); a name is taken where one is given. Whose an attribution is, is told by the filter
``community_id``, which Propexo documents, and not by a field of the record, which it does not.
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

#: What comes while the pages are read then stands at the end, and moves nothing.
OLDEST_FIRST: Final = {"order-by": "created_at:asc"}

#: Records of one page: the most that Propexo gives.
PAGE_SIZE: Final = 250

#: Longer lists are not read to their end.
MOST_PAGES: Final = 400

#: So long a read waits for its place in the rate.
PATIENCE = dt.timedelta(seconds=90)

#: The vendor of the integrations that we can book through.
VENDOR: Final = "KNOCK"

#: Reads one page of a list. Raises :class:`UpstreamError`.
Read = Callable[[str, Mapping[str, str]], Page]


class RateLimitedReads:
    """Pages of lists, each with a place in the rate that all workers keep together.

    Without a store nobody else calls from here, and the calls are spread evenly.
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
        """One page, as soon as the rate allows. Raises :class:`UpstreamError`."""
        until = self._clock() + PATIENCE
        while (at := self._place()) is not None:
            if at > until:
                raise NotSent("the rate leaves no place for it now; try again later")
            self._pause(max((at - self._clock()).total_seconds(), 0.01))
        return self._propexo.page(path, query)

    def _place(self) -> dt.datetime | None:
        """Takes a place in the rate; or says when to come back."""
        now = self._clock()
        if self._store is not None:
            with self._store.transaction() as tx:
                return tx.rate_limit.try_read(now, self._limit)
        if now < self._next_at:
            return self._next_at
        self._next_at = now + dt.timedelta(minutes=1) / self._limit
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One community as Propexo lists it."""

    integration_id: str
    community_id: str
    #: Empty where the list gives none.
    name: str
    #: Attribution id → name.
    attributions: Mapping[str, str]


class Directory:
    """Propexo's lists, each read when it is first asked for, and once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._lists: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}

    @functools.cached_property
    def vendors(self) -> Mapping[str, str]:
        """Integration id → its vendor, as far as the list says one."""
        return {one["id"]: _text(one.get("vendor")) for one in self._all(INTEGRATIONS_PATH)}

    @functools.cached_property
    def integrations(self) -> Mapping[str, str]:
        """Id → name of each integration with Knock."""
        names = _names(self._all(INTEGRATIONS_PATH))
        return {one: name for one, name in names.items() if self.vendors[one] in ("", VENDOR)}

    def communities(self, integration_id: str) -> Mapping[str, str]:
        """Id → name of each community of an integration."""
        found = self._all(COMMUNITIES_PATH, {"integration_id": integration_id} | OLDEST_FIRST)
        # That this list takes the filter is our reading: what else it gives is left out.
        return _names(one for one in found if one.get("integration_id") == integration_id)

    def attributions(
        self, integration_id: str, community_id: str | None = None
    ) -> Mapping[str, str]:
        """Id → name of each attribution of a community, or of the whole integration."""
        query = {"integration_id": integration_id}
        query |= {"community_id": community_id} if community_id is not None else {}
        return _names(self._all(ATTRIBUTIONS_PATH, query | OLDEST_FIRST))

    def places(self) -> Iterator[Place]:
        """Every community of every integration with Knock."""
        for integration_id in self.integrations:
            for community_id, name in self.communities(integration_id).items():
                yield Place(
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
        """The records of all pages. Raises :class:`UpstreamError`."""
        for number in range(MOST_PAGES):
            span = {"limit": str(PAGE_SIZE), "offset": str(number * PAGE_SIZE)}
            page = self._read(path, {**query, **span})
            yield from (one for one in page.records if _text(one.get("id")))
            if not page.has_more:
                return
        raise UpstreamError(f"the list has more than {MOST_PAGES} pages")


def _names(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {one["id"]: _text(one.get("name")) for one in records}


def _text(value: object) -> str:
    """A text in one line of printable characters; empty where it is none."""
    text = value if isinstance(value, str) else ""
    return "".join(one if one.isprintable() else " " for one in text).strip()
