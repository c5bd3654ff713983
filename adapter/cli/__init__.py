"""The command line: ``adapter …``. Exit codes: 0 done, 1 the answer is no, 2 wrong usage."""

import sys

import click

import adapter
from adapter.cli.lazy import LazyGroup
from adapter.exceptions import AdapterError


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(adapter.__version__, prog_name="adapter")
def commands() -> None:
    """Signed lead webhooks in, tour appointments in Knock out."""


# Each command is imported when it is called. What is said of it here is the first sentence of its
# help, so that the list of commands needs no import; a test compares the two.
commands.add_lazy(
    "audit",
    "reports:audit",
    "List who looked at, released, edited, discarded, confirmed, replayed and exported what.",
)
commands.add_lazy(
    "backtest",
    "reports:backtest_",
    "Show what an edited mapping would change over the last stored webhooks of SOURCE.",
)
commands.add_lazy("bookings", "leads:bookings", "List bookings, newest first.")
commands.add_lazy(
    "check", "mappings:check", "Check mappings, and print each error with its location."
)
commands.add_lazy(
    "communities",
    "communities:communities",
    "List the communities of communities.yaml; fill it from Propexo, and check it there.",
)
commands.add_lazy(
    "confirm",
    "resolve:confirm",
    "Say that a tour stands in Knock: you have seen it there, or have booked it by hand.",
)
commands.add_lazy(
    "demo",
    "demo:demo",
    "Show the whole job: signed webhooks go in, tours stand in the sandbox's Knock.",
)
commands.add_lazy(
    "discard",
    "resolve:discard",
    "Put a booking or a held event aside: done by hand, a test, not a lead.",
)
commands.add_lazy(
    "events", "leads:events", "List events (webhooks that were stored), newest first."
)
commands.add_lazy(
    "explain", "mappings:explain", "Explain, for each field, which paths a mapping reads and how."
)
commands.add_lazy(
    "export",
    "reports:export",
    "Print bookings as CSV, or with --sums what to compare a portal's invoice with.",
)
commands.add_lazy("map", "map:map_", "Show what a body maps to, without network or database.")
commands.add_lazy("migrate", "run:migrate", "Bring the database up to date.")
commands.add_lazy("new", "mappings:new", "Write a first mapping from a sample.")
commands.add_lazy(
    "purge",
    "purge:purge",
    "Erase payloads, names, contacts and notes; ids, states and times stay.",
)
commands.add_lazy(
    "queue",
    "reports:queue",
    "List what waits for a person, by what is wrong; or the leads of one GROUP.",
)
commands.add_lazy(
    "rejections",
    "rejections:listing",
    "List refused requests, newest first; `retry` lets those in that are good now.",
)
commands.add_lazy(
    "release",
    "resolve:release",
    "Send a held, failed, expired or unknown booking on its way, changed where need be.",
)
commands.add_lazy(
    "replay", "resolve:replay", "Map stored webhooks again, after a mapping was mended."
)
commands.add_lazy(
    "run",
    "run:run",
    "Run everything on this machine: PostgreSQL, web, worker, and the sandbox without a token.",
)
commands.add_lazy(
    "sandbox",
    "sandbox:sandbox",
    "Stand in for Propexo's API, and for Knock behind it, until Ctrl-C.",
)
commands.add_lazy(
    "schema", "mappings:schema", "Print the JSON Schema of mapping files, for editors."
)
commands.add_lazy(
    "send",
    "send:send",
    "Send FILE to SOURCE with a valid signature, and print the adapter's answer.",
)
commands.add_lazy("show", "leads:show", "Tell one lead's whole story.")
commands.add_lazy(
    "sign",
    "send:sign",
    "Print a curl command that sends FILE to SOURCE with a valid signature.",
)
commands.add_lazy(
    "sources",
    "sources:sources",
    "List the sources: address, signature, secrets with their last use, events, rejections.",
)
commands.add_lazy(
    "stats",
    "reports:stats",
    "Tell whether all is well: sources against their usual, the queue, sending, speed.",
)
commands.add_lazy(
    "users",
    "manage_users:users",
    "List who may sign in to the console; `add` and `remove` change that.",
)
commands.add_lazy("web", "run:web", "Run the web process alone (gunicorn).")
commands.add_lazy("worker", "run:run_worker", "Run one worker.")


def main() -> None:
    """Runs one command; an error of ours is one clear line and exit code 1."""
    try:
        commands(prog_name="adapter")
    except AdapterError as exc:
        for line in str(exc).splitlines():
            click.echo(f"adapter: {line}", err=True)
        sys.exit(1)
