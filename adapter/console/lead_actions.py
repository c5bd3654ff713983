"""Handle the forms that act on leads: book, confirm, dismiss, snooze, assign and undo."""

import dataclasses
import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import flask
from werkzeug.exceptions import NotFound

from adapter.console.booking_form import RefusedForm, form_changes, typed_values
from adapter.console.context import bp, services
from adapter.console.display import renter_name
from adapter.console.form_input import row_ids_from
from adapter.console.lead_page import lead_page, lead_panel
from adapter.console.needs_you import (
    Neighbors,
    known,
    list_selection,
    neighbors_of,
    review_groups,
)
from adapter.console.problem_text import agent_advice
from adapter.console.time_html import local_text, reader_zone
from adapter.console.wording import CANCELED_IN_KNOCK, OR_CHECK, error_text, fault_text, plain
from adapter.exceptions import NotPossible
from adapter.models import Booking, BookingState, Kind, shown_user
from adapter.operations.advice import label_of
from adapter.operations.allowed_actions import must_be_opened
from adapter.operations.take_back import UNDO_SECONDS, Snooze
from adapter.operations.todo import counts
from adapter.store import Issue, Pause

MAX_REASON: Final = 500
#: Maximum number of leads that one click changes.
MAX_CHANGED: Final = 200
#: When booking several leads together has taken this long, no more calendars are read in Knock.
CHECK_SECONDS: Final = 5.0
#: Maximum number of leads to name in a message.
MAX_NAMED: Final = 8
#: The reason for dismissing several leads together, if the user gives none.
_SELECTED: Final = "Dismissed with other leads"


@bp.post("/leads/<int:number>/release")
def release(number: int) -> Any:
    """Release a booking with the user's changes."""
    form = flask.request.form
    booking = _booking(number)
    try:
        neighbors = neighbors_of(number)
        released = services.repairs.release(
            number,
            form_changes(booking, typed_values(form)),
            by=flask.g.user.name,
            is_not_in_knock="not_in_knock" in form,
            is_wanted_anyway="anyway" in form,
            is_another_person="another_person" in form,
            is_any_hour="any_hour" in form,
            is_taken_time="taken_time" in form,
        )
    except NotPossible as exc:
        refused = RefusedForm(booking_id=number, typed=typed_values(form), error=exc)
        page = lead_panel if _is_panel() else lead_page
        return page(str(number), refused)
    undo = flask.url_for("console.undo", number=released.id)
    return _done(number, _booked_text(released), neighbors, undo=undo)


def _booked_text(booking: Booking) -> str:
    name = booking.appointment.get("first_name") or booking.appointment.get("last_name")
    what = "guest card" if booking.kind is Kind.PROSPECT else "tour"
    if pause := _pause_of(booking):
        reason = f"Bookings are paused ({shown_user(pause.by)}: {pause.reason.rstrip('.')})."
        return f"{reason} The {what} will be sent to Knock when someone resumes them."
    mail = f" Knock will email {name or 'the renter'}." if _is_emailed(booking) else ""
    return f"The {what} will be sent to Knock in {UNDO_SECONDS} seconds.{mail}"


def _pause_of(booking: Booking) -> Pause | None:
    with services.store.statement() as tx:
        return tx.send_queue.pause_of(booking.source, booking.community)


def _is_emailed(booking: Booking) -> bool:
    """Return True if Knock emails the renter after booking the tour."""
    return booking.kind is not Kind.PROSPECT and "email_1" in booking.appointment


@bp.post("/leads/<int:number>/undo")
def undo(number: int) -> Any:
    """Undo a release whose booking has not been sent yet."""
    services.take_backs.undo_release(number, by=flask.g.user.name)
    flask.flash("Undone. Nothing was sent, and your changes were kept.", "good")
    return _show(number)


@bp.post("/leads/<int:number>/bring-back")
def bring_back(number: int) -> Any:
    """Move a dismissed lead back to the list of leads that need review."""
    services.take_backs.bring_back(number, by=flask.g.user.name)
    flask.flash("This lead is back in the list.", "good")
    return _show(number)


@bp.post("/leads/<int:number>/confirm")
def confirm(number: int) -> Any:
    """Record that the user has seen the tour in Knock."""
    if "seen" not in flask.request.form:
        raise NotPossible("Check the box to confirm that you saw the tour in Knock.")
    neighbors = neighbors_of(number)
    services.repairs.confirm(number, by=flask.g.user.name)
    return _done(number, "Marked as already in Knock.", neighbors)


