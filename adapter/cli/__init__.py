"""The command line: ``adapter …``. Exit codes: 0 done, 1 the answer is no, 2 wrong usage."""

import sys

import click

import adapter
from adapter.exceptions import AdapterError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(adapter.__version__, prog_name="adapter")
def commands() -> None:
    """Signed lead webhooks in, tour appointments in Knock out."""


def main() -> None:
    """Runs one command; an error of ours is one clear line and exit code 1."""
    try:
        commands(prog_name="adapter")
    except AdapterError as exc:
        for line in str(exc).splitlines():
            click.echo(f"adapter: {line}", err=True)
        sys.exit(1)


# Each module adds its commands to the group above, which therefore stands before them.
import adapter.cli.communities  # noqa: E402
import adapter.cli.console  # noqa: E402
import adapter.cli.demo  # noqa: E402
import adapter.cli.dry_runs  # noqa: E402
import adapter.cli.erasure  # noqa: E402
import adapter.cli.gallery  # noqa: E402
import adapter.cli.leads  # noqa: E402
import adapter.cli.mappings  # noqa: E402
import adapter.cli.processes  # noqa: E402
import adapter.cli.rejections  # noqa: E402
import adapter.cli.repairs  # noqa: E402
import adapter.cli.sandbox  # noqa: E402
import adapter.cli.sources  # noqa: E402
import adapter.cli.webhooks  # noqa: E402
