"""Define ``adapter new``, which drafts a mapping from samples or stored webhooks."""

import difflib
import getpass
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from adapter.cli.help import examples
from adapter.cli.mappings import mappings_option, read_file
from adapter.exceptions import ConfigurationError, PayloadError
from adapter.mapping.authoring.foreign import region_of
from adapter.mapping.authoring.made_up import MadeUpPeople
from adapter.mapping.authoring.observe import with_query
from adapter.mapping.authoring.readings import quoted
from adapter.mapping.authoring.redact import (
    Changes,
    fields_left,
    partly_replaced,
    possible_names,
    redacted,
    replaced_fields,
    replacements,
)
from adapter.mapping.authoring.scaffold import Draft, draft_from_samples
from adapter.mapping.authoring.similar import reading_senders, similar_senders
from adapter.mapping.authoring.whose import CONTACT
from adapter.mapping.communities_yaml import FILE
from adapter.mapping.gallery import gallery_folder
from adapter.mapping.loader.loader import NAME
from adapter.mapping.loader.yaml_document import document_from_file
from adapter.mapping.registry import free_file
from adapter.mapping.samples import CONTENT_TYPES, UNREADABLE_HINT, content_type_of
from adapter.models import utc_now
from adapter.parsing.body import parse
from adapter.parsing.paths import leaves
from adapter.parsing.sentences import sentence_with
from adapter.settings import settings_from

#: Maximum number of samples to keep with the mapping. All are used for the draft.
MOST_KEPT: Final = 5
#: Why a file is not a sample.
NOTHING_NEW: Final = "they add nothing new"
MOST: Final = f"{MOST_KEPT} samples are enough"
#: The targets of a tour's start.
TIMES: Final = ("starts_at", "date", "time")
#: Maximum size of a sample in bytes, and number of files. A larger sample would take minutes, and
#: a mapping reads at most 50 leads of a webhook.
MOST_BYTES: Final = 256 * 1024
MOST_FILES: Final = 200
#: Samples of this size take seconds.
SHOWS_PROGRESS: Final = 100 * 1024
#: Fields that some samples may lack, because they are different kinds of leads.
DISTINCT: Final = CONTACT | {"starts_at", "date", "time", "community"}
#: Maximum number of fields to list as replaced.
MOST_NAMED: Final = 20

#: What to do about a file whose content type is unclear from its extension.
CONTENT_TYPE_HINT: Final = (
    "if it is not JSON, give its content type, such as --content-type "
    "application/x-www-form-urlencoded"
)


class Sample(NamedTuple):
    """The body of a sample webhook, with its file extension and parsed payload."""

    body: bytes
    suffix: str
    content_type: str
    payload: Any
    #: The file's name, or "" for a stored webhook.
    name: str = ""


class Written(NamedTuple):
    """A sample with its new file, and the replacement of each personal or secret string."""

    sample: Sample
    file: Path
    changes: Changes


@click.command(
    epilog=examples(
        "adapter new acme tour.json other-tour.json canceled.json",
        "adapter new acme --stored",
    )
)
@click.argument("name", metavar="SOURCE")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sample", "more", multiple=True, hidden=True, type=click.Path(path_type=Path))
@click.option("--stored", is_flag=True, help="Draft from the latest stored webhooks from SOURCE.")
@click.option(
    "--last",
    type=click.IntRange(1, 1000),
    default=100,
    help="With --stored, read at most this many webhooks.",
)
@mappings_option
@click.option(
    "--content-type",
    help="Content type of the files. By default, each file's extension determines it.",
)
def new(
    name: str,
    files: tuple[Path, ...],
    more: tuple[Path, ...],
    stored: bool,
    last: int,
    folder: Path | None,
    content_type: str | None,
) -> None:
    """Draft a mapping from samples of a sender's webhooks.

    Each FILE contains one body. Use at least one file of each kind, such as a tour, a lead without
    a time and a cancellation. The command copies up to five files to the samples, with made-up
    people and without secrets.

    If SOURCE already has a mapping, --stored writes the draft to SOURCE.yaml.draft, or to
    SOURCE-2.yaml.draft if that exists. `adapter backtest` compares the draft with the
    mapping. Confirm each guess in the draft.
    """
    folder = folder or settings_from().mappings_dir
    file = _file_to_write(folder, name, stored=stored)
    given = (*files, *more)
    if stored is bool(given):
        raise click.UsageError("pass files with the sender's webhooks, or use --stored")
    samples = _stored(name, last) if stored else _from_files(given, content_type)
    size = sum(len(sample.body) for sample in samples)
    if size > SHOWS_PROGRESS:
        click.echo(f"reading {size // 1024} kB of samples ...", err=True)
    draft = draft_from_samples(name, [sample.payload for sample in samples])
    written = _write_samples(folder / "samples", draft, [*_most_different(samples, draft)])
    names = [f"samples/{one.file.name}" for one in written]
    payloads = [one.sample.payload for one in written]
    text = draft.text(
        *names,
        origin=_origin(samples, names),
        payloads=payloads,
        is_in_folder=file.suffix != ".draft",
    )
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
    click.echo(f"wrote {', '.join(map(str, [file, *(one.file for one in written)]))}")
    steps = [
        *_gallery_lines([one.sample for one in written], gallery_folder(folder)),
        *_lost_lines(draft),
        *_sample_lines(samples, written),
        *_replaced_lines(draft, written),
    ]
    click.echo("\n".join([*steps, *_next_steps(draft, folder, file)]))


