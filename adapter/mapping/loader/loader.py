"""Load mapping files: read, check, compile, and run their tests."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from adapter.mapping.communities_yaml import (
    FILE,
    Communities,
    communities_from_document,
    examples_file,
)
from adapter.mapping.engine import Community, CompiledMapping, WithoutTime
from adapter.mapping.engine.mapping import NamedReader
from adapter.mapping.engine.reshape import ListReader
from adapter.mapping.loader.check_endpoint import RespondChecker, check_handshake, check_signature
from adapter.mapping.loader.check_todos import check_todos
from adapter.mapping.loader.compile_fields import FieldCompiler
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.compile_sections import SectionCompiler, split_filter
from adapter.mapping.loader.run_tests import run_mapping_tests
from adapter.mapping.loader.schema import Sections, load_into
from adapter.mapping.loader.yaml_document import Document, document_from_bytes, document_from_file
from adapter.mapping.problems import Problem
from adapter.mapping.source import Source
from adapter.mapping.transforms import clean_text
from adapter.propexo.appointment import problems as validate
from adapter.settings import Policy

#: Names of sources, which are part of their URLs.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
MAX_BLANK_LENGTH: Final = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """The sources that loaded, and every problem in the order of the files."""

    sources: Mapping[str, Source]
    problems: tuple[Problem, ...]


def load_files(
    folder: Path, files: Iterable[Path], policy: Policy, *, strict: bool = True
) -> Loaded:
    """Load some files of a folder with the communities of that folder.

    Without ``strict``, they may be drafts: signatures, tests, samples and TODOs are not checked.
    """
    documents = ((file, *document_from_file(file)) for file in files)
    return _load_documents(folder, documents, policy, strict=strict)


def load_text(folder: Path, name: str, text: str, policy: Policy) -> Loaded:
    """Load a draft from ``text`` instead of the file of that name in ``folder``."""
    file, raw = folder / f"{name}.yaml", text.encode("utf-8", "replace")
    documents = [(file, document_from_bytes(str(file), raw), raw)]
    return _load_documents(folder, documents, policy, strict=False)


def _load_documents(
    folder: Path, documents: Iterable[tuple[Path, Document, bytes]], policy: Policy, *, strict: bool
) -> Loaded:
    communities_document, communities_raw = document_from_file(folder / FILE)
    communities = communities_from_document(communities_document)
    sources, problems = {}, []
    for file, document, raw in documents:
        digest = _digest(raw, communities_raw)
        source = _load(document, file, digest, communities, policy, strict=strict)
        problems += document.problems
        if source and not document.has_errors:
            sources[source.name] = source
    # Loading adds problems to the communities too.
    return Loaded(sources, tuple(sorted([*communities_document.problems, *problems])))


def digest_of(mapping: Path, communities: Path) -> str | None:
    """Return the hash of a mapping's current files, or None if one cannot be read."""
    try:
        return _digest(mapping.read_bytes(), communities.read_bytes())
    except OSError:
        return None


def _digest(mapping: bytes, communities: bytes) -> str:
    return hashlib.sha256(mapping + b"\0" + communities).hexdigest()


def _load(
    document: Document,
    file: Path,
    digest: str,
    communities: Communities,
    policy: Policy,
    *,
    strict: bool,
) -> Source | None:
    if not NAME.match(file.stem):
        message = f"{file.stem!r} cannot be part of a URL: rename it, using a to z, 0 to 9, - and _"
        document.add((), message)
    if not isinstance(document.data, Mapping) and not document.problems:
        document.add((), "must be sections such as 'signature:' and 'appointment:'")
    if document.problems:
        return None
    source = _compile(document, file, digest, communities, policy, strict=strict)
    if strict:
        check_todos(document)
        examples = _examples(document, file)
        runs_tests = not communities.document.has_errors and not document.has_errors
        run_mapping_tests(source, runs_tests=runs_tests, examples=examples)
    return source


def _examples(document: Document, file: Path) -> Mapping[str, Community]:
    """Return the communities for the tests alone; their problems count as the mapping's."""
    examples = examples_file(file)
    if not examples.exists():
        return {}
    communities = communities_from_document(document_from_file(examples)[0])
    document.problems += communities.document.problems
    return communities.aliases_of(file.stem)


def _compile(
    document: Document,
    file: Path,
    digest: str,
    communities: Communities,
    policy: Policy,
    *,
    strict: bool,
) -> Source:
    """Compile a document's valid parts, and add a problem for each of the others."""
    loaded = _sections(document, needs_tests=strict)
    paths = PathRegistry(document)
    sections = SectionCompiler(document, paths, file.stem)
    appointment = loaded.get("appointment")
    fields = []
    if appointment:
        compiler = FieldCompiler(document, paths, policy)
        fields = compiler.compile(appointment, needs_name=not _is_for_prospects_only(loaded))
    _require_time(document, loaded)
    compiled = _with_keys(_compiled(sections, fields, loaded, communities, policy), paths)
    signature = loaded.get("signature", {})
    secrets = check_signature(document, signature) if strict else ()
    check_handshake(document, loaded.get("handshake"))
    RespondChecker(document, paths, compiled.inner_names).check(loaded.get("respond", {}))
    return Source(
        name=file.stem,
        path=file,
        hash=digest,
        description=loaded.get("description", ""),
        docs=loaded.get("docs", ""),
        signature=signature,
        secrets=secrets,
        handshake=loaded.get("handshake"),
        respond=loaded.get("respond"),
        kind=loaded.get("body"),
        blanks=frozenset(clean_text(text, MAX_BLANK_LENGTH) for text in loaded.get("blank", ())),
        communities=communities.by_key,
        compiled=compiled,
        document=document,
        used_paths=tuple(paths.used),
        sections=loaded,
    )


