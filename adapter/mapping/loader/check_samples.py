"""Check a mapping's paths against its sample payloads, and warn about likely mistakes."""

import dataclasses
import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.authoring.guess import event_paths
from adapter.mapping.authoring.observe import observe
from adapter.mapping.authoring.payload_keys import REMOVED, is_secret, secret_name
from adapter.mapping.communities_yaml import FILE
from adapter.mapping.engine import SENT_OUTCOMES, Community, Outcome, Scope
from adapter.mapping.engine.fields import PathLookup
from adapter.mapping.engine.mail_readers import MailReader, listed
from adapter.mapping.engine.reshape import ListReader
from adapter.mapping.engine.tour_time import TourTime
from adapter.mapping.format_profile import alternatives_at, places_of
from adapter.mapping.loader.compile_paths import UsedPath
from adapter.mapping.loader.doubtful_values import doubtful_values, without_items
from adapter.mapping.loader.key_parts import KeyPlaces
from adapter.mapping.loader.yaml_document import KeyPath
from adapter.mapping.problems import Problem
from adapter.mapping.samples import Sample
from adapter.mapping.source import Source
from adapter.parsing.local_time import read_absolute_instant
from adapter.parsing.paths import MISSING, Path, leaves, path_from_text, unwrap_single

#: Minimum similarity of two keys for one to count as a misspelling of the other.
LIKENESS: Final = 0.7
NOT_IN_SAMPLES: Final = "is not in any sample payload"
#: What to do if the path is right.
SAMPLE_HINT: Final = "; if it is right, add a sample that has it, or a test with 'change: {…}'"
#: Replaces that message for a path that exists in the selected webhook.
NEW_PATH: Final = "is new: this message has it, but no sample does"
NO_VALUE_IN_SAMPLES: Final = "has no value in any sample: check 'by' and 'value'"
NOT_FETCHED: Final = (
    "reads a document under 'fetch', but no test has one: add 'fetched: { <URL>: <file> }'"
)
NOT_CHANGEABLE: Final = (
    "'change' sets values of the payload, and {name!r} is a name under 'read' or 'fetch': change "
    "the value that it reads, or use another sample"
)
#: Limits for suggesting similar paths: number of samples, and length of a path.
MAX_SCOPES: Final = 10
MAX_PATH_LENGTH: Final = 100
#: What to do about a secret in the body.
STRIP_HINT: Final = "add strip: [NAME], or verify it with scheme: token"
#: Shorter strings are words, such as the name of a token, and not secrets.
MIN_SECRET_LENGTH: Final = 16
#: Test expectations for a lead that is booked or becomes a guest card.
BOOKED: Final = ("expect", "expect_some", "prospect", "prospect_some")
#: The values that ``sent_at`` accepts, for messages.
INSTANT: Final = "a date and time with an offset, or seconds since 1970, so the arrival counts"
#: Keys of the minutes beside an hour.
MINUTES: Final = frozenset({"minute", "minutes", "min", "mins"})
#: Fields that a booking requires.
NEEDED_FIELDS: Final = frozenset({"starts_at", "name", "last_name", "email_1", "phone_1"})


def check_samples(source: Source, samples: Mapping[int, Sequence[Sample]]) -> None:
    """Check a mapping against its samples, and add the problems to the mapping's document.

    ``samples`` contains each test's sample, both unchanged and with the test's changes.
    """
    every = [sample for variants in samples.values() for sample in variants]
    scopes = [scope_of(source, sample) for sample in every]
    inner = [one for scope in scopes for one in source.compiled.item_scopes(scope)]
    if inner:
        _check_paths(source, inner)
        _check_list_readers(source, inner)
        _warn_of_objects_as_texts(source, inner)
        _warn_of_items_left_out(source, inner)
        _warn_of_notes_without_braces(source, inner)
        _warn_of_missing_keys(source, scopes)
        _warn_of_unread_minutes(source, inner)
    _warn_of_unread_times(source, scopes)
    _warn_of_unsigned_keys(source, every)
    _warn_of_secrets(source, {number: variants[0] for number, variants in samples.items()})
    _warn_of_untested_cards(source)
    _warn_of_missing_move_in_dates(source)
    _warn_of_unused_events(source, every)
    _warn_of_doubtful_values(source, {number: one[-1] for number, one in samples.items()})