@bp.post("/leads/<int:number>/discard")
def discard(number: int) -> Any:
    """Discard a booking or a held webhook."""
    neighbors, reason = neighbors_of(number), reason_from_form()
    is_report = reason == CANCELED_IN_KNOCK and _is_cancellation(number)
    if is_report and "seen" not in flask.request.form:
        raise NotPossible("Check the box to confirm that you canceled the tour in Knock.")
    services.repairs.discard(number, reason, by=flask.g.user.name)
    undo = flask.url_for("console.bring_back", number=number)
    return _done(number, "Marked as canceled." if is_report else "Dismissed.", neighbors, undo=undo)


@bp.post("/leads/<int:number>/snooze")
def snooze(number: int) -> Any:
    """Hide a lead until the chosen time."""
    neighbors = neighbors_of(number)
    until = _snooze_one(number)
    text = _time_in_sentence(until, _booking(number).timezone)
    undo = flask.url_for("console.wake", number=number)
    return _done(number, f"Snoozed until {text}.", neighbors, undo=undo)


def _snooze_one(number: int) -> dt.datetime:
    choice = flask.request.form.get("until", "") or Snooze.TOUR
    by, zone = flask.g.user.name, reader_zone()
    return services.take_backs.snooze(number, choice, by=by, zone=zone)


@bp.post("/leads/<int:number>/wake")
def wake(number: int) -> Any:
    """Show a snoozed lead again."""
    services.take_backs.wake(number, by=flask.g.user.name)
    flask.flash("This lead is back in the list.", "good")
    return _show(number)


@bp.post("/leads/<int:number>/assign")
def assign(number: int) -> Any:
    """Assign a lead to a user."""
    user = flask.request.form.get("to", "").strip()[:100] or None
    services.take_backs.assign(number, user, by=flask.g.user.name)
    flask.flash(
        f"Assigned to {shown_user(user)}." if user else "No longer assigned to anyone.", "good"
    )
    return _show(number)


@bp.post("/queue/act")
def act_on_many() -> Any:
    """Act on the selected leads. For several leads, ask for confirmation first."""
    form = flask.request.form
    act, ids = form.get("act", ""), _selected()
    if act not in _ACTS:
        raise NotFound("There is no such action.")
    if not ids:
        flask.flash("Select some leads first.", "warn")
        return to_list()
    if len(ids) > 1 and "sure" not in form and act not in ("snooze", "assign"):
        return _question_page(act, ids)
    were = assignees_of(ids) if act == "assign" else {}
    done, errors = apply_each(_ACTS[act], ids)
    _report(act, done, errors, were)
    return to_list()


def assignees_of(ids: Sequence[int]) -> Mapping[int, str]:
    """Return the user assigned to each lead, keyed by the lead's ID."""
    with services.store.transaction() as tx:
        return {one.id: one.assigned_to for one in tx.bookings.of_ids(ids) if one.assigned_to}


def _question_page(act: str, ids: list[int]) -> str:
    """Show a confirmation page for several leads, and list leads that cannot be booked."""
    errors: dict[str, list[int]] = {}
    again = [number for number in ids if act == "release" and number in known().readable]
    if act == "release":
        rest = [number for number in ids if number not in again]
        _, errors = apply_each(_check_selected, rest)
    refused = {number for numbers in errors.values() for number in numbers}
    possible = [number for number in ids if number not in refused and number not in again]
    with services.store.transaction() as tx:
        bookings = tx.bookings.of_ids(possible)
        sources = Counter(one.source for one in tx.bookings.of_ids(again))
    return flask.render_template(
        "console/sure.html",
        act=act,
        ids=possible,
        selected=len(ids),
        what="tour" if all(one.kind is Kind.APPOINTMENT for one in bookings) else "lead",
        emails=sum(map(_is_emailed, bookings)),
        refused=[(names_in_text(numbers), text) for text, numbers in errors.items()],
        list_query=flask.request.form.get("list", ""),
        again=sources,
    )


def names_in_text(numbers: Sequence[int]) -> str:
    """Return the first few renters' names and the number of other leads, as text."""
    shown = numbers[:MAX_NAMED]
    with services.store.transaction() as tx:
        names = {one.id: renter_name(one) for one in tx.bookings.of_ids(shown)}
    known = [names.get(number, "A message") for number in shown]
    more = len(numbers) - len(known)
    return ", ".join(known) + (f" and {more} more" if more else "")


