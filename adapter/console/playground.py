"""Serve the page where users edit, test and activate a mapping."""

import contextlib
import dataclasses
import datetime as dt
import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console import mapping_fix
from adapter.console.context import bp, one_at_a_time, services, trial
from adapter.console.display import PayloadLine, payload_lines
from adapter.console.form_input import row_id_from
from adapter.console.mapping_fix import MappingFix
from adapter.console.needs_you import changed_sources
from adapter.console.read_again import part_of
from adapter.console.renters import messages_of, names_of
from adapter.console.views import download, record_action
from adapter.exceptions import NotPossible, PayloadError
from adapter.mapping import overlay, registry
from adapter.mapping.authoring.record_test import with_sample
from adapter.mapping.engine import SENT_OUTCOMES, Mapped
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.provenance import read_locations
from adapter.mapping.source import Source, file_text
from adapter.models import Event, WebhookRequest
from adapter.operations.backtest import MOST_EVENTS, Compared, compare_mappings, recent
from adapter.operations.diff import changed_fields, facts_of
from adapter.operations.format_proposals import Proposal
from adapter.operations.mapping_versions import Checked, MappingVersions, patch_of

#: Number of stored webhooks to choose from.
RECENT_EVENTS: Final = 30
#: The name of a mapping that does not belong to a source.
DRAFT: Final = "draft"
#: Maximum length, because parsing 30 kB of YAML takes a second. Gallery mappings have about 4 kB.
MAX_TYPED_MAPPING: Final = 32_000
DEFAULT_CONTENT_TYPE: Final = "application/json"
DEFAULT_BACKTEST_EVENTS: Final = 100
#: Maximum number of a webhook's lines to show beside the mapping.
MAX_MESSAGE_LINES: Final = 400
MAX_REASON: Final = 500
#: Maximum number of changed webhooks that a backtest lists.
MOST_COMPARED: Final = 50
NO_SAMPLE: Final = "We can't save this message as a sample. Choose a message that the mapping can "
"read."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlaygroundInput:
    """The values that the user entered in the mapping editor."""

    name: str
    mapping: str
    #: The ID of a stored webhook, or None for the pasted body.
    event_id: int | None
    body: str = ""
    content_type: str = DEFAULT_CONTENT_TYPE
    #: How many stored webhooks a backtest covers.
    last: int = DEFAULT_BACKTEST_EVENTS
    #: The number of the source's newest version when the user began editing, or 0.
    seen: int = 0
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlaygroundResult:
    """The result of mapping a webhook, or the problems that prevented it."""

    problems: tuple[Problem, ...] = ()
    #: The problems that ``adapter check`` would report for a mapping that can be tried.
    checked: tuple[Problem, ...] = ()
    mapped: Mapped | None = None
    #: The values of each changed ``item.field``, with the current mapping and with the edited one.
    changed: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    text: str = ""
    #: The webhook's lines. Those that the mapping does not read are marked.
    message: Sequence[PayloadLine] = ()
    #: The mapping's changes, as a patch.
    patch: str = ""


@bp.app_context_processor
def mapping_helpers() -> dict[str, Any]:
    """Return the template functions that explain why a mapping is not in use."""
    return {"mapping_check_lines": _check_lines, "has_new_fields": registry.has_new_fields}


def _check_lines() -> Sequence[str]:
    """Return the errors that `adapter check` would report for the mapping files."""
    folder = services.settings.mappings_dir
    states = tuple((file.name, file.stat().st_mtime_ns) for file in sorted(folder.glob("*.y*ml")))
    return _checked_lines(folder, states)


@functools.lru_cache(maxsize=1)
def _checked_lines(folder: Path, states: object) -> Sequence[str]:  # noqa: ARG001 - part of the key
    """Check a folder's files. Cache the result by ``states``, because a check takes a second."""
    problems = registry.check([folder], services.settings.policy)
    return [str(one).removeprefix(f"{folder}/") for one in problems if not one.warning]


