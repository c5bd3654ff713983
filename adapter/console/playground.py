"""The mapping try-out: what a webhook would become, as one types. Nothing is sent or stored."""

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import ConsoleServices
from adapter.console.form_input import number_of
from adapter.console.views import download, note
from adapter.exceptions import NotPossible
from adapter.mapping import registry
from adapter.mapping.engine import Mapped
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.operations.backtest import MOST_EVENTS, backtest, recent
from adapter.operations.diff import changed_fields, facts_of

#: Stored webhooks to choose from.
RECENT: Final = 30
#: What a new mapping begins with, where nobody has chosen one.
DRAFT: Final = "draft"
JSON: Final = "application/json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlaygroundInput:
    """What the form holds."""

    name: str
    mapping: str
    #: The number of a stored webhook; None: the body that was pasted.
    event_id: int | None
    body: str
    content_type: str
    last: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlaygroundResult:
    """What came of it."""

    problems: tuple[Problem, ...] = ()
    mapped: Mapped | None = None
    #: ``item.field`` → (by the present mapping, by the one in the form).
    changed: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    text: str = ""


def add_to(routes: flask.Blueprint, services: ConsoleServices) -> None:
    """Adds the try-out."""

    @routes.get("/try")
    def try_out() -> str:
        """The form, with the mapping of a source and its newest webhook."""
        args = flask.request.args
        name = args.get("source") or next(iter(sorted(services.sources)), DRAFT)
        asked = PlaygroundInput(
            name=name,
            mapping=_text_of(services.sources.get(name)),
            event_id=number_of(args.get("event")) or _newest(services, name),
            body="",
            content_type=JSON,
            last=100,
        )
        found = _tried(services, asked)
        _note_look(services, asked, found)
        return _page(services, asked, tried=found)

    @routes.post("/try/result")
    def tried() -> str:
        """What the webhook becomes: the part of the page, or without a script the whole."""
        asked = _asked()
        found = _tried(services, asked)
        if flask.session.get("tried") != asked.event_id:
            _note_look(services, asked, found)
        if "HX-Request" in flask.request.headers:
            return flask.render_template("console/_playground_result.html", tried=found)
        return _page(services, asked, tried=found)

    @routes.post("/try/backtest")
    def backtested() -> str:
        """What the mapping would change over the last stored webhooks."""
        asked = _asked()
        try:
            edited = _edited(services, asked)
        except MappingErrors as exc:
            return _page(services, asked, tried=PlaygroundResult(problems=tuple(exc.problems)))
        note(services, "backtested", detail=asked.name)
        events = recent(services.pipeline.store, asked.name, asked.last)
        compared = list(backtest(services.sources.get(asked.name), edited, events))
        return _page(services, asked, tried=_tried(services, asked), compared=compared)

    @routes.post("/try/file")
    def file() -> Any:
        """The mapping in the form, as a file."""
        asked = _asked()
        return download(f"{asked.name}.yaml", [asked.mapping], "application/yaml")


def _asked() -> PlaygroundInput:
    form = flask.request.form
    name = form.get("source", "").strip() or DRAFT
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise NotPossible("A source is called by a to z, 0 to 9, - and _.")
    return PlaygroundInput(
        name=name,
        mapping=form.get("mapping", "").replace("\r\n", "\n"),
        event_id=number_of(form.get("event")),
        body=form.get("body", ""),
        content_type=form.get("content_type", "").strip() or JSON,
        last=min(max(number_of(form.get("last")) or 100, 1), MOST_EVENTS),
    )


def _note_look(services: ConsoleServices, asked: PlaygroundInput, tried: PlaygroundResult) -> None:
    """A stored webhook is shown: that is written down, not with each letter that is typed."""
    if asked.event_id is not None and tried.mapped is not None:
        note(services, "looked", lead_id=asked.event_id)
        flask.session["tried"] = asked.event_id


def _page(services: ConsoleServices, asked: PlaygroundInput, **more: Any) -> str:
    with services.pipeline.store.transaction() as tx:
        recent = tx.search.recent_events(asked.name, limit=RECENT)
    return flask.render_template(
        "console/playground.html",
        asked=asked,
        sources=sorted(services.sources),
        recent=recent,
        **more,
    )


def _tried(services: ConsoleServices, asked: PlaygroundInput) -> PlaygroundResult:
    """What the chosen webhook becomes. Never raises for what was typed."""
    try:
        edited = _edited(services, asked)
    except MappingErrors as exc:
        return PlaygroundResult(problems=tuple(exc.problems))
    try:
        delivery, now = _delivery(services, asked)
    except NotFound as exc:
        return PlaygroundResult(text=exc.description or "")
    if not delivery.body and not delivery.query:
        return PlaygroundResult(
            text="The mapping is right. Choose a stored webhook, or paste a body."
        )
    mapped = edited.map(delivery, now=now)
    present = services.sources.get(asked.name)
    before = facts_of(present.map(delivery, now=now)) if present is not None else facts_of(mapped)
    return PlaygroundResult(mapped=mapped, changed=changed_fields(before, facts_of(mapped)))


def _edited(services: ConsoleServices, asked: PlaygroundInput) -> Source:
    settings = services.pipeline.settings
    return registry.load_text(settings.mappings_dir, asked.name, asked.mapping, settings.policy)


def _delivery(
    services: ConsoleServices, asked: PlaygroundInput
) -> tuple[WebhookRequest, dt.datetime]:
    """The webhook that is tried, and when it came."""
    if asked.event_id is None:
        body = asked.body.encode("utf-8", "replace")
        return WebhookRequest.from_body(
            body, content_type=asked.content_type
        ), services.pipeline.clock()
    with services.pipeline.store.transaction() as tx:
        event = tx.events.get(asked.event_id)
    if event is None or event.kept != "all":
        raise NotFound(f"There is no stored webhook {asked.event_id}, or what was sent is erased.")
    return event.request, event.received_at


def _newest(services: ConsoleServices, name: str) -> int | None:
    with services.pipeline.store.transaction() as tx:
        found = tx.search.recent_events(name, limit=1)
    return found[0].id if found else None


def _text_of(source: Source | None) -> str:
    if source is None:
        return ""
    try:
        return source.path.read_text("utf-8", "replace")
    except OSError:
        return ""
