"""Define ``adapter find``, which finds a renter's leads and explains what happened to each."""

import datetime as dt
import getpass
import sys
from collections.abc import Iterator

import click

from adapter.cli import output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store, since_option, until_option
from adapter.models import utc_now
from adapter.operations.find_lead import Hit, LeadFinder, Result, Searched
from adapter.operations.lead_cause import clock_text
from adapter.settings import settings_from


@click.command(
    epilog=examples(
        "adapter find dana@example.com",
        'adapter find "(303) 555-0142" --since 2026-11-01',
        'adapter find "Dana Okafor" --json',
    )
)
@click.argument("word")
@since_option
@until_option
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, help="Show at most this many leads."
)
@as_json
def find(
    word: str, since: dt.datetime | None, until: dt.datetime | None, limit: int, as_json: bool
) -> None:
    """Find a renter's leads, and explain what happened to each.

    WORD is an email address, a phone number, a name or an ID. If WORD contains spaces, put it in
    quotes. The command searches bookings, webhooks that were held, ignored, discarded or not mapped
    yet, and rejected requests, newest first. For each lead, it says what to run next. The exit code
    is 1 if nothing was found.
    """
    if len(word.strip()) < 2:
        raise click.BadParameter("must have at least two characters", param_hint="WORD")
    settings = settings_from()
    with opened_store(settings) as store:
        finder = LeadFinder(settings, store, utc_now)
        result = finder.find(word, since=since, until=until, limit=limit, by=getpass.getuser())
    output.show(result, "\n".join(_lines(result)), as_json=as_json)
    sys.exit(not result.hits)


def _lines(result: Result) -> Iterator[str]:
    for hit in result.hits:
        yield from _hit_lines(hit)
    if not result.hits:
        yield "nothing found"
    yield from _searched_lines(result.searched)


def _hit_lines(hit: Hit) -> Iterator[str]:
    kind = "rejected request" if hit.kind == "rejection" else hit.kind
    name = f", {hit.person}" if hit.person else ""
    at = clock_text(hit.received_at, None)
    yield f"{kind} {hit.id} from {hit.source}{name}, received {at}"
    yield f"  {hit.cause}"
    if hit.hint:
        yield f"  {hit.hint}"
    yield f"  next: {hit.next}"
    yield ""


def _searched_lines(searched: Searched) -> Iterator[str]:
    yield f"searched: bookings received {_period(searched.since, searched)}"
    if not searched.has_text:
        yield "  stored requests were not searched, because the number is too short"
        return
    since = max(filter(None, (searched.since, searched.payloads_since)))
    yield (
        f"  {searched.webhooks} webhooks without bookings and {searched.rejections} rejected "
        f"requests received {_period(since, searched)}"
    )
    if searched.unreadable:
        yield (
            f"  not searched: {searched.unreadable} encrypted requests whose keys are not in "
            "ADAPTER_ENCRYPTION_KEYS"
        )
    if not searched.is_complete:
        yield "  the search is incomplete; set --since and --until, or raise --limit"


def _period(since: dt.datetime | None, searched: Searched) -> str:
    begin = f"since {clock_text(since, None)}" if since else "at any time"
    return begin + (f", before {clock_text(searched.until, None)}" if searched.until else "")
