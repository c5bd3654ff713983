"""Load mapping files: parse, check and compile the files, and run their tests."""

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapter.mapping.communities_yaml import (
    FILE,
    Communities,
    communities_from_document,
    examples_file,
)
from adapter.mapping.engine import Community, CompiledMapping, WithoutTime
from adapter.mapping.engine.fields import FieldFiller
from adapter.mapping.engine.mapping import ForEach, NamedReader
from adapter.mapping.engine.partial_lists import partial_lists_from
from adapter.mapping.engine.reshape import ListReader
from adapter.mapping.loader.check_endpoint import RespondChecker, check_handshake, check_signature
from adapter.mapping.loader.check_todos import check_todos
from adapter.mapping.loader.compile_fields import FieldCompiler
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.compile_sections import SectionCompiler, split_filter
from adapter.mapping.loader.key_parts import KeyPlaces
from adapter.mapping.loader.run_tests import run_mapping_tests
from adapter.mapping.loader.schema import Sections, load_into
from adapter.mapping.loader.yaml_document import Document, document_from_bytes, document_from_file
from adapter.mapping.problems import Problem
from adapter.mapping.source import Source
from adapter.mapping.transforms import clean_text
from adapter.propexo.appointment import problems as validate
from adapter.settings import Policy

#: Allowed names of sources, which are part of their URLs.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
MAX_BLANK_LENGTH: Final = 500
#: The value of ``dedupe`` that compares the whole content, for senders without an ID.
CONTENT: Final = "body"
IS_DRAFT: Final = "the adapter does not use this mapping: remove the line when it is finished"


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """The loaded sources, and all problems in the order of the files."""

    sources: Mapping[str, Source]
    problems: tuple[Problem, ...]


def load_files(
    folder: Path, files: Iterable[Path], policy: Policy, *, strict: bool = True
) -> Loaded:
    """Load the given mapping files, and the communities in their folder.

    If ``strict`` is False, the files may be drafts: signatures, tests, samples and TODOs are not
    checked.
    """
    documents = ((file, *document_from_file(file)) for file in files)
    communities = document_from_file(folder / FILE)
    return _load_documents(communities, documents, policy, _STRICT if strict else _DRAFT)


def load_text(folder: Path, name: str, text: str, policy: Policy, *, strict: bool) -> Loaded:
    """Load a mapping from ``text`` instead of its file in ``folder``."""
    file, raw = folder / f"{name}.yaml", text.encode("utf-8", "replace")
    documents = [(file, document_from_bytes(str(file), raw), raw)]
    communities = document_from_file(folder / FILE)
    return _load_documents(communities, documents, policy, _STRICT if strict else _DRAFT)


def load_checked_text(source: Source, text: str, policy: Policy) -> Loaded:
    """Load a mapping from ``text`` that was checked earlier, without running its tests."""
    raw, communities = text.encode(), source.files[1]
    documents = [(source.path, document_from_bytes(str(source.path), raw), raw)]
    file = str(source.path.parent / FILE)
    known = document_from_bytes(file, communities), communities
    return _load_documents(known, documents, policy, _CHECKED)


def _load_documents(
    communities_file: tuple[Document, bytes],
    documents: Iterable[tuple[Path, Document, bytes]],
    policy: Policy,
    depth: "_Depth",
) -> Loaded:
    communities_document, communities_raw = communities_file
    communities = communities_from_document(communities_document)
    sources: dict[str, Source] = {}
    problems: list[Problem] = []
    for file, document, raw in documents:
        if _is_loadable(document, file):
            compiler = _Compiler(document, file, communities, policy, depth)
            source = compiler.source((raw, communities_raw))
            if not document.has_errors:
                sources[source.name] = source
        problems += document.problems
    # Loading a mapping can also add problems to communities.yaml.
    return Loaded(sources, tuple(sorted([*communities_document.problems, *problems])))


def files_of(mapping: Path, communities: Path) -> tuple[bytes, bytes] | None:
    """Return the contents of a mapping and communities.yaml, or None if a file is unreadable."""
    try:
        return mapping.read_bytes(), communities.read_bytes()
    except OSError:
        return None


def _digest(mapping: bytes, communities: bytes) -> str:
    return hashlib.sha256(mapping + b"\0" + communities).hexdigest()


def _is_loadable(document: Document, file: Path) -> bool:
    if not NAME.match(file.stem):
        message = f"{file.stem!r} cannot be part of a URL: rename it, using a to z, 0 to 9, - and _"
        document.add((), message)
    if not isinstance(document.data, Mapping) and not document.problems:
        document.add((), "must be sections such as 'signature:' and 'appointment:'")
    return not document.problems


