"""Sort leads in review by the action needed, soonest tour first. All functions are pure."""

import dataclasses
import difflib
import enum
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from adapter.mapping.engine.mapping import IDS_ONLY_REASON
from adapter.mapping.engine.tour_time import NO_TIME_OF_DAY
from adapter.operations.advice import in_short
from adapter.operations.health import MANY, MANY_WITH_NEW_NAME
from adapter.propexo.appointment import NO_CONTACT
from adapter.store import Group, Issue


class Todo(enum.StrEnum):
    """The action that a lead needs from a user."""

    CALL = "call"
    DETAILS = "details"
    KNOCK = "knock"
    COMMUNITY = "community"
    ADMIN = "admin"


#: Reason codes of leads that a user must look up in Knock.
_IN_KNOCK = frozenset(
    {"booked_after_cancellation", "cancellation", "cancellation_elsewhere", "cancellation_merged"}
    | {"cancellation_unclear", "carried_out_late", "changed_after_first", "contact_changed"}
    | {"job_failed", "maybe_gone", "no_answer", "no_final_status", "not_found", "partial_success"}
    | {"note_not_sent", "restored", "sender_lost", "two_cards"}
)
_FOR_ADMINS = frozenset({"internal_error", "not_authorized"})
#: Fields that identify a renter. A lead needs at least one of them.
CONTACT_FIELDS: Final = ("email_1", "phone_1")
_MISSING: Final = " is not in the payload"
_NEW_NAME: Final = re.compile(r" \(there is ['\"](.*)['\"]\)$")
#: The beginnings of reasons why a date or time cannot be read.
_UNREADABLE: Final = ("not written as", "no such date", "not a date", "not a time")

#: The short description of leads that are held because their sender changed its format.
FORMAT_CHANGED: Final = "The sender changed its format"

#: The short description of leads that the mapping in use can read.
READ_AGAIN: Final = "The mapping can read it now"

#: Sources, each with a path or field that has changed in the source's format.
Changed = Collection[tuple[str, str]]


def todo_of(issue: Issue, leads: int, changed: Changed = ()) -> Todo:
    """Return the action needed for leads with the same issue.

    ``leads`` is the number of leads. ``changed`` lists the changes detected in senders' formats.
    """
    if issue.code in _IN_KNOCK or issue.state == "unknown":
        return Todo.KNOCK
    if issue.kind == "event" or issue.code in _FOR_ADMINS or issue.field == "attribution_id":
        return Todo.ADMIN
    if is_format_change(issue, leads, changed):
        return Todo.ADMIN
    is_place = issue.state == "held" and issue.field == "community"
    if is_place:
        return Todo.COMMUNITY
    return Todo.DETAILS if _lacks_details(issue) else Todo.CALL


def _lacks_details(issue: Issue) -> bool:
    """Return True if the renter cannot be called yet, or need not be called."""
    fields = ("accept", "name", "first_name", "last_name", "email_1", "phone_1")
    is_missing = issue.state == "held" and issue.field in fields
    is_code = issue.code in ("contact_of_many", "undone")
    return is_missing or is_code or issue.message == IDS_ONLY_REASON


def is_format_change(issue: Issue, leads: int, changed: Changed = ()) -> bool:
    """Return True if leads are held because their sender has probably changed its format."""
    path = missing_path(issue)
    if not path:
        is_changed = any((issue.source, field) in changed for field in fields_of(issue))
        return may_be_format_change(issue) and is_changed
    if any(source == issue.source and _masked(name) == path for source, name in changed):
        return True
    return leads >= (MANY_WITH_NEW_NAME if new_name(issue) else MANY)


def renamed_path(path: str, name: str) -> str:
    """Return the new path of a value after one of its keys was renamed to ``name``."""
    parts = path.split(".")
    ratios = [difflib.SequenceMatcher(None, one.lower(), name.lower()).ratio() for one in parts]
    last_best = max(range(len(parts)), key=lambda number: (ratios[number], number))
    return ".".join([*parts[:last_best], name])


def may_be_format_change(issue: Issue) -> bool:
    """Return True if an issue that many leads share suggests a changed format."""
    if issue.kind != "booking" or issue.state != "held":
        return False
    is_incomplete = issue.message in (NO_TIME_OF_DAY, NO_CONTACT)
    return bool(missing_path(issue)) or is_incomplete or issue.message.startswith(_UNREADABLE)


def fields_of(issue: Issue) -> tuple[str, ...]:
    """Return the fields that are missing or unreadable in leads with this issue."""
    return CONTACT_FIELDS if issue.message == NO_CONTACT else (issue.field,)


def missing_path(issue: Issue) -> str:
    """Return the path that is missing from webhooks, with digits masked, or ""."""
    path, found, _ = issue.message.partition(_MISSING)
    return path if found and issue.kind == "booking" and issue.state == "held" else ""


