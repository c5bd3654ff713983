"""One webhook's payload to the appointment it asks for: a compiled mapping, purely applied."""

from adapter.mapping.engine.mapping import CompiledMapping
from adapter.mapping.engine.results import (
    GOES_OUT,
    Community,
    Item,
    Mapped,
    Outcome,
    WithoutTime,
)
from adapter.mapping.engine.scope import Scope

__all__ = [
    "GOES_OUT",
    "Community",
    "CompiledMapping",
    "Item",
    "Mapped",
    "Outcome",
    "Scope",
    "WithoutTime",
]
