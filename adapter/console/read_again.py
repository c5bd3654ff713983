"""Read leads again after their mapping was fixed, with a preview and an undo button."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.bookings.reconcile import replacing_in_knock
from adapter.console.context import bp, services
from adapter.console.form_input import row_ids_from
from adapter.console.needs_you import changed_formats, review_groups
from adapter.console.renters import messages_of, names_of
from adapter.exceptions import NotPossible
from adapter.models import Booking, BookingState, Kind
from adapter.operations.replay import Difference
from adapter.operations.take_back import UNDO_SECONDS, may_undo
from adapter.operations.todo import Todo, may_be_format_change, todo_of
from adapter.store import Group

#: Limits per click: how many leads are read again, and how many are examined.
MOST_READ: Final = 200
MOST_EXAMINED: Final = 500
#: Maximum number of tours in Knock for which a newer one is looked for.
MOST_COMPARED: Final = 20
_ON_THEIR_WAY: Final = (BookingState.PENDING, BookingState.SENDING, BookingState.SUBMITTED)


@bp.get("/read-again")
def read_again() -> str:
    """Preview how the current mapping reads a source's previously unreadable messages."""
    source = flask.request.args.get("source", "")
    if source not in services.sources:
        raise NotFound("There is no lead source with this name.")
    services.pipeline.refresh_sources()
    preview = list(differences_of(_stuck(source)))
    return flask.render_template(
        "console/read_again.html", source=source, preview=preview, preview_names=names_for(preview)
    )


def is_changed(difference: Difference) -> bool:
    """Return True if reading a message again would change its leads."""
    return difference.refusal is None and bool(difference.fields)


def readable(source: str) -> int:
    """Return the number of a source's messages that the current mapping reads differently."""
    return sum(map(is_changed, differences_of(_stuck(source)[:MOST_READ])))


def differences_of(event_ids: Iterable[int]) -> Iterator[Difference]:
    """Yield the changes from reading each message again, up to MOST_READ changes."""
    changed = 0
    for event_id in dict.fromkeys(event_ids):
        one = services.replays.replay(event_id, by=flask.g.user.name, dry_run=True)
        yield one
        changed += is_changed(one)
        if changed == MOST_READ:
            return


def names_for(preview: Collection[Difference]) -> Any:
    """Return the renters' names for a preview, keyed by message ID."""
    with services.store.transaction() as tx:
        return names_of(tx, [one.event_id for one in preview])


def _stuck(source: str) -> Sequence[int]:
    """Return the IDs of messages that the source's mapping could not read on arrival."""
    groups = [one for one in review_groups() if one.issue.source == source and _is_stuck(one)]
    ids = [number for group in groups for number in group.ids][:MOST_EXAMINED]
    with services.store.transaction() as tx:
        event_ids = {one.id: one.event_id for one in tx.bookings.of_ids(ids)}
    return [event_ids.get(number, number) for number in ids]


def _is_stuck(group: Group) -> bool:
    """Return True if leads are held for an admin, or because their messages lack a value."""
    issue = group.issue
    if issue.kind == "event":
        return True
    is_for_admins = todo_of(issue, group.leads, changed_formats()) is Todo.ADMIN
    is_held = issue.state == BookingState.HELD and issue.code == "held_by_mapping"
    return is_held and (is_for_admins or may_be_format_change(issue))


@bp.post("/read-again")
def read_again_now() -> Any:
    """Read the messages in a preview again, skipping messages whose leads would not change."""
    wanted = row_ids_from(flask.request.form.getlist("events"))[:MOST_READ]
    changed = [one.event_id for one in differences_of(wanted) if is_changed(one)]
    if not changed:
        raise NotPossible("Nothing would change. Someone may have handled these leads already.")
    until = services.now() + dt.timedelta(seconds=UNDO_SECONDS)
    for event_id in changed:
        services.replays.replay(event_id, by=flask.g.user.name, dry_run=False, send_after=until)
    return flask.redirect(flask.url_for("console.several", leads=",".join(map(str, changed))))


@bp.get("/leads/several")
def several() -> str:
    """Show the leads changed by one click, with a button to undo unsent bookings."""
    ids = row_ids_from(flask.request.args.get("leads", "").split(","))[:MOST_READ]
    with services.store.transaction() as tx:
        found = tx.bookings.of_ids(ids)
        missing = {*ids} - {one.id for one in found}
        events = tx.search.events(ids=[*missing], limit=MOST_READ) if missing else []
        messages = messages_of(tx, events)
        bookings = [*found, *(booking for message in messages for booking in message.bookings)]
        booked = [one for one in bookings if one.state is BookingState.BOOKED]
        replaced = replacing_in_knock(tx, booked[:MOST_COMPARED])
    now = services.now()
    return flask.render_template(
        "console/several.html",
        bookings=bookings,
        replaced=replaced,
        events=[message.event for message in messages if not message.bookings],
        sentence=_sentence(bookings, len(ids)),
        is_waiting=any(one.state in _ON_THEIR_WAY for one in bookings),
        undoable=[one.id for one in bookings if may_undo(one, now)],
        undo_seconds=UNDO_SECONDS,
    )


def _sentence(bookings: Sequence[Booking], leads: int) -> str:
    """Summarize the progress of bookings, such as ``5 tours are being booked``."""
    if sent := [one for one in bookings if one.state in _ON_THEIR_WAY]:
        return f"{_count(sent)} {'is' if len(sent) == 1 else 'are'} being booked"
    if bookings and all(one.state is BookingState.BOOKED for one in bookings):
        return f"{_count(bookings)} {'is' if len(bookings) == 1 else 'are'} in Knock"
    return "1 lead" if leads == 1 else f"{leads} leads"


def _count(bookings: Sequence[Booking]) -> str:
    """Return the number of tours or guest cards, such as ``5 tours``."""
    kinds = {one.kind for one in bookings}
    what = "tour" if kinds == {Kind.APPOINTMENT} else "lead"
    what = "guest card" if kinds == {Kind.PROSPECT} else what
    return f"{len(bookings)} {what}{'s' if len(bookings) > 1 else ''}"
