"""Activate edited mappings, and roll them back."""

import contextlib
import dataclasses
import difflib
from collections.abc import Sequence
from typing import Final

from adapter.exceptions import NotPossible, StoreUnavailable
from adapter.mapping import overlay, registry
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.source import Source
from adapter.models import Clock, MappingVersion, shown_user
from adapter.operations.format_watch import FormatWatch
from adapter.operations.live_sources import LiveSources
from adapter.settings import UNTRIMMED, Settings
from adapter.store import Database
from adapter.webhooks.endpoints import untrimmed_secrets

#: Sections that only the file may change, because they decide who is trusted.
FILE_ONLY: Final = ("signature", "handshake", "strip", "fetch")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """The problems that `adapter check` reports for a mapping."""

    problems: tuple[Problem, ...]
    #: Warnings about the source's secrets.
    warnings: tuple[str, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that prevent the mapping from being used."""
        return tuple(problem for problem in self.problems if not problem.warning)


class MappingVersions:
    """Checks, activates and rolls back mappings on behalf of a user."""

    def __init__(
        self, settings: Settings, store: Database, live: LiveSources, clock: Clock, by: str
    ) -> None:
        self._settings, self._store, self._live = settings, store, live
        self._clock, self._by = clock, by

    def check(self, name: str, text: str) -> Checked:
        """Check a mapping's text as `adapter check` would check the file."""
        source, settings = self._file(name), self._settings
        problems = registry.check_text(settings.mappings_dir, name, text, settings.policy)
        if not any(not problem.warning for problem in problems):
            loaded = registry.load_text(settings.mappings_dir, name, text, settings.policy)
            problems += _security_problems(source, loaded)
        warnings = [f"{one} {UNTRIMMED}" for one in untrimmed_secrets({name: source}, settings)]
        return Checked(problems=tuple(problems), warnings=tuple(warnings))

    def publish(self, name: str, text: str, reason: str, *, seen: int) -> MappingVersion:
        """Activate an edited mapping in all processes, instead of the source's file.

        ``seen`` is the number of the version that the user has edited, or 0. Raise
        :class:`MappingErrors` if the checks fail, or :class:`NotPossible` if the mapping is already
        in use or was changed by another user.
        """
        source = self._file(name)
        self._require_changeable()
        if text == self._live.sources[name].text:
            raise NotPossible("This is the mapping in use. Nothing has changed.")
        if errors := self.check(name, text).errors:
            raise MappingErrors(errors)
        return self._add(source, text, reason, seen, "mapping_put_in_place")

    def roll_back(self, name: str, number: int, reason: str, *, seen: int) -> MappingVersion:
        """Activate an earlier version of a mapping, or the file if ``number`` is 0.

        Raise the same exceptions as :meth:`publish`.
        """
        source = self._file(name)
        self._require_changeable()
        text = None
        if number:
            versions = {one.number: one for one in self.versions(name)}
            if number not in versions:
                raise NotPossible(f"there is no version {number} of {name}")
            text = versions[number].text
        if text is not None and (errors := self.check(name, text).errors):
            raise MappingErrors(errors)
        return self._add(source, text, reason, seen, "mapping_rolled_back")

    def versions(self, name: str) -> list[MappingVersion]:
        """Return the saved versions of a source's mapping, newest first."""
        with self._store.transaction() as tx:
            return tx.overrides.versions(name)

    def status(self, name: str) -> str:
        """Return a phrase that says which mapping is in use and why."""
        source = self._file(name)
        version = self._live.overrides.versions.get(name)
        if version is None or version.text is None:
            return "The file is in use."
        if self._settings.mappings_from_files_only:
            return "The file is in use. Here, mappings are changed only in their files."
        if overlay.is_outdated(source, version):
            what = f"{shown_user(version.by)} published version {version.number}"
            return f"The file has changed since {what}, so the file is in use."
        if problems := self._live.sources[name].version_problems:
            return f"Version {version.number} has errors, so the file is in use: {problems[0]}"
        return f"Version {version.number} is in use instead of the file."

    def _add(
        self, source: Source, text: str | None, reason: str, seen: int, action: str
    ) -> MappingVersion:
        if not reason.strip():
            raise NotPossible("Enter a reason. It is kept in the history.")
        with self._store.transaction() as tx:
            version = tx.overrides.add_version(
                source.name,
                text,
                file_hash=source.file_hash,
                reason=reason.strip(),
                by=self._by,
                at=self._clock(),
            )
            # Checked last, because adding a version waits for others that are being added.
            if version.number != seen + 1:
                raise NotPossible(
                    f"Someone else just published version {version.number - 1}. "
                    "Compare your changes with it."
                )
            detail = f"{source.name} {version.number}"
            tx.audit.record(action, by=self._by, at=self._clock(), detail=detail)
        self._live.refresh()
        # The version is in use, so a failure here must not look as if it were not. A worker counts
        # again within seconds.
        with contextlib.suppress(StoreUnavailable):
            FormatWatch(self._store).recount(self._live.sources[source.name])
        return version

    def _file(self, name: str) -> Source:
        if name not in self._live.files:
            raise NotPossible(f"there is no mapping {name}")
        return self._live.files[name]

    def _require_changeable(self) -> None:
        if self._settings.mappings_from_files_only:
            raise NotPossible(
                "Mappings are changed only in their files here "
                "(ADAPTER_MAPPINGS_FROM_FILES_ONLY). Copy the patch instead."
            )


def patch_of(before: str, after: str, path: str) -> str:
    """Return the changes between two texts as a patch for ``git apply``, or "" if equal."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{path}",
        f"b/{path}",
    )
    ended = (
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
    return "".join(ended)


def _security_problems(file: Source, edited: Source) -> Sequence[Problem]:
    """Return a problem for each edited section that users may change only in the file."""
    return [
        Problem(
            file=str(file.path),
            line=edited.document.position((section,))[0],
            column=1,
            field=section,
            message="decides who is trusted: change it in the file, not in the console",
        )
        for section in FILE_ONLY
        if file.sections.get(section) != edited.sections.get(section)
    ]
