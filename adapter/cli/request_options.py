"""Define options for the query string, the headers and the URL of a webhook."""

import re
import urllib.parse
from typing import Final

import click

from adapter.settings import settings_from

#: A header's name and value.
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x1f\x7f]+)")
#: Headers that have an option of their own, or that the client sets.
_NOT_GIVEN: Final = ("content-type", "content-length", "host")
#: The start of a second parameter in a query string.
_SECOND: Final = re.compile(r"&[\w.\[\]-]+=")


def _read_query(_context: object, _option: object, given: tuple[str, ...]) -> str:
    """Return the given ``NAME=VALUE`` parameters as an encoded query string."""
    pairs = [text.partition("=") for text in given]
    for name, equals, value in pairs:
        if not (name and equals) or name.startswith("?") or _SECOND.search(value):
            raise click.BadParameter(
                f"{name}{equals}{value}: must be NAME=VALUE, with one --query for each parameter"
            )
    return urllib.parse.urlencode([(name, value) for name, _, value in pairs])


def _read_headers(_context: object, _option: object, given: tuple[str, ...]) -> dict[str, str]:
    """Return the given headers, keyed by name."""
    headers: dict[str, str] = {}
    for text in given:
        found = _HEADER.fullmatch(text)
        if found is None:
            raise click.BadParameter(f"{text!r}: must be 'NAME: VALUE', such as 'X-Unit: 302'")
        if found[1].lower() in _NOT_GIVEN:
            raise click.BadParameter(f"{found[1]}: cannot be set here; use --content-type or --to")
        headers[found[1]] = found[2].strip()
    return headers


def _read_address(_context: object, _option: object, url: str | None) -> str | None:
    """Return the adapter's URL. Reject a URL that contains a query or an unexpected path."""
    parts = urllib.parse.urlsplit(url or "")
    if parts.query or parts.fragment:
        mark = "?" if parts.query else "#"
        raise click.BadParameter(f"{url}: leave out everything from the {mark}, and use --query")
    usual = urllib.parse.urlsplit(settings_from().public_url or "").path
    if parts.path not in ("", "/", usual, f"{usual}/"):
        raise click.BadParameter(f"{url}: leave out {parts.path}; /hooks/SOURCE is added")
    return url


query_option = click.option(
    "--query",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_read_query,
    help="Parameter in the query string of the webhook's URL. May be repeated.",
)
header_option = click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=_read_headers,
    help="Header of the webhook. May be repeated.",
)
to_option = click.option(
    "--to",
    "url",
    callback=_read_address,
    help="URL of the adapter, without /hooks/SOURCE. Default: this machine.",
)