def new_name(issue: Issue) -> str:
    """Return the similarly named key that webhooks contain instead of the missing path, or ""."""
    match = _NEW_NAME.search(issue.message)
    return match[1] if match else ""


def _masked(path: str) -> str:
    return re.sub(r"[0-9]+(:[0-9]+)*", "…", path)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """The detected format changes, and the leads that can be read now."""

    changed: Changed = ()
    #: IDs of leads that the mapping in use can read, although it could not when they came.
    readable: Collection[int] = frozenset()


NOTHING_KNOWN: Final = Known()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A row in the list of leads in review: one lead, or all leads with the same problem."""

    todo: Todo
    issue: Issue
    ids: Sequence[int]
    #: The soonest tour's start in seconds since 1970, or None.
    tour: float | None
    #: The key that opens the row's leads.
    key: str
    #: True if the mapping in use can read the leads.
    is_readable: bool = False

    @property
    def is_format_change(self) -> bool:
        """True if the sender has probably changed its format."""
        is_for_admin = self.todo is Todo.ADMIN and not self.is_readable
        return is_for_admin and may_be_format_change(self.issue)

    @property
    def short(self) -> str:
        """A short description of the problem."""
        if self.is_readable:
            return READ_AGAIN
        return FORMAT_CHANGED if self.is_format_change else in_short(self.issue)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The criteria for listing leads in review."""

    todo: Todo | None = None
    source: str = ""
    #: Only leads that this user takes care of.
    assigned_to: str = ""
    #: List the snoozed leads instead of the others.
    is_snoozed: bool = False


def entries(
    groups: Iterable[Group], which: Selection, now: float, known: Known = NOTHING_KNOWN
) -> list[Entry]:
    """Return the list's rows, soonest tour first. Leads with the same problem share a row."""
    folds: dict[str, list[tuple[Todo, Issue, int, float | None]]] = {}
    for group in groups:
        for todo, number, tour in _leads(group, which, known):
            key = fold_key(group.issue, todo)
            key = readable_key(group.issue.source) if number in known.readable else key
            folds.setdefault(key or str(number), []).append((todo, group.issue, number, tour))
    rows = [_entry(key, found, now, known) for key, found in folds.items()]
    return sorted(rows, key=lambda row: _urgency(row.tour, row.ids[0], now))


def counts(
    groups: Iterable[Group], which: Selection, known: Known = NOTHING_KNOWN
) -> dict[Todo, int]:
    """Count leads by :class:`Todo`, applying all criteria in ``which`` except ``todo``."""
    everything = dataclasses.replace(which, todo=None)
    found = dict.fromkeys(Todo, 0)
    for group in groups:
        for todo, _, _ in _leads(group, everything, known):
            found[todo] += 1
    return found


def fold_key(issue: Issue, todo: Todo) -> str:
    """Return the key of the row that combines leads with this issue, or "" if none does."""
    if todo is Todo.COMMUNITY:
        return hashlib.sha256(f"community {issue.source}".encode()).hexdigest()[:12]
    if todo is not Todo.ADMIN:
        return ""
    path = missing_path(issue)
    if not path:
        return issue.key
    return hashlib.sha256(f"renamed {issue.source} {path}".encode()).hexdigest()[:12]


def readable_key(source: str) -> str:
    """Return the key of the row that combines a source's leads that can be read now."""
    return hashlib.sha256(f"readable {source}".encode()).hexdigest()[:12]


def _leads(
    group: Group, which: Selection, known: Known
) -> Iterator[tuple[Todo, int, float | None]]:
    if which.source not in ("", group.issue.source):
        return
    of_all = todo_of(group.issue, group.leads, known.changed)
    rows = zip(group.ids, group.tours, group.snoozed, group.assigned, strict=True)
    for number, tour, is_snoozed, user in rows:
        todo = Todo.ADMIN if number in known.readable else of_all
        is_chosen = which.todo in (None, todo) and which.assigned_to in ("", user)
        if is_chosen and is_snoozed is which.is_snoozed:
            yield todo, number, tour


def _entry(
    key: str, found: list[tuple[Todo, Issue, int, float | None]], now: float, known: Known
) -> Entry:
    found.sort(key=lambda lead: _urgency(lead[3], lead[2], now))
    todo, issue, _, tour = found[0]
    ids = [one[2] for one in found]
    is_readable = ids[0] in known.readable
    return Entry(todo=todo, issue=issue, ids=ids, tour=tour, key=key, is_readable=is_readable)


def _urgency(tour: float | None, number: int, now: float) -> tuple[int, float, int]:
    """Return a row's sort key: upcoming tours first, then leads without a time, then past tours."""
    if tour is None:
        return 1, 0, number
    return (0, tour, number) if tour > now else (2, -tour, number)
