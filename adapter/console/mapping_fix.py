"""Suggest a mapping edit for leads that are held because a sender changed its format."""

import dataclasses
from typing import Final

from adapter.console.context import services, trial
from adapter.console.needs_you import FormatTrouble, format_trouble, rows_of
from adapter.models import FormatChange, FormatKind
from adapter.operations.format_proposals import Proposal, explain
from adapter.operations.todo import Entry, Selection

#: Maximum number of leads for which an edit is looked for.
MOST_LEADS: Final = 50


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MappingFix:
    """A format change that is not fixed yet, with the mapping edit that fixes it, if known."""

    trouble: FormatTrouble
    proposal: Proposal | None
    #: True if the edited mapping contains one of the messages as a new test.
    has_sample: bool = False


def fix_for(key: str) -> MappingFix | None:
    """Return the fix for a row of leads, or None if there is nothing to fix."""
    row = next((row for row in rows_of(Selection()) if row.key == key), None)
    trouble = format_trouble(row) if row is not None else None
    if row is None or trouble is None or trouble.is_fixed:
        return None
    return _fix(trouble, row)


def _fix(trouble: FormatTrouble, row: Entry) -> MappingFix:
    """Return the fix, including a mapping edit for the new format if one is found."""
    with services.store.transaction() as tx:
        events = [one.event_id for one in tx.bookings.of_ids(row.ids[:MOST_LEADS])]
    source = services.sources.get(trouble.source)
    if source is None or not events:
        return MappingFix(trouble=trouble, proposal=None)
    parent = trouble.path.rpartition(".")[0]
    new_path = f"{parent}.{trouble.new_name}" if parent else trouble.new_name
    change = FormatChange(
        source=trouble.source,
        kind=FormatKind.PATH if trouble.path else FormatKind.FIELD,
        name=trouble.path or "starts_at",
        since=trouble.since,
        first_event=min(events),
        affected=len(events),
        of=len(events),
        new_paths={new_path: len(events)} if trouble.new_name else {},
    )
    with trial():
        found = explain(services.store, source, change, services.settings.policy)
    if found.proposal is not None and not trouble.new_name:
        trouble = dataclasses.replace(trouble, new_name=found.fitting[0].rpartition(".")[2])
    return MappingFix(trouble=trouble, proposal=found.proposal)
