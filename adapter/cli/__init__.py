"""The command line: ``adapter …``.

Exit codes: 0 success, 1 failure or a negative result, 2 wrong usage.
"""

import sys

import click

import adapter
from adapter.cli.help import examples
from adapter.cli.lazy import LazyGroup
from adapter.exceptions import AdapterError


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "adapter demo             try it: nothing leaves this machine",
        "adapter run              run everything on this machine",
        "adapter COMMAND --help   what a command does, with examples",
    )
    + "\n\nExit codes: 0 success, 1 failure or a negative result, 2 wrong usage.",
)
@click.version_option(adapter.__version__, prog_name="adapter")
def commands() -> None:
    """Turn signed lead webhooks into tour appointments in Knock."""


# Each command is imported when it is called. Its summary here repeats the first sentence of its
# help, so that listing the commands imports none of them; a test compares the two.
commands.add_lazy(
    "audit",
    "reports:audit",
    "List user actions: views, releases, edits, discards, exports.",
)
commands.add_lazy(
    "backtest",
    "reports:backtest_",
    "Show what an edited mapping would change in stored webhooks.",
)
commands.add_lazy("bookings", "leads:bookings", "List bookings, newest first.")
commands.add_lazy(
    "check", "mappings:check", "Check mappings and print each error with its location."
)
commands.add_lazy(
    "communities",
    "communities:communities",
    "List communities, or compare them with Propexo using a subcommand.",
)
commands.add_lazy(
    "confirm",
    "resolve:confirm",
    "Mark a tour as booked after checking Knock.",
)
commands.add_lazy(
    "demo",
    "demo:demo",
    "Book tours in a sandbox from signed sample webhooks.",
)
commands.add_lazy(
    "discard",
    "resolve:discard",
    "Discard a booking or a held event.",
)
commands.add_lazy("events", "leads:events", "List events (stored webhooks), newest first.")
commands.add_lazy(
    "explain", "mappings:explain", "Explain, for each field, which paths a mapping reads and how."
)
commands.add_lazy(
    "export",
    "reports:export",
    "Print bookings as CSV, or counts with --sums.",
)
commands.add_lazy("map", "map:map_", "Show what a body maps to, without network or database.")
commands.add_lazy("migrate", "run:migrate", "Migrate the database to this version.")
commands.add_lazy("new", "mappings:new", "Draft a new mapping from a sample payload.")
commands.add_lazy(
    "purge",
    "purge:purge",
    "Delete payloads and renters' names, contact details and notes.",
)
commands.add_lazy(
    "queue",
    "reports:queue",
    "List what needs review, grouped by problem.",
)
commands.add_lazy(
    "rejections",
    "rejections:listing",
    "List rejected requests, newest first.",
)
commands.add_lazy(
    "release",
    "resolve:release",
    "Release a held, failed, expired or unknown booking.",
)
commands.add_lazy(
    "replay", "resolve:replay", "Remap stored webhooks after a mapping has been fixed."
)
commands.add_lazy(
    "run",
    "run:run",
    "Run PostgreSQL, web, worker and sandbox on this machine.",
)
commands.add_lazy(
    "sandbox",
    "sandbox:sandbox",
    "Run a stand-in for Propexo's API and Knock.",
)
commands.add_lazy(
    "schema", "mappings:schema", "Print the JSON Schema of mapping files, for editors."
)
commands.add_lazy(
    "send",
    "send:send",
    "Send FILE to SOURCE with a valid signature.",
)
commands.add_lazy("show", "leads:show", "Show the history of one lead.")
commands.add_lazy(
    "sign",
    "send:sign",
    "Print a curl command that sends FILE to SOURCE.",
)
commands.add_lazy(
    "sources",
    "sources:sources",
    "List the sources with their URLs, signatures, last use of secrets, events and rejections.",
)
commands.add_lazy(
    "stats",
    "reports:stats",
    "Show sources, the send queue, outcomes and processing times.",
)
commands.add_lazy(
    "users",
    "manage_users:users",
    "List console users; `add` and `remove` change them.",
)
commands.add_lazy("web", "run:web", "Run the web process alone (gunicorn).")
commands.add_lazy("worker", "run:run_worker", "Run one worker.")


def main() -> None:
    """Run one command. An AdapterError is printed without a traceback; the exit code is 1."""
    try:
        commands(prog_name="adapter")
    except AdapterError as exc:
        for line in str(exc).splitlines():
            click.echo(f"adapter: {line}", err=True)
        sys.exit(1)
