"""Propose a mapping edit after a sender's format has changed, and test it on webhooks."""

import dataclasses
import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.authoring.add_path import with_path
from adapter.mapping.authoring.scaffold import table_value
from adapter.mapping.date_hints import format_from_text
from adapter.mapping.engine import SENT_OUTCOMES, Mapped, Outcome
from adapter.mapping.format_profile import (
    KEY,
    TableField,
    names_of,
    other_sections,
    places_of,
    table_fields,
    values_at,
)
from adapter.mapping.source import Source
from adapter.models import Booking, BookingState, Event, FormatChange, FormatKind
from adapter.operations.backtest import compare_mappings
from adapter.operations.format_candidates import (
    edited_source,
    mapped_event,
    new_paths,
    renamed_path_of,
    values_of,
)
from adapter.operations.format_watch import change_as_dict
from adapter.parsing.paths import Path, path_from_text
from adapter.settings import Policy
from adapter.store import Database

#: Maximum number of affected webhooks to read for a proposal.
MOST_AFFECTED: Final = 50
#: Number of webhooks from before the change whose results the edit must not change.
BEFORE: Final = 20
#: Maximum number of unmet conditions to name.
MOST_UNMET: Final = 5
#: Fields that a booking requires, or that are not sent.
NOT_SENT: Final = frozenset({"starts_at", "community", "sent_at", KEY})
#: States of bookings that are or may be in Knock.
SENT_STATES: Final = frozenset(
    {BookingState.SENDING, BookingState.SUBMITTED, BookingState.BOOKED, BookingState.UNKNOWN}
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A proposed mapping edit and its effect on stored webhooks."""

    #: The lines that the edit replaces, and the new ones.
    old: str
    new: str
    #: The whole edited mapping.
    text: str
    #: The fields that the edit fills.
    fields: tuple[str, ...]
    #: How many of the affected webhooks have the fields with the current and the edited mapping.
    read_before: int
    read_after: int
    #: How many of the affected webhooks would be sent with the current and the edited mapping.
    sent_before: int
    sent_after: int
    #: How many of those would become guest cards instead of tours.
    cards_before: int
    cards_after: int
    affected: int
    #: The number of webhooks from before the change. The edit changes none of them.
    others: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedChange:
    """A change in a sender's format, the affected webhooks, and an edit if one helps."""

    change: FormatChange
    #: IDs of the affected events, oldest first.
    events: tuple[int, ...]
    #: New values that the mapping's table does not contain. They are from payloads.
    values: tuple[str, ...] = ()
    #: The paths or formats that all fit. If there are several, no edit is proposed.
    fitting: tuple[str, ...] = ()
    #: The conditions that the webhooks do not meet, with the values that they have instead.
    unmet: tuple[str, ...] = ()
    #: The mapping's sections that also read the missing path, and in which no edit can add another.
    by_hand: tuple[str, ...] = ()
    #: IDs of the affected events that were sent to Knock without the missing value.
    sent_without: tuple[int, ...] = ()
    proposal: Proposal | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Evidence:
    """A change in a source's format with webhooks from after and before it."""

    source: Source
    change: FormatChange
    policy: Policy
    since: Sequence[Event]
    before: Sequence[Event]
    #: Other missing paths.
    others: Collection[str]


#: The fields that an edit fills, and the edited mapping's text.
_Edit = tuple[tuple[str, ...], str]


def explain(
    store: Database, source: Source, change: FormatChange, policy: Policy
) -> ExplainedChange:
    """Find the webhooks that a format change affects, and propose a mapping edit.

    No edit is proposed if it is unclear which one is right, if it does not fill the missing field,
    or if it changes how an earlier webhook is read.
    """
    with store.transaction() as tx:
        since = tx.formats.events_since(source.name, change.first_event, limit=MOST_AFFECTED)
        before = tx.search.recent_events(source.name, limit=BEFORE, before=change.first_event)
        missing = [one.name for one in tx.formats.changes([source.name])]
    evidence = _Evidence(
        source=source, change=change, policy=policy, since=since, before=before, others=missing
    )
    explained = EXPLANATIONS[change.kind](evidence)
    with store.transaction() as tx:
        bookings = tx.bookings.of_events(explained.events)
    is_path = change.kind is FormatKind.PATH
    return dataclasses.replace(
        explained,
        by_hand=tuple(other_sections(source, change.name)) if is_path else (),
        sent_without=_sent_without(evidence, bookings),
    )


def _sent_without(evidence: _Evidence, bookings: Sequence[Booking]) -> tuple[int, ...]:
    """Return the IDs of the events whose bookings were sent to Knock without the missing values."""
    fields = [names_of(one) for one in _fields(evidence) if one not in NOT_SENT]
    sent = {one.event_id for one in bookings if one.state in SENT_STATES}
    lacking = {
        one.event_id
        for one in bookings
        if any(not names & one.appointment.keys() for names in fields)
    }
    return tuple(sorted(sent & lacking))


def _fields(evidence: _Evidence) -> list[str]:
    """Return the names of the fields that a format change affects.

    They include ``dedupe`` if the change affects the key. A part of a name, such as
    ``{first} {last}``, affects both names.
    """
    change, source = evidence.change, evidence.source
    if change.kind is FormatKind.FIELD:
        return [change.name]
    places = places_of(source, change.name)
    fields = [sorted(names_of(one.field)) if one.is_part else [one.field] for one in places]
    return [*dict.fromkeys(name for names in fields for name in names)]


def _explain_path(evidence: _Evidence) -> ExplainedChange:
    source, change = evidence.source, evidence.change
    what = renamed_path_of(
        source, change.name, (evidence.since, evidence.before), evidence.others, evidence.policy
    )
    lacking = [event for event in evidence.since if _lacks(source, event, change.name)]
    if not what.fields or not what.lacking:
        return _explained(evidence, lacking)
    paths = new_paths(what)
    if len(paths) != 1:
        return _explained(evidence, lacking, fitting=tuple(paths))
    edit = (tuple(what.fields), with_path(source, change.name, paths[0]))
    tried = _tried(evidence, edit, lacking, what.before)
    return dataclasses.replace(_explained(evidence, lacking), fitting=tuple(paths), proposal=tried)


def _lacks(source: Source, event: Event, path: str) -> bool:
    is_mapped = mapped_event(source, event).outcome not in (Outcome.IGNORED, Outcome.CANCELLATION)
    return is_mapped and not values_at(source, event.request, path_from_text(path))


def _explain_values(evidence: _Evidence) -> ExplainedChange:
    source, change = evidence.source, evidence.change
    values = _new_values(source, change, evidence.since)
    at = path_from_text(change.name)
    affected = [one for one in evidence.since if {*values} & values_at(source, one.request, at)]
    tables = _tables(source, at)
    edits = [((one.field,), _with_rows(source, one.field, values)) for one in tables]
    tried = (_tried(evidence, edit, affected, evidence.before) for edit in edits)
    proposal = next((one for one in tried if one is not None), None)
    return dataclasses.replace(_explained(evidence, affected), values=values, proposal=proposal)


def _explain_field(evidence: _Evidence) -> ExplainedChange:
    source, name = evidence.source, evidence.change.name
    affected = [one for one in evidence.since if not values_of(mapped_event(source, one), name)]
    edits = {one: ((name,), text) for one, text in _with_formats(source, name, affected)}
    tried = {one: _tried(evidence, edit, affected, evidence.before) for one, edit in edits.items()}
    # A date such as 05/06/2026 is in two formats. It fits only if all webhooks can be read.
    fitting = {
        one: proposal
        for one, proposal in tried.items()
        if proposal is not None and proposal.read_after == len(affected)
    }
    only = next(iter(fitting.values())) if len(fitting) == 1 else None
    return dataclasses.replace(
        _explained(evidence, affected), fitting=tuple(fitting), proposal=only
    )


def _explain_conditions(evidence: _Evidence) -> ExplainedChange:
    source = evidence.source
    pairs = [(one, mapped_event(source, one)) for one in evidence.since]
    ignored = [(one, mapped) for one, mapped in pairs if _is_refused(mapped)]
    unmet = Counter(
        f"{reason.field}: {reason.path or ''} is {reason.value or 'missing'}"
        for _, mapped in ignored
        for reason in mapped.reasons
    )
    words = tuple(one for one, _ in unmet.most_common(MOST_UNMET))
    return dataclasses.replace(_explained(evidence, [one for one, _ in ignored]), unmet=words)


def _is_refused(mapped: Mapped) -> bool:
    """Return True if a webhook is ignored, or held because a path in a condition has no value."""
    return mapped.outcome is Outcome.IGNORED or (
        mapped.outcome is Outcome.HELD and not mapped.items
    )


EXPLANATIONS: Final[Mapping[FormatKind, Callable[[_Evidence], ExplainedChange]]] = {
    FormatKind.PATH: _explain_path,
    FormatKind.VALUE: _explain_values,
    FormatKind.FIELD: _explain_field,
    FormatKind.ACCEPTED: _explain_conditions,
}


def _explained(
    evidence: _Evidence, affected: Sequence[Event], fitting: tuple[str, ...] = ()
) -> ExplainedChange:
    return ExplainedChange(
        change=evidence.change, events=tuple(one.id for one in affected), fitting=fitting
    )


def _new_values(source: Source, change: FormatChange, events: Sequence[Event]) -> tuple[str, ...]:
    """Return the sender's values that the mapping's tables lack, most frequent first."""
    path = path_from_text(change.name)
    seen = [value for event in events for value in values_at(source, event.request, path)]
    new = (one for one in seen if not any(f.covers(one.casefold()) for f in _tables(source, path)))
    return tuple(sorted({*new}, key=lambda value: (-seen.count(value), value)))


def _tables(source: Source, path: Path) -> list[TableField]:
    return [one for one in table_fields(source) if path.text in [path.text for path in one.paths]]


def _with_rows(source: Source, field: str, values: Sequence[str]) -> str:
    """Return the mapping's text with a table row for each new value whose meaning is known."""
    known = {value: ours for value in values if (ours := table_value(field, value))}
    rows = [f"{json.dumps(value, ensure_ascii=False)}: {ours}" for value, ours in known.items()]
    if not rows:
        return source.text
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


def _with_formats(source: Source, field: str, events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """Yield each date format that may fit the unparsed values, with a mapping edited to use it."""
    how = source.sections["appointment"].get(field)
    if not isinstance(how, dict):
        return
    parts = [how.get("date"), how.get("time")] if "date" in how else [how.get("from")]
    paths = [part for part in parts if isinstance(part, str)]
    texts = [[_texts_at(source, event, path) for path in paths] for event in events]
    found = {" ".join(map(format_from_text, one)) for one in texts if len(one) == len(parts)}
    for new in sorted({*found, *map(_swapped, found)}):
        if new and len(new.split(" ")) >= len(parts):
            yield new, _with_format(source, field, how, new)


def _swapped(format_text: str) -> str:
    """Return a date format with the month and the day in the other order."""
    if re.match(r"MM(.)DD\1", format_text):
        return f"DD{format_text[2]}MM{format_text[5:]}"
    if re.match(r"DD(.)MM\1", format_text):
        return f"MM{format_text[2]}DD{format_text[5:]}"
    return format_text


def _with_format(source: Source, field: str, how: Mapping[str, Any], new: str) -> str:
    old = how.get("format")
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
    return "".join(lines)


def _texts_at(source: Source, event: Event, path: str) -> str:
    values = sorted(values_at(source, event.request, path_from_text(path)))
    return values[0] if values else ""


def _tried(
    evidence: _Evidence, edit: _Edit, affected: Sequence[Event], before: Sequence[Event]
) -> Proposal | None:
    """Test a mapping edit. Return None unless it helps and keeps older webhooks' results."""
    source, (fields, text) = evidence.source, edit
    edited = edited_source(source, text, evidence.policy)
    if edited is None or any(one.fields for one in compare_mappings(source, edited, before)):
        return None
    now = [*compare_mappings(source, edited, affected)]
    read = [_read(one, affected, fields) for one in (source, edited)]
    if read[1] <= read[0]:
        return None
    sent = {str(outcome) for outcome in SENT_OUTCOMES}
    old, new = _changed_lines(source.text, text)
    return Proposal(
        old=old,
        new=new,
        text=text,
        fields=fields,
        read_before=read[0],
        read_after=read[1],
        sent_before=sum(one.before in sent for one in now),
        sent_after=sum(one.after in sent for one in now),
        cards_before=sum(one.before == Outcome.PROSPECT for one in now),
        cards_after=sum(one.after == Outcome.PROSPECT for one in now),
        affected=len(now),
        others=len(before),
    )


def _read(source: Source, events: Sequence[Event], fields: Sequence[str]) -> int:
    """Return the number of webhooks that have readable values for all of the given fields."""
    mapped = [mapped_event(source, event) for event in events]
    return sum(all(values_of(one, field) for field in fields) for one in mapped)


def _changed_lines(old: str, new: str) -> tuple[str, str]:
    """Return the lines that differ between two texts."""
    lines = [*difflib.ndiff(old.splitlines(), new.splitlines())]
    removed, added = (
        "\n".join(line[2:] for line in lines if line.startswith(sign)) for sign in ("- ", "+ ")
    )
    return removed, added


def proposal_lines(one: ExplainedChange) -> Iterator[str]:
    """Yield lines that describe the affected events, the proposed edit and its effect."""
    if one.values:
        yield f"new value: {', '.join(json.dumps(v, ensure_ascii=False) for v in one.values[:5])}"
    yield from (f"not met: {text}" for text in one.unmet)
    yield f"affected events: {_ids(one.events) or 'none whose payload is stored'}"
    if one.sent_without:
        yield f"already sent to Knock without it, so add it there: {_ids(one.sent_without)}"
    if one.by_hand:
        sections = " and ".join(one.by_hand)
        yield f"{sections} also reads {one.change.name} and has no alternatives: change it by hand"
    proposal = one.proposal
    if proposal is None:
        yield _no_proposal(one)
        return
    yield "proposed edit:"
    yield from (f"  - {line.strip()}" for line in proposal.old.splitlines())
    yield from (f"  + {line.strip()}" for line in proposal.new.splitlines())
    names, of = " and ".join(proposal.fields), proposal.affected
    cards = ""
    if proposal.cards_before or proposal.cards_after:
        cards = f" ({proposal.cards_after} as guest cards, now {proposal.cards_before})"
    yield (
        f"with it, {proposal.read_after} of {of} affected webhooks have {names}, now "
        f"{proposal.read_before}; {proposal.sent_after} of {of} would be sent, now "
        f"{proposal.sent_before}{cards}; none of {proposal.others} earlier ones would change"
    )


def _no_proposal(one: ExplainedChange) -> str:
    """Explain why no edit is proposed."""
    if len(one.fitting) > 1:
        return f"no edit is suggested, because several fit: {', '.join(one.fitting[:5])}"
    if one.unmet:
        return (
            "no edit is suggested: change the condition, then run `adapter replay --source "
            f"{one.change.source} --state ignored`"
        )
    show = f"adapter show {one.events[0]}" if one.events else ""
    if not one.events:
        return "no edit is suggested, because no stored payload shows the change"
    why = ""
    if one.fitting:
        why = f", because {one.fitting[0]} fits, but an edit with it would not help"
    elif one.change.new_paths:
        why = ", because the field cannot read the values at any new path"
    return f"no edit is suggested{why}: compare an event with the mapping ({show})"


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:10])) + (", …" if len(ids) > 10 else "")


