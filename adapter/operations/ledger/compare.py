"""Compare a portal's list of leads with the leads that arrived, and total the charges."""

import dataclasses
import datetime as dt
import functools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import NotPossible
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.portal_yaml import PortalRules
from adapter.mapping.source import Source
from adapter.models import EventState
from adapter.operations.ledger.match_lines import FoundLead, LineIndex, arrival_date
from adapter.operations.ledger.portal_lines import (
    SHOWN_EVERY,
    PortalLine,
    PortalList,
    read_list,
)
from adapter.operations.ledger.verdicts import (
    CLAIMS,
    NOT_IN_TIME,
    Judged,
    Known,
    Verdict,
    judge,
    months_before,
)
from adapter.parsing.local_time import YEARS
from adapter.settings import Policy
from adapter.store import Database
from adapter.store.rows import Row

#: How long a comparison may take, in seconds.
MAX_SECONDS: Final = 300.0
#: The share of that time that may have passed when each step ends, so that later steps have enough
#: time.
READING: Final = 0.4
LEADS: Final = 0.6
MESSAGES: Final = 0.8
OTHERS: Final = 0.9
VERDICTS: Final = 1.0
#: Number of hashed contact details to look up, and of merged leads to follow, in one statement.
BATCH: Final = 1000
MAX_STEPS: Final = 10
_UNMAPPED: Final = (
    *(EventState.HELD, EventState.IGNORED, EventState.DISCARDED),
    EventState.RECEIVED,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """A number of lines, and their total amount in cents."""

    lines: int = 0
    cents: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """The result of comparing a portal's list with the leads that arrived."""

    source: str
    file: PortalList
    rules: PortalRules
    #: The day on which the comparison was made.
    today: dt.date
    #: The dates of the first and last line, or the given period.
    since: dt.date
    until: dt.date
    lines: Sequence[Judged]
    #: The number of the source's leads in that period that are not on the list, or None if not
    #: everything was compared in time.
    unlisted: int | None

    @property
    def sums(self) -> Mapping[Verdict, Sum]:
        """The number of lines and the total amount in cents for each verdict."""
        return {one: sum_of(self.of(one)) for one in Verdict}

    def of(self, verdict: Verdict) -> list[Judged]:
        """Return the lines of the portal's list that have this verdict."""
        return [one for one in self.lines if one.verdict is verdict]

    @property
    def cut_short(self) -> int:
        """The number of lines that were not compared because time ran out."""
        return sum(one.why == NOT_IN_TIME for one in self.lines)

    @property
    def unreadable_fields(self) -> Mapping[str, int]:
        """The number of unreadable values in each field."""
        return Counter(field for one in self.lines for field in one.line.unreadable)

    @property
    def claims(self) -> list[Judged]:
        """The lines that the portal owes us a credit for."""
        return [one for one in self.lines if one.verdict in CLAIMS]

    @property
    def open_claims(self) -> list[Judged]:
        """The claims that the portal still accepts."""
        return [one for one in self.claims if not is_late(one, self.today)]


def is_late(one: Judged, today: dt.date) -> bool:
    """Return True if the portal no longer accepts a request to credit a line."""
    return one.ask_by is not None and one.ask_by < today


def sum_of(lines: Sequence[Judged]) -> Sum:
    """Count the lines and add up their amounts."""
    cents = [one.line.cents or 0 for one in lines]
    return Sum(lines=len(cents), cents=sum(cents))


class Comparison:
    """Compares a portal's file with the leads from one source."""

    def __init__(
        self,
        store: Database,
        policy: Policy,
        source: str,
        known: Mapping[str, Source],
        rules: PortalRules,
        *,
        today: dt.date,
        seconds: float = MAX_SECONDS,
        progress: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Create an instance. ``progress`` is called with a sentence for users after each step."""
        self._store, self._policy, self._source, self._rules = store, policy, source, rules
        self._names = community_names(known, source)
        self._today, self._seconds = today, seconds
        self._started_at = 0.0
        self._progress = progress

    def _show(self, what: str, count: int) -> None:
        self._progress(f"{what}: {count:,}")

    def _is_over(self, share: float) -> bool:
        return time.monotonic() > self._started_at + self._seconds * share

    def _end(self, share: float) -> Callable[[], bool]:
        return functools.partial(self._is_over, share)

    def run(
        self, data: bytes, since: dt.date | None = None, until: dt.date | None = None
    ) -> Ledger:
        """Read and compare a portal's file from the day ``since`` to the day ``until``.

        Lines that are not compared in time are doubtful. Raise PayloadError if the file cannot be
        read, and NotPossible if there is nothing to compare it with.
        """
        self._started_at = time.monotonic()
        file = self._read(data)
        first, last = _period(file.lines, since, until)
        first_on, index = self._first_on(), self._index(file.lines)
        unlisted, unreadable, has_all_leads = self._take_leads(index, first, last)
        is_complete = self._take_messages(index, first, last, file.lines, unreadable)
        elsewhere, has_others = self._elsewhere(index, file.lines)
        has_all_lines = all(line.is_in_time for line in file.lines)
        known = Known(
            found=index.found,
            crowded=index.crowded,
            first_on=first_on,
            unreadable=unreadable,
            elsewhere=elsewhere,
            final=self._final(index),
            is_complete=is_complete and has_others,
            has_all_leads=has_all_leads,
        )
        return Ledger(
            source=self._source,
            file=file,
            rules=self._rules,
            today=self._today,
            since=first,
            until=last,
            lines=judge(file.lines, known, self._rules, self._end(VERDICTS)),
            unlisted=unlisted if has_all_leads and has_all_lines else None,
        )

    def _read(self, data: bytes) -> PortalList:
        progress = functools.partial(self._show, "lines read")
        return read_list(data, self._rules, self._policy, self._names, self._end(READING), progress)

    def _index(self, lines: Sequence[PortalLine]) -> LineIndex:
        fingerprints, shared = self._store.fingerprints(), self._policy.shared_contacts
        days, end = self._rules.match_days, self._end(LEADS)
        return LineIndex(lines, self._source, fingerprints, shared, days, end)

    def _first_on(self) -> dt.date:
        """Return the date of the source's first message. Raise NotPossible if it has none."""
        with self._store.statement() as tx:
            first_at = tx.portal_leads.first_message_at(self._source)
        if first_at is None:
            raise NotPossible(
                f"no message from the source {self._source} has ever arrived, so there is nothing "
                "to compare"
            )
        return first_at.date()

    def _span(self, first: dt.date, last: dt.date, months: int) -> tuple[dt.datetime, dt.datetime]:
        """Return the start and end of the period whose stored leads are compared."""
        more = dt.timedelta(days=max(self._rules.match_days, 45) + 1)
        return _midnight(months_before(first, months) - more), _midnight(last + more)

    def _take_leads(
        self, index: LineIndex, first: dt.date, last: dt.date
    ) -> tuple[int, set[dt.date], bool]:
        """Compare all of the source's leads with the lines on the portal's list.

        Return how many leads are not listed, the dates of unreadable leads, and False if time ran
        out.
        """
        unlisted, unreadable = 0, set[dt.date]()
        for count, row in enumerate(self._leads(first, last), 1):
            if self._is_over(LEADS):
                return unlisted, unreadable, False
            if count % SHOWN_EVERY == 0:
                self._show("leads compared", count)
            day = arrival_date(row["received_at"], row["timezone"])
            if not index.take(row, self._communities):
                unreadable.add(day)
            elif first <= day <= last and not row["is_erased"]:
                unlisted += not index.is_known(row)
        return unlisted, unreadable, True

    def _leads(self, first: dt.date, last: dt.date) -> Iterator[Row]:
        since, until = self._span(first, last, self._rules.duplicate_months)
        with self._store.statement() as tx:
            after = tx.portal_leads.id_before(since)
        while True:
            with self._store.statement() as tx:
                page = tx.portal_leads.page(self._source, since, until, after=after)
            yield from page
            if not page:
                return
            after = page[-1]["id"]

    @property
    def _communities(self) -> Sequence[str]:
        return sorted({*self._names.values()})

    def _take_messages(
        self,
        index: LineIndex,
        first: dt.date,
        last: dt.date,
        lines: Sequence[PortalLine],
        unreadable: set[dt.date],
    ) -> bool:
        """Search rejected requests, and webhooks without bookings, for the missing leads.

        Add the dates of unreadable leads to ``unreadable``. Return False if time ran out.
        """
        if all(line.number in index.found for line in lines):
            return True
        since, until = self._span(first, last, 0)
        for state in _UNMAPPED:
            after = 0
            while True:
                self._progress("searching the webhooks that did not become leads")
                with self._store.statement() as tx:
                    page = [
                        *tx.portal_leads.messages(self._source, state, since, until, after=after)
                    ]
                for event_id, at, event in page:
                    if self._is_over(MESSAGES):
                        return False
                    if event is None:
                        unreadable.add(at.date())
                        continue
                    texts = [event.body, event.query.encode(), (event.fetched or "").encode()]
                    index.take_text(texts, _message(event_id, at, str(state)))
                if not page:
                    break
                after = page[-1][0]
        self._take_rejections(index, since, until)
        return True

    def _take_rejections(self, index: LineIndex, since: dt.datetime, until: dt.datetime) -> None:
        with self._store.statement() as tx:
            rejections = tx.rejections.of_source(self._source)
        for one in rejections:
            if since <= one.received_at < until:
                lead = _message(one.id, one.received_at, "rejected")
                index.take_text([one.body or b"", one.url.encode()], lead)

    def _elsewhere(
        self, index: LineIndex, lines: Sequence[PortalLine]
    ) -> tuple[Mapping[int, tuple[str, dt.date]], bool]:
        """Find the lines whose renters came from another source.

        Return the source and the date, keyed by line number. The second return value is False if
        time ran out.
        """
        missing = [one for one in lines if one.number not in index.found and one.has_contact]
        found: dict[int, tuple[str, dt.date]] = {}
        for start in range(0, len(missing), BATCH):
            if self._is_over(OTHERS):
                return found, False
            part = missing[start : start + BATCH]
            self._show("searching in other sources, lines", start + len(part))
            lines_of: dict[str, list[PortalLine]] = defaultdict(list)
            for line in part:
                for known in filter(None, (line.email, line.phone)):
                    lines_of[known].append(line)
            with self._store.statement() as tx:
                rows = tx.portal_leads.from_others(
                    self._source,
                    [one.email for one in part if one.email],
                    [one.phone for one in part if one.phone],
                )
            for contact, row in ((row[name], row) for row in rows for name in ("email", "phone")):
                day = arrival_date(row["received_at"], row["timezone"])
                for line in lines_of.get(contact, ()):
                    if not line.on or abs((day - line.on).days) <= self._rules.match_days:
                        found[line.number] = (row["source"], day)
        return found, True

    def _final(self, index: LineIndex) -> Mapping[int, FoundLead]:
        """Map each merged or replaced lead to the final lead in its chain."""
        leads = {one.id: one for found in index.found.values() for one in found if one.is_booking}
        ends = {one.id: one for one in leads.values() if one.because_of}
        for _ in range(MAX_STEPS):
            wanted = {one.because_of for one in ends.values() if _is_merged(one)} - {None}
            if not wanted:
                break
            others = self._states(sorted(filter(None, wanted)))
            ends = {
                key: dataclasses.replace(one, **others[one.because_of])
                if _is_merged(one) and one.because_of in others
                else one
                for key, one in ends.items()
            }
        return ends

    def _states(self, ids: Sequence[int]) -> dict[int | None, dict[str, Any]]:
        found: dict[int | None, dict[str, Any]] = {}
        for start in range(0, len(ids), BATCH):
            with self._store.statement() as tx:
                rows = tx.portal_leads.states(ids[start : start + BATCH])
            for row in rows:
                found[row["id"]] = {
                    "state": row["state"],
                    "because_of": row["because_of"],
                    "is_gone": row["gone_at"] is not None or row["knock_status"] == "canceled",
                    "knock_status": row["knock_status"],
                }
        return found


def _is_merged(lead: FoundLead) -> bool:
    return lead.state in ("duplicate", "superseded") and lead.because_of is not None


def _message(lead_id: int, at: dt.datetime, state: str) -> FoundLead:
    return FoundLead(id=lead_id, on=at.date(), by="text", state=state, is_booking=False)


def community_names(known: Mapping[str, Source], source: str) -> dict[str, str]:
    """Map the names that a portal's list may use for communities to community keys."""
    communities = {key: one for each in known.values() for key, one in each.communities.items()}
    found: dict[str, str] = {}
    for key, one in communities.items():
        for name in (key, one.community_id, one.title, *one.known_as.get(source, ())):
            found.setdefault(key_from_value(name) or "", key)
    return found


def _period(
    lines: Sequence[PortalLine], since: dt.date | None, until: dt.date | None
) -> tuple[dt.date, dt.date]:
    days = [line.on for line in lines if line.on]
    first, last = since or min(days, default=None), until or max(days, default=None)
    if first is not None and last is not None and not {first.year, last.year} <= {*YEARS}:
        raise NotPossible("the billing period must be between 2000 and 2100")
    if first is None or last is None or first > last:
        raise NotPossible(
            "the file has no dates that can be read: name their column in the portal's file "
            "(--columns), or give the first and last day of the billing period with --since and "
            "--until"
        )
    return first, last


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