def _sections(document: Document, *, needs_tests: bool) -> Mapping[str, Any]:
    """Load the valid sections, and add a problem for each of the others."""
    _use_delivery_id(document)
    missing = () if needs_tests else ("tests",)
    loaded = load_into(document, Sections(partial=missing), document.data, ())
    if loaded is not None:
        return dict(loaded)
    invalid = {problem.field.split(".")[0] for problem in document.problems}
    rest = {name: value for name, value in document.data.items() if name not in invalid}
    return dict(Sections(partial=True).load(rest))


def _use_delivery_id(document: Document) -> None:
    """Translate ``delivery_id``, as signatures call it, to ``dedupe``, unless that is given."""
    delivery_id = document.data.get("delivery_id")
    if "dedupe" in document.data or not isinstance(delivery_id, str):
        return
    kind, _, name = delivery_id.partition(":")
    dedupe = f"headers.{name}" if kind == "header" else name.removeprefix("$.")
    document.data = {**document.data, "dedupe": dedupe}


def _compiled(
    sections: SectionCompiler,
    fields: list[Any],
    loaded: Mapping[str, Any],
    communities: Communities,
    policy: Policy,
) -> CompiledMapping:
    groups = {
        name: sections.groups(name, loaded[name])
        for name in ("ignore", "cancellation")
        if name in loaded
    }
    groups["accept"] = [sections.conditions("accept", loaded.get("accept", {}), ("accept",))]
    each = sections.each(loaded.get("for_each"))
    readers = (sections.reading(name, data) for name, data in loaded.get("read", {}).items())
    outer, inner = _split_readers([one for one in readers if one], each.name if each else None)
    names = {one.name for one in inner} | ({each.name} if each else set())
    event_filter, item_filter = split_filter(groups, names)
    dedupe = [sections.paths.lookup(part, ("dedupe",)) for part in loaded.get("dedupe", ())]
    if (
        each
        and dedupe
        and not any(path.parts[0] in names for part in dedupe for path in part.paths)
    ):
        message = f"with for_each one of the paths must be inside the item: {each.name}.…"
        sections.document.add(("dedupe",), message)
    community = sections.community(loaded.get("community"), communities)
    attribution = sections.attribution(loaded.get("attribution"), community)
    return CompiledMapping(
        event_filter=event_filter,
        item_filter=item_filter,
        readers=outer,
        item_readers=inner,
        for_each=each,
        dedupe=dedupe,
        sent_at=sections.paths.lookup(loaded.get("sent_at", ()), ("sent_at",)),
        fillers=[community, attribution, *fields],
        validate=validate,
        without_time=WithoutTime(loaded.get("without_time", WithoutTime.HOLD)),
        policy=policy,
    )


def _with_keys(compiled: CompiledMapping, paths: PathRegistry) -> CompiledMapping:
    """Set the keys that the mapping uses from each list."""

    def with_keys(named: NamedReader) -> NamedReader:
        if not isinstance(named.reader, ListReader):
            return named
        parts = (used.path.parts for used in paths.used)
        keys = frozenset(part[1] for part in parts if part[0] == named.name and len(part) > 1)
        return dataclasses.replace(named, reader=dataclasses.replace(named.reader, keys=keys))

    return dataclasses.replace(
        compiled,
        readers=[with_keys(one) for one in compiled.readers],
        item_readers=[with_keys(one) for one in compiled.item_readers],
    )


def _split_readers(
    readers: list[NamedReader], item: str | None
) -> tuple[list[NamedReader], list[NamedReader]]:
    """Separate the readers that depend on an item, directly or through another reader."""
    names = {item} if item else set()
    outer, inner = [], []
    for reading in readers:
        if reading.reader.path.parts[0] in names:
            names.add(reading.name)
            inner.append(reading)
        else:
            outer.append(reading)
    return outer, inner


def _require_time(document: Document, loaded: Mapping[str, Any]) -> None:
    appointment = loaded.get("appointment")
    if appointment and "starts_at" not in appointment and "without_time" not in loaded:
        document.add(
            ("appointment",),
            "nothing fills starts_at, which is required: add it, or add 'without_time: hold' "
            "(or prospect) if the sender has no tour times",
        )


def _is_for_prospects_only(loaded: Mapping[str, Any]) -> bool:
    has_time = "starts_at" in loaded["appointment"]
    return not has_time and loaded.get("without_time") == WithoutTime.PROSPECT
