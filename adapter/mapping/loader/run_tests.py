"""Run a mapping's tests, and check that each of its paths exists in a sample."""

import dataclasses
import datetime as dt
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.date_hints import hint
from adapter.mapping.engine import Community, CompiledMapping, Item, Mapped, Outcome, Scope
from adapter.mapping.engine.community import CommunityLookup
from adapter.mapping.engine.reshape import ListReader
from adapter.mapping.loader.compile_paths import UsedPath
from adapter.mapping.loader.yaml_document import KeyPath
from adapter.mapping.provenance import FILLS
from adapter.mapping.samples import Sample, sample_from_test
from adapter.mapping.source import Source
from adapter.models import Reason
from adapter.parsing.paths import MISSING, leaves
from adapter.settings import Policy

#: The outcome that items must have, for each kind of expectation.
OUTCOME_BY_EXPECTATION: Final = {
    "expect": Outcome.BOOK,
    "expect_some": Outcome.BOOK,
    "prospect": Outcome.PROSPECT,
    "prospect_some": Outcome.PROSPECT,
}
#: The expectations. Each test has exactly one.
EXPECTATIONS: Final = (*OUTCOME_BY_EXPECTATION, "held", "ignored", "cancellation")
#: Words for an outcome in messages such as "expected 2 booked".
COUNT_LABELS: Final = {Outcome.BOOK: "booked", Outcome.PROSPECT: "made a prospect"}
#: Limits for suggesting similar paths: number of samples, and length of a path.
MAX_SCOPES: Final = 10
MAX_PATH_LENGTH: Final = 100
#: Appointment fields that are filled by a line with another name.
FILLED_BY_LINE: Final = {field: line for line, fields in FILLS.items() for field in fields}


def run_mapping_tests(
    source: Source, *, runs_tests: bool, examples: Mapping[str, Community] | None = None
) -> None:
    """Check the paths and run the tests. Add a problem for each failure.

    The tests are skipped if there are other errors, because those would make them fail too.
    ``examples`` are made-up communities for the tests, keyed by the sender's names.
    """
    source = dataclasses.replace(source, compiled=_for_tests(source.compiled, examples or {}))
    tests = source.sections.get("tests", [])
    samples = {number: _sample(source, test, number) for number, test in enumerate(tests)}
    loaded = {number: sample for number, sample in samples.items() if sample}
    if loaded:
        _check_paths(source, list(loaded.values()))
    _warn_of_unsigned_keys(source, list(loaded.values()))
    _require_expectation(source)
    if runs_tests and not source.document.has_errors:
        for number, sample in loaded.items():
            _run_test(source, tests[number], sample, ("tests", str(number)))


def _for_tests(compiled: CompiledMapping, examples: Mapping[str, Community]) -> CompiledMapping:
    """Return the mapping with its test communities and with the default tour hours.

    A deployment's tour hours must not make a mapping's tests fail.
    """
    fillers = [
        dataclasses.replace(fill, known={**fill.known, **examples})
        if isinstance(fill, CommunityLookup)
        else fill
        for fill in compiled.fillers
    ]
    return dataclasses.replace(compiled, policy=Policy(), fillers=fillers)


def _sample(source: Source, test: Mapping[str, Any], number: int) -> Sample | None:
    try:
        return sample_from_test(test, source.path.parent, source.kind)
    except ValueError as exc:
        source.document.add(("tests", str(number), "payload"), str(exc))
        return None


def _scope(source: Source, sample: Sample) -> Scope:
    return source.scope_from_payload(sample.payload, sample.headers, sample.query)


def _require_expectation(source: Source) -> None:
    tests = source.sections.get("tests", [])
    shows_one = any({"expect", "expect_some"} & test.keys() for test in tests)
    if tests and not shows_one and "without_time" not in source.sections:
        source.document.add(("tests",), "no test has 'expect': add a test with a whole appointment")


def _run_test(source: Source, test: Mapping[str, Any], sample: Sample, where: KeyPath) -> None:
    kinds = [kind for kind in EXPECTATIONS if kind in test]
    if len(kinds) != 1:
        source.document.add(where, f"needs exactly one of {', '.join(EXPECTATIONS)}")
        return
    try:
        now = _received(test)
        sample = sample.changed(test.get("change", {}))
    except (ValueError, Unreadable) as exc:
        source.document.add(where, str(exc))
        return
    scope = _scope(source, sample)
    mapped = source.compiled.apply(scope, now)
    kind = kinds[0]
    for difference in _differences(kind, test[kind], mapped):
        source.document.add((*where, kind), f"{test['name']}: {difference}")


def _received(test: Mapping[str, Any]) -> dt.datetime | None:
    if "received" not in test:
        return None
    try:
        now = dt.datetime.fromisoformat(test["received"])
    except ValueError:
        now = None
    if now is None or now.tzinfo is None:
        raise ValueError("'received' must be an instant such as 2026-03-01T12:00:00Z")
    return now


def _differences(kind: str, wanted: Any, mapped: Mapped) -> Iterator[str]:
    if kind in OUTCOME_BY_EXPECTATION:
        is_whole = not kind.endswith("_some")
        yield from _differing_items(wanted, mapped, OUTCOME_BY_EXPECTATION[kind], whole=is_whole)
    elif kind == "held":
        yield from _missing_reasons(wanted, mapped)
    else:
        outcome = Outcome.IGNORED if kind == "ignored" else Outcome.CANCELLATION
        if wanted and mapped.outcome is not outcome:
            yield f"expected {outcome}, got {_format_result(mapped)}"


