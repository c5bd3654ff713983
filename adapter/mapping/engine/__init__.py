"""Apply a compiled mapping to a webhook, and return appointments, without side effects."""

from adapter.mapping.engine.mapping import CompiledMapping
from adapter.mapping.engine.results import (
    SENT_OUTCOMES,
    Community,
    Item,
    Mapped,
    Outcome,
    WithoutTime,
)
from adapter.mapping.engine.scope import Scope

__all__ = [
    "SENT_OUTCOMES",
    "Community",
    "CompiledMapping",
    "Item",
    "Mapped",
    "Outcome",
    "Scope",
    "WithoutTime",
]
