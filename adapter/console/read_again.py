"""Read leads again after their mapping was fixed, with a preview and an undo button."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.bookings.reconcile import replacing_in_knock
from adapter.console.context import bp, services
from adapter.console.form_input import row_id_from, row_ids_from
from adapter.console.renters import first_leads, messages_of
from adapter.exceptions import NotPossible
from adapter.models import Booking, BookingState, Kind
from adapter.operations.replay import Difference
from adapter.operations.take_back import UNDO_SECONDS, may_undo

#: Limits per click: how many leads are read again, and how many are examined.
MOST_READ: Final = 200
MOST_EXAMINED: Final = 500
#: How many messages one request tries. Pages try the others in further requests.
PART: Final = 10
#: Maximum number of changed leads to list in a preview.
MOST_LISTED: Final = 20
#: Maximum number of tours in Knock to check for a newer tour.
MOST_COMPARED: Final = 20
_ON_THEIR_WAY: Final = (BookingState.PENDING, BookingState.SENDING, BookingState.SUBMITTED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a preview: how the mapping in use reads some of a source's waiting messages."""

    source: str
    differences: Sequence[Difference]
    #: The number of messages that can be tried, and the number tried in all parts so far.
    total: int
    tried: int
    #: The number of leads so far that would change, and the number that would be booked.
    changed: int
    booked: int
    #: The last message before the next part, or None.
    after: int | None

    @property
    def news(self) -> Sequence[Difference]:
        """The leads that would change in this part of the preview."""
        return [one for one in self.differences if is_changed(one)]

    @property
    def listed(self) -> Sequence[Difference]:
        """The changed leads in this part that the preview lists."""
        before = self.changed - len(self.news)
        return self.news[: max(MOST_LISTED - before, 0)]

    @property
    def query(self) -> Mapping[str, Any]:
        """The query parameters in the URL for the next part of the preview."""
        names = ("source", "after", "tried", "changed", "booked")
        return {name: getattr(self, name) for name in names}


@bp.get("/read-again")
def read_again() -> str:
    """Preview how the current mapping reads a source's previously unreadable messages.

    The page tries only a few messages. Then it loads the other parts one by one.
    """
    part = part_of(_source_name(), flask.request.args)
    is_more = "HX-Request" in flask.request.headers
    return flask.render_template(
        "console/_read_again_part.html" if is_more else "console/read_again.html",
        part=part,
        most_listed=MOST_LISTED,
        preview_leads=leads_for(part.listed),
    )


@bp.get("/read-again/count")
def count_readable() -> str:
    """Render how many of a source's waiting leads can now be read, based on those tried so far."""
    part = part_of(_source_name(), flask.request.args)
    return flask.render_template("console/_readable.html", part=part)


def _source_name() -> str:
    source = flask.request.args.get("source", "")
    if source not in services.sources:
        raise NotFound("There is no lead source with this name.")
    return source


def part_of(source: str, args: Mapping[str, str]) -> Part:
    """Try to read the next waiting messages, and add the results to the counts in ``args``."""
    services.pipeline.refresh_sources()
    after, tried, changed, booked = (
        row_id_from(args.get(name)) or 0 for name in ("after", "tried", "changed", "booked")
    )
    known = services.sources[source].hash
    with services.store.transaction() as tx:
        waiting = tx.events.ids_to_read_again(source, known, limit=MOST_EXAMINED)
    left = [number for number in waiting if number > after]
    differences = list(differences_of(left[:PART], most=MOST_READ - changed))
    news = [one for one in differences if is_changed(one)]
    has_more = len(left) > PART and changed + len(news) < MOST_READ
    return Part(
        source=source,
        differences=differences,
        total=tried + len(left),
        tried=tried + len(differences),
        changed=changed + len(news),
        booked=booked + sum(one.outcome == "book" for one in news),
        after=left[PART - 1] if has_more else None,
    )


def is_changed(difference: Difference) -> bool:
    """Return True if reading a message again would change its leads."""
    return difference.refusal is None and bool(difference.fields)


def differences_of(event_ids: Iterable[int], *, most: int = MOST_READ) -> Iterator[Difference]:
    """Yield the changes from reading each message again, up to ``most`` changes."""
    changed = 0
    for event_id in dict.fromkeys(event_ids):
        one = services.replays.replay(event_id, by=flask.g.user.name, dry_run=True)
        yield one
        changed += is_changed(one)
        if changed >= most:
            return


def leads_for(preview: Iterable[Difference]) -> Mapping[int, Booking]:
    """Return the first lead of each message in a preview, with its new name, by message ID."""
    found = {one.event_id: one for one in preview}
    with services.store.transaction() as tx:
        leads = first_leads(tx, found)
    return {number: _named(lead, found[number]) for number, lead in leads.items()}


def _named(lead: Booking, difference: Difference) -> Booking:
    """Return a lead with the name it would have after its message is read again."""
    keys = {name: f"0.{name}" for name in ("first_name", "last_name")}
    new = {
        name: difference.fields[key][1] for name, key in keys.items() if key in difference.fields
    }
    return dataclasses.replace(lead, appointment={**lead.appointment, **new})


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
