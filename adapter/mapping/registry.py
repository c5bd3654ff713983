"""Load and check the mappings in a folder, along with communities.yaml."""

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from adapter.exceptions import PayloadError
from adapter.mapping.communities_yaml import FILE
from adapter.mapping.loader import loader
from adapter.mapping.loader.check_samples import NEW_PATH, mark_new_paths
from adapter.mapping.loader.doubtful_values import doubtful_values
from adapter.mapping.loader.loader import Loaded, load_files
from adapter.mapping.portal_yaml import portal_problems
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.settings import Policy

#: The line of a mapping that is not finished.
DRAFT: Final = re.compile(rb"^draft:[ \t]*true\b", re.MULTILINE)
#: Maximum number of mappings to list in a message.
MOST_LISTED: Final = 20


def load(folder: Path, policy: Policy) -> Mapping[str, Source]:
    """Load all mappings in a folder except drafts.

    Raise :class:`MappingErrors` if any of them has errors.
    """
    return _raise_errors(_loaded(folder, policy, drafts=False))


def load_valid(folder: Path, policy: Policy) -> Loaded:
    """Load the valid mappings in a folder except drafts, with the problems of all of them.

    This is for read-only commands. A process that books tours needs :func:`load`.
    """
    return _loaded(folder, policy, drafts=False)


def free_file(folder: Path, name: str, suffix: str) -> Path:
    """Return the path of a file that does not exist yet, with a number in its name if necessary."""
    names = (f"{name}{suffix}", *(f"{name}-{number}{suffix}" for number in range(2, 10_000)))
    return next(folder / one for one in names if not (folder / one).exists())


def is_draft(file: Path) -> bool:
    """Return True if a mapping is marked as a draft, so that its errors do not matter yet.

    A file that cannot be read is not a draft, so that loading it reports the error.
    """
    try:
        return DRAFT.search(file.read_bytes()) is not None
    except OSError:
        return False


def drafts_in(folder: Path) -> frozenset[str]:
    """Return the names of the mappings in a folder that are marked as drafts."""
    return frozenset(path.stem for path in _mapping_files(folder) if is_draft(path))


def load_one(folder: Path, name: str, policy: Policy, *, strict: bool = True) -> Source:
    """Load one mapping from a folder, ignoring errors in other mappings.

    If ``strict`` is False, it may be a draft. Raise :class:`MappingErrors` if it has errors.
    """
    file = mapping_file(folder, name)
    return _raise_errors(load_files(folder, [file], policy, strict=strict))[name]


def load_text(
    folder: Path, name: str, text: str, policy: Policy, *, strict: bool = False
) -> Source:
    """Load a mapping from ``text`` instead of its file.

    If ``strict`` is False, its signature and tests are not checked. Raise :class:`MappingErrors`
    if it has errors.
    """
    sources = _raise_errors(loader.load_text(folder, name, text, policy, strict=strict))
    if name not in sources:
        raise MappingErrors([Problem.of_file(folder, f"{name[:60]!r} is not a mapping")])
    return sources[name]


def problems_of(draft: Source) -> tuple[Problem, ...]:
    """Return the problems that a check of a draft mapping would report, including warnings."""
    return loader.problems_of_draft(draft)


def problems_for(
    draft: Source, request: WebhookRequest, problems: Sequence[Problem]
) -> tuple[Problem, ...]:
    """Reword problems about paths that only this webhook has. Add a problem per doubtful value."""
    try:
        scope = draft.scope(request)
    except PayloadError:
        return tuple(problems)
    known = {one.message for one in problems}
    doubts = (
        Problem.of_file(draft.document.file, text, warning=True)
        for text in doubtful_values(draft, scope)
        if text not in known
    )
    return (*mark_new_paths(draft, scope, problems), *doubts)


def has_new_fields(problems: Iterable[Problem]) -> bool:
    """Return True if :func:`problems_for` found a field in the webhook but in no sample."""
    return any(one.message.endswith(NEW_PATH) for one in problems)


