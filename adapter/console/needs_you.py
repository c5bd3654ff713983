"""Serve "Needs you": the leads that need review, soonest tour first."""

import dataclasses
import datetime as dt
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import flask
from werkzeug.datastructures import ImmutableMultiDict

from adapter.console.context import bp, services
from adapter.console.display import full_name, name_or_contact, renter_name
from adapter.console.form_input import row_id_from
from adapter.console.readable import is_held_by_mapping, readable_leads
from adapter.console.renters import contacts_in
from adapter.console.stored_messages import event_of
from adapter.mapping.format_profile import places_of
from adapter.models import Booking, BookingState, Event, FormatChange, FormatKind
from adapter.operations.advice import label_of, lead_in_short
from adapter.operations.aliases import names_in
from adapter.operations.todo import (
    Entry,
    Known,
    Selection,
    Todo,
    counts,
    entries,
    fields_of,
    may_be_format_change,
    missing_path,
    new_name,
    renamed_path,
)
from adapter.store import MOST_COUNTED, Filter, Group, Issue, Transaction

PAGE_SIZE: Final = 50
#: Maximum number of renters to name in a row.
MOST_NAMED: Final = 3
#: Maximum number of messages to read to find the names of unrecognized properties.
MOST_PLACES: Final = 12
#: The label of each tab, and its text when the tab is empty.
TABS: Final[Mapping[Todo, tuple[str, str]]] = {
    Todo.CALL: ("Call the renter", "No calls to make."),
    Todo.DETAILS: ("Fix the details", "No details to fix."),
    Todo.KNOCK: ("Check Knock", "Nothing to check in Knock."),
    Todo.COMMUNITY: ("Pick a community", "All properties are recognized."),
    Todo.ADMIN: ("Ask an admin", "Nothing for an admin to do."),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row in the list of leads, with details of the row's first leads."""

    entry: Entry
    #: The first lead, and the first renters' names.
    lead: Booking | Event
    names: Sequence[str]
    #: The email address or phone number in a message without leads, or "".
    contact: str
    #: True if the row has more leads than it names.
    has_others: bool
    #: When the first lead was received.
    received_at: dt.datetime
    #: The property's name if it is not recognized, or "".
    place: str = ""
    #: The properties in a row that combines several leads, as parts of a phrase.
    places: Sequence[str] = ()

    @property
    def is_fold(self) -> bool:
        """True if the row combines several leads with the same problem."""
        return len(self.entry.ids) > 1

    @property
    def short(self) -> str:
        """A short description of the problem."""
        of_group = self.is_fold or self.entry.is_readable or self.entry.is_format_change
        if of_group or not isinstance(self.lead, Booking):
            return self.entry.short
        return lead_in_short(self.lead)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FormatTrouble:
    """A change in a sender's format that causes leads to be held."""

    source: str
    #: A sentence that describes the format change.
    sentence: str
    leads: int
    #: When the oldest of the leads arrived.
    since: dt.datetime
    #: The key of the row that stands for the leads.
    key: str
    #: The missing path according to the leads' reasons, and the similar name in its place, or "".
    path: str
    new_name: str
    #: True if the mapping in use reads the leads, but they have not been read again yet.
    is_fixed: bool


def _sentence(issue: Issue) -> str:
    """Describe a format change for users."""
    path, name = missing_path(issue), new_name(issue)
    if path and _is_partial(issue.source):
        instead = f"“{renamed_path(path, name)}” instead of “{path}”" if name else f"no “{path}”"
        return f"Some of this sender's messages have {instead}."
    if path and name:
        return f"This sender's messages now have “{renamed_path(path, name)}” instead of “{path}”."
    if path:
        return f"This sender's messages no longer have “{path}”."
    found = [one for one in format_changes() if one.source == issue.source]
    own = [one for one in found if {*fields_of(issue)} & affected_fields(one)]
    if own and own[0].kind is FormatKind.PATH:
        return change_sentence(own[0])
    what = "tour time" if issue.field == "starts_at" else "email address or phone number"
    return f"We can no longer read the {what} in this sender's messages."


def _is_partial(source: str) -> bool:
    """Return True if a source's newest lead was read, so its format has not changed for good."""
    with services.store.transaction() as tx:
        newest = tx.search.bookings(Filter(source=source), limit=1)
    return bool(newest) and newest[0].state is not BookingState.HELD


def change_sentence(change: FormatChange) -> str:
    """Describe a detected format change for users."""
    if change.kind is FormatKind.ACCEPTED:
        return f"The last {change.affected} messages don't meet the mapping's conditions."
    if change.kind is FormatKind.VALUE:
        return f"This sender's messages have a new value in “{change.name}”."
    if change.kind is FormatKind.FIELD:
        name = label_of(change.name)
        return f"“{name}” can't be read in the last {change.affected} messages."
    text = f"“{change.name}” is missing from the last {change.affected} messages."
    new = ", ".join(f"“{path}”" for path in change.new_paths)
    return f"{text} New in them: {new}." if new else text


def affected_fields(change: FormatChange) -> set[str]:
    """Return the fields that the mapping can no longer read because of a format change."""
    source = services.sources.get(change.source)
    if change.kind is not FormatKind.PATH or source is None:
        return {change.name}
    return {place.field for place in places_of(source, change.name)}


def review_groups() -> list[Group]:
    """Return the groups of leads that need review. Load them at most once per request."""
    if "review_groups" not in flask.g:
        with services.store.transaction() as tx:
            flask.g.review_groups = tx.review_queue.groups(services.now())
    groups: list[Group] = flask.g.review_groups
    return groups


def format_changes() -> Sequence[FormatChange]:
    """Return the detected changes in senders' formats. Load them at most once per request."""
    if "format_changes" not in flask.g:
        with services.store.transaction() as tx:
            flask.g.format_changes = tx.formats.changes(services.sources)
    changes: Sequence[FormatChange] = flask.g.format_changes
    return changes


def changed_sources() -> set[str]:
    """Return the sources whose format has changed, if the mapping has not been fixed yet.

    The change was either detected in all of a source's messages or is likely from its leads.
    """
    waiting = {one.source for one in format_troubles() if not one.is_fixed}
    return waiting | {one.source for one in format_changes()}


def known() -> Known:
    """Return the format changes, and the leads in review that can now be read. Cache both."""
    if "known" not in flask.g:
        groups = review_groups()
        changes = format_changes() if any(map(is_held_by_mapping, groups)) else ()
        changed = {
            (one.source, name) for one in changes for name in (one.name, *affected_fields(one))
        }
        flask.g.known = Known(changed=changed, readable=readable_leads(groups))
    found: Known = flask.g.known
    return found


def format_trouble(row: Entry) -> FormatTrouble | None:
    """Return the format change that affects the leads in a row, or None."""
    if not row.is_format_change and not row.is_readable:
        return None
    groups = [one for one in review_groups() if {*one.ids} & {*row.ids}]
    return FormatTrouble(
        source=row.issue.source,
        sentence="" if row.is_readable else _sentence(row.issue),
        leads=len(row.ids),
        since=min(group.oldest_at for group in groups),
        key=row.key,
        path=missing_path(row.issue),
        new_name=new_name(row.issue),
        is_fixed=row.is_readable,
    )


def format_troubles() -> list[FormatTrouble]:
    """Return all format changes that cause leads to be held."""
    return [one for row in rows_of(Selection()) if (one := format_trouble(row)) is not None]


def format_trouble_of(number: int, issue: Issue) -> FormatTrouble | None:
    """Return the format change that caused a lead to be held, or None."""
    if not may_be_format_change(issue):
        return None
    row = next((row for row in rows_of(Selection()) if number in row.ids), None)
    return format_trouble(row) if row is not None else None


def held_by_formats() -> frozenset[int]:
    """Return the IDs of leads that are held because their senders changed their formats."""
    if "held_by_formats" not in flask.g:
        rows = [*rows_of(Selection()), *rows_of(Selection(is_snoozed=True))]
        found = [row.ids for row in rows if row.is_format_change]
        flask.g.held_by_formats = frozenset(number for ids in found for number in ids)
    ids: frozenset[int] = flask.g.held_by_formats
    return ids


def leads_that_need_you() -> int:
    """Return the number of leads that need review now."""
    if "review_groups" in flask.g:
        return sum(not one for group in review_groups() for one in group.snoozed)
    with services.store.transaction() as tx:
        return tx.review_queue.count(services.now())


def selection_from(args: Mapping[str, str]) -> Selection:
    """Parse a selection of leads from query parameters. Ignore unknown values."""
    todo = args.get("todo", "")
    return Selection(
        todo=Todo(todo) if todo in [*Todo] else None,
        source=args.get("source", ""),
        assigned_to=flask.g.user.name if args.get("mine") else "",
        is_snoozed=bool(args.get("snoozed")),
    )


def query_of(which: Selection, **changes: Any) -> dict[str, str]:
    """Return the query parameters for a selection with the given changes applied."""
    changed = dataclasses.replace(which, **changes)
    values = {
        "todo": changed.todo or "",
        "source": changed.source,
        "mine": "1" if changed.assigned_to else "",
        "snoozed": "1" if changed.is_snoozed else "",
    }
    return {name: str(text) for name, text in values.items() if text}


@bp.get("/queue")
def queue() -> str:
    """List the leads that need review."""
    which = selection_from(flask.request.args)
    return _list_page(which, rows_of(which), fold=None)


@bp.get("/queue/more/<key>")
def fold(key: str) -> str:
    """List the leads in a row that combines several leads."""
    which = selection_from(flask.request.args)
    found = next((row for row in rows_of(which) if row.key == key), None)
    if found is None:
        return _list_page(which, [], fold=key)
    return _list_page(which, _unfolded(found), fold=key, of=found)


def _unfolded(row: Entry) -> list[Entry]:
    """Split a row of several leads into one row per lead, each with its own issue and tour."""
    own = {
        number: (group.issue, tour)
        for group in review_groups()
        for number, tour in zip(group.ids, group.tours, strict=True)
    }
    rows = [(number, *own.get(number, (row.issue, None))) for number in row.ids]
    return [
        dataclasses.replace(row, ids=[number], key=str(number), issue=issue, tour=tour)
        for number, issue, tour in rows
    ]


@bp.get("/queue/news")
def queue_news() -> str:
    """Render the number of leads that arrived after a list was loaded, if any."""
    which = selection_from(flask.request.args)
    after = row_id_from(flask.request.args.get("after")) or 0
    number = sum(identifier > after for row in rows_of(which) for identifier in row.ids)
    return flask.render_template("console/_news.html", number=number, query=query_of(which))


def rows_of(which: Selection) -> list[Entry]:
    """Return the rows of leads that need review, soonest tour first."""
    return entries(review_groups(), which, services.now().timestamp(), known())


def _list_page(
    which: Selection, found: Sequence[Entry], *, fold: str | None, of: Entry | None = None
) -> str:
    page = max(row_id_from(flask.request.args.get("page")) or 1, 1)
    start = (page - 1) * PAGE_SIZE
    shown = found[start : start + PAGE_SIZE]
    groups, rows = review_groups(), rows_with_leads(shown)
    snoozed = dataclasses.replace(which, is_snoozed=True)
    numbers = counts(groups, dataclasses.replace(which, is_snoozed=False), known())
    return flask.render_template(
        "console/queue.html",
        which=which,
        query_of=query_of,
        tabs=TABS,
        counts=numbers,
        total=sum(numbers.values()),
        everything=leads_that_need_you(),
        snoozed=sum(counts(groups, snoozed, known()).values()),
        mine=sum(group.assigned.count(flask.g.user.name) for group in groups),
        is_capped=any(group.leads >= MOST_COUNTED for group in groups),
        sources=sorted({group.issue.source for group in groups}),
        rows=rows,
        group_places={row.entry.issue: row.place for row in rows if row.place},
        found=_leads_in(found),
        first=_leads_in(found[:start]) + 1,
        last=_leads_in(found[: start + PAGE_SIZE]),
        page=page,
        has_more=start + PAGE_SIZE < len(found),
        newest=max((group.last_id for group in groups), default=0),
        list_query=urllib.parse.urlencode(query_of(which)),
        fold=fold,
        fixed={row.key for row in shown if row.is_readable and fold is None},
        of=of,
        trouble=format_trouble(of) if of is not None else None,
        groups=[group for group in groups if of is not None and set(group.ids) & set(of.ids)],
    )


def _leads_in(rows: Sequence[Entry]) -> int:
    """Return the number of leads in the given rows. A row may combine several leads."""
    return sum(len(row.ids) for row in rows)


def rows_with_leads(found: Sequence[Entry]) -> list[Row]:
    """Convert entries to rows, loading the details of each row's first leads."""
    ids = [number for entry in found for number in entry.ids[:MOST_NAMED]]
    with services.store.transaction() as tx:
        bookings = {one.id: one for one in tx.bookings.of_ids(ids)}
        received = tx.events.received_times(bookings.values())
        missing = [number for number in ids if number not in bookings]
        events = {one.id: one for one in tx.search.events(ids=missing)} if missing else {}
        places = _places(tx, found, bookings)
        folded = _folded_places(tx, found, bookings)
    leads: dict[int, Booking | Event] = {**events, **bookings}
    received |= {number: event.received_at for number, event in events.items()}
    contacts = contacts_in(events.values())
    return [
        Row(
            entry=entry,
            lead=leads[entry.ids[0]],
            names=_names(entry, bookings, contacts),
            contact=contacts.get(entry.ids[0], ""),
            has_others=len(entry.ids) > MOST_NAMED,
            received_at=received[entry.ids[0]],
            place=places.get(entry.issue, ""),
            places=folded.get(entry.key, ()),
        )
        for entry in found
        if entry.ids[0] in leads
    ]


def _places(
    tx: Transaction, found: Sequence[Entry], bookings: Mapping[int, Booking]
) -> dict[Issue, str]:
    """Return the names of unrecognized properties, keyed by issue, for the first rows only."""
    firsts = {
        entry.issue: bookings[entry.ids[0]]
        for entry in reversed(found)
        if entry.todo is Todo.COMMUNITY and entry.issue.value and entry.ids[0] in bookings
    }
    shown = [*firsts.items()][-MOST_PLACES:]
    return {issue: _place(tx, issue, booking) for issue, booking in shown}


def _folded_places(
    tx: Transaction, found: Sequence[Entry], bookings: Mapping[int, Booking]
) -> dict[str, Sequence[str]]:
    """Return the first property names of each row that combines leads, keyed by row."""
    folds = [one for one in found if one.todo is Todo.COMMUNITY and len(one.ids) > 1]
    names: dict[str, Sequence[str]] = {}
    for entry in folds[:MOST_PLACES]:
        known = [bookings[number] for number in entry.ids[:3] if number in bookings]
        issues = [(Issue.of(one), one) for one in known]
        places = [_place(tx, issue, one) for issue, one in issues if issue.value]
        ids = {*entry.ids}
        number = sum(not ids.isdisjoint(group.ids) for group in review_groups())
        more = ["and others"] if number > len({issue for issue, _ in issues}) else []
        names[entry.key] = [", ".join(dict.fromkeys(places)), *more] if places else []
    return names


def _place(tx: Transaction, issue: Issue, booking: Booking) -> str:
    """Return the property's name in a lead's message, or the property's identifier."""
    return place_name(event_of(tx, booking.event_id), issue.value)


def place_name(event: Event | None, value: str) -> str:
    """Return the name of a property in a message, or ``value`` if the message has no name."""
    source = services.sources.get(event.source) if event is not None else None
    if source is None or event is None or event.kept != "all":
        return value.strip('"')
    names = [one for one in names_in(source, event) if one.value == value]
    return names[0].title or names[0].name if names else value.strip('"')


def _names(entry: Entry, bookings: Mapping[int, Booking], contacts: Mapping[int, str]) -> list[str]:
    """Return the first renters' names in a row. For several leads, fall back on contact details."""
    known = [bookings[number] for number in entry.ids[:MOST_NAMED] if number in bookings]
    if len(entry.ids) == 1:
        return [name for name in map(full_name, known) if name]
    of_messages = [contacts.get(number, "") for number in entry.ids[:MOST_NAMED]]
    counts = Counter(filter(None, [*map(name_or_contact, known), *of_messages]))
    return [name if n == 1 else f"{name} ({n} leads)" for name, n in counts.items()]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Neighbors:
    """The previous and next lead in the list that a lead was opened from."""

    #: The IDs of the next and previous leads, and the next lead's name.
    next_id: int | None = None
    previous_id: int | None = None
    next_name: str = ""
    #: The list's query string.
    list_query: str = ""
    #: False if the lead was not opened from the list and does not need review.
    is_in_list: bool = True


def _list_text() -> str:
    return flask.request.values.get("list", "")[:500]


def list_selection() -> Selection:
    """Return the selection for the list that the user came from."""
    return selection_from(ImmutableMultiDict(urllib.parse.parse_qsl(_list_text())))


def neighbors_of(number: int) -> Neighbors:
    """Return the previous and next lead in the list that the request's ``list`` field selects."""
    ids = [one for row in rows_of(list_selection()) for one in row.ids]
    if number not in ids and "list" not in flask.request.values:
        return Neighbors(is_in_list=False)
    place = ids.index(number) if number in ids else -1
    following = ids[place + 1] if place + 1 < len(ids) else None
    return Neighbors(
        next_id=following,
        previous_id=ids[place - 1] if place > 0 else None,
        next_name=_name_of(following) if following else "",
        list_query=_list_text(),
    )


def _name_of(number: int) -> str:
    with services.store.transaction() as tx:
        booking = tx.bookings.get(number)
    return renter_name(booking) if booking else "a message"