@dataclasses.dataclass(frozen=True, slots=True)
class _Depth:
    """The set of checks to perform when a mapping is compiled."""

    #: True to check the signature and require tests.
    has_signature: bool
    #: True to run the tests, and to check samples and TODOs.
    runs_tests: bool


_STRICT: Final = _Depth(has_signature=True, runs_tests=True)
_CHECKED: Final = _Depth(has_signature=True, runs_tests=False)
_DRAFT: Final = _Depth(has_signature=False, runs_tests=False)


@dataclasses.dataclass(frozen=True, slots=True)
class _Compiler:
    """Compiles the valid parts of a document, and adds a problem for each invalid part."""

    document: Document
    file: Path
    communities: Communities
    policy: Policy
    depth: _Depth

    def source(self, files: tuple[bytes, bytes]) -> Source:
        """Compile the document to a source. If required, check its samples and run its tests."""
        loaded, paths = self._sections(), PathRegistry(self.document)
        compiled = _with_keys(self._compiled(loaded, paths), paths)
        compiled = dataclasses.replace(compiled, partial_lists=partial_lists_from(paths.reads()))
        signature = loaded.get("signature", {})
        secrets = check_signature(self.document, signature) if self.depth.has_signature else ()
        check_handshake(self.document, loaded.get("handshake"))
        checker = RespondChecker(self.document, paths, compiled.inner_names)
        checker.check(loaded.get("respond", {}))
        blanks = (clean_text(text, MAX_BLANK_LENGTH) for text in loaded.get("blank", ()))
        source = Source(
            name=self.file.stem,
            path=self.file,
            hash=_digest(*files),
            files=files,
            description=loaded.get("description", ""),
            docs=loaded.get("docs", ""),
            signature=signature,
            secrets=secrets,
            handshake=loaded.get("handshake"),
            respond=loaded.get("respond"),
            kind=loaded.get("body"),
            blanks=frozenset(blanks),
            communities=self.communities.by_key,
            compiled=compiled,
            document=self.document,
            used_paths=tuple(paths.used),
            headers_read=frozenset(
                used.path.parts[1].lower()
                for used in paths.used
                if used.path.parts[0] == "headers" and len(used.path.parts) == 2
            ),
            sections=loaded,
        )
        self._check_stripped(source)
        if self.depth.runs_tests:
            check_and_test(source, known_errors=self.communities.document.has_errors)
        return source

    def _check_stripped(self, source: Source) -> None:
        for used in source.used_paths:
            for name in set(used.path.parts).intersection(source.stripped_names):
                message = f"{name!r} is removed before storing ('strip'), so it cannot be read"
                self.document.add(used.where, message, field=used.field)

    def _sections(self) -> Mapping[str, Any]:
        """Load the document's sections, skipping any that are invalid."""
        _use_delivery_id(self.document)
        data = self.document.data
        missing = () if self.depth.has_signature else ("tests",)
        if missing:
            data = {name: one for name, one in data.items() if one or name != "tests"}
        loaded = load_into(self.document, Sections(partial=missing), data, ())
        if loaded is not None:
            return dict(loaded)
        invalid = {problem.field.split(".")[0] for problem in self.document.problems}
        rest = {name: value for name, value in self.document.data.items() if name not in invalid}
        return dict(Sections(partial=True).load(rest))

    def _compiled(self, loaded: Mapping[str, Any], paths: PathRegistry) -> CompiledMapping:
        sections = SectionCompiler(self.document, paths, self.file.stem)
        fields = self._fields(loaded, paths)
        read = loaded.get("read", {}).items()
        fetch = loaded.get("fetch", {}).items()
        readers = [one for name, data in fetch for one in sections.fetches(name, data)]
        readers += [one for name, data in read for one in sections.readings(name, data)]
        outer, levels = _nested(readers, sections.levels(loaded.get("for_each", {})))
        self._check_levels(levels)
        names = set().union(*map(_names_of, levels))
        event_filter, item_filter = split_filter(sections.conditions_of(loaded), names)
        parts = loaded.get("dedupe", ()) if self.document.data.get("dedupe") != CONTENT else ()
        dedupe = [paths.lookup(part, ("dedupe",)) for part in parts]
        community = sections.community(loaded.get("community"), self.communities)
        attribution = sections.attribution(loaded.get("attribution"), community)
        fillers: list[FieldFiller] = [community, attribution, *fields]
        own = _names_of(levels[-1]) if levels else None
        identifying = KeyPlaces.of(dedupe, fillers).identifying(own)
        if dedupe and not identifying:
            inside = f"{levels[-1].name}.…"
            message = f"with for_each, at least one path must be inside the item: {inside}"
            self.document.add(("dedupe",), message)
        return CompiledMapping(
            event_filter=event_filter,
            item_filter=item_filter,
            readers=outer,
            for_each=levels,
            dedupe=dedupe,
            identifying=identifying,
            sent_at=paths.lookup(loaded.get("sent_at", ()), ("sent_at",)),
            fillers=fillers,
            validate=validate,
            without_time=WithoutTime(loaded.get("without_time", WithoutTime.HOLD)),
            policy=self.policy,
        )

    def _check_levels(self, levels: Sequence[ForEach]) -> None:
        """Check that each list under ``for_each`` is inside an item of the list above."""
        for above, level in itertools.pairwise(levels):
            if level.path.parts[0] not in _names_of(above):
                message = f"must be a list inside an item of the line before it: {above.name}.…"
                self.document.add(("for_each", level.name), message)

    def _fields(self, loaded: Mapping[str, Any], paths: PathRegistry) -> list[FieldFiller]:
        appointment = loaded.get("appointment")
        if not appointment:
            return []
        has_time, without_time = "starts_at" in appointment, loaded.get("without_time")
        needs_name = has_time or not WithoutTime(without_time or WithoutTime.HOLD).makes_cards
        compiler = FieldCompiler(self.document, paths, self.policy)
        fields = compiler.compile(appointment, needs_name=needs_name)
        if not has_time and without_time is None:
            self.document.add(
                ("appointment",),
                "nothing fills starts_at, which is required: add it, or add 'without_time: hold' "
                "(or prospect) if the sender has no tour times",
            )
        return fields


