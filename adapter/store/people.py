"""Who may sign in to the console, which sign-ins failed, and what people did."""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from adapter.store.statements import Statements


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
class Act:
    """Something that somebody did."""

    id: int
    at: dt.datetime
    by: str
    #: A constant word: looked, released, discarded, confirmed, replayed, exported, signed_in …
    act: str
    #: The event or booking it was about, or None.
    lead_id: int | None
    detail: str


class People(Statements):
    """Users and acts, over one connection and within its transaction."""

    def users(self) -> list[User]:
        """Everybody who was added by command."""
        return [User(**row) for row in self._all("users")]

    def add_user(self, user: User, *, now: dt.datetime) -> None:
        """Adds somebody, or gives them another password or role."""
        self._run("add_user", name=user.name, role=user.role, password=user.password, at=now)

    def remove_user(self, name: str) -> bool:
        """Removes somebody; False where there was nobody."""
        return self._one("remove_user", name=name) is not None

    def failures(self, whos: Sequence[str], since: dt.datetime) -> dict[str, int]:
        """How many sign-ins of each of these failed since then."""
        rows = self._all("failed_sign_ins", whos=list(whos), since=since)
        return {row["who"]: row["failures"] for row in rows}

    def note_failure(self, whos: Sequence[str], *, now: dt.datetime) -> None:
        """Notes a failed sign-in under each of these."""
        self._run("note_failed_sign_in", whos=list(whos), at=now)

    def forget_failures(self, whos: Sequence[str], since: dt.datetime) -> None:
        """Drops the failures of these, and all that are older."""
        self._run("forget_failed_sign_ins", whos=list(whos), since=since)

    def note(
        self, act: str, *, by: str, at: dt.datetime, lead_id: int | None = None, detail: str = ""
    ) -> None:
        """Writes down what somebody did. ``detail`` holds nothing of a payload."""
        self._run("note_act", act=act, by=by, at=at, lead_id=lead_id, detail=detail)

    def acts(
        self,
        *,
        by: str | None = None,
        lead_id: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Act]:
        """What people did, newest first."""
        rows = self._all("acts", by=by, lead_id=lead_id, before=before, limit=limit)
        return [Act(**row) for row in rows]
