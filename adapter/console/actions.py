"""The forms that change something: release, discard, confirm, map again, let in."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import ConsoleServices
from adapter.console.lead_page import lead_page, values_of, version_of, zone_named
from adapter.console.views import group_named, group_page
from adapter.exceptions import NotPossible
from adapter.models import Booking, Event
from adapter.operations import readmit
from adapter.operations.allowed_actions import may_release_together
from adapter.operations.replay import Difference
from adapter.propexo.appointment import value_from_text
from adapter.store import Group

#: So many leads of a group one click does, and so many it looks at to find them.
AT_ONCE: Final = 200
MOST_LOOKED_AT: Final = 1000


def add_to(routes: flask.Blueprint, services: ConsoleServices) -> None:
    """Adds the forms."""
    _add_to_lead(routes, services)
    _add_to_group(routes, services)
    _add_to_rejections(routes, services)


def _add_to_lead(routes: flask.Blueprint, services: ConsoleServices) -> None:
    """What one does with one lead."""

    @routes.post("/leads/<int:number>/release")
    def release(number: int) -> Any:
        """Sends a booking on its way, with what was changed in the form."""
        form = flask.request.form
        booking = _booking(services, number)
        try:
            services.repairs.release(
                number,
                _changes(booking, services),
                by=flask.g.user.name,
                is_not_in_knock="not_in_knock" in form,
                is_wanted_anyway="anyway" in form,
                is_any_hour="any_hour" in form,
            )
        except NotPossible as exc:
            return lead_page(services, str(number), typed=form, error=exc, edited=number)
        return _redirect_with_message(
            number, f"Booking {number} is released and goes out by itself."
        )

    @routes.post("/leads/<int:number>/confirm")
    def confirm(number: int) -> Any:
        """The reader has seen the tour in Knock."""
        if "seen" not in flask.request.form:
            raise NotPossible("Tick that you have seen it in Knock: it is not sent after this.")
        services.repairs.confirm(number, by=flask.g.user.name)
        return _redirect_with_message(
            number, f"Booking {number} counts as booked: you have seen it in Knock."
        )

    @routes.post("/leads/<int:number>/discard")
    def discard(number: int) -> Any:
        """Puts a booking or a held webhook aside."""
        services.repairs.discard(number, _reason(), by=flask.g.user.name)
        return _redirect_with_message(number, f"{number} is put aside.")

    @routes.post("/leads/<int:number>/replay")
    def replay(number: int) -> Any:
        """Maps a stored webhook again, with the mapping of now."""
        found = services.replays.replay(number, by=flask.g.user.name, dry_run=False)
        if found.refusal is not None:
            raise NotPossible(f"Event {number} is left alone: {found.refusal}.")
        return _redirect_with_message(number, f"Webhook {number} was mapped again.")


def _add_to_group(routes: flask.Blueprint, services: ConsoleServices) -> None:
    """What one does with all leads of a group."""

    @routes.post("/queue/<key>/replay")
    def replay_group(key: str) -> Any:
        """Maps the webhooks of a group again; first only what would change."""
        group = _group(services, key)
        _check_together(group)
        found = list(_would_change(services, group))
        if "now" not in flask.request.form:
            return group_page(services, key, preview=found)
        doable = [one for one in found if one.refusal is None and one.fields]
        for one in doable:
            services.replays.replay(one.event_id, by=flask.g.user.name, dry_run=False)
        flask.flash(f"{len(doable)} of {len(found)} webhooks were mapped again.")
        return flask.redirect(flask.url_for("console.group", key=key))

    @routes.post("/queue/<key>/release")
    def release_group(key: str) -> Any:
        """Sends the bookings of a group on their way as they are."""
        by, group = flask.g.user.name, _group(services, key)
        _check_together(group)
        done, faults = _each(group, services, lambda one: services.repairs.release(one, {}, by=by))
        return _redirect_to_group(key, f"Released: {done}.", faults)

    @routes.post("/queue/<key>/discard")
    def discard_group(key: str) -> Any:
        """Puts a group aside."""
        by, reason = flask.g.user.name, _reason()
        done, faults = _each(
            _group(services, key),
            services,
            lambda one: services.repairs.discard(one, reason, by=by),
        )
        return _redirect_to_group(key, f"Put aside: {done}.", faults)


def _add_to_rejections(routes: flask.Blueprint, services: ConsoleServices) -> None:
    """What one does with requests that were refused."""

    @routes.post("/rejections/<source>/retry")
    def retry(source: str) -> Any:
        """Lets those refused requests in that verify now."""
        if source not in services.sources or source not in services.verifiers:
            raise NotFound("There is no source of that name.")
        found = readmit.retry(
            services.pipeline.receiver,
            services.sources[source],
            services.verifiers[source],
            by=flask.g.user.name,
            dry_run=False,
        )
        still = sum(found.refused.values()) + found.not_verifiable
        flask.flash(
            f"{found.accepted} were let in, {found.repeated} had come in, {still} stay out."
        )
        return flask.redirect(flask.url_for("console.rejections", source=source))


def _would_change(services: ConsoleServices, group: Group) -> Iterator[Difference]:
    """What mapping each webhook of a group again would change: all that one click looks at.

    Each webhook once, however many of its tours wait; after so many that change it ends, and what
    is left is for another click.
    """
    by, seen, changed = flask.g.user.name, set[int](), 0
    for one in _leads(services, group):
        event_id = one.event_id if isinstance(one, Booking) else one.id
        if event_id in seen:
            continue
        seen.add(event_id)
        found = services.replays.replay(event_id, by=by, dry_run=True)
        yield found
        changed += bool(found.refusal is None and found.fields)
        if changed == AT_ONCE:
            return


def _check_together(group: Group) -> None:
    """Raises NotPossible where each lead of a group wants a look of its own."""
    trouble = group.issue
    if trouble.kind == "booking" and not may_release_together(trouble.state, trouble.word):
        raise NotPossible("Somebody has to look at each of these: open them one by one.")


def _changes(booking: Booking, services: ConsoleServices) -> dict[str, Any]:
    """What the reader changed in the form. A field that is as it was is not set anew.

    Raises NotPossible where somebody else changed the booking meanwhile, and where the hour was
    typed on another clock than that of the community.
    """
    form = flask.request.form
    if form.get("version", "") != version_of(booking):
        raise NotPossible("It has changed since this page was made. Look at it again.")
    before = values_of(booking)
    zone, meant = form.get("zone", ""), zone_named(services, booking, form.get("community", ""))
    if zone and meant and zone != meant:
        text = f"On which hour of the clock of {meant}? It was read on that of {zone}."
        raise NotPossible(text, {"starts_at": text})
    if meant != (booking.timezone or "") and booking.timezone is not None:
        before["starts_at"] = ""  # the same digits on another clock are another hour
    typed = {name: text for name, text in flask.request.form.items() if name in before}
    plain = {name: text.replace("\r\n", "\n") for name, text in typed.items()}
    return {
        name: text if name in ("community", "starts_at") else value_from_text(name, text)
        for name, text in plain.items()
        if text != before[name]
    }


def _booking(services: ConsoleServices, number: int) -> Booking:
    with services.pipeline.store.transaction() as tx:
        booking = tx.bookings.get(number)
    if booking is None:
        raise NotFound(f"There is no booking {number}.")
    return booking


def _reason() -> str:
    reason = flask.request.form.get("reason", "").strip()[:500]
    if not reason:
        raise NotPossible("Write a reason: it stays in the history.")
    return reason


def _redirect_with_message(number: int, text: str) -> Any:
    flask.flash(text)
    return flask.redirect(flask.url_for("console.lead", key=number))


def _redirect_to_group(key: str, text: str, faults: list[str]) -> Any:
    flask.flash(text)
    for fault in faults[:10]:
        flask.flash(fault, "bad")
    return flask.redirect(flask.url_for("console.group", key=key))


def _group(services: ConsoleServices, key: str) -> Group:
    group = group_named(services, key)
    if group is None:
        raise NotFound("Nothing of this group waits any more.")
    return group


def _leads(services: ConsoleServices, group: Group) -> Sequence[Booking | Event]:
    """The leads of a group that the reader saw: what came since is not among them."""
    seen = flask.request.form.get("seen", "")
    last_id = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 18 else 0
    with services.pipeline.store.transaction() as tx:
        waiting = tx.review_queue
        if group.issue.kind == "event":
            return waiting.events_of(group.issue, last_id=last_id, limit=MOST_LOOKED_AT)
        return waiting.bookings_of(group.issue, last_id=last_id, limit=MOST_LOOKED_AT)


def _each(
    group: Group, services: ConsoleServices, act: Callable[[int], object]
) -> tuple[int, list[str]]:
    """Does it with each lead by itself; how many it was done with, and why not with the others."""
    faults = []
    found = _leads(services, group)[:AT_ONCE]
    for one in found:
        try:
            act(one.id)
        except NotPossible as exc:
            faults.append(f"{one.id}: {exc}")
    return len(found) - len(faults), faults
