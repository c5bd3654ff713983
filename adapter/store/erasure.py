"""Erase webhook payloads, renters' personal data, and rejected requests."""

import datetime as dt
from collections.abc import Sequence

from adapter.store.queries import Statements

#: Appointment fields that erasure keeps: the community and the time.
KEPT_FIELDS = (
    "integration_id",
    "community_id",
    "attribution_id",
    "appointment_date",
    "appointment_time",
    "tour_type",
)
#: A JSON key found in fewer of a source's webhooks than this may be a value, such as a name.
RARE_KEY = 20


class Erasure(Statements):
    """Erases webhook payloads and personal data within a transaction."""

    def erasable(
        self,
        before: dt.datetime,
        *,
        people: bool,
        now: dt.datetime,
        limit: int,
    ) -> list[int]:
        """Lock old events that still have data to erase, and return their IDs.

        The events have no upcoming tours but still have a payload or, with ``people``, personal
        data.
        """
        kept = ["all", "lead"] if people else ["all"]
        return self._values("erasable_events", kept=kept, before=before, now=now, limit=limit)

    def erase_payloads(self, ids: Sequence[int]) -> None:
        """Erase the webhook payloads and POST bodies of events, but not the appointments."""
        self._run("lock_bookings_to_erase", ids=list(ids))
        self._run("erase_payloads", ids=list(ids))
        self._run("erase_rare_keys", ids=list(ids), rare=RARE_KEY)
        self._run("erase_messages", ids=list(ids))

    def erase_people(self, ids: Sequence[int]) -> None:
        """Erase the payloads and all personal data of events."""
        self.erase_payloads(ids)
        self._run("erase_lost_notes", ids=list(ids))
        self._run("erase_people", ids=list(ids), fields=list(KEPT_FIELDS))
        self._run("erase_booking_reasons", ids=list(ids))

    def erase_lost_notes(self, before: dt.datetime) -> None:
        """Erase old notes whose webhooks were lost in a restore."""
        self._run("erase_old_lost_notes", before=before)

    def erase_rejections(self, before: dt.datetime, *, limit: int) -> int:
        """Delete up to ``limit`` requests rejected before a given time. Return their number."""
        return len(self._all("erase_rejections", before=before, limit=limit))

    def remove_rejections(self, ids: Sequence[int]) -> None:
        """Delete the rejected requests with the given IDs."""
        for rejection_id in ids:
            self._run("delete_rejection", id=rejection_id)

    def last_event_id(self) -> int:
        """Return the newest event's ID, or 0 if there are no events."""
        return int(self._value("last_event_id") or 0)

    def events_that_match(self, pattern: str, *, after: int, until: int) -> list[int]:
        """Return the IDs of events in a range of IDs that may match a regular expression.

        Encrypted events are always included, because PostgreSQL cannot read them.
        """
        return self._values("matching_events", pattern=pattern, after=after, until=until)

    def rejections_that_match(self, pattern: str) -> list[int]:
        """Return the IDs of rejected requests that match a regular expression or are encrypted."""
        return self._values("matching_rejections", pattern=pattern)
