"""Who may sign in to the console, which sign-ins failed, and what people did."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Final

from adapter.store.queries import Statements

#: Failures to sign in count for so long.
SIGN_IN_WINDOW: Final = dt.timedelta(minutes=15)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """Somebody who may sign in."""

    name: str
    #: ``read`` or ``operate``.
    role: str
    #: Slow hash of the password, with its salt.
    password: str = dataclasses.field(repr=False)
    #: None: the environment names them.
    added_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """Something that somebody did."""

    id: int
    at: dt.datetime
    by: str
    #: A constant word: looked, released, discarded, confirmed, replayed, exported, signed_in,
    #: let_in, backtested, user_added …
    action: str
    #: The event or booking it was about, or None.
    lead_id: int | None
    detail: str


class Users(Statements):
    """Users and acts, over one connection and within its transaction."""

    def users(self) -> list[User]:
        """Everybody who was added by command."""
        return [User(**row) for row in self._all("users")]

    def add_user(self, user: User, *, now: dt.datetime) -> None:
        """Adds somebody, or gives them another password or role."""
        self._run("add_user", name=user.name, role=user.role, password=user.password, at=now)

    def remove_user(self, name: str) -> str | None:
        """Removes somebody; the role they had, or None where there was nobody."""
        row = self._one("remove_user", name=name)
        return str(row["role"]) if row else None

    def failures(self, whos: Sequence[str], since: dt.datetime) -> dict[str, int]:
        """How many sign-ins of each of these failed since then."""
        rows = self._all("failed_sign_ins", whos=list(whos), since=since)
        return {row["who"]: row["failures"] for row in rows}

    def lock(self, keys: Sequence[int]) -> None:
        """One transaction at a time counts what these stand for; taken in one order."""
        self._run("lock_keys", keys=list(keys))

    def note_failure(self, whos: Sequence[str], *, now: dt.datetime) -> list[int]:
        """Notes a failed sign-in under each of these; the numbers of the notes."""
        return [row["id"] for row in self._all("note_failed_sign_in", whos=list(whos), at=now)]

    def forget_failures(self, whos: Sequence[str], noted: Sequence[int]) -> None:
        """Drops the failures of these, and those notes."""
        self._run("forget_failed_sign_ins", whos=list(whos), noted=list(noted))

    def forget_old(self, *, failures: dt.datetime, acts: dt.datetime, limit: int) -> int:
        """Drops failed sign-ins and acts from before these times, the oldest first; how many."""
        dropped = self._all("forget_old_sign_ins", before=failures, limit=limit)
        return len(dropped) + len(self._all("delete_old_audit_entries", before=acts, limit=limit))

    def record(
        self, action: str, *, by: str, at: dt.datetime, lead_id: int | None = None, detail: str = ""
    ) -> None:
        """Writes down what somebody did. ``detail`` holds nothing of a payload."""
        self._run("insert_audit_entry", action=action, by=by, at=at, lead_id=lead_id, detail=detail)

    def audit_log(
        self,
        *,
        by: str | None = None,
        lead_id: int | None = None,
        before: int | None = None,
        limit: int = 100,
        except_action: str | None = None,
    ) -> list[AuditEntry]:
        """What people did, newest first; nothing of one kind of act, where that is named."""
        rows = self._all(
            "audit_entries",
            by=by,
            lead_id=lead_id,
            before=before,
            limit=limit,
            except_action=except_action,
        )
        return [AuditEntry(**row) for row in rows]