def scope_of(source: Source, sample: Sample) -> Scope:
    """Return a sample's data for resolving the paths in a mapping."""
    fetched = sample.fetched
    return source.scope_from_payload(sample.payload, sample.headers, sample.query, fetched=fetched)


# --- errors


def _check_paths(source: Source, scopes: Sequence[Scope]) -> None:
    """Report paths that do not occur in any sample, because they are probably misspelled.

    An alternative to a path in a sample is only a warning, because the sender may have renamed a
    field. So is an optional field if no sample has a similar path, because it may be one that no
    sample contains yet.
    """
    document = source.document
    reported = {(problem.line, problem.column) for problem in document.problems}
    missing = [
        used
        for used in source.used_paths
        if document.position(used.where) not in reported
        and not any(_exists(used, scope) or _is_unknown(used, scope) for scope in scopes)
    ]
    found = {used.where for used in source.used_paths if used not in missing}
    optional = {*_optional_fields(source, found)}
    for used in missing:
        suggestion = _suggestion(used.path.text, scopes)
        is_needed = used.where[0] != "appointment" or used.where[1] in NEEDED_FIELDS - optional
        is_fallback = _is_fallback(source, used, missing)
        hint = suggestion or _hint(source, used)
        message = f"{used.path.text!r} {NOT_IN_SAMPLES}{hint}{SAMPLE_HINT if suggestion else ''}"
        warning = is_fallback or (not suggestion and not is_needed)
        document.add(used.where, message, field=used.field, warning=warning)


def _is_fallback(source: Source, used: UsedPath, missing: Sequence[UsedPath]) -> bool:
    """Return True if a missing path is an alternative to a path that a sample contains."""
    lost = {one.path.text for one in missing}
    places = [one for one in places_of(source, used.path.text) if one.where == used.where]
    return bool(places) and all(
        any(path.text not in lost for path in place.others()) for place in places
    )


def _optional_fields(source: Source, found: Collection[KeyPath]) -> Iterator[str]:
    """Yield the fields that may be missing in a lead, because they have a default or fallback."""
    fields = source.sections.get("appointment", {})
    yield from (name for name, one in fields.items() if isinstance(one, dict) and "default" in one)
    for one, other in (("email_1", "phone_1"), ("phone_1", "email_1")):
        if any(where[:2] == ("appointment", other) for where in found):
            yield one


def mark_new_paths(
    source: Source, scope: Scope, problems: Iterable[Problem]
) -> tuple[Problem, ...]:
    """Reword the problems about paths that this webhook contains but no sample does."""
    scopes = source.compiled.item_scopes(scope)
    found = tuple(
        f"{used.path.text!r} {NOT_IN_SAMPLES}"
        for used in source.used_paths
        if any(_exists(used, one) for one in scopes)
    )
    return tuple(
        dataclasses.replace(one, message=f"{one.message.partition(NOT_IN_SAMPLES)[0]}{NEW_PATH}")
        if one.message.startswith(found)
        else one
        for one in problems
    )


def _hint(source: Source, used: UsedPath) -> str:
    text = used.path.text
    is_only = alternatives_at(source, used.where) == (text,)
    if used.where[0] != "community" or len(used.path.parts) > 1 or not is_only:
        return ""
    more = "" if text in source.communities else " with its key in communities.yaml"
    return f"; for a fixed community, write {{ always: {text} }}{more}"


def _suggestion(text: str, scopes: Sequence[Scope]) -> str:
    """Return the end of an error message that suggests a similar path, or "" if there is none."""
    known: dict[str, None] = {}
    for scope in scopes[:MAX_SCOPES]:
        whole = scope.payload if isinstance(scope.payload, Mapping) else {}
        known |= dict.fromkeys(path for path, _ in leaves({**whole, **scope.names}))
    alike = [one for one in known if len(one) <= MAX_PATH_LENGTH and _is_like(one, text)]
    meant = next(iter(difflib.get_close_matches(text[:MAX_PATH_LENGTH], alike, n=1)), None)
    return f"; did you mean {meant!r}?" if meant else ""


