"""Define ``adapter doctor``, which checks an installation for problems."""

import dataclasses
import logging
import os
import sys
from collections.abc import Iterable, Iterator

import click

import adapter
from adapter.cli import output
from adapter.cli.help import examples
from adapter.cli.leads import as_json
from adapter.exceptions import WRONG_CONFIGURATION
from adapter.models import utc_now
from adapter.operations.check_propexo import SECONDS
from adapter.operations.check_settings import GivenSettings
from adapter.operations.examine import examine
from adapter.operations.finding import Finding, Status, exit_code
from adapter.services import propexo_from
from adapter.settings import EnvFile, read_settings

#: Colors on a terminal.
COLORS = {Status.OK: "green", Status.WARNING: "yellow", Status.FAULT: "red"}


@click.command(epilog=examples("adapter doctor", "adapter --env-file .env doctor --json"))
@click.option("--all", "is_full", is_flag=True, help="Also list the checks that found no problem.")
@as_json
@click.pass_context
def doctor(context: click.Context, is_full: bool, as_json: bool) -> None:
    """Check this installation, and explain how to fix problems.

    The command checks settings, secrets, mappings, PostgreSQL, clocks, Propexo, whether senders can
    reach the web process, and whether leads are being processed. The command changes nothing and
    takes a few seconds. For each secret, it prints only the length and the start of the SHA-256
    hash.

    Exit codes: 0 no problem or only warnings, 1 a serious problem, 78 only invalid settings or
    mappings.
    """
    settings, faults = read_settings(os.environ)
    settings = dataclasses.replace(
        settings, propexo_timeout_seconds=min(settings.propexo_timeout_seconds, SECONDS)
    )
    env_file = context.find_object(EnvFile) or EnvFile(None, frozenset())
    given = GivenSettings(settings, faults, env_file)
    logging.disable(logging.CRITICAL)  # the findings contain the same information
    try:
        findings = examine(given, propexo_from(settings), utc_now)
    finally:
        logging.disable(logging.NOTSET)
    data = {"version": adapter.__version__, "findings": findings}
    output.show(data, "\n".join(_lines(findings, is_full=is_full)), as_json=as_json)
    sys.exit(exit_code(findings, WRONG_CONFIGURATION))


def _lines(findings: Iterable[Finding], *, is_full: bool) -> Iterator[str]:
    findings = list(findings)
    for one in findings:
        if one.status is not Status.OK or is_full:
            yield f"{_label(one.status)} {one.area}: {one.text}"
            if one.fix:
                yield f"        → {one.fix}"
    counts = [f"{sum(one.status is status for one in findings)} {status}" for status in Status]
    yield f"adapter {adapter.__version__}: {', '.join(counts)}"


def _label(status: Status) -> str:
    return click.style(f"{status:<7}", fg=COLORS[status])
