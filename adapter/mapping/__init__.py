"""One webhook's payload to the appointment it asks for: a compiled mapping, purely applied."""

from adapter.mapping.compiled import CompiledMapping
from adapter.mapping.outcomes import Community, Delivery, Item, Mapped, Outcome
from adapter.mapping.scope import Scope

__all__ = ["Community", "CompiledMapping", "Delivery", "Item", "Mapped", "Outcome", "Scope"]
