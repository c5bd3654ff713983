"""Define ``adapter map``, which shows the result of mapping a webhook's body."""

import collections
import dataclasses
import datetime as dt
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from adapter.cli import output
from adapter.cli.help import examples
from adapter.cli.mappings import STDIN, mappings_option, read_file, source_named
from adapter.cli.request_options import header_option, query_option
from adapter.exceptions import PayloadError
from adapter.mapping import registry
from adapter.mapping.authoring.record_test import (
    entry_from_mapped,
    is_sample,
    made_up_test,
    payload_of,
    read_from_url,
)
from adapter.mapping.engine import SENT_OUTCOMES, Item, Mapped, Outcome
from adapter.mapping.engine.fetched import DOCUMENT
from adapter.mapping.loader.check_todos import TODO
from adapter.mapping.loader.run_tests import format_reason
from adapter.mapping.loader.yaml_document import text_from_data
from adapter.mapping.message_report import MessageReport, report_on
from adapter.mapping.samples import content_type_of
from adapter.mapping.source import Source
from adapter.models import Reason, WebhookRequest
from adapter.operations.serializers import dump
from adapter.parsing import body
from adapter.settings import settings_from

NO_KEY = "(no dedupe key: only an identical body counts as a repeat)"
#: Maximum number of unread values to name.
MOST_UNREAD = 40
#: Headings for the reasons of each outcome.
REASON_TITLES = {
    Outcome.HELD: "held because:",
    Outcome.IGNORED: "ignored because:",
    Outcome.UNREADABLE: "unreadable because:",
}


@click.command(
    epilog=examples(
        "adapter map rentfeed mappings/samples/rentfeed-tour.json",
        "adapter map rentfeed lead.json --as-test   # a test to paste into the mapping",
        "adapter map chat lead.json --query community=maple-court",
        "adapter map acuity tour.json --fetched https://api.example.com/tours/7=document.json",
        "curl -s https://example.com/lead.json | adapter map rentfeed -",
    )
)
@click.argument("name", metavar="SOURCE")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@mappings_option
@click.option(
    "--content-type", help="Content type of the body. By default, the file extension determines it."
)
@query_option
@header_option
@click.option("--now", help="Time at which the webhook was received (ISO 8601). Default: now.")
@click.option(
    "--fetched",
    multiple=True,
    metavar="URL=FILE",
    help="JSON file to use for a URL under `fetch:` in the mapping. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--as-test", is_flag=True, help="Print a test to add to the mapping.")
def map(
    name: str,
    file: Path,
    folder: Path | None,
    content_type: str | None,
    query: str,
    headers: dict[str, str],
    now: str | None,
    fetched: tuple[str, ...],
    as_json: bool,
    as_test: bool,
) -> None:
    """Show the appointment that a webhook would create.

    SOURCE is the name or file of a mapping. FILE contains the body of a webhook, or is - for stdin.
    The command does not use the network or the database, and works even if the mapping's tests
    fail. If the worker would fetch a document first, the command prints the document's URL. Save
    the document and pass it with --fetched. The exit code is 0 only if a tour would be booked or a
    guest card created.
    """
    at = _instant(now) if now else None
    source = source_named(name, folder)
    request = dataclasses.replace(
        _request_from_file(source, file, content_type, query, headers),
        fetched=_documents(fetched),
    )
    if as_test:
        mapped = _print_test(source, file, request, at, content_type)
    else:
        mapped = source.map(request, now=at or dt.datetime.now(dt.UTC))
        text = "\n".join(mapped_as_text(source.name, mapped))
        report = report_on(source, request)
        data = mapped_as_dict(mapped) | dataclasses.asdict(report)
        output.show(data, text, as_json=as_json)
        _print_report(report if not as_json else MessageReport())
    _print_urls(source, request, mapped)
    _warn(source)
    sys.exit(0 if mapped.outcome in SENT_OUTCOMES else 1)


def _instant(text: str) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            "must be a time with an offset, such as 2026-03-01T12:00:00Z"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def _request_from_file(
    source: Source, file: Path, content_type: str | None, query: str, headers: dict[str, str]
) -> WebhookRequest:
    body = read_file(file)
    if source.kind == "query":
        text = body.decode("utf-8", "replace").strip()
        query = "&".join(filter(None, [text, query]))
        return WebhookRequest.from_body(b"", headers=headers, query=query)
    if content_type is None:
        content_type = content_type_of(file, body)
    return WebhookRequest.from_body(body, content_type, headers=headers, query=query)


def _documents(given: Iterable[str]) -> dict[str, Any]:
    """Read the documents passed with ``--fetched``, and return them keyed by URL."""
    documents = {}
    for text in given:
        url, _, name = text.rpartition("=")
        if not url or not name:
            raise click.BadParameter(f"{text}: must be URL=FILE", param_hint="--fetched")
        try:
            documents[url] = {DOCUMENT: body.parse(read_file(Path(name)), "", kind="json")}
        except PayloadError as exc:
            raise click.BadParameter(f"{name}: {exc}", param_hint="--fetched") from None
    return documents


def _print_urls(source: Source, request: WebhookRequest, mapped: Mapped) -> None:
    """Print the URLs that the worker would fetch before it books the webhook's leads."""
    wanted = source.to_fetch(request, mapped)
    for url in wanted:
        click.echo(f"would fetch {url}: save its document, and add --fetched URL=FILE", err=True)
    for url in request.fetched if wanted else ():
        if url not in wanted:
            click.echo(f"given with --fetched: {url}", err=True)


