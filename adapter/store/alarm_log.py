"""Store alarms, which notify people of operational problems."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence

from adapter.store.queries import Statements


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """An operational problem to notify people about. It contains no personal data."""

    id: int
    code: str
    #: The source that has the problem, or "".
    source: str
    level: str
    sentence: str
    next_step: str
    began_at: dt.datetime
    #: When a process last noticed the problem.
    seen_at: dt.datetime
    #: When the problem ended, or None while it lasts.
    ended_at: dt.datetime | None
    #: When people were last notified of it.
    sent_at: dt.datetime | None
    #: A process may be sending a notification about it until this time.
    claimed_until: dt.datetime
    acknowledged_by: str | None
    snoozed_until: dt.datetime | None

    @property
    def key(self) -> tuple[str, str]:
        """The alarm's code and source, which are unique among open alarms."""
        return self.code, self.source


class AlarmLog(Statements):
    """Reads and writes alarms within a transaction."""

    def try_lock(self) -> bool:
        """Lock all alarms until the transaction ends. Return False if they are already locked."""
        return bool(self._value("try_lock_alarms"))

    def open_alarms(self) -> list[Alarm]:
        """Return all open alarms, plus ended alarms that have not yet been announced as over."""
        return [Alarm(**row) for row in self._all("open_alarms")]

    def newest(self, limit: int) -> list[Alarm]:
        """Return up to ``limit`` alarms. Open alarms come first, then ended ones, newest first."""
        return [Alarm(**row) for row in self._all("newest_alarms", limit=limit)]

    def add(
        self,
        *,
        code: str,
        source: str,
        level: str,
        sentence: str,
        next_step: str,
        began_at: dt.datetime,
        now: dt.datetime,
    ) -> None:
        """Add an alarm. Raise IntegrityError if its code and source already have an open alarm."""
        values = {"sentence": sentence, "next_step": next_step, "began_at": began_at, "now": now}
        self._run("add_alarm", code=code, source=source, level=level, **values)

    def mark_seen(self, ids: Collection[int], now: dt.datetime) -> None:
        """Record that the problems behind the given alarms still exist."""
        self._run("mark_alarms_seen", ids=list(ids), now=now)

    def end_unseen(self, since: dt.datetime) -> list[tuple[str, str]]:
        """End all alarms last seen before ``since``, and return their codes and sources."""
        rows = self._all("end_alarms", unseen_since=since)
        return [(row["code"], row["source"]) for row in rows]

    def claim(self, ids: Collection[int], until: dt.datetime) -> None:
        """Claim alarms until a given time, so that no other process sends their notifications."""
        self._run("claim_alarms", ids=list(ids), until=until)

    def record_sent(self, told: Sequence[Alarm], now: dt.datetime) -> None:
        """Record that people were notified of the given alarms, including ended ones."""
        ended = [one.id for one in told if one.ended_at is not None]
        self._run("record_alarms_sent", ids=[one.id for one in told], ended=ended, now=now)

    def last_sent_at(self) -> dt.datetime | None:
        """Return the time of the latest alarm notification, or None if none has been sent."""
        return self._value("last_alarm_sent")

    def acknowledge(self, code: str, source: str, by: str) -> int:
        """Stop reminders for open alarms with this code and source. Return the number of alarms."""
        return len(self._all("acknowledge_alarms", code=code, source=source, by=by))

    def snooze(self, code: str, source: str, until: dt.datetime) -> int:
        """Mute open alarms until a given time, and return the number of muted alarms."""
        return len(self._all("snooze_alarms", code=code, source=source, until=until))

    def delete_old(self, before: dt.datetime) -> None:
        """Delete alarms that ended before the given time."""
        self._run("delete_old_alarms", before=before)
