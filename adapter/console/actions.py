"""Handle the forms that release, discard, confirm, remap or accept leads."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.booking_form import RefusedForm, form_changes
from adapter.console.context import bp, services
from adapter.console.form_input import row_id_from
from adapter.console.lead_page import lead_page
from adapter.console.views import group_page
from adapter.exceptions import NotPossible
from adapter.models import Booking, Event
from adapter.operations.allowed_actions import may_release_together
from adapter.operations.pause import Pauses
from adapter.operations.replay import Difference
from adapter.store import Group

#: Limits per click: how many of a group's leads are changed, and how many are examined.
MAX_CHANGED: Final = 200
MAX_EXAMINED: Final = 1000
MAX_ERRORS_SHOWN: Final = 10
MAX_REASON: Final = 500


@bp.post("/leads/<int:number>/release")
def release(number: int) -> Any:
    """Release a booking, with the changes that the user entered in the form."""
    form = flask.request.form
    booking = _booking(number)
    try:
        services.repairs.release(
            number,
            form_changes(booking, form),
            by=flask.g.user.name,
            is_not_in_knock="not_in_knock" in form,
            is_wanted_anyway="anyway" in form,
            is_another_person="another_person" in form,
            is_any_hour="any_hour" in form,
        )
    except NotPossible as exc:
        return lead_page(str(number), RefusedForm(booking_id=number, typed=form, error=exc))
    return _redirect_to_lead(number, f"Released booking {number}. It will be sent automatically.")


@bp.post("/leads/<int:number>/confirm")
def confirm(number: int) -> Any:
    """Record that the user has seen a booking's tour in Knock."""
    if "seen" not in flask.request.form:
        raise NotPossible("Check the box to confirm that you saw the tour in Knock.")
    services.repairs.confirm(number, by=flask.g.user.name)
    return _redirect_to_lead(number, f"Marked booking {number} as booked.")


@bp.post("/leads/<int:number>/discard")
def discard(number: int) -> Any:
    """Discard a booking or a held webhook."""
    services.repairs.discard(number, _reason(), by=flask.g.user.name)
    return _redirect_to_lead(number, f"Discarded {number}.")


@bp.post("/leads/<int:number>/replay")
def replay(number: int) -> Any:
    """Remap a stored webhook with the current mapping."""
    difference = services.replays.replay(number, by=flask.g.user.name, dry_run=False)
    if difference.refusal is not None:
        raise NotPossible(f"Webhook {number} was not mapped again: {difference.refusal}.")
    return _redirect_to_lead(number, f"Webhook {number} was mapped again.")


@bp.post("/queue/<key>/replay")
def replay_group(key: str) -> Any:
    """Remap the webhooks of a group of leads. The first click only previews the changes."""
    group = _group(key)
    _check_may_act_together(group)
    differences = list(_preview_replay(group))
    if "now" not in flask.request.form:
        return group_page(key, preview=differences)
    changed = [one for one in differences if one.refusal is None and one.fields]
    for one in changed:
        services.replays.replay(one.event_id, by=flask.g.user.name, dry_run=False)
    text = f"{len(changed)} of {len(differences)} webhooks were mapped again."
    return _redirect_to_group(key, text)


@bp.post("/queue/<key>/release")
def release_group(key: str) -> Any:
    """Release all bookings of a group of leads without changes."""
    by, group = flask.g.user.name, _group(key)
    _check_may_act_together(group)
    done, errors = _for_each(group, lambda number: services.repairs.release(number, {}, by=by))
    return _redirect_to_group(key, f"Released: {done}.", errors)


@bp.post("/queue/<key>/discard")
def discard_group(key: str) -> Any:
    """Discard all leads of a group, with the reason that the user entered."""
    by, reason, group = flask.g.user.name, _reason(), _group(key)
    done, errors = _for_each(group, lambda number: services.repairs.discard(number, reason, by=by))
    return _redirect_to_group(key, f"Discarded: {done}.", errors)