def _selected() -> list[int]:
    return row_ids_from(flask.request.form.getlist("ids"))[:MAX_CHANGED]


def release_unchanged(number: int) -> None:
    """Release a booking without changes."""
    services.repairs.release(number, {}, by=flask.g.user.name, is_taken_time=not _may_check_time())


def _may_check_time() -> bool:
    """Return False if a request for several leads has waited long enough for Knock's calendars.

    Each calendar may take a few seconds, and the server closes a request after 40 seconds.
    """
    began: float = flask.g.setdefault("began_checks", time.monotonic())
    return time.monotonic() - began < CHECK_SECONDS


def _check_selected(number: int) -> None:
    """Raise NotPossible if a lead cannot be booked, or if a user must open it first."""
    if number in known().readable:
        raise NotPossible("The mapping can read this lead now. Open it to read it again.")
    services.repairs.check_unchanged(number, is_taken_time=not _may_check_time())
    booking = _booking(number)
    if must_be_opened(booking):
        advice = agent_advice(Issue.of(booking))
        raise NotPossible(f"{advice.wrong} Open this lead to book it.")


def _release_selected(number: int) -> None:
    with services.store.transaction() as tx:
        booking = tx.bookings.get(number)
    if number in known().readable or booking is None or must_be_opened(booking):
        _check_selected(number)  # other leads are checked only once, by the release itself
    release_unchanged(number)


def _discard_one(number: int) -> None:
    reason = flask.request.form.get("reason", "").strip()[:MAX_REASON] or _SELECTED
    services.repairs.discard(number, reason, by=flask.g.user.name)


#: The actions that can be applied to several leads.
_ACTS: Final[Mapping[str, Callable[[int], object]]] = {
    "release": _release_selected,
    "discard": _discard_one,
    "confirm": lambda number: services.repairs.confirm(number, by=flask.g.user.name),
    "snooze": _snooze_one,
    "assign": lambda number: services.take_backs.assign(
        number, flask.g.user.name, by=flask.g.user.name
    ),
}
#: The wording for success and failure of each action.
_DID: Final = {
    "release": ("will be sent to Knock in ten seconds", "couldn't be booked"),
    "discard": ("dismissed", "couldn't be dismissed"),
    "confirm": ("marked as already in Knock", "couldn't be marked"),
    "snooze": ("snoozed", "couldn't be snoozed"),
    "assign": ("assigned to you", "couldn't be assigned"),
}


def apply_each(
    act: Callable[[int], object], ids: Sequence[int]
) -> tuple[list[int], dict[str, list[int]]]:
    """Act on each lead. Return the IDs of the successes, and the IDs of the failures by reason."""
    errors: dict[str, list[int]] = {}
    for number in ids:
        try:
            act(number)
        except NotPossible as exc:
            errors.setdefault(_why_not(exc), []).append(number)
    failed = {number for numbers in errors.values() for number in numbers}
    return [number for number in ids if number not in failed], errors


def _why_not(error: NotPossible) -> str:
    """Return a sentence that explains why the action on a lead failed."""
    if not error.faults:
        return plain(error_text(error))
    faults = error.faults.items()
    return " ".join(dict.fromkeys(_fault_sentence(name, text) for name, text in faults))


def _fault_sentence(name: str, text: str) -> str:
    """Return a complete sentence about a problem with a field."""
    if text.startswith("Missing data for required"):
        return f"The {label_of(name).lower()} is missing."
    return fault_text(text.partition(". If it is right")[0]).replace(OR_CHECK, "")


def _report(
    act: str, done: Sequence[int], errors: Mapping[str, list[int]], were: Mapping[int, str]
) -> None:
    did, did_not = _DID[act]
    failed = sum(map(len, errors.values()))
    if done:
        more = f" {failed} {did_not}." if failed else ""
        until = _until(done) if act == "snooze" else ""
        text = f"{len(done)} {'lead' if len(done) == 1 else 'leads'} {did}{until}.{more}"
        flash_with_undo(text, act, done, were)
    for text, numbers in [*errors.items()][:5]:
        flask.flash(f"{names_in_text(numbers)}: {text}", "bad")