@bp.get("/try")
def playground() -> str:
    """Show the mapping editor with a source's mapping and its latest webhook."""
    args = flask.request.args
    name = args.get("source") or next(iter(sorted(services.sources)), DRAFT)
    number = row_id_from(args.get("version"))
    entered = PlaygroundInput(
        name=name,
        mapping=services.mapping_text(name) if number is None else _version_text(name, number),
        event_id=row_id_from(args.get("event")) or _newest_event(name),
        seen=_newest_version(name),
    )
    flask.session.pop("tried", None)
    fix = mapping_fix.fix_for(args["fix"], name) if "fix" in args else None
    if fix is not None and fix.proposal is not None:
        entered, fix = _with_fix(entered, fix, fix.proposal)
    return _page(
        entered,
        result=_map(entered),
        fix=fix,
        changes=_fix_key(name) if fix is None else "",
        part=part_of(name, {}) if "done" in args and name in services.sources else None,
    )


def _fix_key(name: str) -> str:
    """Return the key of the fix for a change in a source's format, or "" if there is none."""
    fixes = mapping_fix.fixes_of(name) if name in changed_sources() else []
    return fixes[0].key if fixes else ""


def _with_fix(
    entered: PlaygroundInput, fix: MappingFix, proposal: Proposal
) -> tuple[PlaygroundInput, MappingFix]:
    """Fill in a suggested mapping edit, and add the message as a test if it has new fields."""
    entered = dataclasses.replace(
        entered, mapping=proposal.text, reason=" ".join(fix.sentences)[:MAX_REASON]
    )
    with trial():
        is_new = registry.has_new_fields(_checked(entered).problems)
    text = _text_with_sample(entered) if is_new else None
    if text is None:
        return entered, fix
    return dataclasses.replace(entered, mapping=text), dataclasses.replace(fix, has_sample=True)


@bp.post("/try/result")
def playground_result() -> str:
    """Show the edited mapping's result, as a fragment for htmx or as a whole page."""
    entered = _input_from_form()
    result = _map(entered)
    if "HX-Request" in flask.request.headers:
        _record_view(entered)
        return flask.render_template("console/_playground_result.html", result=result, is_live=True)
    return _page(entered, result=result)


@bp.post("/try/backtest")
def playground_backtest() -> str:
    """Show how the edited mapping would change the results of recent webhooks."""
    entered = _input_from_form()
    try:
        with trial():
            edited = _edited_source(entered)
    except MappingErrors as exc:
        return _page(entered, result=PlaygroundResult(problems=tuple(exc.problems)))
    events = one_at_a_time(recent(services.store, entered.name, entered.last))
    record_action("backtested", detail=entered.name)
    compared = list(compare_mappings(services.sources.get(entered.name), edited, events))
    shown = [one.event_id for one in compared if one.fields][:MOST_COMPARED]
    with services.store.transaction() as tx:
        renters = names_of(tx, shown)
    return _page(
        entered,
        result=_mapped(entered),
        compared=compared,
        summary=_summary(compared),
        renters=renters,
        most=MOST_COMPARED,
    )


def _summary(compared: Sequence[Compared]) -> list[tuple[str, str, int, bool]]:
    """Count changed webhooks by old and new outcome, and mark changes that lose a booking."""
    changed = Counter((one.before or "nothing", one.after) for one in compared if one.fields)
    booked = ("book", "prospect")
    rows = [
        (before, after, count, before in booked and after not in booked)
        for (before, after), count in changed.items()
    ]
    return sorted(rows, key=lambda row: (not row[3], -row[2]))


@bp.post("/try/check")
def check_mapping() -> str:
    """Show the problems that `adapter check` would report for the edited mapping."""
    entered = _input_from_form()
    with trial():
        checked = _checked(entered)
    if "HX-Request" in flask.request.headers:
        _record_view(entered)
        return flask.render_template("console/_checks.html", checked=checked)
    return _page(entered, result=_map(entered), checked=checked)


def _checked(entered: PlaygroundInput) -> Checked:
    """Check the edited mapping, and mark fields that only the selected webhook has."""
    checked = _versions().check(entered.name, entered.mapping)
    try:
        delivery, _ = _delivery(entered)
        problems = registry.problems_for(_draft(entered), delivery, checked.problems)
    except (MappingErrors, NotFound):
        return checked
    return dataclasses.replace(checked, problems=problems)


@bp.post("/try/put")
def publish_mapping() -> Any:
    """Publish the edited mapping, to be used instead of the source's file."""
    entered, operation = _input_from_form(), _versions()
    try:
        with trial():
            version = operation.publish(
                entered.name, entered.mapping, entered.reason, seen=entered.seen
            )
    except MappingErrors:
        return _page(entered, result=_map(entered), checked=_checked(entered)), 409
    except NotPossible as exc:
        return _page(entered, result=_map(entered), refusal=str(exc)), 409
    flask.flash(
        f"Version {version.number} is now in use. New messages will use it within seconds.",
        "good",
    )
    return flask.redirect(
        flask.url_for("console.playground", source=entered.name, event=entered.event_id, done=1)
    )


