"""Define ``adapter pause`` and ``resume``, which stop and restart sending."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from adapter.cli import output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, by_option, clock_of, opened_store
from adapter.cli.report_formatting import pause_lines
from adapter.operations.pause import Pauses
from adapter.settings import settings_from
from adapter.store import Pause, scope_text


def _scope_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--community",
            default="",
            help="Pause or resume only bookings at this community (its key in communities.yaml).",
        ),
        click.option(
            "--source", default="", help="Pause or resume only bookings from this source."
        ),
    ):
        command = option(command)
    return command


def _check_scope(source: str, community: str) -> None:
    if source and community:
        raise click.UsageError("--source and --community cannot be combined; use only one")


def _show(text: str, pauses: Sequence[Pause], *, as_json: bool) -> None:
    output.show({"pauses": pauses}, "\n".join([text, *pause_lines(pauses)]), as_json=as_json)


@click.command(
    epilog=examples(
        'adapter pause --reason "Knock is being migrated"',
        'adapter pause --source rentfeed --reason "sends wrong times"',
        'adapter pause --community maple-court --reason "new tour hours"',
    )
)
@_scope_options
@click.option(
    "--reason", required=True, help="Reason to show in the console while sending is paused."
)
@by_option
@as_json
def pause(reason: str, by: str, as_json: bool, **scope: Any) -> None:
    """Stop sending bookings until you run `adapter resume`.

    During a pause, the adapter still accepts and maps webhooks, and still checks bookings that
    Propexo has accepted. Tours that start during the pause expire and need review. Once this
    command has returned, the adapter sends no more requests for the paused bookings.
    """
    _check_scope(**scope)
    settings = settings_from()
    with opened_store(settings) as store:
        pauses = Pauses(settings, store, clock_of(store), by).pause(reason, **scope)
    _show(f"Paused {scope_text(**scope)}.", pauses, as_json=as_json)


@click.command(epilog=examples("adapter resume", "adapter resume --source rentfeed"))
@_scope_options
@by_option
@as_json
def resume(by: str, as_json: bool, **scope: Any) -> None:
    """Resume sending bookings after `adapter pause`.

    Without --source or --community, this command ends the pause of all bookings, a temporary pause
    that Propexo requested, and the delays before retries.
    """
    _check_scope(**scope)
    settings = settings_from()
    with opened_store(settings) as store:
        pauses = Pauses(settings, store, clock_of(store), by).resume(**scope)
    _show(f"Resumed {scope_text(**scope)}.", pauses, as_json=as_json)
