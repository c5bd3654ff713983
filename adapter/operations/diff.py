"""Compare two mapping results for a webhook, field by field."""

import datetime as dt
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any

from adapter.mapping.engine import Item, Mapped, Outcome

#: The values that are compared for an appointment: its fields, ``tour`` and ``outcome``.
Facts = Mapping[str, Any]


def facts_of_item(item: Item) -> Facts:
    """Return an item's values to compare, with the tour in the community's time zone."""
    zone = item.community.timezone if item.community is not None else None
    return {**item.appointment, **tour_of(item.starts_at, zone), "outcome": str(item.outcome)}


def tour_of(starts_at: dt.datetime | None, zone: zoneinfo.ZoneInfo | None) -> Facts:
    """Return ``{"tour": …}`` with the tour's local start, or an empty dictionary if unknown."""
    if starts_at is None or zone is None:
        return {}
    return {"tour": starts_at.astimezone(zone).strftime("%a %Y-%m-%d %H:%M %Z")}


def facts_of(mapped: Mapped) -> list[Facts]:
    """Return the values of each item that becomes a booking, or else the webhook's outcome."""
    items = [item for item in mapped.items if item.outcome is not Outcome.IGNORED]
    return [facts_of_item(item) for item in items] or [{"outcome": str(mapped.outcome)}]


def changed_fields(before: Sequence[Facts], after: Sequence[Facts]) -> dict[str, tuple[Any, Any]]:
    """Return the values that differ as (before, after) pairs, keyed by ``item.field``."""
    changed: dict[str, tuple[Any, Any]] = {}
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else {}
        new = after[number] if number < len(after) else {}
        changed |= {
            f"{number}.{name}": (old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        }
    return changed