def _differing_items(
    wanted: Any, mapped: Mapped, outcome: Outcome, *, whole: bool
) -> Iterator[str]:
    listed = wanted if isinstance(wanted, list) else [wanted]
    if not all(isinstance(one, Mapping) for one in listed):
        yield "must be the fields of an appointment, or a list of appointments"
        return
    items = [item for item in mapped.items if item.outcome is outcome]
    if len(items) != len(listed):
        yield f"expected {len(listed)} {COUNT_LABELS[outcome]}, got {_format_result(mapped)}"
        return
    for number, (want, item) in enumerate(zip(listed, items, strict=True)):
        prefix = f"[{number}] " if isinstance(wanted, list) else ""
        yield from (prefix + line for line in _differing_fields(want, item, whole=whole))


def _differing_fields(want: Mapping[str, Any], item: Item, *, whole: bool) -> Iterator[str]:
    names = [*want, *(item.appointment if whole else ())]
    for name in dict.fromkeys(names):
        wanted, got = want.get(name, MISSING), item.appointment.get(name, MISSING)
        if wanted is MISSING or got is MISSING or wanted != got:
            yield f"{name}: expected {_value_text(wanted)}, got {_value_text(got)}"


def _value_text(value: Any) -> str:
    return "nothing" if value is MISSING else json.dumps(value, ensure_ascii=False)


def _missing_reasons(wanted: Any, mapped: Mapped) -> Iterator[str]:
    if mapped.outcome not in (Outcome.HELD, Outcome.UNREADABLE):
        yield f"expected held, got {_format_result(mapped)}"
        return
    reasons = all_reasons(mapped)
    for field, text in wanted.items():
        fields = {field, FILLED_BY_LINE.get(field)}
        if not any(r.field in fields and text in format_reason(r) for r in reasons):
            yield f"{field}: expected a reason containing {text!r}, got {_format_result(mapped)}"


def all_reasons(mapped: Mapped) -> list[Reason]:
    """Return the reasons for a webhook, followed by the reasons for its items."""
    return [*mapped.reasons, *(reason for item in mapped.items for reason in item.reasons)]


def format_reason(reason: Reason) -> str:
    """Format a reason as one line with its value, path and message."""
    head = " from ".join(part for part in (reason.value, reason.path) if part)
    text = reason.reason + hint(_text(reason.value), reason.reason)
    return f"{head}: {text}" if head else text


def _text(preview: str | None) -> str:
    """Return the value of a reason if it is a complete string or number, otherwise ""."""
    try:
        value = json.loads(preview or "null")
    except ValueError:
        return ""
    return str(value) if isinstance(value, str | int) else ""


def _format_result(mapped: Mapped) -> str:
    reasons = "; ".join(
        f"{reason.field}: {format_reason(reason)}" for reason in all_reasons(mapped)
    )
    outcomes = ", ".join(item.outcome for item in mapped.items) or mapped.outcome
    return f"{outcomes} ({reasons})" if reasons else outcomes


def _check_paths(source: Source, samples: Sequence[Sample]) -> None:
    """Report paths that do not exist in any sample, because they are probably misspelled."""
    scopes = [_scope(source, sample) for sample in samples]
    inner = [one for scope in scopes for one in source.compiled.item_scopes(scope)]
    document = source.document
    reported = {(problem.line, problem.column) for problem in document.problems}
    for used in source.used_paths:
        if document.position(used.where) in reported:
            continue
        if not any(_exists(used, scope) or _is_unknown(used, scope) for scope in inner):
            text = used.path.text
            message = f"{text!r} is not in any sample payload{_suggestion(text, inner)}"
            document.add(used.where, message, field=used.field)
    _check_list_readers(source, inner)


def _suggestion(text: str, scopes: Sequence[Scope]) -> str:
    """Return the end of an error message, which suggests a similar path from the samples."""
    known: dict[str, None] = {}
    for scope in scopes[:MAX_SCOPES]:
        whole = scope.payload if isinstance(scope.payload, Mapping) else {}
        known |= dict.fromkeys(path for path, _ in leaves({**whole, **scope.names}))
    near = difflib.get_close_matches(
        text[:MAX_PATH_LENGTH], [one for one in known if len(one) <= MAX_PATH_LENGTH]
    )
    return f"; did you mean {near[0]!r}?" if near else ""


def _exists(used: UsedPath, scope: Scope) -> bool:
    try:
        value = scope.read(used.path)
    except Unreadable:
        return True
    return value is not MISSING and not ("*" in used.path.parts and value == [])


def _is_unknown(used: UsedPath, scope: Scope) -> bool:
    """Return True if a path reads headers or the query string, and the test has none."""
    first = used.path.parts[0]
    return (first == "headers" and not scope.headers) or (first == "query" and not scope.query)


def _check_list_readers(source: Source, scopes: Sequence[Scope]) -> None:
    """Report lists that have no values in any sample, because their paths are probably wrong."""
    for reading in (*source.compiled.readers, *source.compiled.item_readers):
        if not isinstance(reading.reader, ListReader):
            continue
        results = [reading.reader.read(scope).value for scope in scopes]
        if not any(value is not None for one in results for value in one.values()):
            message = "has no value in any sample: check 'by' and 'value'"
            source.document.add(("read", reading.name), message)


def _warn_of_unsigned_keys(source: Source, samples: Sequence[Sample]) -> None:
    """Warn if the dedupe key comes from a header that the signature does not cover."""
    block = source.signature
    signed = str(block.get("signed", "")).lower()
    for path in (path for lookup in source.compiled.dedupe for path in lookup.paths):
        if path.parts[0] != "headers" or "preset" in block:
            continue
        in_body = any(path.read(sample.payload) is not MISSING for sample in samples)
        if not in_body and f"{{header:{path.parts[-1].lower()}}}" not in signed:
            message = f"{path.text} is not covered by the signature, so anyone could change it"
            source.document.add(("dedupe",), message, warning=True)
