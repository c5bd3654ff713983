"""Serve the lead search, the pages for groups of leads, and the CSV exports."""

import dataclasses
import datetime as dt
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import flask
from werkzeug.wrappers import Response

from adapter.bookings.reconcile import replacing_in_knock
from adapter.console.context import bp, one_at_a_time, services
from adapter.console.display import duration, form_value, message_name, name_or_contact, renter_name
from adapter.console.form_input import filter_from, row_id_from, row_ids_from
from adapter.console.lead_page import format_advice
from adapter.console.needs_you import (
    format_trouble_of,
    held_by_formats,
    known,
    review_groups,
)
from adapter.console.problem_text import agent_advice
from adapter.console.read_again import leads_for
from adapter.console.renters import contacts_in, received_times
from adapter.console.time_html import ago_text, reader_zone
from adapter.console.wording import is_done_cancellation
from adapter.mapping import registry
from adapter.models import Booking, BookingState
from adapter.operations import csv_export, serializers
from adapter.operations.advice import DECISIONS, Advice, in_short, label_of, lead_in_short
from adapter.operations.allowed_actions import (
    RELEASABLE,
    can_be_booked_unchanged,
    may_release_together,
)
from adapter.operations.find_lead import LeadFinder, Messages
from adapter.operations.health import Verdict
from adapter.operations.todo import FORMAT_CHANGED, READ_AGAIN
from adapter.parsing.text import joined_text
from adapter.store import MOST_COUNTED, Filter, Issue, LeadCounts, Transaction

MAX_EXPORTED_BOOKINGS: Final = 100_000
#: The counts cover this many days if the filter has no start.
COUNTED_DAYS: Final = 31
#: The periods that a user may choose, by number of days.
PERIODS: Final = {"1": "Today", "7": "Last 7 days", "30": "Last 30 days"}
PAGE_SIZE: Final = 50
#: Time limit for a search in messages without leads, and maximum number of results of each kind.
MESSAGE_SECONDS: Final = 3.0
MOST_MESSAGES: Final = 20
#: Shorter texts are not searched for in messages.
MIN_SEARCHED: Final = 3
#: The counts beside the filters cover at most this many of the newest leads.
MOST_IN_FACETS: Final = 2_000

bp.add_app_template_filter(form_value)
bp.add_app_template_filter(duration)


@bp.app_context_processor
def template_helpers() -> dict[str, Any]:
    """Return functions and values for the templates."""
    return {
        "utc": serializers.utc,
        "local": serializers.local,
        "label_of": label_of,
        "person": serializers.person,
        "received_times": received_times,
        "renter_name": renter_name,
        "message_name": message_name,
        "name_or_contact": name_or_contact,
        "joined_text": joined_text,
        "ago": ago_text,
        "file_line": lambda at: at.rpartition("/")[2],
        "most_counted": MOST_COUNTED,
        "short_of": _short_of,
        "event_in_short": lambda event: in_short(Issue.of_event(event)),
        "event_advice": lambda event: agent_advice(Issue.of_event(event)),
        "bookings_are_stuck": _are_bookings_stuck,
        "mappings_not_in_use": lambda: registry.changed_since_load(
            services.settings.mappings_dir, services.sources
        ),
        "is_sandbox": services.settings.is_sandbox,
    }


def _short_of(booking: Booking) -> str:
    """Return a short explanation of a booking's state, or ""."""
    if booking.state in RELEASABLE:
        if booking.id in known().readable:
            return READ_AGAIN
        if booking.id in held_by_formats():
            return FORMAT_CHANGED
        if booking.is_cancellation:
            return ""  # the state's label already says who canceled
        return lead_in_short(booking)
    if booking.state is BookingState.DISCARDED and not is_done_cancellation(booking):
        return DECISIONS.get(booking.reason or "", booking.reason or "")
    return "" if booking.state is BookingState.BOOKED else DECISIONS.get(booking.reason or "", "")


#: Problems that stop all bookings.
STUCK: Final = frozenset(
    {"database_unreachable", "no_worker", "nothing_sent", "sending_stopped", "webhooks_not_mapped"}
)


def _are_bookings_stuck(verdict: Verdict | None) -> bool:
    return verdict is None or any(one.code in STUCK for one in verdict.problems)


def sum_of(counts: Iterable[Mapping[str, int]], name: str) -> int:
    """Return the sum of the counts under ``name`` in all dictionaries."""
    return sum(one.get(name, 0) for one in counts)


bp.add_app_template_filter(statistics.median, "median_of")
bp.add_app_template_filter(sum_of)


@bp.get("/leads")
def leads() -> str:
    """List the bookings or webhooks that match a filter, newest first."""
    args = flask.request.args
    which, before = _filter(), row_id_from(args.get("before"))
    is_webhooks = args.get("kind") == "webhooks"
    with services.store.transaction() as tx:
        search = tx.search.events if is_webhooks else tx.search.bookings
        found: Sequence[Any] = search(which, before=before, limit=PAGE_SIZE)
        numbers = tx.search.counts(which, limit=MOST_IN_FACETS)
        sent = [] if is_webhooks else [one for one in found if one.state is BookingState.BOOKED]
        replaced = replacing_in_knock(tx, sent)
        canceled = tx.bookings.open_cancellations(sent)
        is_elsewhere = not found and not is_webhooks and _is_found_elsewhere(tx, which)
    return flask.render_template(
        "console/leads.html",
        found=found,
        replaced=replaced,
        canceled=canceled,
        is_elsewhere=is_elsewhere,
        kind="webhooks" if is_webhooks else "bookings",
        query=args,
        search_text=flask.request.query_string.decode("ascii", "ignore")[:500],
        sources=sorted(services.sources),
        communities=services.communities(),
        next_before=_next_page(found),
        facets=_facets(numbers, which),
        contacts=contacts_in(found) if is_webhooks else {},
        unreadable=sum(one.leads for one in review_groups() if one.issue.kind == "event"),
        is_capped=sum(numbers.values()) >= MOST_IN_FACETS,
        periods=PERIODS,
    )


