"""Define ``adapter alarms``, which lists, tests, acknowledges and snoozes alarms."""

import dataclasses
import datetime as dt
import sys
from collections.abc import Callable

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, by_option, clock_of, limit_option, opened_store, read_period
from adapter.mapping import registry
from adapter.models import utc_now
from adapter.operations.alarm_watch import Problems
from adapter.operations.health import Level, verdict_of
from adapter.operations.notifications import Line, Notifier, message_of, service_of
from adapter.operations.serializers import utc, with_ages
from adapter.settings import settings_from
from adapter.store import Transaction
from adapter.store.alarm_log import Alarm

_source_option = click.option("--source", default="", help="Change only the alarm for this source.")


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "adapter alarms",
        "adapter alarms test",
        "adapter alarms acknowledge no_worker",
        "adapter alarms snooze source_silent --source rentfeed --for 2d",
    ),
)
@limit_option
@as_json
@click.pass_context
def alarms(context: click.Context, limit: int, as_json: bool) -> None:
    """List alarms, with ongoing problems first.

    The services in ADAPTER_ALARMS notify people when a problem begins, every four hours while it
    lasts, and when it ends.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_from()
    names = registry.names_in(settings.mappings_dir)
    with opened_store(settings) as store:
        now = clock_of(store)()
        problems = {
            (one.code, one.source): one for one in verdict_of(store, names, settings, now).problems
        }
        with store.transaction() as tx:
            newest = [_current(one, problems, now) for one in tx.alarms.newest(limit)]
    text = "\n".join(_text(one, problems) for one in newest) or "There have been no alarms."
    output.show({"alarms": newest}, text, as_json=as_json)


def _current(alarm: Alarm, problems: Problems, now: dt.datetime) -> Alarm:
    """Return an alarm with ages as of ``now`` and, while it lasts, with its current numbers."""
    problem = problems.get(alarm.key) if alarm.ended_at is None else None
    sentence = problem.sentence if problem is not None else with_ages(alarm.sentence, now)
    return dataclasses.replace(alarm, sentence=sentence)


def _text(alarm: Alarm, problems: Problems) -> str:
    name = f"{alarm.code} ({alarm.source})" if alarm.source else alarm.code
    over = f", ended {utc(alarm.ended_at)}" if alarm.ended_at else ""
    if alarm.ended_at is None and alarm.key not in problems:
        over = ", over now (it is reported as ended after a minute)"
    told = f", sent {utc(alarm.sent_at)}" if alarm.sent_at else ", not sent"
    by = f", acknowledged by {alarm.acknowledged_by}" if alarm.acknowledged_by else ""
    until = f", snoozed until {utc(alarm.snoozed_until)}" if alarm.snoozed_until else ""
    times = f"began {utc(alarm.began_at)}{over}{told}{by}{until}"
    return f"{alarm.level.upper()}: {name}\n  {alarm.sentence}\n  {times}"


@alarms.command(epilog=examples("adapter alarms test"))
@as_json
def test(as_json: bool) -> None:
    """Send a test message to each service in ADAPTER_ALARMS.

    The exit code is 1 if a service does not accept the message.
    """
    settings = settings_from()
    if not settings.alarms:
        output.fail("ADAPTER_ALARMS is not set; set it to notify people of problems")
    message = message_of(settings, [Line(Level.OK, "test", "This is a test. There is no problem.")])
    errors = Notifier(settings.alarms).send_to_each(message)
    rows = [
        (number, service_of(url), error or "accepted")
        for number, (url, error) in enumerate(zip(settings.alarms, errors, strict=True), 1)
    ]
    data = [{"number": number, "service": name, "result": result} for number, name, result in rows]
    text = formatting.table(("URL", "service", "result"), rows)
    output.show({"services": data}, text, as_json=as_json)
    sys.exit(any(errors))


@alarms.command(epilog=examples("adapter alarms acknowledge no_worker"))
@click.argument("code")
@_source_option
@by_option
def acknowledge(code: str, source: str, by: str) -> None:
    """Stop an alarm's reminders while you are working on the problem.

    You are still notified when the problem ends. CODE is the alarm's code, which appears in the
    alarm's messages and in `adapter alarms`.
    """
    _change(code, source, by, "acknowledged", lambda tx: tx.alarms.acknowledge(code, source, by))


@alarms.command(epilog=examples("adapter alarms snooze source_silent --source rentfeed --for 2d"))
@click.argument("code")
@_source_option
@click.option(
    "--for",
    "period",
    required=True,
    callback=read_period,
    metavar="PERIOD",
    help="How long to mute the alarm, such as 2h or 3d.",
)
@by_option
def snooze(code: str, source: str, period: dt.timedelta, by: str) -> None:
    """Mute an alarm for a while. If the problem continues, a reminder follows afterward."""
    until = utc_now() + period
    _change(code, source, by, "snoozed", lambda tx: tx.alarms.snooze(code, source, until))


def _change(
    code: str, source: str, by: str, action: str, change: Callable[[Transaction], int]
) -> None:
    scope = f"{code} of {source}" if source else code
    with opened_store(settings_from()) as store, store.transaction() as tx:
        count = change(tx)
        if not count:
            output.fail(f"there is no open alarm {scope}; run `adapter alarms` to list the alarms")
        tx.audit.record(f"alarm_{action}", by=by, at=utc_now(), detail=scope)
    click.echo(f"{action}: {count}")
