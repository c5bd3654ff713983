"""Running a mapping's own tests, and looking for each of its paths in their samples."""

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
from adapter.mapping.engine.reshape import ListRead
from adapter.mapping.loader.compile_paths import UsedPath
from adapter.mapping.loader.yaml_document import Where
from adapter.mapping.samples import Sample, sample_from_test
from adapter.mapping.source import Source
from adapter.models import Reason
from adapter.parsing.paths import MISSING, leaves
from adapter.settings import Policy

#: What a test may expect; exactly one of them.
EXPECTATIONS: Final = (
    *("expect", "expect_some", "prospect", "prospect_some"),
    *("held", "ignored", "cancellation"),
)
#: What goes out to Knock, by the words that show it.
SHOWN_BY: Final = {
    "expect": Outcome.BOOK,
    "expect_some": Outcome.BOOK,
    "prospect": Outcome.PROSPECT,
    "prospect_some": Outcome.PROSPECT,
}
#: How many of them there are, for people.
COUNTED: Final = {Outcome.BOOK: "booked", Outcome.PROSPECT: "made a prospect"}
#: How many samples, and paths of which length, are asked what was meant.
MOST_SCOPES: Final = 10
LONGEST: Final = 100
#: A field of the appointment and the line of the mapping that fills it.
FILLED_WITH: Final = {
    "first_name": "name",
    "last_name": "name",
    "appointment_date": "starts_at",
    "appointment_time": "starts_at",
}


def run_mapping_tests(
    source: Source, *, runs_tests: bool, examples: Mapping[str, Community] | None = None
) -> None:
    """Looks for the paths, then runs the tests; what fails goes to the document's problems.

    The tests run only where nothing else is wrong: their failures would tell it twice. They know
    ``examples``, made-up communities by what the sender calls them, beside those of the deployment.
    """
    source = dataclasses.replace(source, compiled=_on_trial(source.compiled, examples or {}))
    tests = source.sections.get("tests", [])
    samples = {number: _sample(source, test, number) for number, test in enumerate(tests)}
    found = {number: sample for number, sample in samples.items() if sample}
    if found:
        _find_paths(source, list(found.values()))
    _warn_of_unsigned_keys(source, list(found.values()))
    _refuse_no_expectation(source)
    if runs_tests and not source.document.is_wrong:
        for number, sample in found.items():
            _try(source, tests[number], sample, ("tests", str(number)))


def _on_trial(compiled: CompiledMapping, examples: Mapping[str, Community]) -> CompiledMapping:
    """The mapping as its tests see it: with their communities, and by everybody's tour hours.

    A shorter day of one deployment must not fail a mapping's tests.
    """
    fills = [
        dataclasses.replace(fill, known={**fill.known, **examples})
        if isinstance(fill, CommunityLookup)
        else fill
        for fill in compiled.fills
    ]
    return dataclasses.replace(compiled, policy=Policy(), fills=fills)


def _sample(source: Source, test: Mapping[str, Any], number: int) -> Sample | None:
    try:
        return sample_from_test(test, source.path.parent, source.kind)
    except ValueError as exc:
        source.document.add(("tests", str(number), "payload"), str(exc))
        return None


def _refuse_no_expectation(source: Source) -> None:
    tests = source.sections.get("tests", [])
    shows_one = any({"expect", "expect_some"} & test.keys() for test in tests)
    if tests and not shows_one and "without_time" not in source.sections:
        source.document.add(("tests",), "no test has 'expect': show one whole appointment")


def _try(source: Source, test: Mapping[str, Any], sample: Sample, where: Where) -> None:
    said = [word for word in EXPECTATIONS if word in test]
    if len(said) != 1:
        source.document.add(where, f"needs one of {', '.join(EXPECTATIONS)}")
        return
    try:
        now = _received(test)
        sample = sample.changed(test.get("change", {}))
    except (ValueError, Unreadable) as exc:
        source.document.add(where, str(exc))
        return
    scope = source.scope_of(sample.payload, sample.headers, sample.query)
    mapped = source.compiled.apply(scope, now)
    for difference in _differences(said[0], test[said[0]], mapped):
        source.document.add((*where, said[0]), f"{test['name']}: {difference}")


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
    if kind in SHOWN_BY:
        is_whole = not kind.endswith("_some")
        yield from _differing_items(wanted, mapped, SHOWN_BY[kind], whole=is_whole)
    elif kind == "held":
        yield from _missing_reasons(wanted, mapped)
    else:
        outcome = Outcome.IGNORED if kind == "ignored" else Outcome.CANCELLATION
        if wanted and mapped.outcome is not outcome:
            yield f"want {outcome}, got {_format_result(mapped)}"


def _differing_items(
    wanted: Any, mapped: Mapped, outcome: Outcome, *, whole: bool
) -> Iterator[str]:
    listed = wanted if isinstance(wanted, list) else [wanted]
    if not all(isinstance(one, Mapping) for one in listed):
        yield "must be the fields of an appointment, or a list of such"
        return
    found = [item for item in mapped.items if item.outcome is outcome]
    if len(found) != len(listed):
        yield f"want {len(listed)} {COUNTED[outcome]}, got {_format_result(mapped)}"
        return
    for number, (want, item) in enumerate(zip(listed, found, strict=True)):
        prefix = f"[{number}] " if isinstance(wanted, list) else ""
        yield from (prefix + line for line in _differing_fields(want, item, whole=whole))


