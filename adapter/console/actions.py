"""Handle the forms that remap webhooks, act on groups of leads, and pause sending."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, services
from adapter.console.form_input import row_id_from
from adapter.console.lead_actions import (
    MAX_CHANGED,
    flash_with_undo,
    reason_from_form,
    release_unchanged,
)
from adapter.console.read_again import differences_of
from adapter.console.views import group_page
from adapter.console.wording import plain, replay_refusal
from adapter.exceptions import NotPossible
from adapter.models import Booking, Event
from adapter.operations.allowed_actions import may_release_together
from adapter.operations.pause import Pauses
from adapter.store import Group

#: Limits per click: how many of a group's leads are changed, and how many are examined.
MAX_EXAMINED: Final = 1000
MAX_ERRORS_SHOWN: Final = 10


@bp.post("/leads/<int:number>/replay")
def replay(number: int) -> Any:
    """Remap a stored webhook with the current mapping."""
    difference = services.replays.replay(number, by=flask.g.user.name, dry_run=False)
    if difference.refusal is not None:
        raise NotPossible(f"This message was not read again: {replay_refusal(difference.refusal)}.")
    is_read = difference.outcome not in ("held", "unreadable")
    text = "Read again." if is_read else "We read this message again, and it still needs review."
    return _redirect_to_lead(number, text, "good" if is_read else "warn")


@bp.post("/queue/<key>/replay")
def replay_group(key: str) -> Any:
    """Preview the changes that would result from reading a group's messages again."""
    group = _group(key)
    _check_may_act_together(group)
    leads = _leads(group)
    ids = [lead.event_id if isinstance(lead, Booking) else lead.id for lead in leads]
    return group_page(key, preview=list(differences_of(ids)))


@bp.post("/queue/<key>/release")
def release_group(key: str) -> Any:
    """Release all bookings in a group unchanged."""
    group = _group(key)
    _check_may_act_together(group)
    done, errors = _for_each(group, release_unchanged)
    if not done:
        return _redirect_to_group(key, _sum("booked", done, errors), errors, done)
    _flash_errors(errors)
    return flask.redirect(flask.url_for("console.several", leads=",".join(map(str, done))))


@bp.post("/queue/<key>/discard")
def discard_group(key: str) -> Any:
    """Discard all leads in a group."""
    by, reason, group = flask.g.user.name, reason_from_form(), _group(key)
    done, errors = _for_each(group, lambda number: services.repairs.discard(number, reason, by=by))
    if not done:
        return _redirect_to_group(key, _sum("dismissed", done, errors), errors, done)
    flash_with_undo(_sum("dismissed", done, errors), "discard", done)
    _flash_errors(errors)
    return flask.redirect(flask.url_for("console.group", key=key))


@bp.post("/pause")
def pause() -> Any:
    """Pause all bookings, or the bookings of one source or community."""
    _pauses().pause(reason_from_form(), **_scope())
    flask.flash("Paused. New leads still come in, but we won't book any until you resume.", "good")
    return _back_from_pause()


@bp.post("/resume")
def resume() -> Any:
    """End a pause, so that the paused bookings are sent."""
    _pauses().resume(**_scope())
    flask.flash("Resumed. Any waiting bookings will be sent now.", "good")
    return _back_from_pause()


def _back_from_pause() -> Any:
    """Redirect to the page with the submitted form: the source's page or the overview."""
    source = flask.request.form.get("back", "")
    if source in services.sources:
        return flask.redirect(flask.url_for("console.source", name=source))
    return flask.redirect(flask.url_for("console.overview"))


def _pauses() -> Pauses:
    return Pauses(services.settings, services.store, services.now, flask.g.user.name)


def _scope() -> dict[str, str]:
    """Return the source or community that the form selects, or {} for all bookings."""
    kind, _, name = flask.request.form.get("scope", "").partition(" ")
    return {kind: name} if kind in ("source", "community") and name else {}


def _check_may_act_together(group: Group) -> None:
    """Raise NotPossible if a group's leads must be reviewed one at a time."""
    issue = group.issue
    if issue.kind == "booking" and not may_release_together(issue.state, issue.code):
        raise NotPossible("Check these leads one by one.")


def _redirect_to_lead(number: int, message: str, kind: str) -> Any:
    flask.flash(message, kind)
    return flask.redirect(flask.url_for("console.lead", key=number))


def _sum(did: str, done: Sequence[int], errors: Sequence[str]) -> str:
    if not errors:
        return f"{len(done)} {'lead was' if len(done) == 1 else 'leads were'} {did}."
    return f"{len(done) or 'None'} of {len(done) + len(errors)} leads were {did}."


def _flash_errors(errors: Sequence[str]) -> None:
    for error in errors[:MAX_ERRORS_SHOWN]:
        flask.flash(error, "bad")


def _redirect_to_group(key: str, message: str, errors: Sequence[str], done: Sequence[int]) -> Any:
    flask.flash(message, "good" if done else "bad")
    _flash_errors(errors)
    return flask.redirect(flask.url_for("console.group", key=key))


def _group(key: str) -> Group:
    with services.store.transaction() as tx:
        group = tx.review_queue.group(key, services.now())
    if group is None:
        raise NotFound("There are no more leads in this group.")
    return group


def _leads(group: Group) -> Sequence[Booking | Event]:
    """Return the leads in a group, except leads that arrived after the page was opened."""
    last_id = row_id_from(flask.request.form.get("seen")) or 0
    with services.store.transaction() as tx:
        return tx.review_queue.leads(group.issue, last_id=last_id, limit=MAX_EXAMINED)


def _for_each(group: Group, action: Callable[[int], object]) -> tuple[list[int], list[str]]:
    """Apply an action to each lead in a group. Return the IDs of the successes, and the errors."""
    done, errors = [], []
    for lead in _leads(group)[:MAX_CHANGED]:
        try:
            action(lead.id)
            done.append(lead.id)
        except NotPossible as exc:
            errors.append(f"{lead.id}: {plain(str(exc))}")
    return done, errors