def _is_like(one: str, other: str) -> bool:
    """Return True if the last keys of two paths are similar, so that their values may be too."""
    keys = [path.rpartition(".")[2].casefold() for path in (one, other)]
    return bool(difflib.get_close_matches(keys[0], keys[1:], cutoff=LIKENESS))


def _exists(used: UsedPath, scope: Scope) -> bool:
    try:
        value = scope.read(used.path)
    except Unreadable:
        return True
    return value is not MISSING and not ("*" in used.path.parts and value == [])


def _is_unknown(used: UsedPath, scope: Scope) -> bool:
    """Return True if a path reads headers or a query string that the test does not contain."""
    first = used.path.parts[0]
    return (first == "headers" and not scope.headers) or (first == "query" and not scope.query)


def _check_list_readers(source: Source, scopes: Sequence[Scope]) -> None:
    """Report lists under ``read:`` that have no value in any sample."""
    for reading in (*source.compiled.readers, *source.compiled.item_readers):
        if not isinstance(reading.reader, ListReader):
            continue
        results = [reading.reader.read(scope).value for scope in scopes]
        if not any(value is not None for one in results for value in one.values()):
            name = reading.name.partition(" by ")[0] if reading.reader.keeps_all else reading.name
            is_unfetched = _is_unfetched(source, reading.reader.path, scopes)
            message = NOT_FETCHED if is_unfetched else NO_VALUE_IN_SAMPLES
            source.document.add(("read", name), message)


def _is_unfetched(source: Source, path: Path, scopes: Iterable[Scope]) -> bool:
    """Return True if a path reads a fetched document that no test provides."""
    is_fetched = path.parts[0] in source.sections.get("fetch", {})
    return is_fetched and not any(scope.fetched for scope in scopes)


def check_changes(source: Source, number: int, test: Mapping[str, Any], sample: Sample) -> None:
    """Report a test that tries to change a name under ``read:`` or ``fetch:``."""
    names = {*source.sections.get("read", {}), *source.sections.get("fetch", {})}
    for text in test.get("change", {}):
        first = text.partition(".")[0]
        is_payload = isinstance(sample.payload, Mapping) and first in sample.payload
        if first in names and not is_payload:
            where = ("tests", str(number), "change", text)
            source.document.add(where, NOT_CHANGEABLE.format(name=first))


# --- warnings


def _warn_of_objects_as_texts(source: Source, scopes: Sequence[Scope]) -> None:
    """Warn about a ``text`` whose paths lead only to objects, such as chat messages."""
    for reading in (*source.compiled.readers, *source.compiled.item_readers):
        reader = reading.reader
        if not isinstance(reader, MailReader):
            continue
        found = [one for scope in scopes for path in reader.paths for one in _found(path, scope)]
        if any(isinstance(one, Mapping) for one in found) and not any(
            isinstance(one, str) for one in found
        ):
            path = f"{reader.path.text.removesuffix('.*')}.*.body"
            message = f"finds objects instead of text: add the key of the text, such as {path}"
            source.document.add(("read", reading.name, "text"), message, warning=True)


def _found(path: Path, scope: Scope) -> list[Any]:
    try:
        return listed(scope.read(path))
    except Unreadable:
        return []


def _warn_of_items_left_out(source: Source, scopes: Sequence[Scope]) -> None:
    """Warn about lists in the samples if the mapping reads only some of their items."""
    for one in source.compiled.partial_lists:
        most = max(len(one.left_out(scope)) for scope in scopes)
        if not most:
            continue
        where = next(used.where for used in source.used_paths if _starts_with(used, one.path.parts))
        count = "1 more item" if most == 1 else f"{most} more items"
        message = (
            f"{one.path.text} has {count} in a sample than the mapping reads: use for_each to make "
            f'one lead from each item, or add them to the notes: "{{{one.path.text}.*.…}}"'
        )
        source.document.add(where, message, warning=True)


def _starts_with(used: UsedPath, parts: Sequence[str]) -> bool:
    return len(used.path.parts) > len(parts) and used.path.parts[: len(parts)] == tuple(parts)