def _differing_fields(want: Mapping[str, Any], item: Item, *, whole: bool) -> Iterator[str]:
    names = [*want, *(item.appointment if whole else ())]
    for name in dict.fromkeys(names):
        wanted, got = want.get(name, MISSING), item.appointment.get(name, MISSING)
        if wanted is MISSING or got is MISSING or wanted != got:
            yield f"{name}: want {_shown(wanted)}, got {_shown(got)}"


def _shown(value: Any) -> str:
    return "nothing" if value is MISSING else json.dumps(value, ensure_ascii=False)


def _missing_reasons(wanted: Any, mapped: Mapped) -> Iterator[str]:
    if mapped.outcome not in (Outcome.HELD, Outcome.UNREADABLE):
        yield f"want held, got {_format_result(mapped)}"
        return
    reasons = all_reasons(mapped)
    for field, text in wanted.items():
        fields = {field, FILLED_WITH.get(field)}
        if not any(r.field in fields and text in format_reason(r) for r in reasons):
            yield f"{field}: want a reason with {text!r}, got {_format_result(mapped)}"


def all_reasons(mapped: Mapped) -> list[Reason]:
    """Of the delivery and of its items."""
    return [*mapped.reasons, *(reason for item in mapped.items for reason in item.reasons)]


def format_reason(reason: Reason) -> str:
    """A reason in one line, without its field and place: value, path, sentence."""
    head = " from ".join(part for part in (reason.value, reason.path) if part)
    text = reason.reason + hint(_text(reason.value), reason.reason)
    return f"{head}: {text}" if head else text


def _text(shown: str | None) -> str:
    """The text that a reason shows, where it is one and shown whole."""
    try:
        value = json.loads(shown or "null")
    except ValueError:
        return ""
    return str(value) if isinstance(value, str | int) else ""


def _format_result(mapped: Mapped) -> str:
    reasons = "; ".join(
        f"{reason.field}: {format_reason(reason)}" for reason in all_reasons(mapped)
    )
    outcomes = ", ".join(item.outcome for item in mapped.items) or mapped.outcome
    return f"{outcomes} ({reasons})" if reasons else outcomes


def _find_paths(source: Source, samples: Sequence[Sample]) -> None:
    """A path that no sample has is most likely misspelt."""
    scopes = [source.scope_of(sample.payload, sample.headers, sample.query) for sample in samples]
    inner = [one for scope in scopes for one in source.compiled.item_scopes(scope)]
    document = source.document
    told = {(problem.line, problem.column) for problem in document.problems}
    for place in source.places:
        if document.position(place.where) in told:
            continue
        if not any(_is_there(place, scope) or _is_unknown(place, scope) for scope in inner):
            text = place.path.text
            message = f"{text!r} is found in none of the sample payloads{_meant(text, inner)}"
            document.add(place.where, message, field=place.field)
    _find_answers(source, inner)


def _meant(text: str, scopes: Sequence[Scope]) -> str:
    """The path of a sample that was perhaps meant. Bounded, and never on a webhook's way."""
    known: dict[str, None] = {}
    for scope in scopes[:MOST_SCOPES]:
        whole = scope.payload if isinstance(scope.payload, Mapping) else {}
        known |= dict.fromkeys(path for path, _ in leaves({**whole, **scope.names}))
    near = difflib.get_close_matches(text[:LONGEST], [one for one in known if len(one) <= LONGEST])
    return f"; did you mean {near[0]!r}?" if near else ""


def _is_there(place: UsedPath, scope: Scope) -> bool:
    try:
        found = scope.read(place.path)
    except Unreadable:
        return True
    return found is not MISSING and not ("*" in place.path.parts and found == [])


def _is_unknown(place: UsedPath, scope: Scope) -> bool:
    """Whether a path reads headers or the query, and the test gives none."""
    first = place.path.parts[0]
    return (first == "headers" and not scope.headers) or (first == "query" and not scope.query)


def _find_answers(source: Source, scopes: Sequence[Scope]) -> None:
    """A list by key from which no sample has an answer: 'by' or 'value' is most likely wrong."""
    readings = [*source.compiled.readings, *source.compiled.item_readings]
    for reading in readings:
        if not isinstance(reading.read, ListRead):
            continue
        made = [reading.read.make(scope).value for scope in scopes]
        if not any(value is not None for one in made for value in one.values()):
            source.document.add(("read", reading.name), "no sample gives it a single value")


def _warn_of_unsigned_keys(source: Source, samples: Sequence[Sample]) -> None:
    """A key out of a header that the signature does not cover: anybody could change it."""
    block = source.signature
    signed = str(block.get("signed", "")).lower()
    for path in source.compiled.dedupe.paths:
        if path.parts[0] != "headers" or "preset" in block:
            continue
        in_body = any(path.read(sample.payload) is not MISSING for sample in samples)
        if not in_body and f"{{header:{path.parts[-1].lower()}}}" not in signed:
            said = f"{path.text} is not covered by the signature: anybody could change it"
            source.document.add(("dedupe",), said, warning=True)
