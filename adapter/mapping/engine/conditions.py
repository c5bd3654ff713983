"""Decide which webhooks are bookings, based on ``accept``, ``ignore`` and ``cancellation``."""

import dataclasses
import enum
from collections.abc import Iterable, Sequence

from adapter.exceptions import Unreadable
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.engine.tables import key_from_value
from adapter.models import Reason
from adapter.parsing.paths import MAX_ITEMS, MISSING, TOO_MANY, Path


class Verdict(enum.Enum):
    """The result of evaluating a condition: true, false or unknown."""

    HOLDS = "holds"
    FAILS = "fails"
    #: The value is missing, perhaps because the sender renamed a field, so the lead is held.
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A condition in a mapping: a path and the values that match at that path."""

    section: str
    path: Path
    #: Its position, as ``file:line``.
    at: str
    #: The condition holds if any of these values matches or, with ``negated``, if none does.
    values: frozenset[str] = frozenset()
    negated: bool = False
    #: True if the value must be empty, False if it must not be, None to compare with ``values``.
    empty: bool | None = None

    def evaluate(self, scope: Scope) -> tuple[Verdict, Reason | None]:
        """Evaluate the condition. If it does not hold, also return the reason."""
        try:
            found = scope.read(self.path)
        except Unreadable as exc:
            return Verdict.UNKNOWN, self._reason(str(exc), None)
        items = found if isinstance(found, list) else [found]
        if len(items) > MAX_ITEMS:
            return Verdict.UNKNOWN, self._reason(TOO_MANY, None)
        items = [item for item in items if not scope.is_empty(item)]
        if self.empty is not None:
            return self._verdict(found, holds=self.empty is not bool(items))
        if not items and not self.negated:
            missing = found is MISSING
            why = absence(scope, self.path) if missing else f"{self.path.text} is empty"
            return Verdict.UNKNOWN, self._reason(why, found)
        hit = any(key_from_value(item) in self.values for item in items)
        return self._verdict(found, holds=hit is not self.negated)

    def match_reason(self, scope: Scope) -> Reason:
        """Return a reason that names the condition's section and the matching value."""
        return self._reason(f"this matches '{self.section}'", scope.read(self.path))

    def _verdict(self, found: object, *, holds: bool) -> tuple[Verdict, Reason | None]:
        if holds:
            return Verdict.HOLDS, None
        return Verdict.FAILS, self._reason("is not one of the accepted values", found)

    def _reason(self, text: str, value: object) -> Reason:
        return reason_for(self.section, text, at=self.at, path=self.path.text, value=value)


def absence(scope: Scope, path: Path) -> str:
    """Return an error message for a path that is missing from the payload, naming a similar key."""
    near = scope.closest_key(path)
    return f"{path.text} is not in the payload" + (f" (there is {near[:40]!a})" if near else "")


def evaluate_all(
    conditions: Iterable[Condition], scope: Scope
) -> tuple[Verdict, tuple[Reason, ...]]:
    """Return HOLDS if all conditions hold, FAILS if any of them fails, otherwise UNKNOWN."""
    reasons: list[Reason] = []
    for condition in conditions:
        verdict, reason = condition.evaluate(scope)
        if verdict is Verdict.FAILS:
            return verdict, (reason,) if reason else ()
        reasons += [reason] if reason else []
    return Verdict.UNKNOWN if reasons else Verdict.HOLDS, tuple(reasons)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """The ``ignore``, ``cancellation`` and ``accept`` conditions for a webhook or an item."""

    #: The webhook or item is ignored if all conditions of any group hold.
    ignore: tuple[Sequence[Condition], ...] = ()
    cancellation: tuple[Sequence[Condition], ...] = ()
    accept: Sequence[Condition] = ()

    def ignore_reasons(self, scope: Scope) -> tuple[Reason, ...]:
        """Return the reasons to ignore the webhook or item, or an empty tuple."""
        matched = _matching_group(self.ignore, scope)
        return tuple(condition.match_reason(scope) for condition in matched)

    def is_cancellation(self, scope: Scope) -> bool:
        """Return True if the webhook or item cancels an earlier booking."""
        return bool(_matching_group(self.cancellation, scope))


def _matching_group(groups: Iterable[Sequence[Condition]], scope: Scope) -> Sequence[Condition]:
    for group in groups:
        if group and evaluate_all(group, scope)[0] is Verdict.HOLDS:
            return group
    return ()