def _warn_of_notes_without_braces(source: Source, scopes: Sequence[Scope]) -> None:
    lines = source.sections.get("appointment", {}).get("notes", [])
    listed = isinstance(lines, list)
    for number, line in enumerate(lines if listed else [lines]):
        where = ("appointment", "notes", str(number)) if listed else ("appointment", "notes")
        if "{" not in line and _is_path(line, where, scopes):
            message = f"{line!r} is text for the notes: for the value, write {{{line}}} in quotes"
            source.document.add(where, message, warning=True)


def _is_path(text: str, where: tuple[str, ...], scopes: Iterable[Scope]) -> bool:
    try:
        used = UsedPath(path_from_text(text), where, "")
    except ValueError:
        return False
    return any(_exists(used, scope) for scope in scopes)


def _warn_of_missing_keys(source: Source, scopes: Sequence[Scope]) -> None:
    """Warn if leads in the samples have no identifying value at the dedupe paths."""
    if not source.compiled.dedupe or source.document.has_errors:
        return
    mapped = [source.compiled.apply(scope, None) for scope in scopes]
    leads = [one for one in mapped if one.outcome not in (Outcome.IGNORED, Outcome.UNREADABLE)]
    without = [one for one in leads if one.items and one.dedupe_key is None]
    message = ""
    if without and len(without) == len([one for one in leads if one.items]):
        message = (
            "gives no key for any sample, so only an identical body counts as a repeat: "
            "name the sender's ID, or write 'dedupe: body'"
        )
    elif any(one.outcome in SENT_OUTCOMES for one in without):
        message = (
            "gives no key for a sample that is booked, because it has no ID, contact or name "
            "there: add alternatives in a nested list, such as [[email, phone], date]"
        )
    elif KeyPlaces.of(source.compiled.dedupe, source.compiled.fillers).are_shared:
        message = (
            "has no ID, contact or name, so different renters may have the same key: "
            "add a value that only one lead has"
        )
    if message:
        source.document.add(("dedupe",), message, warning=True)


def _warn_of_unread_minutes(source: Source, scopes: Sequence[Scope]) -> None:
    """Warn if ``starts_at`` reads an hour, but not the minutes beside it."""
    start = next((one for one in source.compiled.fillers if isinstance(one, TourTime)), None)
    formats = start.formats if start is not None else ()
    if start is None or not formats or any("mm" in one.text or not one.pattern for one in formats):
        return
    paths = [path for lookup in start.lookups for path in lookup.paths]
    for path in paths:
        found = (_minutes_beside(path, scope) for scope in scopes)
        if minutes := next(filter(None, found), None):
            message = (
                f"{minutes} is not read, so the tour would start on the hour: read both with "
                f'"{{{path.text}}}:{{{minutes}}}", and add :mm to the format'
            )
            source.document.add(("appointment", "starts_at"), message, warning=True)
            return


def _minutes_beside(path: Path, scope: Scope) -> str | None:
    """Return the path of minutes in the same object as the value at a path, or None."""
    try:
        whole = scope.read(Path("", path.parts[:-1])) if len(path.parts) > 1 else scope.payload
    except Unreadable:
        return None
    keys = whole if isinstance(whole, Mapping) else {}
    key = next((key for key in keys if key.lower() in MINUTES and whole[key]), None)
    return ".".join([*path.text.split(".")[:-1], key]) if key else None


def _warn_of_unread_times(source: Source, scopes: Sequence[Scope]) -> None:
    """Warn if the samples have values for ``sent_at``, but none of them is a valid time."""
    found = [value for scope in scopes if (value := _first(source.compiled.sent_at, scope))]
    if found and not any(map(_is_instant, found)):
        message = f"finds {str(found[0])[:40]!r} in a sample, which is not {INSTANT}"
        source.document.add(("sent_at",), message, warning=True)


def _first(lookup: PathLookup, scope: Scope) -> Any:
    try:
        return unwrap_single(lookup.first(scope)[1])
    except Unreadable:
        return None


def _is_instant(value: Any) -> bool:
    try:
        read_absolute_instant(value)
    except Unreadable:
        return False
    return True


