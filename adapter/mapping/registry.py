"""The lead sources: ``mappings/*.yaml`` and ``communities.yaml``, loaded and checked."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from adapter.mapping.communities_yaml import FILE
from adapter.mapping.loader import loader
from adapter.mapping.loader.loader import Loaded, load_files
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.source import Source
from adapter.settings import Policy


class Sources(Mapping[str, Source]):
    """All sources of one folder, by name."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sources)

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


def load(folder: Path, policy: Policy) -> Sources:
    """The sources of a folder. Raises :class:`MappingErrors` with all that is wrong."""
    return Sources(_without_mistakes(_loaded(folder, policy)))


def load_one(folder: Path, name: str, policy: Policy, *, tries_out: bool = True) -> Source:
    """One source of a folder, whatever is wrong with the others. Raises :class:`MappingErrors`.

    Without ``tries_out`` it may be a draft, for tools.
    """
    file = file_of(folder, name)
    return _without_mistakes(load_files(folder, [file], policy, tries_out=tries_out))[name]


def load_text(folder: Path, name: str, text: str, policy: Policy) -> Source:
    """One source as it would be if its file held ``text``. Raises :class:`MappingErrors`.

    It may be a draft: its signature and its tests are not looked at. Nothing is written.
    """
    loaded = loader.load_text(folder, name, text, policy)
    known = _without_mistakes(loaded)
    if name not in known:
        raise MappingErrors([_no_mappings(folder, f"{name[:60]!r} is not a mapping")])
    return known[name]


def not_in_use(folder: Path, sources: Mapping[str, Source]) -> list[str]:
    """Names of the mappings whose files say something else than ``sources``, which are in use.

    A set with a mistake is not taken up as a whole: then what was mended has no effect either.
    """
    files = {path.stem: path for path in folder.glob("*.yaml") if path.name != FILE}
    return sorted(
        name
        for name in {*files, *sources}
        if name not in files
        or name not in sources
        or loader.digest_of(files[name], folder / FILE) != sources[name].hash
    )


def file_of(folder: Path, name: str) -> Path:
    """The mapping of one source. Raises :class:`MappingErrors` that names those there are."""
    file = folder / f"{name}.yaml"
    if name != Path(FILE).stem and file.is_file():
        return file
    known = ", ".join(sorted(one.stem for one in folder.glob("*.yaml") if one.name != FILE))
    there = f"; there is {known}" if known else ""
    raise MappingErrors([_no_mappings(folder, f"holds no mapping {name[:60]}.yaml{there}")])


def _without_mistakes(loaded: Loaded) -> Mapping[str, Source]:
    mistakes = [problem for problem in loaded.problems if not problem.warning]
    if mistakes:
        raise MappingErrors(mistakes)
    return loaded.sources


def check(paths: Sequence[Path], policy: Policy) -> list[Problem]:
    """All problems of folders and single files, warnings too, in the order of the files."""
    folders = [path for path in paths if path.is_dir()]
    others = [path for path in paths if path.suffix != ".yaml" and path.is_file()]
    files = [path for path in paths if path not in (*folders, *others)]
    found: list[Iterable[Problem]] = [map(_no_mapping, others)]
    found += [_loaded(folder, policy).problems for folder in folders]
    for folder, group in itertools.groupby(sorted(files), key=lambda path: path.parent):
        mappings = (file for file in group if file.name != FILE)
        found.append(load_files(folder, mappings, policy).problems)
    return list(dict.fromkeys(itertools.chain.from_iterable(found)))


def _loaded(folder: Path, policy: Policy) -> Loaded:
    if not folder.is_dir():
        raise MappingErrors([_no_mappings(folder, "is not a folder")])
    files = sorted(path for path in folder.glob("*.yaml") if path.name != FILE)
    loaded = load_files(folder, files, policy)
    misnamed = map(_misnamed, sorted(folder.glob("*.yml")))
    loaded = dataclasses.replace(loaded, problems=tuple(sorted([*loaded.problems, *misnamed])))
    if files:
        return loaded
    return Loaded({}, (*loaded.problems, _no_mappings(folder, "holds no mappings")))


def _no_mapping(file: Path) -> Problem:
    if file.suffix == ".yml":
        return _misnamed(file)
    text = "is no mapping; a sample is looked at by: adapter map SOURCE FILE"
    return Problem(file=str(file), line=1, column=1, field="file", message=text)


def _misnamed(file: Path) -> Problem:
    text = f"is not read: call it {file.stem}.yaml, with the ending .yaml"
    return Problem(file=str(file), line=1, column=1, field="file", message=text)


def _no_mappings(folder: Path, message: str) -> Problem:
    return Problem(file=str(folder), line=1, column=1, field="file", message=message)
