"""Serve the pages about automatic decisions and the leads that they affected."""

import datetime as dt
from typing import Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, services
from adapter.console.form_input import row_id_from
from adapter.console.renters import contacts_in
from adapter.operations.advice import DECISIONS
from adapter.operations.decision_report import decision_report
from adapter.store import IGNORED

#: The periods that a user may choose, by name.
PERIODS: Final = {"1": "the last 24 hours", "7": "the last 7 days"}
PAGE_SIZE: Final = 50


def _days() -> str:
    days = flask.request.args.get("days", "")
    return days if days in PERIODS else next(iter(PERIODS))


@bp.get("/decisions")
def decisions() -> str:
    """Show the number of automatic decisions by rule and source."""
    now, days = services.now(), _days()
    period = dt.timedelta(days=int(days))
    report = decision_report(services.store, services.settings.policy, now, period)
    ids = [lead["id"] for one in report.decisions if one.rule == IGNORED for lead in one.examples]
    with services.store.transaction() as tx:
        events = {one.id: one for one in tx.search.events(ids=ids)} if ids else {}
    return flask.render_template(
        "console/decisions.html",
        report=report,
        days=days,
        periods=PERIODS,
        sentences=DECISIONS,
        events=events,
        contacts=contacts_in(events.values()),
    )


@bp.get("/decisions/<rule>")
def decided(rule: str) -> str:
    """List the leads that one automatic rule handled, newest first."""
    if rule not in DECISIONS:
        raise NotFound("There is no rule with this name.")
    args, days = flask.request.args, _days()
    source, before = args.get("source", ""), row_id_from(args.get("before"))
    since = services.now() - dt.timedelta(days=int(days))
    with services.store.transaction() as tx:
        found = tx.decisions.leads(rule, source, since, before=before, limit=PAGE_SIZE)
        others = tx.bookings.of_ids(booking.because_of for booking in found)
    return flask.render_template(
        "console/decided.html",
        rule=rule,
        sentence=DECISIONS[rule],
        source=source,
        days=days,
        period=PERIODS[days],
        found=found,
        others={other.id: other for other in others},
        next_before=found[-1].id if len(found) == PAGE_SIZE else None,
    )