def _warn_of_unsigned_keys(source: Source, samples: Sequence[Sample]) -> None:
    """Warn if the dedupe key is read from a header that the signature does not cover."""
    block = source.signature
    signed = str(block.get("signed", "")).lower()
    for path in (path for lookup in source.compiled.dedupe for path in lookup.paths):
        if path.parts[0] != "headers" or "preset" in block:
            continue
        in_body = any(path.read(sample.payload) is not MISSING for sample in samples)
        if not in_body and f"{{header:{path.parts[-1].lower()}}}" not in signed:
            message = f"{path.text} is not covered by the signature, so anyone could change it"
            source.document.add(("dedupe",), message, warning=True)


def _warn_of_secrets(source: Source, samples: Mapping[int, Sample]) -> None:
    """Warn about secrets in samples and about secrets that are stored with each webhook."""
    block = source.signature
    verified = block.get("name") if block.get("in") in ("json", "form", "query") else None
    removed = {verified, *source.stripped_names}
    for number, sample in samples.items():
        for path, value in _secrets_in(sample):
            name = secret_name(path)
            message = f"{path} looks like a secret: replace its value in the sample"
            if value == REMOVED and (not name or name in removed):
                continue
            if value == REMOVED:
                message = f"{path} was a secret, which is stored with each webhook: {STRIP_HINT}"
            elif name and name not in removed:
                message += f", and {STRIP_HINT}"
            message = message.replace("NAME", name)
            source.document.add(("tests", str(number), "payload"), message, warning=True)


def _secrets_in(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yield the path and value of each secret in a sample. The value may be masked."""
    for path, value in leaves(sample.payload):
        is_name = path.rpartition(".")[2].lower() == "key"  # the name of a form field
        if not isinstance(value, str) or not is_secret(path) or is_name:
            continue
        if value == REMOVED or _is_random(value):
            yield path, value


def _is_random(text: str) -> bool:
    """Return True if a string looks random, like a secret: long, with letters and digits."""
    is_word = len(text) >= MIN_SECRET_LENGTH and text.isascii() and " " not in text
    return is_word and any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def _warn_of_untested_cards(source: Source) -> None:
    """Warn if a mapping creates guest cards but has no test for one."""
    tests = source.sections.get("tests", [])
    if not source.compiled.without_time.makes_cards:
        return
    if not any({"prospect", "prospect_some"} & test.keys() for test in tests):
        message = (
            "no test shows the guest card of a lead without a tour time: add one with 'prospect', "
            "or write 'hold' if leads without a time need review first"
        )
        source.document.add(("without_time",), message, warning=True)


def _warn_of_missing_move_in_dates(source: Source) -> None:
    """Warn if a mapping never sets the move-in date although a community exports to Yardi."""
    if "move_in_date" in source.sections.get("appointment", {}):
        return
    keys = [
        one.key
        for one in source.communities.values()
        if one.pms == "yardi" and (one.known_as.get(source.name) or one is _always(source))
    ]
    if keys:
        message = (
            "never sets move_in_date, and Knock does not pass guest cards to Yardi without it "
            f"(pms: yardi for {', '.join(sorted(keys))} in {FILE})"
        )
        source.document.add(("appointment",), message, warning=True)


def _always(source: Source) -> Community | None:
    return source.community_lookup.always


def _warn_of_unused_events(source: Source, samples: Sequence[Sample]) -> None:
    """Warn if the mapping does not read an event's name, and so treats all events as leads."""
    used = {without_items(used.path.text) for used in source.used_paths}
    observed = observe([sample.payload for sample in samples])
    for path in event_paths(observed):
        if without_items(path) not in used and source.document.data.get("tests"):
            value = observed.filled(path)[0]
            message = (
                f"{path} seems to name an event, such as {str(value)[:40]!r}, and no condition "
                "reads it, so other events count as leads too: list the right ones under 'accept'"
            )
            source.document.add(("tests",), message, warning=True)


def _warn_of_doubtful_values(source: Source, samples: Mapping[int, Sample]) -> None:
    """Warn if a test books a tour although its sample says that it was canceled or moved."""
    tests = source.sections.get("tests", [])
    for number, sample in samples.items() if not source.document.has_errors else ():
        kind = next((one for one in BOOKED if one in tests[number]), None)
        for message in doubtful_values(source, scope_of(source, sample))[:1] if kind else ():
            source.document.add(("tests", str(number), kind or ""), message, warning=True)
