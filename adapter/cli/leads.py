"""Define ``adapter bookings``, ``events`` and ``show``, which show leads."""

import contextlib
import datetime as dt
import getpass
import re
from collections.abc import Callable, Iterator
from typing import Any

import click

from adapter.bookings.reconcile import replacing_in_knock
from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.exceptions import ConfigurationError
from adapter.models import BookingState, Clock, EventState, utc_now
from adapter.operations import serializers
from adapter.operations.health import verdict_of
from adapter.settings import Settings, settings_from
from adapter.store import Database, Filter, check_reachable
from adapter.store.embedded import EmbeddedServer


def clock_of(store: Database) -> Clock:
    """Return a clock that follows PostgreSQL's time. Raise StoreUnavailable on failure."""
    with store.statement() as tx:
        ahead = tx.current_time() - utc_now()
    return lambda: utc_now() + ahead


@contextlib.contextmanager
def opened_store(settings: Settings) -> Iterator[Database]:
    """Open the database for a block, starting the embedded server if necessary."""
    with contextlib.ExitStack() as stack:
        url = settings.database_url
        if url is None:
            server = EmbeddedServer(settings.data_dir)
            if not server.folder.exists():
                raise ConfigurationError(
                    f"there is no database yet in {server.folder}: `adapter run` creates it. If "
                    "yours is elsewhere, pass its settings with `adapter --env-file FILE`, or set "
                    "DATABASE_URL or ADAPTER_DATA_DIR"
                )
            url = stack.enter_context(server.running())
        check_reachable(url)
        store = stack.enter_context(Database(url, size=2, keys=settings.encryption_keys))
        if newer := store.check_schema().newer:
            click.echo(f"warning: {newer}", err=True)
        yield store


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
limit_option = click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    help="Show at most this many rows.",
)
source_option = click.option("--source", help="Include only this source.")


def states_option(*kinds: type[BookingState] | type[EventState]) -> Callable[..., Any]:
    """Return a ``--state`` option that accepts the states of the given kinds."""
    return click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice(sorted({str(state) for kind in kinds for state in kind})),
        help="Include only this state. May be repeated.",
    )


by_option = click.option(
    "--by",
    default=getpass.getuser,
    show_default="your username",
    help="Your name, for the audit log.",
)


def read_period(_context: object, _option: object, text: str) -> dt.timedelta:
    """Parse a period such as ``12h`` or ``7d``."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})([hd])", text)
    if found is None:
        raise click.BadParameter("must be a number of hours or days, such as 12h or 7d")
    return int(found[1]) * dt.timedelta(hours=24 if found[2] == "d" else 1)


def _period_option(name: str, help: str) -> Callable[..., Any]:
    return click.option(
        name,
        type=click.DateTime(),
        callback=lambda _context, _option, at: at and at.replace(tzinfo=dt.UTC),
        help=help,
    )


since_option = _period_option("--since", "Include only leads received since this time (UTC).")
until_option = _period_option("--until", "Include only leads received before this time (UTC).")


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add options that filter bookings, named like the fields of :class:`Filter`."""
    for option in (
        click.option(
            "--search",
            "text",
            default="",
            show_default=False,
            help="Search by email, phone, name, ID, or Propexo job ID.",
        ),
        until_option,
        since_option,
        click.option(
            "--community", help="Include only this community (its key in communities.yaml)."
        ),
        source_option,
        states_option(BookingState),
    ):
        command = option(command)
    return command


@click.command(
    epilog=examples(
        "adapter bookings --search dana@example.com",
        "adapter bookings --state held --community maple-court",
    )
)
@filter_options
@limit_option
@as_json
def bookings(limit: int, as_json: bool, **options: Any) -> None:
    """List bookings, newest first."""
    with opened_store(settings_from()) as store, store.transaction() as tx:
        selected = tx.search.bookings(Filter(**options), limit=limit)
    output.show({"bookings": selected}, formatting.bookings_table(selected), as_json=as_json)


@click.command(epilog=examples("adapter events --source rentfeed --state held"))
@states_option(EventState)
@source_option
@limit_option
@as_json
def events(states: tuple[str, ...], source: str | None, limit: int, as_json: bool) -> None:
    """List stored webhooks (events), newest first."""
    with opened_store(settings_from()) as store, store.transaction() as tx:
        selected = tx.search.events(Filter(states=states, source=source), limit=limit)
    output.show({"events": selected}, formatting.events_table(selected), as_json=as_json)


@click.command(epilog=examples("adapter show 1010", "adapter show job_8f2c1d --json"))
@click.argument("id")
@as_json
def show(id: str, as_json: bool) -> None:
    """Show the history of one lead. ID is an event ID, a booking ID or a Propexo job ID."""
    settings = settings_from()
    with opened_store(settings) as store, store.transaction() as tx:
        why_unsent = verdict_of(store, (), settings, utc_now()).why_unsent
        story = tx.events.history(id)
        if story is not None:
            acts = tx.audit.of_lead(story)
            replaced = replacing_in_knock(tx, story.bookings)
            tx.audit.record("looked", by=getpass.getuser(), at=utc_now(), lead_id=story.event.id)
    if story is None:
        output.fail(
            f"no event, booking or job has the ID {id!r}; `adapter bookings --search` finds leads "
            "by name, email and phone"
        )
    data = serializers.story_as_dict(story, replaced) | {"acts": acts, "why_unsent": why_unsent}
    output.show(data, formatting.story_text(story, acts, replaced, why_unsent), as_json=as_json)
