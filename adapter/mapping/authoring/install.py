"""A mapping of the gallery taken into use: copied with its samples, its communities listed.

communities.yaml is a file of people: entries are put into its text, and the rest of it stays.
Everything is tried out in a folder of its own before any file is written.
"""

import copy
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import adapter
from adapter.exceptions import ConfigurationError
from adapter.mapping.authoring.json_schema import FILE as SCHEMA
from adapter.mapping.authoring.yaml_edit import appended, inserted, replaced
from adapter.mapping.communities_yaml import (
    FILE,
    Communities,
    communities_from_document,
    examples_file,
)
from adapter.mapping.loader.yaml_document import Document, document_from_file, text_from_data
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.registry import check
from adapter.mapping.source import Source
from adapter.settings import Policy

#: What a community needs of its own, besides what a sender calls it.
IDS: Final = ("integration_id", "community_id", "timezone")
#: The line by which editors find the schema.
EDITORS: Final = "# yaml-language-server: $schema="
EXAMPLES_HEAD: Final = """\
# Made-up communities that the samples of {mapping} speak of. Its tests know them, and no webhook
# ever reaches them: the real ones stand in communities.yaml.
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CommunityLink:
    """One community that the new source is to serve."""

    key: str
    #: What the sender calls it; nothing where communities.yaml says so already.
    known_as: Sequence[str]
    #: None where communities.yaml has it already.
    attribution_id: str | None
    #: By the names of ``IDS``; nothing where the community is listed already.
    ids: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """What was written."""

    name: str
    mapping: Path
    #: The samples, and the communities that they speak of.
    beside: tuple[Path, ...]
    communities: Path
    links: tuple[str, ...]


def load_communities_or_empty(folder: Path) -> Communities:
    """The communities of a folder; none where there is no file yet.

    Raises :class:`MappingErrors` where it cannot be read.
    """
    file = folder / FILE
    if not file.exists() or not _says_anything(file):
        return Communities(Document(str(file), data={}), {})
    communities = communities_from_document(document_from_file(file)[0])
    if communities.document.has_errors:
        raise MappingErrors(communities.document.problems)
    return communities


def _says_anything(file: Path) -> bool:
    lines = file.read_text(encoding="utf-8").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def install_mapping(
    chosen: Source,
    name: str,
    folder: Path,
    served: Sequence[CommunityLink],
    secret: str | None,
    policy: Policy,
) -> Installed:
    """Copies a mapping of the gallery into a folder under a name of its own.

    Raises :class:`ConfigurationError` where a file is there already, and :class:`MappingErrors`
    where ``adapter check`` would not be content. Nothing is written then.
    """
    mapping = folder / f"{name}.yaml"
    files = {mapping: _mapping_text(chosen, mapping, secret).encode()}
    files |= _samples(chosen, folder)
    files[examples_file(mapping)] = _examples_text(chosen, mapping).encode()
    _refuse_present(mapping, files)
    known = folder / FILE
    text = _communities_text(known, name, served)
    _try_out(folder, mapping, files | {known: text.encode()}, policy, name, served)
    _write(known, text.encode())
    for file in reversed(files):  # the mapping last: it needs all the others
        _write(file, files[file])
    return Installed(
        name=name,
        mapping=mapping,
        beside=tuple(file for file in files if file != mapping),
        communities=known,
        links=tuple(one.key for one in served),
    )


def _mapping_text(chosen: Source, mapping: Path, secret: str | None) -> str:
    text = chosen.path.read_text(encoding="utf-8")
    if secret is not None:
        text = replaced(text, ("signature", "secrets", "0"), secret)
    first, _, rest = text.partition("\n")
    if not first.startswith(EDITORS):
        return text
    schema = Path(adapter.__file__).parents[1] / SCHEMA
    if not schema.exists():
        return rest
    return f"{EDITORS}{os.path.relpath(schema, mapping.parent)}\n{rest}"


def _samples(chosen: Source, folder: Path) -> dict[Path, bytes]:
    said = (test["payload"] for test in chosen.sections["tests"])
    names = dict.fromkeys(name for name in said if isinstance(name, str))
    return {folder / name: (chosen.path.parent / name).read_bytes() for name in names}


def _examples_text(chosen: Source, mapping: Path) -> str:
    """The gallery's communities that the sender knows, as the copy's tests need them."""
    data = document_from_file(chosen.path.parent / FILE)[0].data
    entries = {
        key: {
            **{name: entry[name] for name in IDS},
            "attributions": {mapping.stem: entry["attributions"][chosen.name]},
            "known_as": {mapping.stem: entry["known_as"][chosen.name]},
        }
        for key, entry in data.items()
        if chosen.name in entry["known_as"]
    }
    return EXAMPLES_HEAD.format(mapping=mapping.name) + text_from_data(entries)


def _refuse_present(mapping: Path, files: Mapping[Path, bytes]) -> None:
    """Nothing is written over; the very same file may be there."""
    if mapping.exists():
        raise ConfigurationError(f"{mapping} exists already: choose another name for the source")
    for file, content in files.items():
        if file.exists() and file.read_bytes() != content:
            raise ConfigurationError(f"{file} exists already and says something else: move it away")


def _communities_text(known: Path, name: str, served: Sequence[CommunityLink]) -> str:
    text = known.read_text(encoding="utf-8") if known.exists() else ""
    for one in served:
        text = _with_community(text, name, one)
    return text


def _with_community(text: str, name: str, one: CommunityLink) -> str:
    if one.ids:
        entry = {**one.ids, **{section: {name: said} for section, said in _said(one)}}
        return appended(text, one.key, entry)
    for section, said in _said(one):
        text = inserted(text, (one.key, section, name), said)
    return text


def _said(one: CommunityLink) -> Iterator[tuple[str, Any]]:
    if one.attribution_id is not None:
        yield "attributions", one.attribution_id
    if one.known_as:
        yield "known_as", list(one.known_as)


def _try_out(
    folder: Path,
    mapping: Path,
    files: Mapping[Path, bytes],
    policy: Policy,
    name: str,
    served: Sequence[CommunityLink],
) -> None:
    """Raises where the files would not pass ``check``, or say something else than was asked for."""
    with tempfile.TemporaryDirectory() as trial_folder:
        for file, content in files.items():
            _write(Path(trial_folder) / file.relative_to(folder), content)
        got = document_from_file(Path(trial_folder) / FILE)[0].data
        if got != _wanted(load_communities_or_empty(folder).document.data, name, served):
            raise ConfigurationError(
                f"{folder / FILE} is written in a way that cannot be extended by a program: "
                f"add {', '.join(one.key for one in served)} by hand"
            )
        found = check([Path(trial_folder) / mapping.name], policy)
    mistakes = [_at_home(one, Path(trial_folder), folder) for one in found if not one.warning]
    if mistakes:
        raise MappingErrors(mistakes)


def _at_home(problem: Problem, trial_folder: Path, folder: Path) -> Problem:
    file = folder / Path(problem.file).relative_to(trial_folder)
    return dataclasses.replace(problem, file=str(file))


def _wanted(
    before: Mapping[str, Any], name: str, served: Sequence[CommunityLink]
) -> dict[str, Any]:
    data = copy.deepcopy(dict(before))
    for one in served:
        entry = data.setdefault(one.key, dict(one.ids))
        for section, said in _said(one):
            entry.setdefault(section, {})[name] = said
    return data


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, also for those who read it meanwhile; a link stays one."""
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(content)
    if file.exists():
        shutil.copymode(file, beside)
    beside.replace(file)
