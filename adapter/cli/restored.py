"""Define ``adapter restored``, which resumes sending after the database was restored."""

import datetime as dt
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from adapter.cli import output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, by_option, clock_of, opened_store
from adapter.exceptions import NotPossible, UpstreamError
from adapter.mapping.registry import load
from adapter.models import Booking
from adapter.operations.restore import Restore, Survey
from adapter.operations.serializers import local, person, utc
from adapter.services import propexo_from
from adapter.settings import settings_from


@click.command(
    epilog=examples(
        "adapter restored --dry-run",
        "adapter restored --since 2026-03-14T02:00:00",
        "adapter restored --nothing-lost   # moved while it was stopped",
    )
)
@click.option(
    "--since",
    type=click.DateTime(),
    callback=lambda _context, _option, at: at and at.replace(tzinfo=dt.UTC),
    help="Time of the backup or earlier (UTC). Default: when a worker last ran before the backup.",
)
@click.option(
    "--settle",
    "settle_seconds",
    type=click.IntRange(0, 86_400),
    default=300,
    help="Wait this many seconds after sending stops, so that Propexo lists everything that was "
    "sent.",
)
@click.option(
    "--nothing-lost",
    is_flag=True,
    help="Resume without comparing. Use this option if nothing was received or sent after the "
    "backup.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@by_option
@as_json
def restored(
    since: dt.datetime | None,
    settle_seconds: int,
    nothing_lost: bool,
    dry_run: bool,
    yes: bool,
    by: str,
    as_json: bool,
) -> None:
    """Resume sending after the database was restored or moved.

    The bookings that were sent after the backup are missing from a restored database, so the
    adapter sends nothing until you run this command. The command compares the database with
    Propexo's write log and marks the leads that were sent as `booked`. If a tour's webhook is lost,
    the tour is stored so that the adapter recognizes repeats. All other pending leads are then
    sent.

    If the log may be incomplete, pending leads become `unknown` and the exit code is 1. The adapter
    searches for these leads in Propexo's lists. Leads that are not found need review.

    Do not run this command on a test copy of the database, because renters' tours would be booked
    twice.
    """
    settings = settings_from()
    sources = load(settings.mappings_dir, settings.policy)
    with opened_store(settings) as store:
        clock = clock_of(store)
        restore = Restore(settings, store, sources, propexo_from(settings), clock, time.sleep)
        if nothing_lost:
            _accept(restore, by, is_confirmed=yes or dry_run, dry_run=dry_run)
            return
        _require_terminal(is_needed=not dry_run and not yes)
        since = since or restore.since()
        if not dry_run:
            _wait(clock() - restore.stop(), settle_seconds)
        survey = _survey(restore, since)
        if not dry_run and not yes:
            click.echo("\n".join(_lines(survey)), err=True)
            click.confirm("Record these changes and resume sending?", abort=True, err=True)
        stored = () if dry_run else restore.apply(survey, by=by)
    text = [*_lines(survey), "nothing was changed (--dry-run)" if dry_run else "sending resumed"]
    data = _as_dict(survey, stored) | {"dry_run": dry_run}
    output.show(data, "\n".join(text), as_json=as_json)
    sys.exit(not survey.is_complete)


def _require_terminal(*, is_needed: bool) -> None:
    """Raise NotPossible if the command must ask a question but there is no terminal."""
    if is_needed and not sys.stdin.isatty():
        raise NotPossible(
            "This command asks before it changes anything, but there is no terminal. "
            "Review the changes with --dry-run, then run the command with --yes."
        )


def _accept(restore: Restore, by: str, *, is_confirmed: bool, dry_run: bool) -> None:
    if not is_confirmed:
        click.confirm(
            "Are you sure that nothing was received or sent since the backup?", abort=True, err=True
        )
    if not dry_run:
        restore.resume(by=by, detail="nothing lost")
    click.echo("sending would be resumed" if dry_run else "sending resumed")


def _wait(since_stop: dt.timedelta, settle_seconds: int) -> None:
    """Wait long enough for Propexo to list everything that was sent."""
    seconds = settle_seconds - since_stop.total_seconds()
    if seconds > 0:
        click.echo(
            f"waiting {seconds:.0f} s until Propexo lists everything that was sent", err=True
        )
        time.sleep(seconds)


def _survey(restore: Restore, since: dt.datetime) -> Survey:
    try:
        return restore.survey(since)
    except UpstreamError as exc:
        output.fail(f"cannot read Propexo's write log: {exc}; sending remains suspended")


def _lines(survey: Survey) -> Iterator[str]:
    """Yield lines that explain how the database differs from Propexo, and the next steps."""
    yield f"since {utc(survey.since)}:"
    yield f"{len(survey.sent)} leads were sent, and are marked booked once their jobs succeed"
    yield f"{len(survey.lost)} tours or guest cards are in Knock, but their webhooks are lost:"
    for job, owner in survey.lost:
        at = local(job.starts_at, owner.community.timezone.key) or "guest card"
        name = person(job.parameters)
        yield f"  {owner.source}, {owner.community.key}, {at}, {name} (job {job.id})"
    if survey.is_complete:
        yield f"{len(survey.pending)} pending leads were not sent, and will be sent"
    else:
        yield (
            f"{len(survey.pending)} pending leads become unknown, because Propexo's write log "
            f"lists only {survey.listed} of {survey.expected} known jobs"
        )
    if survey.senders:
        names, since = ", ".join(survey.senders), utc(survey.since)
        if survey.is_complete:
            yield f"ask these senders to resend all webhooks since {since}: {names}"
        else:
            yield (
                f"leads sent since {since} may already be in Knock and could be booked twice. "
                f"Check Knock before you ask these senders to resend their webhooks: {names}"
            )


def _as_dict(survey: Survey, stored: Sequence[Booking]) -> dict[str, Any]:
    return {
        "since": survey.since,
        "is_complete": survey.is_complete,
        "sent": [{"booking": booking.id, "job_id": job.id} for booking, job in survey.sent],
        "lost": [
            {
                "job_id": job.id,
                "source": owner.source,
                "community": owner.community.key,
                "starts_at": job.starts_at,
                "person": person(job.parameters),
            }
            for job, owner in survey.lost
        ],
        "stored": [booking.id for booking in stored],
        "pending": [booking.id for booking in survey.pending],
        "jobs_expected": survey.expected,
        "jobs_listed": survey.listed,
        "senders": survey.senders,
    }
