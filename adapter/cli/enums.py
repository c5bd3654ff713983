"""Define ``adapter enums``, which prints settings with Propexo's spelling of enum values."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from adapter.cli import output
from adapter.cli.help import examples
from adapter.cli.leads import as_json
from adapter.cli.mappings import read_file
from adapter.exceptions import ConfigurationError
from adapter.mapping.authoring.enum_page import VARIABLES, Enum, enums_in, mistake_in
from adapter.propexo.documentation import read_page


@click.group()
def enums() -> None:
    """Show how Propexo spells tour types, first contact types and pets."""


@enums.command(
    epilog=examples(
        "adapter enums pull openapi.yaml >> .env",
        "adapter enums pull https://docs.propexo.com/PAGE.md",
    )
)
@click.argument("place", metavar="FILE|URL")
@as_json
def pull(place: str, as_json: bool) -> None:
    """Print Propexo's spellings as three settings, read from its OpenAPI file or documentation.

    FILE or URL is an OpenAPI file in YAML or JSON, or a Markdown page. The command matches
    Propexo's words by similarity, so check each line that it prints. Without these settings, tour
    types, first contact types and pets go into the notes.
    """
    text = _text(place)
    found = enums_in(text)
    output.show({"enums": found}, "\n".join(_lines(found)), as_json=as_json)
    listed = {one.variable for one in found}
    if missing := [field for field, variable in VARIABLES.items() if variable not in listed]:
        output.fail(_missing(place, text, missing))


def _missing(place: str, text: str, fields: Sequence[str]) -> str:
    """Return an error message about fields whose values were not found in a page or file."""
    if place.endswith((".yaml", ".yml", ".json")) and (mistake := mistake_in(text)):
        return f"{place} is not YAML or JSON: {mistake}"
    return (
        f"{place} lists no values for {', '.join(fields)}; use the page for the request that has "
        "these fields"
    )


def _text(place: str) -> str:
    if place.startswith(("https://", "http://")):
        return read_page(place)
    try:
        return read_file(Path(place)).decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{place} is not UTF-8") from None


def _lines(found: Iterable[Enum]) -> Iterator[str]:
    for one in found:
        if one.unused:
            yield f"# Propexo's values that are not used: {', '.join(one.unused)}"
        if one.without:
            yield f"# Not in Propexo's list, so these go into the notes: {', '.join(one.without)}"
        yield one.text
