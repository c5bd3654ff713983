"""Mapping files to sources: read, checked in ten ways, compiled."""

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
from adapter.mapping.engine.mapping import Reading
from adapter.mapping.engine.reshape import ListRead
from adapter.mapping.loader.check_endpoint import RespondChecker, check_handshake, check_signature
from adapter.mapping.loader.check_todos import refuse_blanks
from adapter.mapping.loader.compile_fields import FieldCompiler
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.compile_sections import SectionCompiler, split_filter
from adapter.mapping.loader.run_tests import run_mapping_tests
from adapter.mapping.loader.schema import Sections, load_into
from adapter.mapping.loader.yaml_document import Document, document_from_bytes, document_from_file
from adapter.mapping.problems import Problem
from adapter.mapping.source import Source
from adapter.mapping.transforms import clean_text
from adapter.propexo.appointment import problems as refusals
from adapter.settings import Policy

#: A source's name is part of its address.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
CAP_BLANK: Final = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """What loading gave: sources, and every problem in the order of the files."""

    sources: Mapping[str, Source]
    problems: tuple[Problem, ...]


def load_files(
    folder: Path, files: Iterable[Path], policy: Policy, *, tries_out: bool = True
) -> Loaded:
    """The sources of some files of one folder, with that folder's communities.

    Without ``tries_out`` they may be drafts: their signatures, tests and samples are not looked
    at, nor whether everything is filled in.
    """
    document, raw = document_from_file(folder / FILE)
    communities = communities_from_document(document)
    sources, problems = {}, []
    for file in files:
        read = document_from_file(file)
        mapping, source = _load(file, read, raw, communities, policy, tries_out=tries_out)
        problems += mapping.problems
        if source and not mapping.is_wrong:
            sources[source.name] = source
    return Loaded(sources, tuple(sorted([*document.problems, *problems])))


def load_text(folder: Path, name: str, text: str, policy: Policy) -> Loaded:
    """One source as it would be if its file in ``folder`` held ``text``. Writes nothing."""
    document, communities_raw = document_from_file(folder / FILE)
    communities = communities_from_document(document)
    file, raw = folder / f"{name}.yaml", text.encode("utf-8", "replace")
    read = (document_from_bytes(str(file), raw), raw)
    mapping, source = _load(file, read, communities_raw, communities, policy, tries_out=False)
    is_right = source is not None and not mapping.is_wrong
    problems = tuple(sorted([*document.problems, *mapping.problems]))
    return Loaded({name: source} if source is not None and is_right else {}, problems)


def digest_of(mapping: Path, communities: Path) -> str | None:
    """What tells one state of a mapping from another; None where a file cannot be read."""
    try:
        return _digest(mapping.read_bytes(), communities.read_bytes())
    except OSError:
        return None


def _digest(mapping: bytes, communities: bytes) -> str:
    return hashlib.sha256(mapping + b"\0" + communities).hexdigest()


def _load(
    file: Path,
    read: tuple[Document, bytes],
    communities_raw: bytes,
    communities: Communities,
    policy: Policy,
    *,
    tries_out: bool,
) -> tuple[Document, Source | None]:
    document, raw = read
    if not NAME.match(file.stem):
        document.add((), f"{file.stem!r} cannot be an address: use a to z, 0 to 9, - and _")
    if not isinstance(document.data, Mapping) and not document.problems:
        document.add((), "must be sections such as 'signature:' and 'appointment:'")
    if document.problems:
        return document, None
    digest = _digest(raw, communities_raw)
    source = _compile(document, file, digest, communities, policy, tries_out=tries_out)
    if tries_out:
        refuse_blanks(document)
        examples = _examples(document, file)
        runs_tests = not communities.document.is_wrong and not document.is_wrong
        run_mapping_tests(source, runs_tests=runs_tests, examples=examples)
    return document, source


def _examples(document: Document, file: Path) -> Mapping[str, Community]:
    """The communities that only the tests know; what is wrong there is wrong with the mapping."""
    beside = examples_file(file)
    if not beside.exists():
        return {}
    communities = communities_from_document(document_from_file(beside)[0])
    document.problems += communities.document.problems
    return communities.known_to(file.stem)


