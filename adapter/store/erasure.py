"""What is erased: payloads, people and refused requests, over one connection."""

import datetime as dt
from collections.abc import Sequence

from adapter.store.queries import Statements
from adapter.store.rows import Row

#: What stays of an appointment without its renter: places, and the time.
KEPT_FIELDS = (
    "integration_id",
    "community_id",
    "attribution_id",
    "appointment_date",
    "appointment_time",
    "tour_type",
)


class Erasures(Statements):
    """Erasing, over one connection and within its transaction."""

    def erasable(
        self,
        before: dt.datetime,
        *,
        people: bool,
        now: dt.datetime,
        limit: int,
    ) -> list[int]:
        """Ids of events received before then, locked, whose tours are over and none on its way.

        Those whose payload is still kept; with ``people``, those that still name somebody.
        """
        kept = ["all", "lead"] if people else ["all"]
        rows = self._all("erasable_events", kept=kept, before=before, now=now, limit=limit)
        return [row["id"] for row in rows]

    def erase_payloads(self, ids: Sequence[int]) -> None:
        """Erases what was sent to us and by us; the appointments stay."""
        self._run("erase_payloads", ids=list(ids))

    def erase_people(self, ids: Sequence[int]) -> None:
        """Erases payloads and everything else that says who it was about."""
        self.erase_payloads(ids)
        self._run("erase_people", ids=list(ids), fields=list(KEPT_FIELDS))
        self._run("erase_booking_words", ids=list(ids))

    def erase_rejections(self, before: dt.datetime, *, limit: int) -> int:
        """Removes refused requests that came before then; how many."""
        return len(self._all("erase_rejections", before=before, limit=limit))

    def remove_rejections(self, ids: Sequence[int]) -> None:
        """Removes these refused requests."""
        for rejection_id in ids:
            self._run("remove_rejection", id=rejection_id)

    def rejections_by_id(self, ids: Sequence[int]) -> list[Row]:
        """What is kept of these refused requests."""
        return [row for one in ids for row in self._all("rejection", id=one)]

    def last_event_id(self) -> int:
        """The newest event's id; 0 where there is none."""
        row = self._one("last_event_id")
        return int(row["id"] or 0) if row else 0

    def events_that_match(self, pattern: str, *, after: int, until: int) -> list[int]:
        """Ids of events from after one id up to another in which ``pattern`` matches something."""
        rows = self._all("events_that_name", pattern=pattern, after=after, until=until)
        return [row["id"] for row in rows]

    def rejections_that_match(self, pattern: str) -> list[int]:
        """Ids of refused requests in which ``pattern`` matches something."""
        return [row["id"] for row in self._all("rejections_that_name", pattern=pattern)]
