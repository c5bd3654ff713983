"""Store console users, failed sign-ins and the audit log."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Final

from adapter.models import LeadHistory
from adapter.store.queries import Statements

#: How long a failed sign-in counts against the limit.
SIGN_IN_WINDOW: Final = dt.timedelta(minutes=15)
#: Maximum number of actions to show with a lead.
MOST_OF_LEAD: Final = 20
#: Maximum number of entries between a property's assignment and a lead that it changes.
MOST_BETWEEN: Final = 500


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A console user."""

    name: str
    #: ``read`` or ``operate``.
    role: str
    #: A slow, salted hash of the password.
    password: str = dataclasses.field(repr=False)
    #: None for a user from ADAPTER_USERS.
    added_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """A user's action in the audit log."""

    id: int
    at: dt.datetime
    by: str
    #: A fixed word such as looked, released, discarded, confirmed, replayed, exported, signed_in,
    #: let_in, backtested, user_added, reconciled or searched.
    action: str
    #: The ID of the event or booking, or None.
    lead_id: int | None
    detail: str


class Users(Statements):
    """Reads and writes console users and failed sign-ins within a transaction.

    Failed sign-ins are counted by hashed keys, for example of a user name or an IP address.
    """

    def all(self) -> list[User]:
        """Return the console users in the database. Those in ADAPTER_USERS are not included."""
        return [User(**row) for row in self._all("list_users")]

    def add(self, user: User, *, now: dt.datetime) -> None:
        """Add a console user, or update an existing user's password and role."""
        self._run("add_user", name=user.name, role=user.role, password=user.password, at=now)

    def change_password(self, name: str, old: str, new: str) -> bool:
        """Replace a password hash. Return False if the old hash is no longer stored."""
        return self._has("change_password", name=name, old=old, password=new)

    def change_role(self, name: str, role: str) -> bool:
        """Change a user's role. Return False if the user does not exist."""
        return self._has("change_role", name=name, role=role)

    def remove(self, name: str) -> str | None:
        """Remove a console user. Return the user's role, or None if the user does not exist."""
        return self._value("remove_user", name=name)

    def failures(self, keys: Sequence[str], since: dt.datetime) -> dict[str, int]:
        """Return the number of failed sign-ins after ``since`` for each hashed key."""
        rows = self._all("failed_sign_ins", keys=list(keys), since=since)
        return {row["who"]: row["failures"] for row in rows}

    def record_failure(self, keys: Sequence[str], *, now: dt.datetime) -> list[int]:
        """Record a failed sign-in for each hashed key. Return the new rows' IDs."""
        return self._values("record_failed_sign_in", keys=list(keys), at=now)

    def delete_failures(self, keys: Sequence[str], ids: Sequence[int]) -> None:
        """Delete failed sign-ins that have one of these hashed keys or row IDs."""
        self._run("delete_failed_sign_ins", keys=list(keys), ids=list(ids))

    def delete_old_failures(self, before: dt.datetime, *, limit: int | None = None) -> int:
        """Delete failed sign-ins from before a given time, oldest first. Return their number."""
        return len(self._all("delete_old_sign_ins", before=before, limit=limit))


class AuditLog(Statements):
    """Reads and writes the audit log within a transaction."""

    def record(
        self, action: str, *, by: str, at: dt.datetime, lead_id: int | None = None, detail: str = ""
    ) -> None:
        """Add an audit log entry. ``detail`` must contain nothing from a payload."""
        self._run("insert_audit_entry", action=action, by=by, at=at, lead_id=lead_id, detail=detail)

    def entries(
        self,
        *,
        by: str | None = None,
        lead_id: int | None = None,
        before: int | None = None,
        limit: int = 100,
        except_actions: Collection[str] = (),
        action: str | None = None,
    ) -> list[AuditEntry]:
        """Return audit log entries, newest first.

        Leave out actions that start with one of the words in ``except_actions``.
        """
        rows = self._all(
            "audit_entries",
            by=by,
            lead_id=lead_id,
            before=before,
            limit=limit,
            except_actions=list(except_actions),
            action=action,
        )
        return [AuditEntry(**row) for row in rows]

    def last_actions(self, names: Sequence[str]) -> dict[str, dt.datetime]:
        """Return the time of each user's last action, keyed by username."""
        return {row["name"]: row["at"] for row in self._all("last_actions", names=list(names))}

    def of_lead(self, story: LeadHistory) -> list[AuditEntry]:
        """Return the newest entries about an event and its bookings, except page views."""
        entries = [
            entry
            for number in (story.event.id, *(booking.id for booking in story.bookings))
            for entry in self.entries(lead_id=number, limit=MOST_OF_LEAD, except_actions=["looked"])
        ]
        return sorted(entries, key=lambda entry: entry.id, reverse=True)[:MOST_OF_LEAD]

    def assignment_before(self, entry: AuditEntry) -> AuditEntry | None:
        """Return a user's last change to a property's community shortly before an entry."""
        row = self._one("last_assignment", by=entry.by, before=entry.id, searched=MOST_BETWEEN)
        return AuditEntry(**row) if row is not None else None

    def delete_old(self, before: dt.datetime, *, limit: int) -> int:
        """Delete entries from before a given time, oldest first. Return their number."""
        return len(self._all("delete_old_audit_entries", before=before, limit=limit))