def changed_since_load(folder: Path, sources: Mapping[str, Source]) -> list[str]:
    """Return the names of mappings whose files have changed since they were loaded.

    If any mapping has an error, no mapping is reloaded, so even valid changes have no effect.
    """
    files = {path.stem: path for path in _mapping_files(folder) if not is_draft(path)}
    return sorted(
        name
        for name in {*files, *sources}
        if name not in files
        or name not in sources
        or loader.files_of(files[name], folder / FILE) != sources[name].files
    )


def names_in(folder: Path) -> list[str]:
    """Return the names of all mappings in a folder, even those with errors.

    Raise :class:`MappingErrors` if the folder does not exist.
    """
    if not folder.is_dir():
        raise MappingErrors([_no_folder(folder)])
    return [path.stem for path in _mapping_files(folder)]


def mapping_file(folder: Path, name: str) -> Path:
    """Return a mapping's file path. Raise :class:`MappingErrors` if the file does not exist."""
    file = folder / f"{name}.yaml"
    files = _mapping_files(folder)
    if file in files:
        return file
    known = [one.stem for one in files]
    near = difflib.get_close_matches(name[:60], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if not near and 0 < len(known) <= MOST_LISTED:
        hint = f"; use one of {', '.join(known)}"
    raise MappingErrors([Problem.of_file(folder, f"has no mapping {name[:60]}.yaml{hint}")])


def _mapping_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.yaml") if path.name != FILE)


def check_text(folder: Path, name: str, text: str, policy: Policy) -> list[Problem]:
    """Return the problems that ``adapter check`` would report for a file with this text."""
    return list(loader.load_text(folder, name, text, policy, strict=True).problems)


def _raise_errors(loaded: Loaded) -> Mapping[str, Source]:
    errors = [problem for problem in loaded.problems if not problem.warning]
    if errors:
        raise MappingErrors(errors)
    return loaded.sources


def check(paths: Sequence[Path], policy: Policy) -> list[Problem]:
    """Return all problems and warnings in the given folders and files, in file order."""
    folders = [path for path in paths if path.is_dir()]
    others = [path for path in paths if path.suffix != ".yaml" and path.is_file()]
    missing = [path for path in paths if path.suffix != ".yaml" and not path.exists()]
    files = [path for path in paths if path not in (*folders, *others, *missing)]
    found: list[Iterable[Problem]] = [map(_no_folder, missing), map(_not_a_mapping, others)]
    found += [_loaded(folder, policy).problems for folder in folders]
    found += map(portal_problems, folders)
    for folder, group in itertools.groupby(sorted(files), key=lambda path: path.parent):
        mappings = (file for file in group if file.name != FILE)
        found.append(load_files(folder, mappings, policy).problems)
    return list(dict.fromkeys(itertools.chain.from_iterable(found)))


def _loaded(folder: Path, policy: Policy, *, drafts: bool = True) -> Loaded:
    if not folder.is_dir():
        raise MappingErrors([_no_folder(folder)])
    files = [file for file in _mapping_files(folder) if drafts or not is_draft(file)]
    loaded = load_files(folder, files, policy)
    problems = sorted([*loaded.problems, *map(_wrong_extension, sorted(folder.glob("*.yml")))])
    if not _mapping_files(folder):
        problems.append(Problem.of_file(folder, "has no mappings"))
    return Loaded(loaded.sources, tuple(problems))


def _no_folder(path: Path) -> Problem:
    text = f"{path.resolve()} is not a folder; set ADAPTER_MAPPINGS_DIR, or use --env-file"
    return Problem.of_file(path, text)


def _not_a_mapping(file: Path) -> Problem:
    if file.suffix == ".yml":
        return _wrong_extension(file)
    return Problem.of_file(file, "is not a mapping; to map a sample, use: adapter map SOURCE FILE")


def _wrong_extension(file: Path) -> Problem:
    return Problem.of_file(file, f"is not loaded: rename it to {file.stem}.yaml")