@bp.post("/try/roll-back")
def roll_back_mapping() -> Any:
    """Activate an earlier version of a mapping, or the mapping file."""
    form = flask.request.form
    name, number = form.get("source", ""), row_id_from(form.get("number")) or 0
    what = f"Rolled back to version {number}" if number else "Rolled back to the file"
    events, before = [*recent(services.store, name, RECENT_EVENTS)], services.sources.get(name)
    try:
        _versions().roll_back(name, number, what, seen=row_id_from(form.get("seen")) or 0)
    except MappingErrors as exc:
        raise NotPossible(f"Version {number} no longer passes the checks: {exc}") from exc
    flask.flash(f"{what}. New messages will use it within seconds.", "good")
    lost = _lost(before, services.sources.get(name), events)
    if lost:
        text = f"{lost} of the latest {len(events)} messages could be booked before"
        flask.flash(f"{text} and can't be now.", "warn")
    return flask.redirect(flask.url_for("console.playground", source=name, done=1))


def _lost(before: Source | None, after: Source | None, events: Sequence[Event]) -> int:
    """Count the webhooks that are sent to Knock with the old mapping but not with the new one."""
    if before is None or after is None:
        return 0
    sent = {str(outcome) for outcome in SENT_OUTCOMES}
    compared = compare_mappings(before, after, events)
    return sum(one.before in sent and one.after not in sent for one in compared)


@bp.post("/try/sample")
def save_sample() -> str:
    """Add a webhook to the mapping as a test, with personal data replaced."""
    entered = _input_from_form()
    text = _text_with_sample(entered)
    if text is None:
        return _page(entered, result=_map(entered), refusal=NO_SAMPLE)
    entered = dataclasses.replace(entered, mapping=text)
    return _page(entered, result=_map(entered), sample_added=True)


def _text_with_sample(entered: PlaygroundInput) -> str | None:
    """Return the edited mapping with the selected webhook added as a test, or None on failure."""
    try:
        delivery, now = _delivery(entered)
        # Leave out assigned names, because `adapter check` does not know them.
        return with_sample(_draft(entered), entered.mapping, delivery, now)
    except (MappingErrors, PayloadError, NotFound, RecursionError):  # JSON can be nested deeply
        return None


@bp.post("/try/file")
def download_mapping() -> Any:
    """Return the edited mapping as a file to download."""
    entered = _input_from_form()
    return download(f"{entered.name}.yaml", [entered.mapping], "application/yaml")


def _input_from_form() -> PlaygroundInput:
    form = flask.request.form
    name = form.get("source", "").strip() or DRAFT
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise NotPossible(
            "A source name can contain only the letters a to z, digits, hyphens and underscores."
        )
    last = row_id_from(form.get("last")) or DEFAULT_BACKTEST_EVENTS
    return PlaygroundInput(
        name=name,
        mapping=form.get("mapping", "").replace("\r\n", "\n"),
        event_id=row_id_from(form.get("event")),
        body=form.get("body", ""),
        content_type=form.get("content_type", "").strip() or DEFAULT_CONTENT_TYPE,
        last=min(last, MOST_EVENTS),
        seen=row_id_from(form.get("seen")) or 0,
        reason=form.get("reason", "").strip()[:MAX_REASON],
    )


def _record_view(entered: PlaygroundInput) -> None:
    """Record that a user viewed a stored webhook, once per webhook while editing a mapping."""
    if entered.event_id is None or flask.session.get("tried") == entered.event_id:
        return
    with contextlib.suppress(NotFound):
        _delivery(entered)
        record_action("looked", lead_id=entered.event_id)
        flask.session["tried"] = entered.event_id


def _versions() -> MappingVersions:
    live = services.pipeline.live
    parts = (services.settings, services.store, live, services.now)
    return MappingVersions(*parts, flask.g.user.name)


def _newest_version(name: str) -> int:
    version = services.pipeline.live.overrides.versions.get(name)
    return version.number if version is not None else 0