def check_and_test(source: Source, *, known_errors: bool = False) -> None:
    """Check a compiled mapping against its samples, and run its tests.

    ``adapter check``, ``adapter map``, the console and startup all use this function. It adds
    problems to the source's document. If ``known_errors`` is True, it does not run the tests.
    """
    check_todos(source.document)
    if source.sections.get("draft"):
        source.document.add(("draft",), IS_DRAFT)
    examples = _examples(source)
    has_errors = known_errors or source.document.has_errors
    run_mapping_tests(source, runs_tests=not has_errors, examples=examples)


def problems_of_draft(source: Source) -> tuple[Problem, ...]:
    """Return the problems that a check of a draft mapping would report."""
    document = dataclasses.replace(source.document, problems={})
    check_signature(document, source.signature)
    if not source.sections.get("tests"):
        document.add((), "the section 'tests' is missing")
    check_and_test(dataclasses.replace(source, document=document))
    return tuple(sorted(document.problems))


def _examples(source: Source) -> Mapping[str, Community]:
    """Return the made-up communities for a mapping's tests. Add their problems to the document."""
    examples = examples_file(source.path)
    if not examples.exists():
        return {}
    communities = communities_from_document(document_from_file(examples)[0])
    source.document.problems |= communities.document.problems
    return communities.aliases_of(source.name)


def _use_delivery_id(document: Document) -> None:
    """Use ``delivery_id`` as the ``dedupe`` key in mappings that do not define a key."""
    delivery_id = document.data.get("delivery_id")
    if "dedupe" in document.data or not isinstance(delivery_id, str):
        return
    kind, _, name = delivery_id.partition(":")
    dedupe = f"headers.{name}" if kind == "header" else name.removeprefix("$.")
    document.data = {**document.data, "dedupe": dedupe}


def _with_keys(compiled: CompiledMapping, paths: PathRegistry) -> CompiledMapping:
    """Set the ``keys`` of each list reader to the keys that the mapping uses."""

    def with_keys(named: NamedReader) -> NamedReader:
        if not isinstance(named.reader, ListReader):
            return named
        parts = (used.path.parts for used in paths.used)
        keys = frozenset(part[1] for part in parts if part[0] == named.name and len(part) > 1)
        return dataclasses.replace(named, reader=dataclasses.replace(named.reader, keys=keys))

    return dataclasses.replace(
        compiled,
        readers=[with_keys(one) for one in compiled.readers],
        for_each=[
            dataclasses.replace(level, readers=[with_keys(one) for one in level.readers])
            for level in compiled.for_each
        ],
    )


def _names_of(level: ForEach) -> set[str]:
    """Return the names that exist only inside an item of the given ``for_each`` list."""
    return {level.name, *(reading.name for reading in level.readers)}


def _nested(
    readers: Iterable[NamedReader], levels: Sequence[ForEach]
) -> tuple[list[NamedReader], list[ForEach]]:
    """Assign each reader to the ``for_each`` list that it depends on, or to the webhook itself."""
    depths = {level.name: number for number, level in enumerate(levels, start=1)}
    at_depth: list[list[NamedReader]] = [[] for _ in (None, *levels)]
    for reading in readers:
        depth = max(depths.get(name, 0) for name in reading.needs)
        at_depth[depth].append(reading)
        depths[reading.name] = depth
    outer, *inner = at_depth
    return outer, [
        dataclasses.replace(level, readers=own) for level, own in zip(levels, inner, strict=True)
    ]
