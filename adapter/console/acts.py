"""The forms that change something: release, discard, confirm, map again, let in."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter import rejections
from adapter.appointment import value_from_text
from adapter.console.lead import lead_page, values_of
from adapter.console.pages import group_named, group_page
from adapter.console.rooms import Rooms
from adapter.events import Booking
from adapter.exceptions import NotPossible
from adapter.store import Group, Waiting

#: So many leads of a group one click does.
AT_ONCE: Final = 200


def add_to(routes: flask.Blueprint, rooms: Rooms) -> None:
    """Adds the forms."""
    _add_to_lead(routes, rooms)
    _add_to_group(routes, rooms)
    _add_to_rejections(routes, rooms)


def _add_to_lead(routes: flask.Blueprint, rooms: Rooms) -> None:
    """What one does with one lead."""

    @routes.post("/leads/<int:number>/release")
    def release(number: int) -> Any:
        """Sends a booking on its way, with what was changed in the form."""
        form = flask.request.form
        booking = _booking(rooms, number)
        try:
            rooms.repairs.release(
                number,
                _changes(booking),
                by=flask.g.user.name,
                is_not_in_knock="not_in_knock" in form,
                is_wanted_anyway="anyway" in form,
            )
        except NotPossible as exc:
            return lead_page(rooms, str(number), typed=form, error=exc, edited=number)
        return _told(number, f"Booking {number} is released and goes out by itself.")

    @routes.post("/leads/<int:number>/confirm")
    def confirm(number: int) -> Any:
        """The reader has seen the tour in Knock."""
        rooms.repairs.confirm(number, by=flask.g.user.name)
        return _told(number, f"Booking {number} counts as booked: you have seen it in Knock.")

    @routes.post("/leads/<int:number>/discard")
    def discard(number: int) -> Any:
        """Puts a booking or a held webhook aside."""
        rooms.repairs.discard(number, _reason(), by=flask.g.user.name)
        return _told(number, f"{number} is put aside.")

    @routes.post("/leads/<int:number>/replay")
    def replay(number: int) -> Any:
        """Maps a stored webhook again, with the mapping of now."""
        found = rooms.replays.replay(number, by=flask.g.user.name, dry_run=False)
        if found.refusal is not None:
            raise NotPossible(f"Event {number} is left alone: {found.refusal}.")
        return _told(number, f"Webhook {number} was mapped again.")


def _add_to_group(routes: flask.Blueprint, rooms: Rooms) -> None:
    """What one does with all leads of a group."""

    @routes.post("/queue/<key>/replay")
    def replay_group(key: str) -> Any:
        """Maps the webhooks of a group again; first only what would change."""
        group = _group(rooms, key)
        dry_run = "now" not in flask.request.form
        found = [
            rooms.replays.replay(event_id, by=flask.g.user.name, dry_run=dry_run)
            for event_id in _event_ids(rooms, group)
        ]
        if dry_run:
            return group_page(rooms, key, preview=found)
        done = sum(one.refusal is None for one in found)
        flask.flash(f"{done} of {len(found)} webhooks were mapped again.")
        return flask.redirect(flask.url_for("console.group", key=key))

    @routes.post("/queue/<key>/release")
    def release_group(key: str) -> Any:
        """Sends the bookings of a group on their way as they are."""
        by = flask.g.user.name
        done, faults = _each(
            _group(rooms, key), rooms, lambda one: rooms.repairs.release(one, {}, by=by)
        )
        return _told_group(key, f"{done} were released.", faults)

    @routes.post("/queue/<key>/discard")
    def discard_group(key: str) -> Any:
        """Puts a group aside."""
        by, reason = flask.g.user.name, _reason()
        done, faults = _each(
            _group(rooms, key), rooms, lambda one: rooms.repairs.discard(one, reason, by=by)
        )
        return _told_group(key, f"{done} were put aside.", faults)


def _add_to_rejections(routes: flask.Blueprint, rooms: Rooms) -> None:
    """What one does with requests that were refused."""

    @routes.post("/rejections/<source>/retry")
    def retry(source: str) -> Any:
        """Lets those refused requests in that verify now."""
        if source not in rooms.sources or source not in rooms.verifiers:
            raise NotFound("There is no source of that name.")
        found = rejections.retry(
            rooms.pipeline, rooms.sources[source], rooms.verifiers[source], dry_run=False
        )
        still = sum(found.refused.values()) + found.not_verifiable
        flask.flash(
            f"{found.accepted} were let in, {found.repeated} had come in, {still} stay out."
        )
        return flask.redirect(flask.url_for("console.rejections", source=source))


def _changes(booking: Booking) -> dict[str, Any]:
    """What the reader changed in the form. A field that is as it was is not set anew."""
    before = values_of(booking)
    typed = {name: text for name, text in flask.request.form.items() if name in before}
    plain = {name: text.replace("\r\n", "\n") for name, text in typed.items()}
    return {
        name: text if name in ("community", "starts_at") else value_from_text(name, text)
        for name, text in plain.items()
        if text != before[name]
    }


def _booking(rooms: Rooms, number: int) -> Booking:
    with rooms.pipeline.store.transaction() as leads:
        booking = leads.booking(number)
    if booking is None:
        raise NotFound(f"There is no booking {number}.")
    return booking


def _reason() -> str:
    reason = flask.request.form.get("reason", "").strip()[:500]
    if not reason:
        raise NotPossible("Write a reason: it stays in the history.")
    return reason


def _told(number: int, text: str) -> Any:
    flask.flash(text)
    return flask.redirect(flask.url_for("console.lead", key=number))


def _told_group(key: str, text: str, faults: list[str]) -> Any:
    flask.flash(text)
    for fault in faults[:10]:
        flask.flash(fault, "bad")
    return flask.redirect(flask.url_for("console.group", key=key))


def _group(rooms: Rooms, key: str) -> Group:
    group = group_named(rooms, key)
    if group is None:
        raise NotFound("Nothing of this group waits any more.")
    return group


def _ids(rooms: Rooms, group: Group) -> list[int]:
    return [one.id for one in _leads(rooms, group)]


def _event_ids(rooms: Rooms, group: Group) -> list[int]:
    """Each webhook once, however many of its tours wait."""
    return list(dict.fromkeys(getattr(one, "event_id", one.id) for one in _leads(rooms, group)))


def _leads(rooms: Rooms, group: Group) -> Iterator[Any]:
    with rooms.pipeline.store.transaction() as leads:
        waiting = Waiting(leads.connection)
        if group.trouble.kind == "event":
            yield from waiting.events_of(group.trouble, limit=AT_ONCE)
        else:
            yield from waiting.bookings_of(group.trouble, limit=AT_ONCE)


def _each(group: Group, rooms: Rooms, act: Callable[[int], object]) -> tuple[int, list[str]]:
    """Does it with each lead by itself; how many it was done with, and why not with the others."""
    faults = []
    numbers = _ids(rooms, group)
    for number in numbers:
        try:
            act(number)
        except NotPossible as exc:
            faults.append(f"{number}: {exc}")
    return len(numbers) - len(faults), faults