def _is_found_elsewhere(tx: Transaction, which: Filter) -> bool:
    """Return True if the filter's text finds leads, but its other criteria exclude them."""
    wide = Filter(text=which.text)
    return bool(wide.text.strip()) and wide != which and bool(tx.search.bookings(wide, limit=1))


@bp.get("/leads/messages")
def lead_messages() -> str:
    """Search messages for a string. The list of leads loads this page's results afterward."""
    args, which = flask.request.args, _filter()
    messages = _messages(which, row_ids_from(args.get("listed", "")[:1000].split(",")))
    return flask.render_template(
        "console/lead_messages.html",
        messages=messages,
        contacts=contacts_in(messages.events) if messages else {},
        query=args,
    )


def _messages(which: Filter, listed: Collection[int]) -> Messages | None:
    """Search messages without leads for the filter's text."""
    if len(which.text.strip()) < MIN_SEARCHED:
        return None
    which = dataclasses.replace(which, states=(), source=None)
    finder = LeadFinder(services.settings, services.store, services.now, seconds=MESSAGE_SECONDS)
    by = flask.g.user.name
    return finder.messages(which.text, which, listed=listed, limit=MOST_MESSAGES, by=by)


def _filter() -> Filter:
    """Return the filter in the URL. Bookmarks can use ``days`` to count back from today."""
    args, zone = flask.request.args, reader_zone()
    which, days = filter_from(args, zone), args.get("days", "")
    if which.since is not None or days not in PERIODS:
        return which
    today = services.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - dt.timedelta(days=int(days) - 1)
    return dataclasses.replace(which, since=since.astimezone(dt.UTC))


def _facets(numbers: LeadCounts, which: Filter) -> Mapping[str, Mapping[str, int]]:
    """Return the number of leads for each state, source and community.

    The counts for each of the three apply only the filter's values for the other two.
    """
    chosen = (which.states[0] if which.states else "", which.source or "", which.community or "")
    facets: dict[str, dict[str, int]] = {"state": {}, "source": {}, "community": {}}
    for values, number in numbers.items():
        for place, name in enumerate(facets):
            others = [n for n in range(3) if n != place]
            if all(chosen[other] in ("", values[other]) for other in others):
                counts = facets[name]
                counts[values[place]] = counts.get(values[place], 0) + number
    return facets


@bp.get("/export.csv")
def export() -> Response:
    """Export the bookings that match a filter as CSV."""
    which = _filter()
    lines = csv_export.bookings_csv(services.store, which, most=MAX_EXPORTED_BOOKINGS)
    lines = one_at_a_time(lines)
    record_action("exported", detail=csv_export.filter_text(which))
    return download("leads.csv", lines, "text/csv")


@bp.get("/sums.csv")
def sums() -> Response:
    """Export lead counts per source and community as CSV."""
    which = _filter()
    if which.since is None:
        since = services.now() - dt.timedelta(days=COUNTED_DAYS)
        which = dataclasses.replace(which, since=since)
    with services.store.transaction() as tx:
        lines = tx.search.lead_totals(which)
    record_action("exported", detail=csv_export.filter_text(which))
    return download("sums.csv", [csv_export.sums_csv(lines)], "text/csv")


def _next_page(found: Sequence[Any]) -> int | None:
    """Return the ID that the next page continues from, or None on the last page."""
    return found[-1].id if len(found) == PAGE_SIZE else None


def record_action(act: str, *, lead_id: int | None = None, detail: str = "") -> None:
    """Record a user's action in the audit log. ``detail`` must not contain payload data."""
    by, at = flask.g.user.name, services.now()
    with services.store.transaction() as tx:
        tx.audit.record(act, by=by, at=at, lead_id=lead_id, detail=detail)


def download(name: str, pieces: Iterable[str], mimetype: str) -> Response:
    """Return an HTTP response that browsers download as a file."""
    encoded = (piece.encode("utf-8", "replace") for piece in pieces)
    response = Response(encoded, mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _advice_for(issue: Issue, found: Sequence[Any]) -> Advice:
    """Return the advice for a group of leads, or for a format change if that is the cause."""
    is_held = issue.kind == "booking" and issue.state == BookingState.HELD
    trouble = format_trouble_of(found[0].id, issue) if is_held and found else None
    return format_advice(trouble) if trouble is not None else agent_advice(issue)


@bp.get("/queue/<key>", endpoint="group")
def group_page(key: str, **more: Any) -> Any:
    """Render the page for a group of leads. ``more`` is passed to the template."""
    after = row_id_from(flask.request.args.get("after")) or 0
    with services.store.transaction() as tx:
        group = tx.review_queue.group(key, services.now())
        if group is None:
            return flask.render_template("console/group_empty.html", **more)
        issue = group.issue
        found = tx.review_queue.leads(issue, after=after, limit=PAGE_SIZE)
    return flask.render_template(
        "console/group.html",
        group=group,
        advice=_advice_for(issue, found),
        found=found,
        is_together=issue.kind == "event" or may_release_together(issue.state, issue.code),
        can_release=can_be_booked_unchanged(issue),
        next_after=_next_page(found),
        preview_leads=leads_for(more.get("preview", ())),
        **more,
    )