@bp.post("/pause")
def pause() -> Any:
    """Pause sending for everything, for a source, or for a community."""
    _pauses().pause(_reason(), **_scope())
    flask.flash("Paused. Webhooks are still accepted. Nothing that is paused is sent.")
    return _back_from_pause()


@bp.post("/resume")
def resume() -> Any:
    """End a pause, so that its bookings are sent."""
    _pauses().resume(**_scope())
    flask.flash("Sending was resumed.")
    return _back_from_pause()


def _back_from_pause() -> Any:
    """Redirect to the source's page if the form was submitted there, or to the overview."""
    source = flask.request.form.get("back", "")
    if source in services.sources:
        return flask.redirect(flask.url_for("console.source", name=source))
    return flask.redirect(flask.url_for("console.overview"))


def _pauses() -> Pauses:
    return Pauses(services.settings, services.store, services.now, flask.g.user.name)


def _scope() -> dict[str, str]:
    """Return the source or community that the form selects, or nothing for all bookings."""
    kind, _, name = flask.request.form.get("scope", "").partition(" ")
    return {kind: name} if kind in ("source", "community") and name else {}


def _preview_replay(group: Group) -> Iterator[Difference]:
    """Yield the changes that remapping would make to each webhook of a group.

    Stop after MAX_CHANGED webhooks that change. The next click continues from there.
    """
    by, changed = flask.g.user.name, 0
    leads = _leads(group)
    event_ids = [lead.event_id if isinstance(lead, Booking) else lead.id for lead in leads]
    for event_id in dict.fromkeys(event_ids):
        difference = services.replays.replay(event_id, by=by, dry_run=True)
        yield difference
        changed += bool(difference.refusal is None and difference.fields)
        if changed == MAX_CHANGED:
            return


def _check_may_act_together(group: Group) -> None:
    """Raise NotPossible if a group's leads must be reviewed one at a time."""
    issue = group.issue
    if issue.kind == "booking" and not may_release_together(issue.state, issue.code):
        raise NotPossible("Each of these leads needs its own review. Open them one by one.")


def _booking(number: int) -> Booking:
    with services.store.transaction() as tx:
        booking = tx.bookings.get(number)
    if booking is None:
        raise NotFound(f"There is no booking {number}.")
    return booking


def _reason() -> str:
    reason = flask.request.form.get("reason", "").strip()[:MAX_REASON]
    if not reason:
        raise NotPossible("Enter a reason. It is kept in the history.")
    return reason


def _redirect_to_lead(number: int, message: str) -> Any:
    flask.flash(message)
    return flask.redirect(flask.url_for("console.lead", key=number))


def _redirect_to_group(key: str, message: str, errors: Sequence[str] = ()) -> Any:
    flask.flash(message)
    for error in errors[:MAX_ERRORS_SHOWN]:
        flask.flash(error, "bad")
    return flask.redirect(flask.url_for("console.group", key=key))


def _group(key: str) -> Group:
    with services.store.transaction() as tx:
        group = tx.review_queue.group(key, services.now())
    if group is None:
        raise NotFound("There are no more leads in this group.")
    return group


def _leads(group: Group) -> Sequence[Booking | Event]:
    """Return the leads that were in a group when the user opened the page."""
    last_id = row_id_from(flask.request.form.get("seen")) or 0
    with services.store.transaction() as tx:
        return tx.review_queue.leads(group.issue, last_id=last_id, limit=MAX_EXAMINED)


def _for_each(group: Group, action: Callable[[int], object]) -> tuple[int, list[str]]:
    """Apply an action to each lead of a group. Return the number of successes and the errors."""
    errors, leads = [], _leads(group)[:MAX_CHANGED]
    for lead in leads:
        try:
            action(lead.id)
        except NotPossible as exc:
            errors.append(f"{lead.id}: {exc}")
    return len(leads) - len(errors), errors
