"""Define ``adapter sources add`` and ``gallery``, which install mappings from the gallery."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from adapter import signatures
from adapter.cli import output
from adapter.cli.formatting import table
from adapter.cli.help import examples
from adapter.cli.leads import as_json
from adapter.cli.mappings import mappings_option
from adapter.cli.sources import source_url
from adapter.exceptions import ConfigurationError
from adapter.mapping.authoring.install import community_text, install_mapping
from adapter.mapping.communities_yaml import FILE
from adapter.mapping.engine import WithoutTime
from adapter.mapping.gallery import Entry, entries, gallery_folder
from adapter.mapping.loader.loader import NAME
from adapter.mapping.registry import load_one, names_in
from adapter.mapping.source import Source
from adapter.settings import Settings, settings_from
from adapter.signatures.handshakes import handshake_from

#: The choices for leads without a tour time, with the question's explanation of each.
CHOICES: Final[Mapping[str, str]] = {
    "prospect": "a guest card in Knock, so that an agent can follow up",
    "invite": "a guest card in Knock, and the renter gets a link to choose a time",
    "hold": "a person reviews each, and can set a time",
}
#: What happens to the leads after each choice, and what it needs.
CHOSEN: Final[Mapping[str, str]] = {
    "prospect": "each becomes a guest card in Knock. To hold them, delete {mapping} and "
    "repeat the command with --without-time hold.",
    "invite": "each becomes a guest card in Knock, and the renter gets a link to choose "
    "a time. This needs {missing}tour_hours or check_availability for each community. To email "
    "the links, set ADAPTER_SMTP_URL. See docs/invitations.md.",
    "hold": "each is held until a person has reviewed it.",
}
COLUMNS: Final = ("sender", "family", "signature", "holds", "without a time", "what")


@click.command(epilog=examples("adapter sources gallery"))
@mappings_option
@as_json
def gallery(folder: Path | None, as_json: bool) -> None:
    """List the senders that `adapter sources add` can install a mapping for."""
    settings = settings_from()
    senders = entries(gallery_folder(folder or settings.mappings_dir), settings.policy)
    output.show({"gallery": senders}, table(COLUMNS, map(_row, senders)), as_json=as_json)


def _row(entry: Entry) -> list[str]:
    choices = [entry.name, entry.family, entry.signature, entry.holds, entry.without_time]
    return [*choices, entry.description]


@click.command(
    epilog=examples("adapter sources add calendly", "adapter sources add calendly --as tours")
)
@click.argument("sender")
@click.option(
    "--as",
    "name",
    help="Name of the source, which is also the last part of its URL. Default: SENDER.",
)
@click.option(
    "--without-time",
    type=click.Choice([*CHOICES]),
    help="What to do with leads without a tour time: create a guest card in Knock (prospect), "
    "also send the renter a link to choose a time (invite), or hold them for review (hold). By "
    "default, the command asks if it runs in a terminal.",
)
@mappings_option
@as_json
def add(
    sender: str, name: str | None, without_time: str | None, folder: Path | None, as_json: bool
) -> None:
    """Install a sender's mapping, samples and tests from the gallery.

    If the sender sends leads without a tour time, the command asks what to do with them. It then
    prints the remaining steps, including the lines to add to communities.yaml. Files are never
    overwritten. To list the available senders, run `adapter sources gallery`.
    """
    settings = settings_from()
    folder = folder or settings.mappings_dir
    template = load_one(gallery_folder(folder), _checked_sender(folder, sender), settings.policy)
    name = _checked_name(name or template.name)
    mapping = folder / f"{name}.yaml"
    choice = _choice(template, without_time, asks=not as_json)
    *beside, _ = install_mapping(template, mapping, without_time=choice)
    result = {
        "source": name,
        "mapping": str(mapping),
        "beside": [str(file) for file in beside],
        "communities_yaml": community_text(template, name, invites=choice == WithoutTime.INVITE),
        "variables": _variables(template),
        "address": _url(settings, template, name),
        "without_time": choice,
        "switch_on": " ".join(template.sections.get("about", {}).get("switch_on", "").split()),
    }
    lines = _lines(result, folder / FILE, is_public=settings.public_url is not None)
    output.show(result, "\n".join(lines), as_json=as_json)


def _makes_cards(template: Source) -> bool:
    return template.compiled.without_time is WithoutTime.PROSPECT


def _choice(template: Source, given: str | None, *, asks: bool) -> WithoutTime | None:
    """Return the setting for leads without a tour time, or None if there is nothing to choose.

    Ask the user if the command runs in a terminal.
    """
    if not _makes_cards(template):
        if given in (WithoutTime.PROSPECT, WithoutTime.INVITE):
            message = "this sender's leads without a tour time are held"
            raise click.BadParameter(message, param_hint="--without-time")
        return WithoutTime(given) if given else None
    if given is None and asks and sys.stdin.isatty():
        click.echo("Some leads have no tour time. Choose what happens to them:")
        for choice, meaning in CHOICES.items():
            click.echo(f"  {choice}: {meaning}")
        given = click.prompt("Leads without a time", type=click.Choice([*CHOICES]))
    return WithoutTime(given or WithoutTime.PROSPECT)


def _checked_sender(folder: Path, sender: str) -> str:
    """Return the sender's name in the gallery. Raise ConfigurationError if it is missing."""
    names = names_in(gallery_folder(folder))
    if (name := sender.strip().lower()) in names:
        return name
    near = difflib.get_close_matches(name[:60], names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    all_senders = "`adapter sources gallery` lists all senders"
    raise ConfigurationError(f"the gallery has no {sender[:60]!r}; {hint}{all_senders}")


def _checked_name(name: str) -> str:
    if not NAME.match(name) or name == "communities":
        message = f"{name!r} is not a valid source name; use a to z, 0 to 9, - and _"
        raise click.BadParameter(message, param_hint="--as")
    return name


def _variables(template: Source) -> list[str]:
    """Return the environment variables to set before restarting the web process."""
    handshake = handshake_from(template.handshake)
    verify_token = handshake.variable if handshake else None
    return [name for name in (*template.secrets[-1:], verify_token) if name]


def _url(settings: Settings, template: Source, name: str) -> str:
    """Return the URL for the sender, with ``…`` where the user must insert a token."""
    token = signatures.query_token(template.signature)
    return source_url(settings, name) + (f"?{token}=…" if token else "")


def _lines(result: Mapping[str, Any], communities: Path, *, is_public: bool) -> Iterator[str]:
    yield from (f"wrote {file}" for file in (*result["beside"], result["mapping"]))
    yield f"\nAdd each community that {result['source']} serves to {communities}:\n"
    yield result["communities_yaml"]
    yield "For a community that is already listed, add only its attribution and name."
    yield "Then:"
    for number, step in enumerate(_steps(result, is_public=is_public), 1):
        yield f"  {number}. {step}"


def _steps(result: Mapping[str, Any], *, is_public: bool) -> Iterator[str]:
    name, url = result["source"], result["address"]
    yield f"Try {result['mapping']} with one of your real requests: adapter map {name} FILE"
    yield f"Check it: adapter check {name}"
    if result["without_time"] is not None:
        missing = "" if is_public else "ADAPTER_PUBLIC_URL, and "
        text = CHOSEN[result["without_time"]].format(mapping=result["mapping"], missing=missing)
        yield f"Leads without a tour time: {text}"
    if result["variables"]:
        variables = ", ".join(result["variables"])
        yield f"Set {variables} in the environment, then restart web and worker."
    hint = "" if is_public else " (set ADAPTER_PUBLIC_URL to see your public URL here)"
    yield f"Give the sender this URL: {url}{hint}"
    if "=…" in url:
        yield "Replace … in the URL with the secret."
    if result["switch_on"]:
        yield result["switch_on"]
    yield f"Try it: adapter send {name} FILE, then adapter events"