def _print_test(
    source: Source,
    file: Path,
    request: WebhookRequest,
    at: dt.datetime | None,
    content_type: str | None,
) -> Mapped:
    """Print the result as a mapping test. Unless ``--now`` is given, accept tours in the past."""
    scope = source.scope(request)
    mapped = source.compiled.apply(scope, at)
    if file != STDIN and is_sample(source, file):
        payload, shown = payload_of(source, file, scope), mapped
        given = read_from_url(source, request)
    else:
        payload, shown, given = made_up_test(source, request, at)
        _say_made_up(file, mapped, shown, has_documents=bool(request.fetched))
    entry = entry_from_mapped(payload, shown, now=at, content_type=content_type, **given)
    click.echo(entry, nl=False)
    if request.fetched:
        documents = {url: one[DOCUMENT] for url, one in request.fetched.items()}
        click.echo(textwrap.indent(text_from_data({"fetched": documents}), "  "), nl=False)
    others = collections.Counter(
        item.outcome for item in shown.items if item.outcome is not shown.outcome
    )
    if others:
        left = ", ".join(f"{count} {outcome}" for outcome, count in others.items())
        click.echo(f"this test does not check the other items of the webhook: {left}", err=True)
    return mapped


def _print_report(report: MessageReport) -> None:
    """Print a body's missing paths, unread values and doubtful values."""
    lines = [f"warning: {doubt}" for doubt in report.doubts]
    if report.missing:
        lines += ["the mapping reads these paths, but this body has none of them:"]
        lines += [f"  {line}" for line in report.missing]
    if report.unread:
        more = f" and {len(report.unread) - MOST_UNREAD} more" * (len(report.unread) > MOST_UNREAD)
        lines += ["this body has these values, but the mapping reads none of them:"]
        lines += [f"  {', '.join(report.unread[:MOST_UNREAD])}{more}"]
    if lines:
        click.echo("\n".join(lines), err=True)


def _say_made_up(file: Path, mapped: Mapped, shown: Mapped, *, has_documents: bool) -> None:
    """Print on stderr that a test contains a made-up person because its body is not a sample."""
    body = "the body from stdin" if file == STDIN else str(file)
    click.echo(
        f"{body} is not in the mapping's folder, so this test contains a made-up person, and none "
        "of the values that the mapping does not read. Read through it before you add it.",
        err=True,
    )
    if shown.outcome is not mapped.outcome:
        click.echo(
            f"With the made-up person, the outcome is {shown.outcome} instead of {mapped.outcome}.",
            err=True,
        )
    if has_documents:
        click.echo("The documents under fetched: are unchanged: replace real people.", err=True)


def _warn(source: Source) -> None:
    """Print the problems that ``adapter check`` would report for a mapping."""
    problems = registry.check([source.path], settings_from().policy)
    if problems:
        lines = [str(problem) for problem in problems]
        click.echo("\n".join(["adapter check reports:", *lines]), err=True)


def mapped_as_dict(mapped: Mapped) -> dict[str, Any]:
    """Return the result of a mapping as JSON-compatible data."""
    whole = [Item(outcome=mapped.outcome, reasons=mapped.reasons)] if mapped.reasons else []
    items = [dump(item, "outcome appointment reasons") for item in (*mapped.items, *whole)]
    return {"outcome": mapped.outcome, "items": items, "dedupe_key": mapped.dedupe_key}


def mapped_as_text(name: str, mapped: Mapped) -> Iterator[str]:
    """Yield the result of a mapping as lines of text."""
    # An ignored webhook never has a key.
    no_key = "" if mapped.outcome is Outcome.IGNORED else f" {NO_KEY}"
    yield f"{name}{f' {mapped.dedupe_key}' if mapped.dedupe_key else no_key}: {mapped.outcome}"
    yield from _reason_lines(REASON_TITLES.get(mapped.outcome, "because:"), mapped.reasons)
    for number, item in enumerate(mapped.items):
        if len(mapped.items) > 1:
            yield f"item {number + 1}: {item.outcome}"
        yield from _item_lines(item)


def _item_lines(item: Item) -> Iterator[str]:
    if item.community:
        yield f"  community: {item.community.key}"
    if item.community and item.starts_at:
        local = item.starts_at.astimezone(item.community.timezone)
        yield f"  starts at: {local:%Y-%m-%d %H:%M} {item.community.timezone.key}"
    if item.sent_at:
        yield f"  sent at: {item.sent_at:%Y-%m-%d %H:%M:%S} UTC (the latest request wins)"
    for field, value in item.appointment.items():
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"  {field}: " + text.replace("\n", "\n" + " " * (len(field) + 4))
    yield from (f"  added to the notes: {fact}" for fact in item.notes_added)
    others = [reason for reason in item.reasons if reason not in item.blocking_reasons]
    yield from _reason_lines(REASON_TITLES.get(item.outcome, "because:"), item.blocking_reasons)
    yield from _reason_lines("also noticed:", others)


def _reason_lines(title: str, reasons: Iterable[Reason]) -> Iterator[str]:
    lines = dict.fromkeys(_reason_line(reason) for reason in reasons)
    yield from [f"  {title}", *lines] if lines else []


def _reason_line(reason: Reason) -> str:
    location = f" ({reason.at})" if reason.at else ""
    is_todo = (reason.path or "").startswith(TODO)
    text = f"this line of the mapping is still {TODO}" if is_todo else format_reason(reason)
    return f"    {reason.field}{location} {text}"
