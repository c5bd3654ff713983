"""Run the tests in a mapping file, and report failures."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.date_hints import hint
from adapter.mapping.engine import Community, CompiledMapping, Item, Mapped, Outcome, WithoutTime
from adapter.mapping.engine.community import CommunityLookup
from adapter.mapping.loader.check_samples import check_changes, check_samples, scope_of
from adapter.mapping.loader.yaml_document import KeyPath
from adapter.mapping.provenance import FILLS
from adapter.mapping.samples import Sample, sample_from_test
from adapter.mapping.source import Source
from adapter.models import Reason
from adapter.parsing.paths import MISSING
from adapter.parsing.text import readable_json
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
#: The word for each outcome in messages such as "expected 2 booked".
COUNT_LABELS: Final = {Outcome.BOOK: "booked", Outcome.PROSPECT: "made a prospect"}
#: Appointment fields that depend on the community.
COMMUNITY_FIELDS: Final = ("integration_id", "community_id", "attribution_id")
COMMUNITY_HINT: Final = "; if you changed 'community' or its IDs, change the test too"
#: Appointment fields that a mapping line with another name fills.
FILLED_BY_LINE: Final = {field: line for line, fields in FILLS.items() for field in fields}


def run_mapping_tests(
    source: Source, *, runs_tests: bool, examples: Mapping[str, Community] | None = None
) -> None:
    """Check a mapping's paths and run its tests. Add a problem to the document for each failure.

    If there are other errors, the tests are skipped, because they would fail too. ``examples`` are
    made-up communities for the tests, keyed by the sender's names.
    """
    source = dataclasses.replace(source, compiled=_for_tests(source.compiled, examples or {}))
    tests = source.sections.get("tests", [])
    samples = {number: _sample(source, test, number) for number, test in enumerate(tests)}
    loaded = {number: sample for number, sample in samples.items() if sample}
    for number, sample in loaded.items():
        check_changes(source, number, tests[number], sample)
    variants = {number: _variants(sample, tests[number]) for number, sample in loaded.items()}
    check_samples(source, variants)
    _require_expectation(source)
    if runs_tests and not source.document.has_errors:
        for number, sample in loaded.items():
            _run_test(source, tests[number], sample, ("tests", str(number)))


def _for_tests(compiled: CompiledMapping, examples: Mapping[str, Community]) -> CompiledMapping:
    """Return the mapping with its test communities and the default policy.

    A deployment's settings, such as tour hours, must not make a mapping's tests fail.
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


def _variants(sample: Sample, test: Mapping[str, Any]) -> list[Sample]:
    """Return two versions of a test's sample: unchanged, and with the test's changes applied."""
    try:
        return [sample, sample.changed(test.get("change", {}))]
    except (ValueError, Unreadable):  # reported when the test runs
        return [sample]


def _require_expectation(source: Source) -> None:
    """Add a problem unless at least one test shows what happens to a lead.

    A mapping that books no tour may be correct: some senders send only IDs, or no tour times.
    """
    tests = source.sections.get("tests", [])
    shown = {kind for test in tests for kind in EXPECTATIONS if kind in test}
    if not tests:
        return
    if "without_time" in source.sections:
        _warn_without_lead(source, shown)
    elif not shown & {*OUTCOME_BY_EXPECTATION, "held"}:
        text = "no test covers a lead: add one with 'expect', 'prospect' or 'held'"
        source.document.add(("tests",), text)
    elif not shown & {"expect", "expect_some"}:
        text = "no test has 'expect', so this mapping may never book a tour"
        source.document.add(("tests",), text, warning=True)


def _warn_without_lead(source: Source, shown: Set[str]) -> None:
    """Warn if a mapping with ``without_time`` has tests only for ignored or canceled leads.

    There is no warning if the mapping ignores leads without a tour time.
    """
    ignores_all = source.compiled.without_time is WithoutTime.IGNORE
    if not ignores_all and not shown & {*OUTCOME_BY_EXPECTATION, "held"}:
        text = "all tests are ignored or cancellations: add one that shows what happens to a lead"
        source.document.add(("tests",), text, warning=True)


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
    scope = scope_of(source, sample)
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
        raise ValueError("'received' must be a time with an offset, such as 2026-03-01T12:00:00Z")
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
            more = COMMUNITY_HINT if name in COMMUNITY_FIELDS else ""
            yield f"{name}: expected {_value_text(wanted)}, got {_value_text(got)}{more}"


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
    """Return all reasons in a mapping's result: the webhook's reasons, then those of its items."""
    return [*mapped.reasons, *(reason for item in mapped.items for reason in item.reasons)]


def format_reason(reason: Reason) -> str:
    """Format a reason as one line with its value, path and message."""
    value = readable_json(reason.value) if reason.value else None
    head = " from ".join(part for part in (value, reason.path) if part)
    text = reason.reason + hint(_text(reason.value), reason.reason)
    return f"{head}: {text}" if head else text


def _text(preview: str | None) -> str:
    """Return the string or number in a reason's preview, or "" if it is truncated or not scalar."""
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
