"""Propose a mapping edit after a sender's format has changed, and test it on webhooks."""

import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from adapter.mapping.authoring.scaffold import table_value
from adapter.mapping.date_hints import format_from_text
from adapter.mapping.engine import SENT_OUTCOMES
from adapter.mapping.format_profile import (
    TableField,
    blocks_at,
    table_fields,
    used_paths,
    values_at,
)
from adapter.mapping.loader.check_todos import TODO
from adapter.mapping.problems import MappingErrors
from adapter.mapping.registry import load_text
from adapter.mapping.source import Source
from adapter.models import Event, FormatChange, FormatKind
from adapter.operations.backtest import compare_mappings
from adapter.operations.format_watch import change_as_dict
from adapter.parsing.paths import Path, path_from_text
from adapter.settings import Policy
from adapter.store import Database

#: Maximum number of affected webhooks to read for a proposal.
MOST_AFFECTED: Final = 50
#: Number of webhooks from before the change, for which the edit must change nothing.
BEFORE: Final = 20
#: The start of the section with the mapping's tests, which an edit does not change.
TESTS: Final = re.compile(r"^tests:", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A proposed mapping edit and its effect on stored webhooks."""

    #: The lines that the edit replaces, and the new ones.
    old: str
    new: str
    #: The whole edited mapping.
    text: str
    #: How many of the affected webhooks would be sent with the current and the edited mapping.
    sent_before: int
    sent_after: int
    affected: int
    #: How many webhooks from before the change the edit would change. It should be 0.
    others_changed: int
    others: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedChange:
    """A change in a sender's format, the affected webhooks, and an edit if one helps."""

    change: FormatChange
    #: IDs of the affected events, oldest first.
    events: tuple[int, ...]
    #: New values that the mapping's table does not contain. They are from payloads.
    values: tuple[str, ...]
    proposal: Proposal | None


def explain(
    store: Database, source: Source, change: FormatChange, policy: Policy
) -> ExplainedChange:
    """Find the webhooks that a format change affects, and propose a mapping edit."""
    with store.transaction() as tx:
        since = tx.formats.events_since(source.name, change.first_event, limit=MOST_AFFECTED)
        before = tx.search.recent_events(source.name, limit=BEFORE, before=change.first_event)
    if change.kind is FormatKind.PATH and not change.new_paths:
        change = _with_new_path(source, change, since, before)
    values = _new_values(source, change, since) if change.kind is FormatKind.VALUE else ()
    affected = [event for event in since if _is_affected(source, change, event, values)]
    tried = (
        _tried(source, text, affected, before, policy)
        for text in _edits(source, change, affected, values)
        if text != source.text
    )
    useful = [one for one in tried if one is not None]
    best = max(useful, key=lambda one: (-one.others_changed, one.sent_after), default=None)
    return ExplainedChange(
        change=change,
        events=tuple(event.id for event in affected),
        values=values,
        proposal=best,
    )


def _with_new_path(
    source: Source, change: FormatChange, since: Sequence[Event], before: Sequence[Event]
) -> FormatChange:
    """Add the new path of a missing date or time if exactly one unread value fits.

    It must be beside the missing path, and in the format of that path's earlier values.
    """
    old = path_from_text(change.name)
    texts = {text for event in before for text in values_at(source, event.request, old)}
    formats = {*map(format_from_text, texts)} - {""}
    lacking = [event for event in since if not values_at(source, event.request, old)]
    found = [{*_unread_beside(source, event, change.name, formats)} for event in lacking]
    paths = {path for one in found for path in one}
    return dataclasses.replace(
        change, new_paths={one: len(lacking) for one in paths if len(paths) == 1}
    )


def _unread_beside(
    source: Source, event: Event, path: str, formats: Collection[str]
) -> Iterator[str]:
    """Yield unread paths next to ``path`` whose values have one of the formats."""
    parent, known = path.rpartition(".")[0], used_paths(source)
    for block in blocks_at(source, event.request, parent):
        for key, value in block.items():
            name = f"{parent}.{key}" if parent else key
            is_new = key.isidentifier() and name not in known
            if is_new and isinstance(value, str) and format_from_text(value) in formats:
                yield name


def _is_affected(source: Source, change: FormatChange, event: Event, values: Sequence[str]) -> bool:
    if change.kind is FormatKind.VALUE:
        return bool({*values} & values_at(source, event.request, path_from_text(change.name)))
    return True


def _new_values(source: Source, change: FormatChange, events: Sequence[Event]) -> tuple[str, ...]:
    """Return the sender's values that the mapping's tables lack, most frequent first."""
    path = path_from_text(change.name)
    seen = [value for event in events for value in values_at(source, event.request, path)]
    new = (one for one in seen if not any(f.covers(one.casefold()) for f in _tables(source, path)))
    return tuple(sorted({*new}, key=lambda value: (-seen.count(value), value)))


def _tables(source: Source, path: Path) -> list[TableField]:
    return [one for one in table_fields(source) if path.text in [path.text for path in one.paths]]


def _edits(
    source: Source, change: FormatChange, events: Sequence[Event], values: Sequence[str]
) -> Iterator[str]:
    """Yield the mapping's text with each possible edit, the most cautious first."""
    if change.kind is FormatKind.PATH:
        for path in change.new_paths:
            yield _with_path(source.text, change.name, path, keeps_old=True)
            yield _with_path(source.text, change.name, path, keeps_old=False)
    elif change.kind is FormatKind.VALUE:
        for field in _tables(source, path_from_text(change.name)):
            yield _with_rows(source, field.field, values)
    elif change.kind is FormatKind.FIELD:
        yield from _with_formats(source, change.name, events)


def _with_path(text: str, old: str, new: str, *, keeps_old: bool) -> str:
    """Replace a path in a mapping's text with a new path, or add the new path after it.

    In notes and templates, the new path always replaces the old one.
    """
    start = TESTS.search(text)
    head, tests = (text[: start.start()], text[start.start() :]) if start else (text, "")
    token = rf"(?<![\w.\"]){re.escape(old)}(?![\w.\"])"
    if keeps_old:
        head = re.sub(rf"(?<=: ){token}(?=\s*[,}}#\n]|$)", f"[{old}, {new}]", head)
        head = re.sub(rf"(\[[^\]\n]*){token}(?=[^\]\n]*\])", rf"\g<1>{old}, {new}", head)
        head = head.replace(f"[[{old}, {new}, {new}]", f"[[{old}, {new}]")
        return head.replace(f"[{old}, {new}, {new}]", f"[{old}, {new}]") + tests
    return re.sub(token, new, head) + tests


def _with_rows(source: Source, field: str, values: Sequence[str]) -> str:
    """Return the mapping's text with a table row for each new value. Each row is a guess."""
    words = (json.dumps(value, ensure_ascii=False) for value in values)
    guesses = (table_value(field, value) or TODO for value in values)
    rows = [f"{word}: {guess}" for word, guess in zip(words, guesses, strict=True)]
    lines = source.text.splitlines(keepends=True)
    number = source.document.position(("appointment", field, "table"))[0] - 1
    line = lines[number]
    if re.search(r"table: *\{", line):
        lines[number] = re.sub(r"table: *\{ *", f"table: {{ {', '.join(rows)}, ", line, count=1)
    else:
        indent = re.match(r" *", lines[number + 1])
        space = indent[0] if indent else "      "
        lines.insert(number + 1, "".join(f"{space}{row}\n" for row in rows))
    return "".join(lines)


def _with_formats(source: Source, field: str, events: Sequence[Event]) -> Iterator[str]:
    """Yield the mapping's text with date formats added for values that were not parsed."""
    how = source.sections["appointment"].get(field)
    if not isinstance(how, dict) or not events:
        return
    parts = [how.get("date"), how.get("time")] if "date" in how else [how.get("from")]
    paths = [part for part in parts if isinstance(part, str)]
    texts = [_texts_at(source, events[-1], path) for path in paths]
    formats = [format_from_text(text) for text in texts]
    if len(formats) < len(parts) or not all(formats):
        return
    new, old = " ".join(formats), how.get("format")
    known = old if isinstance(old, list) else [old] if old else []
    written = ", ".join(json.dumps(one) if "," in one else one for one in [*known, new])
    lines = source.text.splitlines(keepends=True)
    where = ("appointment", field, "format") if old else ("appointment", field)
    number = source.document.position(where)[0] - 1
    if old:
        pattern = r"format: *(?:\[[^\]]*\]|\"[^\"]*\"|[^,}\n#]*[^,}\n# ])"
        lines[number] = re.sub(pattern, f"format: [{written}]", lines[number], count=1)
    else:
        lines[number] = re.sub(r" *\}", f", format: {written} }}", lines[number], count=1)
    yield "".join(lines)


def _texts_at(source: Source, event: Event, path: str) -> str:
    values = sorted(values_at(source, event.request, path_from_text(path)))
    return values[0] if values else ""


def _tried(
    source: Source,
    text: str,
    affected: Sequence[Event],
    before: Sequence[Event],
    policy: Policy,
) -> Proposal | None:
    """Test an edited mapping on stored webhooks. Return None if it is invalid or does not help."""
    try:
        edited = load_text(source.path.parent, source.name, text.replace(TODO, "[]"), policy)
    except MappingErrors:
        return None
    now = [*compare_mappings(source, edited, affected)]
    if not any(one.fields for one in now):
        return None
    earlier = [*compare_mappings(source, edited, before)]
    sent = {str(outcome) for outcome in SENT_OUTCOMES}
    pairs = zip(source.text.splitlines(), text.splitlines(), strict=False)
    changed = [(old, new) for old, new in pairs if old != new]
    return Proposal(
        old="\n".join(old for old, _ in changed),
        new="\n".join(new for _, new in changed),
        text=text,
        sent_before=sum(one.before in sent for one in now),
        sent_after=sum(one.after in sent for one in now),
        affected=len(now),
        others_changed=sum(bool(one.fields) for one in earlier),
        others=len(earlier),
    )


def proposal_lines(one: ExplainedChange) -> Iterator[str]:
    """Yield lines that describe the affected events, the proposed edit and its effect."""
    if one.values:
        yield f"new value: {', '.join(json.dumps(v, ensure_ascii=False) for v in one.values[:5])}"
    events = ", ".join(map(str, one.events[:10])) + (", …" if len(one.events) > 10 else "")
    yield f"affected events: {events or 'none of them still has a payload'}"
    proposal = one.proposal
    if proposal is None:
        yield "no edit is suggested: compare an event with the mapping (adapter show EVENT)"
        return
    yield "proposed edit:"
    yield from (f"  - {line.strip()}" for line in proposal.old.splitlines())
    yield from (f"  + {line.strip()}" for line in proposal.new.splitlines())
    yield (
        f"with it, {proposal.sent_after} of {proposal.affected} affected webhooks would be sent, "
        f"now {proposal.sent_before}; of {proposal.others} earlier ones, "
        f"{proposal.others_changed} would change"
    )


def explained_as_dict(one: ExplainedChange) -> dict[str, Any]:
    """Return a format change and its proposed edit as JSON-compatible data."""
    data = dataclasses.asdict(one)
    data.pop("change")
    return change_as_dict(one.change) | data
