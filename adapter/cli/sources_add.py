"""``sources add`` and ``sources gallery``: real senders, out of the gallery into the mappings."""

import functools
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from adapter import signatures
from adapter.cli.formatting import table
from adapter.cli.leads import as_json
from adapter.cli.mappings import mappings_option
from adapter.cli.sources import address_of
from adapter.exceptions import ConfigurationError, Unreadable
from adapter.mapping.authoring.install import (
    IDS,
    CommunityLink,
    Installed,
    install_mapping,
    load_communities_or_empty,
)
from adapter.mapping.engine import Community
from adapter.mapping.gallery import Entry, entries, gallery_folder
from adapter.mapping.loader.check_endpoint import VARIABLE
from adapter.mapping.loader.loader import NAME
from adapter.mapping.registry import load_one
from adapter.mapping.source import Source
from adapter.parsing.timezones import zone_from_name
from adapter.settings import Settings, settings_from
from adapter.signatures.handshakes import handshake_from

#: What each id of a community is called in questions.
ASKED: Final[Mapping[str, str]] = {
    "integration_id": "integration id in Propexo",
    "community_id": "community id in Propexo",
    "timezone": "time zone, such as America/Denver",
}


@click.command("gallery")
@mappings_option
@as_json
def gallery(folder: Path | None, as_json: bool) -> None:
    """List the senders of the gallery, whose mappings `adapter sources add` copies."""
    settings = settings_from()
    _list(settings, folder or settings.mappings_dir, as_json=as_json)


#: What is told of each sender.
HEAD: Final = ("sender", "family", "signature", "holds", "without a time", "what")


def _list(settings: Settings, folder: Path, *, as_json: bool) -> None:
    found = entries(gallery_folder(folder), settings.policy)
    if as_json:
        click.echo(json.dumps({"gallery": [one.as_dict() for one in found]}, indent=2))
        return
    click.echo(table(HEAD, map(_row, found)))


def _row(entry: Entry) -> list[str]:
    words = [entry.name, entry.family, entry.signature, entry.holds, entry.without_time]
    return [*words, entry.description]