def _version_text(name: str, number: int) -> str:
    """Return a mapping version's text. Version 0 is the file. Raise NotFound if it is missing."""
    file = services.pipeline.live.files.get(name)
    texts = {one.number: one.text for one in _versions().versions(name)}
    texts[0] = file_text(file) if file is not None else None
    if number not in texts:
        raise NotFound(f"There is no version {number} of {name}.")
    return texts[number] or texts[0] or ""


def _page(entered: PlaygroundInput, **more: Any) -> str:
    _record_view(entered)
    with services.store.transaction() as tx:
        found = tx.search.recent_events(entered.name, limit=RECENT_EVENTS)
        if entered.event_id not in (None, *(one.id for one in found)):
            found += tx.search.events(ids=[entered.event_id or 0])
        messages = messages_of(tx, found)
    has_file = entered.name in services.pipeline.live.files
    return flask.render_template(
        "console/playground.html",
        entered=entered,
        current=services.mapping_text(entered.name),
        versions=_versions().versions(entered.name) if has_file else [],
        status=_versions().status(entered.name) if has_file else "",
        is_from_files=services.settings.mappings_from_files_only,
        sources=sorted(services.sources),
        messages=messages,
        **more,
    )


def _map(entered: PlaygroundInput) -> PlaygroundResult:
    """Map the selected webhook with the edited mapping. Never raise for invalid input."""
    with trial():
        return _mapped(entered)


def _mapped(entered: PlaygroundInput) -> PlaygroundResult:
    patch = _patch(entered)
    try:
        delivery, now = _delivery(entered)
        edited = _edited_source(entered)
    except MappingErrors as exc:
        current = services.sources.get(entered.name)
        message = _message(current, delivery) if current is not None else ()
        return PlaygroundResult(problems=tuple(exc.problems), message=message, patch=patch)
    except NotFound as exc:
        return PlaygroundResult(text=exc.description or "", patch=patch)
    checked = registry.problems_of(edited)
    if not delivery.body and not delivery.query:
        return PlaygroundResult(
            text="The mapping looks good. Choose a message, or paste one.",
            checked=checked,
            patch=patch,
        )
    mapped = edited.map(delivery, now=now)
    current = services.sources.get(entered.name)
    before = facts_of(current.map(delivery, now=now)) if current is not None else facts_of(mapped)
    return PlaygroundResult(
        mapped=mapped,
        changed=changed_fields(before, facts_of(mapped)),
        message=_message(edited, delivery),
        patch=patch,
        checked=registry.problems_for(edited, delivery, checked),
    )


def _message(source: Source, delivery: WebhookRequest) -> Sequence[PayloadLine]:
    """Return a webhook's display lines, or () if its body cannot be parsed."""
    try:
        payload = source.scope(delivery).payload
    except PayloadError:
        return ()
    return payload_lines(payload, read_locations(source, delivery))[:MAX_MESSAGE_LINES]


def _patch(entered: PlaygroundInput) -> str:
    path = f"mappings/{entered.name}.yaml"
    return patch_of(services.mapping_text(entered.name), entered.mapping, path)


def _edited_source(entered: PlaygroundInput) -> Source:
    """Load the edited mapping with the communities that users have added.

    Raise MappingErrors if it is invalid.
    """
    return overlay.with_communities(_draft(entered), services.pipeline.live.overrides)


def _draft(entered: PlaygroundInput) -> Source:
    """Load the edited mapping. Raise MappingErrors if it is invalid."""
    settings = services.settings
    if len(entered.mapping) > MAX_TYPED_MAPPING:
        message = f"is longer than {MAX_TYPED_MAPPING // 1000} kB: shorten it to try it here"
        raise MappingErrors([Problem.of_file(f"{entered.name}.yaml", message)])
    return registry.load_text(settings.mappings_dir, entered.name, entered.mapping, settings.policy)


def _delivery(entered: PlaygroundInput) -> tuple[WebhookRequest, dt.datetime]:
    """Return the selected webhook and its arrival time. Raise NotFound if it is not stored."""
    if entered.event_id is None:
        body = entered.body.encode("utf-8", "replace")
        return WebhookRequest.from_body(body, content_type=entered.content_type), services.now()
    with services.store.transaction() as tx:
        event = tx.events.get(entered.event_id)
    if event is None or event.kept != "all":
        raise NotFound(f"Message {entered.event_id} or its content was deleted.")
    return event.request, event.received_at


def _newest_event(name: str) -> int | None:
    with services.store.transaction() as tx:
        events = tx.search.recent_events(name, limit=1)
    return events[0].id if events else None
