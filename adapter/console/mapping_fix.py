"""Suggest a mapping edit after a sender has changed its format."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Final

from werkzeug.exceptions import TooManyRequests

from adapter.console.context import services, trial
from adapter.console.needs_you import (
    FormatTrouble,
    affected_fields,
    change_sentence,
    format_changes,
    format_trouble,
    rows_of,
)
from adapter.mapping.source import Source
from adapter.models import FormatChange, FormatKind
from adapter.operations.format_proposals import (
    ExplainedChange,
    Proposal,
    combined_effect,
    explain,
)
from adapter.operations.todo import Entry, Selection

#: Maximum number of leads to find an edit for.
MOST_LEADS: Final = 50
#: The key of the fix for all detected changes in a source's format.
CHANGES: Final = "changes"
#: Maximum number of fixes to keep.
MOST_KEPT: Final = 50


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MappingFix:
    """A format change that is not fixed yet, with the mapping edit that fixes it, if known."""

    source: str
    #: The value of ``fix`` in the editor's address.
    key: str
    #: A sentence for each change.
    sentences: tuple[str, ...]
    proposal: Proposal | None
    #: The candidate paths, if no edit is suggested because several paths fit.
    fitting: tuple[str, ...] = ()
    #: Leads that were sent to Knock without the missing value, and the names of the values.
    sent_without: tuple[int, ...] = ()
    lacking: tuple[str, ...] = ()
    #: True if the edited mapping contains one of the messages as a new test.
    has_sample: bool = False


#: The latest fixes, by everything they depend on.
_fixes: collections.OrderedDict[tuple[object, ...], MappingFix] = collections.OrderedDict()


def fix_for(key: str, source: str) -> MappingFix | None:
    """Return the fix for a row of leads or a source, or None if there is nothing to fix."""
    row = next((row for row in rows_of(Selection()) if row.key == key), None)
    trouble = format_trouble(row) if row is not None else None
    if trouble is not None and trouble.is_fixed:
        return None
    fix = _detected_fix(trouble.source if trouble is not None else source)
    if fix is not None or row is None or trouble is None:
        return fix
    return _fix_of_leads(trouble, row)


def fixes_of(name: str) -> list[MappingFix]:
    """Return a fix for each detected or suspected change in a source's format."""
    if (fix := _detected_fix(name)) is not None:
        return [fix]
    pairs = [(format_trouble(row), row) for row in rows_of(Selection(source=name))]
    return [_fix_of_leads(one, row) for one, row in pairs if one is not None and not one.is_fixed]


def _detected_fix(name: str) -> MappingFix | None:
    """Return the fix for the detected changes in a source's format, or None if there are none."""
    source = services.sources.get(name)
    changes = [one for one in format_changes() if one.source == name]
    return _fix_of(source, CHANGES, changes) if source is not None and changes else None


def _fix_of(source: Source, key: str, changes: Sequence[FormatChange]) -> MappingFix:
    """Look for an edit at most once per minute, because leads may be sent at any time."""
    counts = [(one.kind, one.name, one.value, one.first_event, one.affected) for one in changes]
    known = (source.hash, key, services.now().replace(second=0, microsecond=0), *counts)
    if known in _fixes:
        return _fixes[known]
    try:
        with trial():
            fix = _explained_fix(source, key, changes)
    except TooManyRequests:  # the page shows the changes without an edit
        sentences = tuple(map(change_sentence, changes))
        return MappingFix(source=source.name, key=key, sentences=sentences, proposal=None)
    _fixes[known] = fix
    while len(_fixes) > MOST_KEPT:
        _fixes.popitem(last=False)
    return fix


def _explained_fix(source: Source, key: str, changes: Sequence[FormatChange]) -> MappingFix:
    policy = services.settings.policy
    explained = [explain(services.store, source, one, policy) for one in changes]
    proposal = combined_effect(services.store, source, explained, policy)
    without = {number for one in explained for number in one.sent_without}
    lacking = {
        name: None
        for one in explained
        if one.sent_without
        for name in sorted(affected_fields(one.change))
    }
    return MappingFix(
        source=source.name,
        key=key,
        sentences=tuple(map(_sentence, explained)),
        proposal=proposal,
        fitting=_fitting(explained),
        sent_without=tuple(sorted(without)),
        lacking=tuple(lacking),
    )


def _sentence(one: ExplainedChange) -> str:
    """Describe a format change for users. If the new path is certain, name only that path."""
    sentence = change_sentence(one.change)
    if one.unmet:
        return f"{sentence} {'. '.join(one.unmet)}."
    if one.change.kind is FormatKind.PATH and one.proposal is not None:
        return f"This sender's messages now have “{one.fitting[0]}” instead of “{one.change.name}”."
    return sentence


def _fitting(explained: Sequence[ExplainedChange]) -> tuple[str, ...]:
    return tuple(path for one in explained if len(one.fitting) > 1 for path in one.fitting)


def _fix_of_leads(trouble: FormatTrouble, row: Entry) -> MappingFix:
    """Return the fix for leads whose format change was not detected, as with a new source."""
    with services.store.transaction() as tx:
        events = [one.event_id for one in tx.bookings.of_ids(row.ids[:MOST_LEADS])]
    source = services.sources.get(trouble.source)
    sentences = (trouble.sentence,)
    if source is None or not events:
        return MappingFix(
            source=trouble.source, key=trouble.key, sentences=sentences, proposal=None
        )
    change = FormatChange(
        source=trouble.source,
        kind=FormatKind.PATH if trouble.path else FormatKind.FIELD,
        name=trouble.path or "starts_at",
        since=trouble.since,
        first_event=min(events),
        affected=len(events),
        of=len(events),
    )
    found = _fix_of(source, trouble.key, [change])
    is_clear = found.proposal is not None and not trouble.new_name
    return found if is_clear else dataclasses.replace(found, sentences=sentences)
