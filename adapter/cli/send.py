"""Define ``adapter send`` and ``sign``, which sign webhooks as a lead source would."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from adapter.cli.help import examples
from adapter.cli.request_options import header_option, query_option, to_option
from adapter.exceptions import ConfigurationError
from adapter.mapping.registry import load_one
from adapter.mapping.samples import content_type_of
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.settings import Settings, settings_from
from adapter.webhooks import signed_client

file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
type_option = click.option(
    "--content-type", help="Content type of the file. By default, the file extension determines it."
)
key_option = click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with a private key, only for sources that verify with a public key.",
)


def _request(
    name: str, file: Path, url: str | None, content_type: str | None, key: Path | None, **given: Any
) -> WebhookRequest:
    """Return a signed webhook. ``given`` contains its query string and headers."""
    settings = settings_from()
    source = load_one(settings.mappings_dir, name, settings.policy)
    body = file.read_bytes()
    return signed_client.sign_webhook(
        source,
        key.read_text() if key else _secret(settings, source),
        body=body,
        content_type=content_type or content_type_of(file, body) or "application/json",
        adapter_url=url or settings.public_url or f"http://127.0.0.1:{settings.port}",
        **given,
    )


def _secret(settings: Settings, source: Source) -> str:
    """Return a source's newest secret, or an empty string if the source is unsigned."""
    if not source.secrets:
        return ""
    secret = settings.environ.get(source.secrets[-1], "")
    if not secret:
        raise ConfigurationError(
            f"{source.path}: {source.secrets[-1]} is not set; set it to the sender's secret"
        )
    return secret


@click.command(
    epilog=examples(
        "adapter sign rentfeed mappings/samples/rentfeed-tour.json",
        "adapter sign chat lead.json --query community=maple-court --header 'X-Unit: 302'",
    )
)
@click.argument("source")
@file_argument
@to_option
@type_option
@key_option
@query_option
@header_option
def sign(source: str, file: Path, **options: Any) -> None:
    """Print a curl command that sends FILE as a webhook from SOURCE.

    If the signature contains a timestamp, the command is valid for only a few minutes.
    """
    request = _request(source, file, **options)
    # A token in the body is not in the file.
    click.echo(signed_client.curl(request, str(file) if request.body == file.read_bytes() else ""))


@click.command(
    epilog=examples(
        "adapter send rentfeed mappings/samples/rentfeed-tour.json",
        "adapter send rentfeed lead.json --to https://leads.example.com",
        "adapter send chat lead.json --query community=maple-court",
    )
)
@click.argument("source")
@file_argument
@to_option
@type_option
@key_option
@query_option
@header_option
def send(source: str, file: Path, **options: Any) -> None:
    """Send FILE as a webhook from SOURCE, with a valid signature.

    The command prints the adapter's response. The exit code is 1 if the webhook is rejected.
    """
    answer = signed_client.send(_request(source, file, **options))
    click.echo(f"{answer.status} {json.dumps(answer.body)}")
    if answer.status >= 300:
        sys.exit(1)