def _file_to_write(folder: Path, name: str, *, stored: bool) -> Path:
    """Return the file for a new mapping, or for the draft of an existing one."""
    if not NAME.match(name):
        raise click.BadParameter("use a to z, 0 to 9, - and _")
    file = folder / f"{name}.yaml"
    if not file.exists():
        return file
    if not stored:
        raise ConfigurationError(f"{file} already exists; choose another name")
    return free_file(folder, name, ".yaml.draft")


def _origin(samples: Sequence[Sample], names: Sequence[str]) -> str:
    return names[0] if len(samples) == 1 else f"{len(samples)} webhooks"


def _from_files(files: Sequence[Path], content_type: str | None) -> list[Sample]:
    if len(files) > MOST_FILES:
        raise click.UsageError(f"pass at most {MOST_FILES} files, each with a different body")
    return [_from_file(one, content_type) for one in files]


def _from_file(file: Path, content_type: str | None) -> Sample:
    body = read_file(file)
    if len(body) > MOST_BYTES:
        size, most = -(-len(body) // 1024), MOST_BYTES // 1024
        raise PayloadError(f"{file} is {size} kB; shorten it to at most {most} kB")
    kind = content_type or content_type_of(file, body)
    try:
        return Sample(body, file.suffix or ".json", kind, parse(body, kind), file.name)
    except PayloadError as exc:
        is_known = content_type or file.suffix in CONTENT_TYPES
        hint = UNREADABLE_HINT if is_known else CONTENT_TYPE_HINT
        raise PayloadError(f"{file}: {exc}; {hint}") from None


def _stored(name: str, last: int) -> list[Sample]:
    """Return a source's latest stored webhooks that can be parsed, oldest first.

    Raise ConfigurationError if there are none.
    """
    from adapter.cli.leads import opened_store  # only --stored needs the database
    from adapter.operations.backtest import recent

    with opened_store(settings_from()) as store:
        with store.transaction() as tx:
            tx.audit.record("drafted", by=getpass.getuser(), at=utc_now(), detail=name)
        requests = [event.request for event in recent(store, name, last)]
    samples = []
    for request in reversed(requests):
        body, kind = request.body or request.query.encode(), request.content_type
        if len(body) > MOST_BYTES:
            continue
        suffix = _suffix(kind) if request.body else ".query"
        try:
            payload = parse(request.body, kind, query=request.query)
        except PayloadError:
            continue
        samples.append(Sample(body, suffix, kind, with_query(payload, request.query)))
    if not samples:
        raise ConfigurationError(f"there are no stored webhooks from {name} with a payload")
    return samples


def _suffix(content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    suffixes = {kind: suffix for suffix, kind in reversed(CONTENT_TYPES.items())}
    if kind.endswith("xml"):
        return ".xml"
    return suffixes.get(kind, ".json")


def _write_samples(folder: Path, draft: Draft, samples: Sequence[Sample]) -> list[Written]:
    """Write the samples to new files, with made-up people in place of the real ones."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Written] = []
    kept = [str(one) for one in draft.communities()]
    made_up = MadeUpPeople(region_of(draft.observed))
    for number, sample in zip(_person_numbers(samples), samples, strict=True):
        file = free_file(folder, draft.name, sample.suffix)
        given = (sample.payload, number, draft.people(), kept, made_up)
        try:
            file.write_bytes(redacted(sample.body, *given))
            written.append(Written(sample, file, replacements(*given)))
        except RecursionError:
            raise PayloadError(f"{file.name}: the JSON is nested too deeply") from None
    return written


def _person_numbers(samples: Sequence[Sample]) -> Iterator[int]:
    """Yield the number of each sample's made-up person. Samples from one renter share a number."""
    numbers: dict[str, int] = {}
    for number, sample in enumerate(samples):
        people = draft_from_samples("x", [sample.payload]).people()
        contacts = people.get("email_1") or people.get("phone_1") or [str(number)]
        numbers.setdefault(contacts[0].lower(), len(numbers))
        yield numbers[contacts[0].lower()]


def _most_different(samples: Sequence[Sample], draft: Draft) -> Iterator[Sample]:
    """Yield up to five samples, starting with the sample that has the most paths.

    Each further sample has a path, an event or an outcome that the previous samples lack.
    """
    left = [(sample, _features(sample, draft)) for sample in samples]
    seen: set[str] = set()
    for _ in range(MOST_KEPT):
        best = max(left, key=lambda one: len(one[1] - seen), default=None)
        if best is None or (seen and not best[1] - seen):
            return
        seen |= best[1]
        left.remove(best)
        yield best[0]


def _features(sample: Sample, draft: Draft) -> set[str]:
    """Return a sample's distinguishing features: its paths, and values such as event types."""
    own = draft_from_samples("x", [sample.payload])
    values = own.observed.values
    paths = {path for path in values if own.observed.filled(path)}
    targets = ("accept", "finished", "tour_type", "test")
    chosen = {own.guesses[one][0] for one in targets if one in own.guesses}
    outcome = "a cancellation" if own.canceled else "a booking"
    times = {path for target in TIMES for path in draft.guesses.get(target, ())}
    timed = "a time" if times & paths or not times else "no time"
    texts = "\n".join(text for _, text in leaves(sample.payload) if isinstance(text, str))
    said = [one for one in ("time", "change") if sentence_with(one, texts)]
    found = ", ".join(sorted(own.guesses.keys() & DISTINCT))
    kinds = {outcome, timed, f"says {said}", f"{outcome} with {found}"}
    return kinds | paths | {f"{path}={values[path][0]}" for path in chosen}


def _sample_lines(samples: Sequence[Sample], written: Sequence[Written]) -> Iterator[str]:
    """Yield lines that say which files became samples, and why the other files did not."""
    if not samples[0].name:
        yield f"Samples: {len(written)} of the {len(samples)} stored webhooks, as different as"
        yield "possible. The draft is based on all of them."
        return
    yield f"Samples: {', '.join(f'{one.sample.name} is {one.file.name}' for one in written)}"
    chosen = [one.sample for one in written]
    if left := [one.name for one in samples if not any(one is sample for sample in chosen)]:
        why = MOST if len(chosen) == MOST_KEPT else NOTHING_NEW
        yield f"Not copied, because {why}: {_shortened(left)}"


def _replaced_lines(draft: Draft, written: Sequence[Written]) -> Iterator[str]:
    """Yield lines that list the replaced fields, and the fields that could not be replaced."""
    kept = [str(one) for one in draft.communities()]
    replaced: dict[str, None] = {}
    for sample, file, changes in written:
        fields = replaced_fields(sample.payload, changes)
        partly = partly_replaced(sample.payload, changes)
        parsed = _parsed(sample, file.read_bytes())
        left = fields_left(sample.payload, parsed, fields)
        replaced |= dict.fromkeys(one for one in fields if one not in (*left, *partly))
        if left:
            yield f"NOT replaced in {file}, so replace them yourself: {', '.join(left)}"
        if names := possible_names(sample.payload, parsed, fields, kept):
            yield f"Not replaced in {file}; replace each that is personal: {_shortened(names)}"
        if texts := [one for one in partly if one not in left]:
            yield f"Replaced only in part in {file}; read the rest of each: {_shortened(texts)}"
    if replaced:
        yield f"Replaced in the samples: {_shortened([*replaced])}"


def _parsed(sample: Sample, body: bytes) -> Any:
    """Parse a rewritten sample like the original. If that fails, use the original's payload."""
    kind = "query" if sample.suffix == ".query" else None
    query = body.decode("utf-8", "replace") if kind else ""
    try:
        return with_query(parse(body, sample.content_type, kind=kind, query=query), query)
    except PayloadError:
        return sample.payload


def _shortened(fields: Sequence[str]) -> str:
    """Join field names, combining list items and shortening long paths."""
    each = (re.sub(r"\.\d+(?=\.|$)", ".*", field) for field in fields)
    ends = (f"…{'.'.join(one.split('.')[-2:])}" if len(one) > 60 else one for one in each)
    names = [*dict.fromkeys(ends)]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _gallery_lines(samples: Sequence[Sample], gallery: Path) -> Iterator[str]:
    """Yield a line with the gallery mappings that fit the samples, or that read the first one."""
    if senders := similar_senders([one.payload for one in samples], gallery):
        names = " or ".join(senders)
        yield f"The gallery has a mapping for such webhooks: adapter sources add {names}"
        return
    one = samples[0]
    if readers := reading_senders(one.body, one.content_type, one.payload, gallery):
        names = " or ".join(readers)
        yield f"A mapping in the gallery reads the renter in this body: adapter sources add {names}"


def _lost_lines(draft: Draft) -> Iterator[str]:
    """Yield a line that names the values in nested lists that the draft does not read."""
    if lost := draft.lost():
        yield f"NOT read by the draft, because they are in lists inside lists: {_shortened(lost)}"


def _next_steps(draft: Draft, folder: Path, file: Path) -> Iterator[str]:
    yield "Read each sample. Personal data and secrets may also be in free text, or in a field"
    yield "that is not listed. The original bodies still contain everything."
    yield from _community_lines(draft, folder / FILE)
    if file.suffix == ".draft":
        yield f"Compare it with the mapping: adapter backtest {draft.name} {file}"
        return
    yield f"Confirm each guess and fill in each TODO, then run: adapter check {file}"
    yield "The adapter does not use the mapping until you remove its line 'draft: true'."


def _community_lines(draft: Draft, communities: Path) -> Iterator[str]:
    """Yield lines to add to communities.yaml for the community names in the samples."""
    entries = _entries(communities)
    own = {str(one) for entry in entries.values() for one in _names(entry, draft.name)}
    names = [name for name in draft.communities() if str(name) not in own]
    if not names:
        return
    known = _known(entries)
    yield f"Communities in the samples. Add each to {communities}:"
    for name in names[:20]:
        key = _key_of(str(name), known)
        entry = f"known_as: {{ {draft.name}: [{quoted(str(name))}] }}"
        yield f"  {key}: {entry}, attributions: {{ {draft.name}: … }}"


def _entries(communities: Path) -> dict[str, Any]:
    """Return the communities in communities.yaml, by key."""
    data = document_from_file(communities)[0].data if communities.exists() else {}
    return data if isinstance(data, dict) else {}


def _known(entries: Mapping[str, Any]) -> dict[str, str]:
    """Map the lowercase names of all communities in communities.yaml to their keys."""
    return {
        str(name).casefold(): key
        for key, entry in entries.items()
        for name in (key, key.replace("-", " "), *_names(entry))
    }


def _names(entry: Any, source: str = "") -> Iterator[Any]:
    """Yield the names under which a source knows a community, or those of all sources."""
    known_as = entry.get("known_as", {}) if isinstance(entry, dict) else {}
    for name, names in known_as.items() if isinstance(known_as, dict) else ():
        if source in ("", name):
            yield from names if isinstance(names, list) else [names]


def _key_of(name: str, known: dict[str, str]) -> str:
    """Return the key of the community with this name, with a question mark if it is uncertain.

    A similar name with the same digits may be that of another community. A number may mean
    something else to each sender, and similar numbers mean nothing.
    """
    text = name.casefold()[:100]
    if text in known:
        return known[text] + "?" * text.isdigit()
    has_same_digits = [one for one in known if _digits(one) == _digits(text)]
    found = difflib.get_close_matches(text, has_same_digits, n=1, cutoff=0.75)
    return f"{known[found[0]]}?" if found else "which community?"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