def _compile(
    document: Document,
    file: Path,
    digest: str,
    communities: Communities,
    policy: Policy,
    *,
    tries_out: bool,
) -> Source:
    """The source as far as the file allows; what is wrong is left out, with a problem each."""
    loaded = _sections(document, needs_tests=tries_out)
    places = PathRegistry(document)
    sections = SectionCompiler(document, places, file.stem)
    appointment = loaded.get("appointment")
    fields = []
    if appointment:
        compiler = FieldCompiler(document, places, policy)
        fields = compiler.fills(appointment, needs_name=not _is_for_prospects_only(loaded))
    _refuse_no_time(document, loaded)
    compiled = _with_keys(_compiled(sections, fields, loaded, communities, policy), places)
    signature = loaded.get("signature", {})
    secrets = check_signature(document, signature) if tries_out else ()
    check_handshake(document, loaded.get("handshake"))
    RespondChecker(document, places, compiled.inner_names).check(loaded.get("respond", {}))
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
        blanks=frozenset(clean_text(text, CAP_BLANK) for text in loaded.get("blank", ())),
        communities=communities.by_key,
        compiled=compiled,
        document=document,
        places=tuple(places.used),
        sections=loaded,
    )


def _sections(document: Document, *, needs_tests: bool) -> Mapping[str, Any]:
    """The sections; those that are wrong are left out, with a problem each."""
    _use_delivery_id(document)
    missing = () if needs_tests else ("tests",)
    loaded = load_into(document, Sections(partial=missing), document.data, ())
    if loaded is not None:
        return dict(loaded)
    wrong = {problem.field.split(".")[0] for problem in document.problems}
    rest = {name: value for name, value in document.data.items() if name not in wrong}
    return dict(Sections(partial=True).load(rest))


def _use_delivery_id(document: Document) -> None:
    """``delivery_id`` is the signature vocabulary's word for ``dedupe``, where that is missing."""
    said = document.data.get("delivery_id")
    if "dedupe" in document.data or not isinstance(said, str):
        return
    kind, _, place = said.partition(":")
    dedupe = f"headers.{place}" if kind == "header" else place.removeprefix("$.")
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
    made = (sections.reading(name, data) for name, data in loaded.get("read", {}).items())
    outer, inner = _split_readings([one for one in made if one], each.name if each else None)
    names = {one.name for one in inner} | ({each.name} if each else set())
    event_filter, item_filter = split_filter(groups, names)
    dedupe = sections.places.look(loaded.get("dedupe", ()), ("dedupe",))
    if each and dedupe.paths and not any(path.parts[0] in names for path in dedupe.paths):
        said = f"with for_each one of the paths must be inside the item: {each.name}.…"
        sections.document.add(("dedupe",), said)
    community = sections.community(loaded.get("community"), communities)
    attribution = sections.attribution(loaded.get("attribution"), community)
    return CompiledMapping(
        event_filter=event_filter,
        item_filter=item_filter,
        readings=outer,
        item_readings=inner,
        for_each=each,
        dedupe=dedupe,
        sent_at=sections.places.look(loaded.get("sent_at", ()), ("sent_at",)),
        fills=[community, attribution, *fields],
        refused=refusals,
        without_time=WithoutTime(loaded.get("without_time", WithoutTime.HOLD)),
        policy=policy,
    )


def _with_keys(compiled: CompiledMapping, places: PathRegistry) -> CompiledMapping:
    """Tells each list by key which of its keys the mapping reads."""

    def told(reading: Reading) -> Reading:
        if not isinstance(reading.read, ListRead):
            return reading
        parts = (place.path.parts for place in places.used)
        keys = frozenset(part[1] for part in parts if part[0] == reading.name and len(part) > 1)
        return dataclasses.replace(reading, read=dataclasses.replace(reading.read, keys=keys))

    return dataclasses.replace(
        compiled,
        readings=[told(one) for one in compiled.readings],
        item_readings=[told(one) for one in compiled.item_readings],
    )


def _split_readings(
    readings: list[Reading], item: str | None
) -> tuple[list[Reading], list[Reading]]:
    """Those that read the item, or what was read from it, are made anew for each item."""
    names = {item} if item else set()
    outer, inner = [], []
    for reading in readings:
        if reading.read.path.parts[0] in names:
            names.add(reading.name)
            inner.append(reading)
        else:
            outer.append(reading)
    return outer, inner


def _refuse_no_time(document: Document, loaded: Mapping[str, Any]) -> None:
    appointment = loaded.get("appointment")
    if appointment and "starts_at" not in appointment and "without_time" not in loaded:
        document.add(
            ("appointment",),
            "nothing fills starts_at, which is required "
            "(or say 'without_time: hold', or prospect, for a sender that has no tour times)",
        )


def _is_for_prospects_only(loaded: Mapping[str, Any]) -> bool:
    has_time = "starts_at" in loaded["appointment"]
    return not has_time and loaded.get("without_time") == WithoutTime.PROSPECT
