"""Cache the available tour times that Propexo reports, so that all processes can use them."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence

from adapter.models import TIME_TAKEN, Booking
from adapter.store.queries import Statements

#: How long after the POST of a tour Knock's calendar may still show its time as free.
RIVAL_TIME = dt.timedelta(seconds=30)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CalendarKey:
    """The IDs that identify a calendar in Knock to Propexo."""

    integration_id: str
    community_id: str
    #: ``APPOINTMENT`` or ``SELF_GUIDED_TOUR``.
    appointment_type: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredTimes:
    """The cached available times of a calendar in Knock."""

    key: CalendarKey
    #: When the last request began, or None if there was none.
    asked_at: dt.datetime | None
    #: When Propexo answered that request, or None if there is no answer or it was deleted.
    answered_at: dt.datetime | None
    times: Sequence[dt.datetime]
    #: True if a time that is not listed is not free.
    is_complete: bool
    #: Why the last response was unusable, as a code of :mod:`adapter.bookings.free_times`, or None.
    problem: str | None
    #: The keys and types in the last response, and when it arrived.
    shape: str | None
    shape_at: dt.datetime | None
    #: True if a recent request about any calendar got no response.
    is_down: bool = False
    #: True if a recent request about any calendar got a slow response.
    is_slow: bool = False


class FreeTimesTable(Statements):
    """Reads and writes cached available times within a transaction."""

    def read(
        self, key: CalendarKey, since: dt.datetime, slow_since: dt.datetime | None = None
    ) -> StoredTimes:
        """Return a calendar's cached times.

        A failure after ``since`` counts as recent, and so does a slow response after
        ``slow_since``.
        """
        times = {"since": since, "slow_since": slow_since}
        row = self._one("read_free_times", **times, **dataclasses.asdict(key))
        assert row is not None  # noqa: S101 - there is always one row
        return _stored({**row, **dataclasses.asdict(key)})

    def begin(self, key: CalendarKey, asked_at: dt.datetime) -> None:
        """Record that this process is requesting a calendar's available times."""
        self._run("begin_question", asked_at=asked_at, **dataclasses.asdict(key))

    def end(
        self,
        key: CalendarKey,
        asked_at: dt.datetime,
        now: dt.datetime,
        *,
        times: Iterable[dt.datetime],
        is_complete: bool,
        problem: str | None,
        shape: str | None,
        is_slow: bool = False,
    ) -> None:
        """Save Propexo's response, unless the calendar's times were deleted after ``asked_at``.

        The response is not shared if it contains the time of one of our tours that has no outcome
        yet.
        """
        self._run(
            "end_question",
            asked_at=asked_at,
            now=now,
            since=now - RIVAL_TIME,
            times=list(times),
            is_complete=is_complete,
            problem=problem,
            shape=shape,
            is_slow=is_slow,
            **dataclasses.asdict(key),
        )

    def drop(self, integration_id: str, community_id: str) -> None:
        """Delete a community's cached times because a booking may have taken one of them."""
        self._run("drop_free_times", integration_id=integration_id, community_id=community_id)

    def all(self) -> list[StoredTimes]:
        """Return the cached times of all calendars."""
        return [_stored(row) for row in self._all("all_free_times")]

    def end_postponement(self, booking_id: int, until: dt.datetime, now: dt.datetime) -> None:
        """Make a booking due now if it is still postponed until ``until``."""
        self._run("end_postponement", id=booking_id, until=until, now=now)

    def offer(self, booking_id: int, times: Iterable[dt.datetime]) -> None:
        """Save alternative times to offer, because a booking's requested time is taken."""
        self._run("offer_times", id=booking_id, times=list(times))

    def has_rival(self, booking: Booking, now: dt.datetime) -> bool:
        """Return True if another tour at the same time was just sent and has no outcome yet.

        Knock's calendar may still show the tour's time as free.
        """
        at = {"community": booking.community, "starts_at": booking.starts_at}
        since = now - RIVAL_TIME
        return self._has("rival_in_flight", id=booking.id, since=since, **at)

    def own_tours(
        self,
        booking: Booking,
        times: Iterable[dt.datetime],
        since: dt.datetime | None = None,
    ) -> set[dt.datetime]:
        """Return the given times that our other tours at the community have already taken.

        These are tours that Knock has not booked yet, and tours that were sent after ``since``.
        """
        at = {"community": booking.community, "times": list(times)}
        return set(self._values("own_tours", id=booking.id, since=since, **at))

    def offered_at(self, booking: Booking) -> dt.datetime:
        """Return when the available times offered for a held booking were read."""
        of_booking = {"event_id": booking.event_id, "id": booking.id}
        return self._value("offered_at", **of_booking, why=TIME_TAKEN) or booking.updated_at

    def was_released(self, booking_id: int) -> bool:
        """Return True if a user has released this booking."""
        return self._has("was_released", id=booking_id)


def _stored(row: dict[str, object]) -> StoredTimes:
    names = [field.name for field in dataclasses.fields(StoredTimes) if field.name != "key"]
    values = {name: row[name] for name in names if name in row}
    values |= {"times": values["times"] or (), "is_complete": bool(values["is_complete"])}
    key = {field.name: row[field.name] for field in dataclasses.fields(CalendarKey)}
    return StoredTimes(key=CalendarKey(**key), **values)  # type: ignore[arg-type] # columns
