"""Store alarms: the problems of which people are told, shared by all processes."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence

from adapter.store.queries import Statements


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """A problem that people are, were or will be told of. It contains no personal data."""

    id: int
    code: str
    #: The source concerned, or "".
    source: str
    level: str
    sentence: str
    next_step: str
    began_at: dt.datetime
    #: When a process last noticed the problem.
    seen_at: dt.datetime
    #: None while it lasts.
    ended_at: dt.datetime | None
    #: When people were last told of it.
    sent_at: dt.datetime | None
    #: Until then, a process may be sending a message about it.
    claimed_until: dt.datetime
    acknowledged_by: str | None
    snoozed_until: dt.datetime | None

    @property
    def key(self) -> tuple[str, str]:
        """What distinguishes the open alarms."""
        return self.code, self.source


class AlarmLog(Statements):
    """Reads and writes alarms within a transaction."""

    def try_lock(self) -> bool:
        """Lock all alarms until the transaction ends. Return False if another process has."""
        row = self._one("try_lock_alarms")
        return row is not None and row["is_locked"]

    def open_alarms(self) -> list[Alarm]:
        """Return the alarms of problems that last, or whose end people were not told of."""
        return [Alarm(**row) for row in self._all("open_alarms")]

    def newest(self, limit: int) -> list[Alarm]:
        """Return the open alarms and then the others, newest first."""
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
        """Add an alarm. Raise IntegrityError if one with this code and source is open."""
        values = {"sentence": sentence, "next_step": next_step, "began_at": began_at, "now": now}
        self._run("add_alarm", code=code, source=source, level=level, **values)

    def mark_seen(self, ids: Collection[int], now: dt.datetime) -> None:
        """Record that these problems last."""
        self._run("mark_alarms_seen", ids=list(ids), now=now)

    def end_unseen(self, since: dt.datetime) -> list[tuple[str, str]]:
        """End the alarms of problems not seen since a time. Return their codes and sources."""
        rows = self._all("end_alarms", unseen_since=since)
        return [(row["code"], row["source"]) for row in rows]

    def claim(self, ids: Collection[int], until: dt.datetime) -> None:
        """Let only this process tell people of these alarms until a time."""
        self._run("claim_alarms", ids=list(ids), until=until)

    def record_sent(self, told: Sequence[Alarm], now: dt.datetime) -> None:
        """Record that people were told of these alarms, and of the end of those that ended."""
        ended = [one.id for one in told if one.ended_at is not None]
        self._run("record_alarms_sent", ids=[one.id for one in told], ended=ended, now=now)

    def last_sent_at(self) -> dt.datetime | None:
        """Return when people were last told of an alarm."""
        row = self._one("last_alarm_sent")
        return row["sent_at"] if row else None

    def acknowledge(self, code: str, source: str, by: str) -> int:
        """Stop reminders of the open alarms with this code, of one source if given. Count them."""
        return len(self._all("acknowledge_alarms", code=code, source=source, by=by))

    def snooze(self, code: str, source: str, until: dt.datetime) -> int:
        """Tell nothing of the open alarms with this code before a time. Return their number."""
        return len(self._all("snooze_alarms", code=code, source=source, until=until))

    def delete_old(self, before: dt.datetime) -> None:
        """Delete alarms that ended before a time."""
        self._run("delete_old_alarms", before=before)