@click.command("add")
@click.argument("sender", required=False)
@click.option("--as", "name", help="Name of the source and its address; default: the sender's.")
@click.option(
    "--community",
    "said",
    multiple=True,
    metavar="TEXT",
    help="A community it serves, for scripts: 'maple-court known_as=20417 attribution_id=att_1', "
    "and for a new one also integration_id=… community_id=… timezone=…. May be repeated.",
)
@click.option(
    "--secret", help="Environment variable of its secret; default: as the gallery has it."
)
@click.option("--list", "lists", is_flag=True, help="List the gallery instead.")
@mappings_option
@as_json
def add(
    sender: str | None,
    name: str | None,
    said: Sequence[str],
    secret: str | None,
    lists: bool,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Copy a sender's mapping, samples and tests out of the gallery into the mappings.

    Asks for the communities with their ids and for the variable of the secret, unless --community
    is given; with --json it never asks. Writes over nothing: communities.yaml is extended, and its
    comments stay.
    """
    settings = settings_from()
    folder = folder or settings.mappings_dir
    if lists:
        _list(settings, folder, as_json=as_json)
        return
    if sender is None:
        raise click.UsageError("which sender? adapter sources add --list shows them")
    chosen = load_one(gallery_folder(folder), sender, settings.policy)
    name = _named(name or sender, folder)
    known = load_communities_or_empty(folder).by_key
    if said:
        served = _distinct(_served(text, name, known) for text in said)
    elif as_json:
        raise click.UsageError("--json never asks: give each community by --community")
    else:
        click.echo(f"{chosen.name}: {chosen.description}")
        served = _asked(chosen, name, known)
    secret = _secret(chosen, secret, asks=not said and not as_json)
    adopted = install_mapping(chosen, name, folder, served, secret, settings.policy)
    _tell(settings, chosen, adopted, secret, as_json=as_json)


def _named(name: str, folder: Path) -> str:
    """The name, before anything is asked that would be asked in vain."""
    if not NAME.match(name) or name == "communities":
        raise click.BadParameter("a source's name has a to z, 0 to 9, - and _", param_hint="--as")
    if (folder / f"{name}.yaml").exists():
        taken = f"{folder / name}.yaml exists already: give the new source another name by --as"
        raise ConfigurationError(taken)
    return name


def _distinct(served: Iterable[CommunityLink]) -> list[CommunityLink]:
    found: dict[str, CommunityLink] = {}
    for one in served:
        if one.key in found:
            raise click.BadParameter(f"{one.key} is given twice", param_hint="--community")
        found[one.key] = one
    return list(found.values())


def _served(text: str, name: str, known: Mapping[str, Community]) -> CommunityLink:
    """``maple-court known_as=20417 attribution_id=att_1``, with quotes as in a shell."""
    try:
        key, *pairs = shlex.split(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} names no community", param_hint="--community") from None
    values: dict[str, list[str]] = {}
    for pair in pairs:
        word, _, value = pair.partition("=")
        values.setdefault(word, []).append(value)
    needs, takes = _needs(key, name, known)
    wrong = [f"lacks {word}" for word in needs if not all(values.get(word, [""]))]
    wrong += [f"takes no {word}" for word in values if word not in takes]
    wrong += [
        f"has two of {word}" for word in values if word != "known_as" and len(values[word]) > 1
    ]
    if wrong:
        raise click.BadParameter(f"{key} {', '.join(wrong)}", param_hint="--community")
    credit = values.get("attribution_id")
    return CommunityLink(
        key=_key(key),
        known_as=values.get("known_as", []),
        attribution_id=credit[0] if credit else None,
        ids={word: _checked(word, values[word][0]) for word in IDS if word in values},
    )


def _needs(
    key: str, name: str, known: Mapping[str, Community]
) -> tuple[Sequence[str], Sequence[str]]:
    """What must be said of a community, and what may be: not what communities.yaml says already."""
    community = known.get(key)
    if community is None:
        every = ("known_as", "attribution_id", *IDS)
        return every, every
    needs = [] if community.known_as.get(name) else ["known_as"]
    needs += [] if community.attributions.get(name) else ["attribution_id"]
    return needs, needs


def _key(key: str) -> str:
    if not NAME.match(key):
        said = f"{key!r}: a community's name has a to z, 0 to 9, - and _"
        raise click.BadParameter(said, param_hint="--community")
    return key


def _checked(word: str, value: str) -> str:
    if word == "timezone":
        try:
            return zone_from_name(value).key
        except Unreadable as exc:
            raise click.BadParameter(f"{value!r}: {exc}", param_hint=word) from None
    return value


def _asked(chosen: Source, name: str, known: Mapping[str, Community]) -> list[CommunityLink]:
    click.echo(f"communities so far: {', '.join(known) or 'none'}")
    keys = click.prompt(
        "Which of them does it serve? Names parted by commas, a new name for a new one",
        value_proc=_keys,
    )
    return [_asked_of(key, chosen, name, known) for key in keys]


def _keys(text: str) -> list[str]:
    keys = [_key(key) for key in dict.fromkeys(part.strip() for part in text.split(",")) if key]
    if not keys:
        raise click.BadParameter("at least one")
    return keys


def _asked_of(key: str, chosen: Source, name: str, known: Mapping[str, Community]) -> CommunityLink:
    needs, _ = _needs(key, name, known)
    places = ", else ".join(chosen.sections["community"].get("from_", ()))
    ids = {
        word: click.prompt(f"{key}: {ASKED[word]}", value_proc=functools.partial(_checked, word))
        for word in IDS
        if word in needs
    }
    called = f"{key}: what {chosen.name} calls it, in {places} (several parted by commas)"
    names = click.prompt(called, value_proc=_names) if "known_as" in needs else []
    credit = f"{key}: attribution id in Propexo"
    attribution = click.prompt(credit) if "attribution_id" in needs else None
    return CommunityLink(key=key, known_as=names, attribution_id=attribution, ids=ids)


def _names(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise click.BadParameter("at least one")
    return names


def _secret(chosen: Source, said: str | None, *, asks: bool) -> str | None:
    """The variable of the secret; None for a sender that proves nothing."""
    if not chosen.secrets:
        if said is not None:
            raise click.BadParameter(f"{chosen.name} has no secret", param_hint="--secret")
        return None
    if said is None and asks:
        return str(
            click.prompt(
                "Environment variable that holds its secret (the name, never the secret)",
                default=chosen.secrets[-1],
                value_proc=_variable,
            )
        )
    return _variable(said or chosen.secrets[-1])


def _variable(text: str) -> str:
    if not VARIABLE.match(text):
        # What does not fit may be the secret itself: it is not shown.
        raise click.BadParameter("the name of a variable has A to Z, 0 to 9 and _")
    return text


def _tell(
    settings: Settings, chosen: Source, adopted: Installed, secret: str | None, *, as_json: bool
) -> None:
    told: dict[str, Any] = {
        "source": adopted.name,
        "mapping": str(adopted.mapping),
        "beside": [str(file) for file in adopted.beside],
        "communities": list(adopted.links),
        "variables": _variables(chosen, secret),
        "address": _address(settings, chosen, adopted.name),
        "switch_on": " ".join(chosen.sections.get("about", {}).get("switch_on", "").split()),
    }
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    click.echo(f"wrote {adopted.mapping}")
    for file in adopted.beside:
        click.echo(f"wrote {file}")
    click.echo(f"added {', '.join(adopted.links)} to {adopted.communities}")
    click.echo("what is left to do:")
    for number, step in enumerate(_steps(told, is_public=settings.public_url is not None), 1):
        click.echo(f"  {number}. {step}")


def _variables(chosen: Source, secret: str | None) -> list[str]:
    """The environment variables that must hold something before web starts anew."""
    handshake = handshake_from(chosen.handshake)
    verify_token = handshake.variable if handshake else None
    return [name for name in (secret, verify_token) if name]


def _address(settings: Settings, chosen: Source, name: str) -> str:
    """What the sender is to call; a token that travels in the address is left for a person."""
    token = signatures.query_token(chosen.signature)
    return address_of(settings, name) + (f"?{token}=…" if token else "")


def _steps(told: Mapping[str, Any], *, is_public: bool) -> Iterable[str]:
    name, address = told["source"], told["address"]
    yield f"Compare {told['mapping']} with a real body of yours: adapter map {name} FILE"
    yield f"adapter check {name}"
    if told["variables"]:
        yield f"Fill {', '.join(told['variables'])} in the environment; start web and worker anew."
    unknown = "" if is_public else " (ADAPTER_PUBLIC_URL is not set: put your own name in front)"
    yield f"Give the sender this address: {address}{unknown}"
    if "=…" in address:
        yield "Put the value of the secret where the address says …"
    if told["switch_on"]:
        yield told["switch_on"]
    yield f"Try it out: adapter send {name} FILE, then adapter events"
