"""The pages that show: overview, queue, lists, refused requests, audit, export."""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import flask
from werkzeug.wrappers import Response

from adapter.console import charts
from adapter.console.context import ConsoleServices
from adapter.console.form_input import number_of
from adapter.console.lead_page import communities_of, lead_page
from adapter.mapping import registry
from adapter.models import BookingState, EventState
from adapter.operations import csv_export, serializers
from adapter.operations.advice import advice_for, label_of
from adapter.operations.allowed_actions import may_release_together
from adapter.operations.status import OUTCOMES, overview_of
from adapter.store import MOST_COUNTED, Filter, Group

#: Groups on the page of the queue, and bookings in one export.
MOST_GROUPS: Final = 100
MOST_EXPORTED: Final = 100_000
#: Sums are of so many days where nobody says from when.
SUM_DAYS: Final = 31
#: Leads on one page of a list.
PAGE: Final = 50


def add_to(routes: flask.Blueprint, services: ConsoleServices) -> None:
    """Adds the pages."""
    store, clock = services.pipeline.store, services.pipeline.clock

    @routes.app_context_processor
    def words() -> dict[str, Any]:
        return {
            "utc": serializers.utc,
            "local": serializers.local,
            "label_of": label_of,
            "person": serializers.person,
            "ago": lambda at: ago(at, clock()),
            "place": lambda at: at.rpartition("/")[2],
            "most_counted": MOST_COUNTED,
            "not_in_use": lambda: registry.changed_since_load(
                services.pipeline.settings.mappings_dir, services.sources
            ),
            "is_sandbox": services.pipeline.settings.is_sandbox,
        }

    @routes.get("/")
    def overview() -> str:
        """Whether all is well, and which leads wait."""
        settings = services.pipeline.settings
        found = overview_of(store, services.sources, settings, clock())
        with store.transaction() as rows:
            unknown = rows.stats.unknown_communities()
        return flask.render_template(
            "console/overview.html",
            overview=found,
            about={name: source.description for name, source in services.sources.items()},
            unknown=unknown[:MOST_GROUPS],
            outcomes=list(OUTCOMES),
            hours=charts.hours_chart(found.hours),
            spans=charts.spans_chart(found.sources),
        )

    @routes.get("/queue")
    def queue() -> str:
        """What waits, in groups of what is wrong."""
        with store.transaction() as tx:
            groups = tx.review_queue.groups(clock())
            refused = tx.rejections.counts()
        shown = [(group, advice_for(group.issue)) for group in groups[:MOST_GROUPS]]
        return flask.render_template(
            "console/queue.html", groups=shown, more=len(groups) - len(shown), refused=refused
        )

    @routes.get("/queue/<key>")
    def group(key: str) -> Any:
        """The leads of one group."""
        return group_page(services, key)

    @routes.get("/leads")
    def leads() -> str:
        """Bookings or webhooks, newest first, as far as the filter says."""
        which, kind = filter_from(flask.request.args), flask.request.args.get("kind", "bookings")
        before = number_of(flask.request.args.get("before"))
        with store.transaction() as rows:
            found: Sequence[Any] = (
                rows.search.events(which, before=before, limit=PAGE)
                if kind == "webhooks"
                else rows.search.bookings(which, before=before, limit=PAGE)
            )
        return flask.render_template(
            "console/leads.html",
            found=found,
            kind=kind,
            asked=flask.request.args,
            states=[str(one) for one in (EventState if kind == "webhooks" else BookingState)],
            sources=sorted(services.sources),
            communities=communities_of(services),
            next_before=found[-1].id if len(found) == PAGE else None,
        )

    @routes.get("/leads/<key>")
    def lead(key: str) -> Any:
        """One lead's whole story, by the id of an event or a booking, or by Propexo's job."""
        return lead_page(services, key)

    _add_reports(routes, services)


