"""Choose the next booking to send, and store the pauses set by users."""

import dataclasses
import datetime as dt

from adapter.models import Booking
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A pause set by a user. Bookings within its scope are not sent."""

    #: The source and the community of these bookings. An empty string means any.
    source: str
    community: str
    reason: str
    #: The user's name.
    by: str
    since: dt.datetime

    @property
    def is_total(self) -> bool:
        """True if the pause applies to every booking."""
        return not (self.source or self.community)

    def covers(self, source: str, community: str | None) -> bool:
        """Return True if the pause applies to bookings of this source and community."""
        return self.source in ("", source) and self.community in ("", community)

    @property
    def scope(self) -> str:
        """A description of the paused bookings, for users."""
        return scope_text(self.source, self.community)


def scope_text(source: str, community: str) -> str:
    """Describe bookings by source and community, such as "source rentfeed" or "all sources"."""
    named = (("source", source), ("community", community))
    return ", ".join(f"{kind} {name}" for kind, name in named if name) or "all sources"


class SendQueue(Statements):
    """Reads pending bookings and users' pauses within a transaction."""

    def most_urgent(
        self, now: dt.datetime, *, soon: dt.datetime, late: dt.datetime
    ) -> Booking | None:
        """Lock and return the booking to send next, or None if no booking is due.

        Tours that start before ``soon`` come first, starting with the soonest. For other tours,
        sources take turns. Guest cards come last. Tours that start by ``late`` are skipped.
        """
        # Both queries run before the first result is read, so that a pipeline needs only one round
        # trip.
        soon_tour = self._run("next_soon_tour", now=now, soon=soon, late=late)
        in_turn = self._run("next_in_turn", now=now, late=late)
        row = soon_tour.fetchone() or in_turn.fetchone()
        return booking_from_row(row) if row else None

    def longest_due(self, now: dt.datetime, late: dt.datetime) -> Booking | None:
        """Lock and return the booking that has been due longest, or None if none is due."""
        row = self._one("longest_due", now=now, late=late)
        return booking_from_row(row) if row else None

    def expired_tours(self, before: dt.datetime) -> list[int]:
        """Lock pending bookings whose tours start by a given time. Return their IDs."""
        return self._values("expired_tours", before=before)

    def expired_prospects(self, before: dt.datetime) -> list[int]:
        """Lock guest cards that became pending before a given time. Return their IDs."""
        return self._values("expired_prospects", before=before)

    def pause(self, *, source: str, community: str, reason: str, by: str, now: dt.datetime) -> None:
        """Pause the matching bookings. After the commit, no POST for them starts."""
        self._run("lock_rate_limit")
        self._run("pause", source=source, community=community, reason=reason, by=by, at=now)

    def end_pause(self, *, source: str, community: str) -> bool:
        """End a pause set by a user. Return False if there is no such pause."""
        return self._has("end_pause", source=source, community=community)

    def pauses(self) -> list[Pause]:
        """Return all pauses that users have set, oldest first."""
        return [Pause(**row) for row in self._all("pauses")]

    def pause_of(self, source: str, community: str | None) -> Pause | None:
        """Return the oldest pause for this source, this community or everything, or None."""
        return next((one for one in self.pauses() if one.covers(source, community)), None)

    def has_bookings(self, *, source: str, community: str) -> bool:
        """Return True if there is at least one booking for this source and community."""
        return self._has("has_bookings", source=source, community=community)

    def delay(self, event_id: int, until: dt.datetime) -> None:
        """Delay the sending of an event's pending bookings until a given time."""
        self._run("delay_event", event_id=event_id, until=until)

    def bring_forward(self, now: dt.datetime) -> None:
        """Make all bookings that are waiting to be sent or checked due now."""
        self._run("bring_forward", now=now)
