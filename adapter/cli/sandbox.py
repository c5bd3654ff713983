"""Define ``adapter sandbox``, which simulates Propexo and Knock on this machine."""

import json
import os
from pathlib import Path
from typing import Any

import click

from adapter.cli.help import examples
from adapter.exceptions import ConfigurationError
from adapter.sandbox import create_app, serve
from adapter.sandbox.catalog import BUNDLED, Catalog, catalog_from
from adapter.sandbox.data_webhooks import Sync
from adapter.sandbox.listed_records import MODELS
from adapter.sandbox.validation import ENUMS


def _enums_from(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """Parse options such as ``pets=CATS,NONE`` into a dictionary of lists."""
    enums = {}
    for pair in pairs:
        name, equals, values = pair.partition("=")
        if not equals or name not in ENUMS:
            raise click.BadParameter(f"must be FIELD=VALUE,… with FIELD one of {', '.join(ENUMS)}")
        enums[name] = [value.strip() for value in values.split(",") if value.strip()]
    return enums


def _catalog_from(file: Path) -> Catalog:
    try:
        return catalog_from(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, ConfigurationError) as exc:
        raise click.BadParameter(f"{file}: {exc}") from None


@click.command(
    epilog=examples(
        "adapter sandbox --port 8001",
        "adapter sandbox --job-seconds 5 --enum tour_type=IN_PERSON,VIRTUAL",
        "adapter sandbox --webhook-url http://127.0.0.1:8000/propexo/webhooks",
    )
)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8001,
    help="Port to listen on. Use 0 to choose a free port.",
)
@click.option("--token", default="sandbox", help="Bearer token to accept.")
@click.option(
    "--job-seconds",
    type=click.FloatRange(0, 86400),
    default=0.5,
    help="Number of seconds that a job remains PENDING.",
)
@click.option(
    "--rate-limit",
    "limit_per_minute",
    type=click.IntRange(min=1),
    default=150,
    help="Maximum number of requests per minute.",
)
@click.option(
    "--slowdown-seconds",
    type=click.FloatRange(0, 600),
    default=0.0,
    help="Delay each response above 80% of the rate limit by this many seconds. Propexo uses 2 "
    "seconds.",
)
@click.option(
    "--enum",
    "enums",
    multiple=True,
    metavar="FIELD=VALUE,…",
    callback=lambda _context, _option, pairs: _enums_from(pairs),
    help="Allowed values for pets, first_contact_type or tour_type. By default, no values are "
    "allowed.",
)
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=BUNDLED,
    show_default="communities of the bundled mappings",
    callback=lambda _context, _option, file: _catalog_from(file),
    help="JSON file that contains the communities to list.",
)
@click.option(
    "--webhook-url",
    help="URL for webhooks about tours and guest cards. The webhooks are signed with "
    "PROPEXO_WEBHOOK_SECRET.",
)
@click.option(
    "--model-off",
    "off",
    multiple=True,
    type=click.Choice(MODELS),
    help="Simulate that this model is not enabled for the customer. May be repeated.",
)
@click.option(
    "--sync-seconds",
    type=click.FloatRange(0, 86400),
    default=0.0,
    help="Number of seconds until new tours and guest cards are listed and sent as webhooks.",
)
@click.option("--quiet", is_flag=True, help="Print nothing.")
def sandbox(
    *,
    host: str,
    port: int,
    quiet: bool,
    webhook_url: str | None,
    off: tuple[str, ...],
    sync_seconds: float,
    **options: Any,
) -> None:
    """Run a simulation of Propexo's API and Knock."""
    secret = os.environ.get("PROPEXO_WEBHOOK_SECRET", "")
    if webhook_url and not secret:
        raise ConfigurationError("--webhook-url needs PROPEXO_WEBHOOK_SECRET: set it")
    sync = Sync(off=frozenset(off), delay=sync_seconds, url=webhook_url, secret=secret)

    def announce(url: str) -> None:
        if not quiet:
            click.echo(
                f"sandbox at {url} (set PROPEXO_BASE_URL={url} "
                f"PROPEXO_TOKEN={options['token']}); Ctrl-C stops it"
            )

    serve(create_app(**options, sync=sync), host=host, port=port, announce=announce)
