"""Serve the overview, the queue, the lead search and the CSV exports."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final

import flask
from werkzeug.wrappers import Response

from adapter.console.booking_form import text_of
from adapter.console.context import bp, one_at_a_time, services
from adapter.console.display import duration, form_value, tour_text
from adapter.console.form_input import filter_from, row_id_from
from adapter.mapping import registry
from adapter.models import BookingState, EventState
from adapter.operations import csv_export, serializers
from adapter.operations.advice import advice_for, explanation_of, label_of
from adapter.operations.allowed_actions import may_release_together
from adapter.operations.serializers import ago
from adapter.operations.status import OUTCOMES, outcome_of, overview_of
from adapter.store import MOST_COUNTED

MAX_GROUPS: Final = 100
MAX_EXPORTED_BOOKINGS: Final = 100_000
#: The counts cover this many days if the filter has no start.
COUNTED_DAYS: Final = 31
PAGE_SIZE: Final = 50

bp.add_app_template_filter(form_value)
bp.add_app_template_filter(duration)


@bp.app_context_processor
def template_helpers() -> dict[str, Any]:
    """Return the functions that templates can call."""
    return {
        "utc": serializers.utc,
        "local": serializers.local,
        "label_of": label_of,
        "explanation_of": explanation_of,
        "outcome_of": outcome_of,
        "tour_text": tour_text,
        "person": serializers.person,
        "text_of": text_of,
        "ago": lambda at: ago(at, services.now()),
        "file_line": lambda at: at.rpartition("/")[2],
        "most_counted": MOST_COUNTED,
        "mappings_not_in_use": lambda: registry.changed_since_load(
            services.settings.mappings_dir, services.sources
        ),
        "is_sandbox": services.settings.is_sandbox,
    }


@bp.get("/")
def overview() -> str:
    """Show an overview of sources, sending and the leads that need review."""
    found = overview_of(services.store, services.sources, services.settings, services.now())
    with services.store.transaction() as tx:
        unknown = tx.stats.unknown_communities()
    return flask.render_template(
        "console/overview.html",
        overview=found,
        verdict=lambda: found.verdict,
        descriptions={name: source.description for name, source in services.sources.items()},
        unknown=unknown[:MAX_GROUPS],
        communities=services.communities(),
        outcomes=list(OUTCOMES),
    )


@bp.get("/queue")
def queue() -> str:
    """Show the leads that need review, grouped by issue."""
    with services.store.transaction() as tx:
        groups = tx.review_queue.groups(services.now())
        rejected = tx.rejections.counts()
    return flask.render_template(
        "console/queue.html",
        groups=[(group, advice_for(group.issue)) for group in groups[:MAX_GROUPS]],
        more=max(len(groups) - MAX_GROUPS, 0),
        rejected=rejected,
    )


@bp.get("/leads")
def leads() -> str:
    """List the bookings or webhooks that match a filter, newest first."""
    args = flask.request.args
    which, before = filter_from(args), row_id_from(args.get("before"))
    is_webhooks = args.get("kind") == "webhooks"
    with services.store.transaction() as tx:
        search = tx.search.events if is_webhooks else tx.search.bookings
        found: Sequence[Any] = search(which, before=before, limit=PAGE_SIZE)
    return flask.render_template(
        "console/leads.html",
        found=found,
        kind="webhooks" if is_webhooks else "bookings",
        query=args,
        states=[str(state) for state in (EventState if is_webhooks else BookingState)],
        sources=sorted(services.sources),
        communities=services.communities(),
        next_before=_next_page(found),
    )


@bp.get("/export.csv")
def export() -> Response:
    """Export the bookings that match a filter as CSV."""
    which = filter_from(flask.request.args)
    lines = csv_export.bookings_csv(services.store, which, most=MAX_EXPORTED_BOOKINGS)
    lines = one_at_a_time(lines)
    record_action("exported", detail=csv_export.filter_text(which))
    return download("leads.csv", lines, "text/csv")


@bp.get("/sums.csv")
def sums() -> Response:
    """Export the numbers of bookings per source and community as CSV."""
    which = filter_from(flask.request.args)
    if which.since is None:
        since = services.now() - dt.timedelta(days=COUNTED_DAYS)
        which = dataclasses.replace(which, since=since)
    with services.store.transaction() as tx:
        lines = tx.search.lead_totals(which)
    record_action("exported", detail=csv_export.filter_text(which))
    return download("sums.csv", [csv_export.sums_csv(lines)], "text/csv")


def _next_page(found: Sequence[Any]) -> int | None:
    """Return the ID from which the next page continues, or None on the last page."""
    return found[-1].id if len(found) == PAGE_SIZE else None


def record_action(act: str, *, lead_id: int | None = None, detail: str = "") -> None:
    """Record a user's action in the audit log. ``detail`` must not contain payload data."""
    by, at = flask.g.user.name, services.now()
    with services.store.transaction() as tx:
        tx.audit.record(act, by=by, at=at, lead_id=lead_id, detail=detail)


def download(name: str, pieces: Iterable[str], mimetype: str) -> Response:
    """Return an HTTP response that browsers save as a file."""
    encoded = (piece.encode("utf-8", "replace") for piece in pieces)
    response = Response(encoded, mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@bp.get("/queue/<key>", endpoint="group")
def group_page(key: str, **more: Any) -> Any:
    """Render the page of a group of leads. ``more`` is passed to the template."""
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
        advice=advice_for(issue),
        found=found,
        is_together=issue.kind == "event" or may_release_together(issue.state, issue.code),
        next_after=_next_page(found),
        **more,
    )
