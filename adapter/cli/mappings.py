"""Working on mappings: ``check``, ``map``, ``explain``, ``new`` and ``schema``."""

import datetime as dt
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from adapter import payloads, sources
from adapter.cli import commands
from adapter.config import settings_from
from adapter.events import Reason
from adapter.exceptions import ConfigurationError
from adapter.mapping import Delivery, Item, Mapped, Outcome
from adapter.sources.drafting import mapping_from_sample
from adapter.sources.explanation import rows_from_source
from adapter.sources.loading import NAME
from adapter.sources.samples import content_type_of
from adapter.sources.schema import mapping_schema
from adapter.sources.trials import told

STDIN = Path("-")


def _folder(given: Path | None) -> Path:
    return given or settings_from().mappings_dir


mappings_option = click.option(
    "--mappings",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the mappings; default: ADAPTER_MAPPINGS_DIR, or mappings.",
)


@commands.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check mappings, and print each mistake with its place.

    PATH is a folder with its communities.yaml, or a single mapping; default: mappings. Mistakes
    are printed as file:line:column: field: message. Needs no database and no secrets.
    """
    settings = settings_from()
    found = sources.check(paths or [settings.mappings_dir], settings.policy)
    if as_json:
        click.echo(json.dumps({"problems": [problem.as_dict() for problem in found]}, indent=2))
    else:
        for problem in found:
            click.echo(problem)
    if any(not problem.warning for problem in found):
        sys.exit(1)
    if not as_json:
        click.echo(f"{', '.join(map(str, paths or [settings.mappings_dir]))}: no mistakes")


@commands.command("map")
@click.argument("name", metavar="SOURCE")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@mappings_option
@click.option("--content-type", help="Of the body; default: by the file's ending.")
@click.option("--now", help="When it is received, as an ISO 8601 instant; default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def map_(
    name: str,
    file: Path,
    folder: Path | None,
    content_type: str | None,
    now: str | None,
    as_json: bool,
) -> None:
    """Show what a body becomes, without network and database.

    FILE may be - for stdin. The exit code is 0 only for an appointment that would be booked.
    """
    at = _instant(now)
    source = sources.load_one(_folder(folder), name, settings_from().policy)
    body = _read(file)
    if content_type is None:
        content_type = content_type_of(file, body)
    delivery = Delivery(body=body, content_type=content_type)
    if source.kind == "query":
        delivery = Delivery(body=b"", query=body.decode("utf-8", "replace").strip())
    mapped = source.map(delivery, now=at)
    if as_json:
        click.echo(json.dumps(mapped_as_dict(mapped), indent=2))
    else:
        for line in mapped_as_text(name, mapped):
            click.echo(line)
    sys.exit(0 if mapped.outcome is Outcome.BOOK else 1)


def _instant(text: str | None) -> dt.datetime:
    if text is None:
        return dt.datetime.now(dt.UTC)
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("must be an instant such as 2026-03-01T12:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def _read(file: Path) -> bytes:
    if file == STDIN:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as exc:
        raise click.BadParameter(f"{file}: {exc.strerror}") from None


def mapped_as_dict(mapped: Mapped) -> dict[str, Any]:
    """The dry run as data. Reasons that concern the whole stand in an item of their own."""
    items = [_item_as_dict(item) for item in mapped.items]
    if mapped.reasons or not items:
        whole = Item(outcome=mapped.outcome, reasons=mapped.reasons)
        items += [_item_as_dict(whole)] if mapped.reasons else []
    return {"outcome": mapped.outcome, "items": items, "dedupe_key": mapped.dedupe_key}


def _item_as_dict(item: Item) -> dict[str, Any]:
    return {
        "outcome": item.outcome,
        "appointment": dict(item.appointment),
        "reasons": [reason.as_dict() for reason in item.reasons],
    }


def mapped_as_text(name: str, mapped: Mapped) -> Iterator[str]:
    """The dry run for people."""
    yield f"{name} {mapped.dedupe_key or '(no dedupe key)'}: {mapped.outcome}"
    yield from map(_reason_line, mapped.reasons)
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
    for field, value in item.appointment.items():
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"  {field}: " + text.replace("\n", "\n" + " " * (len(field) + 4))
    yield from (f"  added to the notes: {fact}" for fact in item.notes_added)
    yield from map(_reason_line, item.reasons)


def _reason_line(reason: Reason) -> str:
    place = f" ({reason.at})" if reason.at else ""
    return f"  {reason.field}{place} {told(reason)}"


@commands.command()
@click.argument("name", metavar="SOURCE")
@mappings_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(name: str, folder: Path | None, as_json: bool) -> None:
    """Tell, per field, where a mapping looks and how it reads."""
    source = sources.load_one(_folder(folder), name, settings_from().policy)
    rows = rows_from_source(source)
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=2, ensure_ascii=False))
        return
    click.echo(f"{source.name} ({source.path}) {source.description}".rstrip())
    widths = [max(len(row.what) for row in rows), min(40, max(len(row.where) for row in rows))]
    for row in rows:
        click.echo(f"  {row.what:<{widths[0]}}  {row.where:<{widths[1]}}  {row.how}".rstrip())


@commands.command()
@click.argument("name", metavar="SOURCE")
@click.option(
    "--sample", required=True, type=click.Path(path_type=Path), help="One real body of the sender."
)
@mappings_option
@click.option("--content-type", help="Of the sample; default: by the file's ending.")
def new(name: str, sample: Path, folder: Path | None, content_type: str | None) -> None:
    """Write a first mapping from a sample.

    Every guess in it is for a person to confirm.
    """
    folder = _folder(folder)
    file = folder / f"{name}.yaml"
    if not NAME.match(name):
        raise click.BadParameter("use a to z, 0 to 9, - and _")
    if file.exists():
        raise ConfigurationError(f"{file} exists already")
    body = _read(sample)
    data = payloads.parse(body, content_type or content_type_of(sample, body))
    beside = folder / "samples" / f"{name}{sample.suffix or '.json'}"
    beside.parent.mkdir(parents=True, exist_ok=True)
    if not beside.exists():
        beside.write_bytes(body)
    file.write_text(mapping_from_sample(name, f"samples/{beside.name}", data), encoding="utf-8")
    click.echo(f"wrote {file} and {beside}")
    click.echo(f"confirm each guess in it, fill in each TODO, then: adapter check {file}")


@commands.command()
def schema() -> None:
    """Print the JSON Schema of mapping files, for editors."""
    click.echo(json.dumps(mapping_schema(), indent=2, ensure_ascii=False))