def _add_reports(routes: flask.Blueprint, services: ConsoleServices) -> None:
    """What was refused, who did what, and files to take away."""
    store = services.pipeline.store

    @routes.get("/rejections")
    def rejections() -> str:
        """Requests that did not prove who sent them."""
        source = flask.request.args.get("source") or None
        with store.transaction() as rows:
            kept = rows.rejections
            counts, found = kept.counts(), kept.newest(source=source, limit=200)
        return flask.render_template(
            "console/rejections.html", counts=counts, found=found, source=source
        )

    @routes.get("/audit")
    def audit() -> str:
        """Who did what."""
        args = flask.request.args
        with store.transaction() as rows:
            found = rows.audit.entries(
                by=args.get("by") or None, before=number_of(args.get("before")), limit=PAGE
            )
        more = found[-1].id if len(found) == PAGE else None
        return flask.render_template(
            "console/audit.html", acts=found, by=args.get("by"), next_before=more
        )

    @routes.get("/export.csv")
    def export() -> Response:
        """The bookings of the filter as CSV."""
        which = filter_from(flask.request.args)
        note(services, "exported", detail=csv_export.filter_text(which))
        return download(
            "leads.csv", csv_export.bookings_csv(store, which, most=MOST_EXPORTED), "text/csv"
        )

    @routes.get("/sums.csv")
    def sums() -> Response:
        """Counts for each source and community, in the time of the filter."""
        which = filter_from(flask.request.args)
        if which.since is None:
            begin = services.pipeline.clock() - dt.timedelta(days=SUM_DAYS)
            which = dataclasses.replace(which, since=begin)
        lines = csv_export.sums(store, which)
        note(services, "exported", detail=csv_export.filter_text(which))
        return download("sums.csv", [csv_export.sums_csv(lines)], "text/csv")


def note(
    services: ConsoleServices, act: str, *, lead_id: int | None = None, detail: str = ""
) -> None:
    """Writes down what the reader does. ``detail`` holds nothing of a payload."""
    with services.pipeline.store.transaction() as tx:
        tx.audit.record(
            act, by=flask.g.user.name, at=services.pipeline.clock(), lead_id=lead_id, detail=detail
        )


def download(name: str, pieces: Iterator[str] | Sequence[str], mimetype: str) -> Response:
    """A file for the reader's disk."""
    encoded = (piece.encode("utf-8", "replace") for piece in pieces)
    answer = Response(encoded, mimetype=mimetype)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def filter_from(args: Mapping[str, str]) -> Filter:
    """The filter that an address asks for. What cannot be read does not matter."""
    state = args.get("state", "")
    return Filter(
        states=(state,) if state else (),
        source=args.get("source") or None,
        community=args.get("community") or None,
        since=_day(args.get("since", "")),
        until=_day(args.get("until", ""), days=1),
        text=args.get("q", "")[:200],
    )


def _day(text: str, days: int = 0) -> dt.datetime | None:
    """An instant; a date alone is its beginning, or that of the day so many ``days`` later."""
    try:
        at = dt.datetime.fromisoformat(text)
        if len(text) == len("2026-03-14"):
            at += dt.timedelta(days=days)
        return at.astimezone(dt.UTC) if at.tzinfo else at.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None


def ago(at: dt.datetime | None, now: dt.datetime) -> str:
    """How long ago, or how long until, in the largest unit that says it."""
    if at is None:
        return "-"
    seconds = (now - at).total_seconds()
    size, word = next(
        (abs(seconds) / length, name)
        for length, name in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
        if abs(seconds) >= 2 * length or length == 1
    )
    return f"{size:.0f} {word} ago" if seconds >= 0 else f"in {size:.0f} {word}"


def group_named(services: ConsoleServices, key: str) -> Group | None:
    """The group that still waits under this name."""
    with services.pipeline.store.transaction() as tx:
        groups = tx.review_queue.groups(services.pipeline.clock())
    return next((one for one in groups if one.issue.key == key), None)


def group_page(services: ConsoleServices, key: str, **more: Any) -> Any:
    """The leads of one group, with what ``more`` tells of an act on it."""
    group = group_named(services, key)
    if group is None:
        return flask.render_template("console/group_empty.html", **more)
    trouble, after = group.issue, number_of(flask.request.args.get("after")) or 0
    with services.pipeline.store.transaction() as tx:
        waiting, found = tx.review_queue, list[Any]()
        if trouble.kind == "event":
            found += waiting.events_of(trouble, after=after, limit=PAGE)
        else:
            last = tx.bookings.get(after) if after else None
            found += waiting.bookings_of(trouble, after=last, limit=PAGE)
    return flask.render_template(
        "console/group.html",
        group=group,
        advice=advice_for(trouble),
        found=found,
        is_together=trouble.kind == "event" or may_release_together(trouble.state, trouble.word),
        next_after=found[-1].id if len(found) == PAGE else None,
        **more,
    )
