"""Choose the booking to send next."""

import datetime as dt

from adapter.models import Booking
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row


class SendQueue(Statements):
    """Reads pending bookings within a transaction."""

    def most_urgent(
        self, now: dt.datetime, *, soon: dt.datetime, late: dt.datetime
    ) -> Booking | None:
        """Lock and return the booking to send next, or None.

        The soonest tour that starts before ``soon`` comes first, then the sources take turns. Tours
        that start by ``late`` are skipped. A source's guest cards follow its tours.
        """
        # Both queries run before the first result is read, so that a pipeline needs only one round
        # trip.
        soon_tour = self._run("next_soon_tour", now=now, soon=soon, late=late)
        in_turn = self._run("next_in_turn", now=now, late=late)
        row = soon_tour.fetchone() or in_turn.fetchone()
        return booking_from_row(row) if row else None

    def expired_tours(self, before: dt.datetime) -> list[int]:
        """Lock and return the IDs of pending bookings whose tour starts by ``before``."""
        return [row["id"] for row in self._all("expired_tours", before=before)]

    def expired_prospects(self, before: dt.datetime) -> list[int]:
        """Lock and return the IDs of guest cards that have been pending since before ``before``."""
        return [row["id"] for row in self._all("expired_prospects", before=before)]