def flash_with_undo(
    text: str, act: str, done: Sequence[int], were: Mapping[int, str] | None = None
) -> None:
    """Show a message about an action on several leads, with an undo button if it can be undone.

    ``were`` contains the users that the leads were assigned to before.
    """
    if act == "confirm":
        flask.flash(text, "good")
        return
    by_user: dict[str, list[int]] = {}
    for number in done:
        by_user.setdefault((were or {}).get(number, ""), []).append(number)
    to = [f"{user}:{joined(ids)}" for user, ids in by_user.items() if user]
    undo = flask.url_for("console.undo_many", ids=joined(by_user.get("", ())), act=act, to=to)
    said = {"text": text, "undo": undo, "seconds": UNDO_SECONDS}
    said["list"] = flask.request.form.get("list", "")[:500]
    flask.flash(said, "good")  # type: ignore[arg-type]


def joined(ids: Iterable[int]) -> str:
    """Join IDs with commas for use in a URL."""
    return ",".join(map(str, ids))


def _until(numbers: Sequence[int]) -> str:
    """Return a phrase for the end of a snooze, in the first lead's time zone."""
    with services.store.transaction() as tx:
        bookings = tx.bookings.of_ids(numbers)
    zones = {one.snoozed_until: one.timezone for one in bookings if one.snoozed_until}
    if not zones:
        return ""
    texts = [_time_in_sentence(at, zones[at]) for at in sorted(zones)]
    is_same = len(set(texts)) == 1
    return f" until {texts[0]}" if is_same else f". The first one comes back {texts[0]}"


def _time_in_sentence(at: dt.datetime, timezone: str | None) -> str:
    """Format a time within a sentence, such as ``tomorrow, 9:00 AM MST``."""
    text = local_text(at, ZoneInfo(timezone or reader_zone().key))
    return text.removeprefix("Today, ").replace("Tomorrow", "tomorrow")


def to_list() -> Any:
    """Redirect to the list that the form was submitted from."""
    return flask.redirect(_list_url())


def _list_url() -> str:
    query = flask.request.form.get("list", "")[:500]
    return flask.url_for("console.queue") + (f"?{query}" if query else "")


def _done(number: int, text: str, neighbors: Neighbors, *, undo: str = "") -> Any:
    """Show a message about a completed action. Then show the next lead, or offer a link to it."""
    following = ""
    if neighbors.next_id and not _is_panel():
        following = flask.url_for("console.lead", key=neighbors.next_id, list=neighbors.list_query)
    said = {"text": text, "undo": undo, "seconds": UNDO_SECONDS, "next": following}
    flask.flash(said | {"list": neighbors.list_query}, "good")  # type: ignore[arg-type]
    if not _is_panel():
        return flask.redirect(
            flask.url_for("console.lead", key=number, list=neighbors.list_query or None)
        )
    flask.g.pop("review_groups", None)
    panel = ""
    if neighbors.next_id:
        panel = lead_panel(str(neighbors.next_id))
    else:
        panel = flask.render_template("console/_panel_empty.html")
    return _after(panel, number)


def _show(number: int) -> Any:
    """Show the updated lead in the side panel or on the lead's page."""
    if flask.request.form.get("back") == "list":
        return flask.redirect(f"{_list_url()}#row-{number}")
    if not _is_panel():
        query = flask.request.form.get("list") or None
        return flask.redirect(flask.url_for("console.lead", key=number, list=query))
    panel = lead_panel(str(number))
    return _after(panel, None)


def _after(panel: str, done: int | None) -> str:
    return flask.render_template(
        "console/_after.html", panel=panel, done=done, todo_counts=_todo_counts
    )


def _todo_counts() -> dict[str, int]:
    shown = dataclasses.replace(list_selection(), is_snoozed=False)
    found = counts(review_groups(), shown, known())
    return {"all": sum(found.values())} | {str(todo): number for todo, number in found.items()}


def _is_panel() -> bool:
    return flask.request.headers.get("HX-Target") == "panel"


def _is_cancellation(number: int) -> bool:
    with services.store.transaction() as tx:
        booking = tx.bookings.get(number)
    return booking is not None and booking.is_cancellation and booking.state is BookingState.HELD


def _booking(number: int) -> Booking:
    with services.store.transaction() as tx:
        booking = tx.bookings.get(number)
    if booking is None:
        raise NotFound("There is no such lead.")
    return booking


def reason_from_form() -> str:
    """Return the reason from the form. Raise NotPossible if it is empty."""
    reason = flask.request.form.get("reason", "").strip()[:MAX_REASON]
    if not reason:
        raise NotPossible("Enter a reason. We keep the reason in the history.")
    return reason
