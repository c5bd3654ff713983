"""Preview a mapping's result for a webhook while the user types. Nothing is stored."""

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, one_at_a_time, services, trial
from adapter.console.form_input import row_id_from
from adapter.console.views import download, record_action
from adapter.exceptions import NotPossible
from adapter.mapping import registry
from adapter.mapping.engine import Mapped
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.operations.backtest import MOST_EVENTS, compare_mappings, recent
from adapter.operations.diff import changed_fields, facts_of

#: Number of stored webhooks to choose from.
RECENT_EVENTS: Final = 30
#: The name of a mapping that does not belong to a source.
DRAFT: Final = "draft"
#: Maximum length, because parsing 30 kB of YAML takes a second. Gallery mappings have about 4 kB.
MAX_TYPED_MAPPING: Final = 32_000
DEFAULT_CONTENT_TYPE: Final = "application/json"
DEFAULT_BACKTEST_EVENTS: Final = 100


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlaygroundInput:
    """The values of the form."""

    name: str
    mapping: str
    #: The ID of a stored webhook, or None for the pasted body.
    event_id: int | None
    body: str = ""
    content_type: str = DEFAULT_CONTENT_TYPE
    #: How many stored webhooks a backtest covers.
    last: int = DEFAULT_BACKTEST_EVENTS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlaygroundResult:
    """The result of mapping the webhook, or why it cannot be mapped."""

    problems: tuple[Problem, ...] = ()
    #: What ``adapter check`` would report for a mapping that can be tried.
    checked: tuple[Problem, ...] = ()
    mapped: Mapped | None = None
    #: For each ``item.field``, its values with the source's mapping and with the edited one.
    changed: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    text: str = ""


@bp.get("/try")
def playground() -> str:
    """Show the form with a source's mapping and newest webhook."""
    args = flask.request.args
    name = args.get("source") or next(iter(sorted(services.sources)), DRAFT)
    entered = PlaygroundInput(
        name=name,
        mapping=services.mapping_text(name),
        event_id=row_id_from(args.get("event")) or _newest_event(name),
    )
    result = _map(entered)
    _record_view(entered, result)
    return _page(entered, result=result)


@bp.post("/try/result")
def playground_result() -> str:
    """Show the result. Render part of the page for htmx, else the whole page."""
    entered = _input_from_form()
    result = _map(entered)
    if flask.session.get("tried") != entered.event_id:
        _record_view(entered, result)
    if "HX-Request" in flask.request.headers:
        return flask.render_template("console/_playground_result.html", result=result)
    return _page(entered, result=result)


@bp.post("/try/backtest")
def playground_backtest() -> str:
    """Show what the mapping would change in the last stored webhooks."""
    entered = _input_from_form()
    try:
        with trial():
            edited = _edited_source(entered)
    except MappingErrors as exc:
        return _page(entered, result=PlaygroundResult(problems=tuple(exc.problems)))
    events = one_at_a_time(recent(services.store, entered.name, entered.last))
    record_action("backtested", detail=entered.name)
    compared = list(compare_mappings(services.sources.get(entered.name), edited, events))
    return _page(entered, result=_mapped(entered), compared=compared)


@bp.post("/try/file")
def download_mapping() -> Any:
    """Send the mapping in the form as a file."""
    entered = _input_from_form()
    return download(f"{entered.name}.yaml", [entered.mapping], "application/yaml")


def _input_from_form() -> PlaygroundInput:
    form = flask.request.form
    name = form.get("source", "").strip() or DRAFT
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise NotPossible("A source name can only contain a to z, 0 to 9, - and _.")
    last = row_id_from(form.get("last")) or DEFAULT_BACKTEST_EVENTS
    return PlaygroundInput(
        name=name,
        mapping=form.get("mapping", "").replace("\r\n", "\n"),
        event_id=row_id_from(form.get("event")),
        body=form.get("body", ""),
        content_type=form.get("content_type", "").strip() or DEFAULT_CONTENT_TYPE,
        last=min(last, MOST_EVENTS),
    )


def _record_view(entered: PlaygroundInput, result: PlaygroundResult) -> None:
    """Record that a stored webhook was viewed: once, not with every keystroke."""
    if entered.event_id is not None and result.mapped is not None:
        record_action("looked", lead_id=entered.event_id)
        flask.session["tried"] = entered.event_id


def _page(entered: PlaygroundInput, **more: Any) -> str:
    with services.store.transaction() as tx:
        events = tx.search.recent_events(entered.name, limit=RECENT_EVENTS)
    return flask.render_template(
        "console/playground.html",
        entered=entered,
        sources=sorted(services.sources),
        recent_events=events,
        **more,
    )


def _map(entered: PlaygroundInput) -> PlaygroundResult:
    """Map the chosen webhook. Never raise for invalid input."""
    with trial():
        return _mapped(entered)


def _mapped(entered: PlaygroundInput) -> PlaygroundResult:
    try:
        edited = _edited_source(entered)
        delivery, now = _delivery(entered)
    except MappingErrors as exc:
        return PlaygroundResult(problems=tuple(exc.problems))
    except NotFound as exc:
        return PlaygroundResult(text=exc.description or "")
    checked = registry.problems_of(edited)
    if not delivery.body and not delivery.query:
        return PlaygroundResult(
            text="The mapping can be read. Choose a stored webhook, or paste a body.",
            checked=checked,
        )
    mapped = edited.map(delivery, now=now)
    current = services.sources.get(entered.name)
    before = facts_of(current.map(delivery, now=now)) if current is not None else facts_of(mapped)
    changed = changed_fields(before, facts_of(mapped))
    return PlaygroundResult(mapped=mapped, changed=changed, checked=checked)


def _edited_source(entered: PlaygroundInput) -> Source:
    """Load the mapping in the form. Raise MappingErrors if it has errors."""
    settings = services.settings
    if len(entered.mapping) > MAX_TYPED_MAPPING:
        message = f"is longer than {MAX_TYPED_MAPPING // 1000} kB: shorten it to try it here"
        raise MappingErrors([Problem.of_file(f"{entered.name}.yaml", message)])
    return registry.load_text(settings.mappings_dir, entered.name, entered.mapping, settings.policy)


def _delivery(entered: PlaygroundInput) -> tuple[WebhookRequest, dt.datetime]:
    """Return the chosen webhook and when it arrived. Raise NotFound if it is not stored."""
    if entered.event_id is None:
        body = entered.body.encode("utf-8", "replace")
        return WebhookRequest.from_body(body, content_type=entered.content_type), services.now()
    with services.store.transaction() as tx:
        event = tx.events.get(entered.event_id)
    if event is None or event.kept != "all":
        raise NotFound(f"There is no stored webhook {entered.event_id}, or it was deleted.")
    return event.request, event.received_at


def _newest_event(name: str) -> int | None:
    with services.store.transaction() as tx:
        events = tx.search.recent_events(name, limit=1)
    return events[0].id if events else None