def combined_effect(
    store: Database, source: Source, explained: Sequence[ExplainedChange], policy: Policy
) -> Proposal | None:
    """Combine the proposed edits into one edit with its effect. Return None if there are none."""
    proposed = [one for one in explained if one.proposal is not None]
    text = combined(source, proposed, policy)
    if text is None or len(proposed) == 1:
        return proposed[0].proposal if proposed else None
    first = min((one.change for one in proposed), key=lambda one: one.first_event)
    ids = {number for one in proposed for number in one.events}
    with store.transaction() as tx:
        since = tx.formats.events_since(source.name, first.first_event, limit=MOST_AFFECTED)
        before = tx.search.recent_events(source.name, limit=BEFORE, before=first.first_event)
    evidence = _Evidence(
        source=source, change=first, policy=policy, since=since, before=before, others=()
    )
    fields = {name: None for one in proposed if one.proposal for name in one.proposal.fields}
    affected = [event for event in since if event.id in ids]
    return _tried(evidence, (tuple(fields), text), affected, before)


def combined(source: Source, explained: Sequence[ExplainedChange], policy: Policy) -> str | None:
    """Return the mapping's text with the proposed edits, or None if there are none."""
    text = source.text
    for one in explained:
        edited = source if text == source.text else edited_source(source, text, policy)
        if one.proposal is not None and edited is not None:
            text = _edited_text(edited, one, one.proposal)
    return text if text != source.text else None


def _edited_text(source: Source, one: ExplainedChange, proposal: Proposal) -> str:
    """Make a proposed edit in a mapping that may contain other edits."""
    if one.change.kind is FormatKind.PATH:
        return with_path(source, one.change.name, one.fitting[0])
    (field,) = proposal.fields
    if one.change.kind is FormatKind.VALUE:
        return _with_rows(source, field, one.values)
    return _with_format(source, field, source.sections["appointment"][field], one.fitting[0])


def explained_as_dict(one: ExplainedChange) -> dict[str, Any]:
    """Return a format change and its proposed edit as JSON-compatible data."""
    data = dataclasses.asdict(one)
    data.pop("change")
    return change_as_dict(one.change) | data
