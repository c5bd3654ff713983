"""Which deliveries are bookings: ``accept``, ``ignore`` and ``cancellation``."""

import dataclasses
import enum
from collections.abc import Iterable, Sequence

from adapter.exceptions import Unreadable
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.engine.tables import key_from_value
from adapter.models import Reason
from adapter.parsing.paths import MAX_ITEMS, MISSING, TOO_MANY, Path


class Verdict(enum.Enum):
    """What one condition says of one delivery."""

    HOLDS = "holds"
    FAILS = "fails"
    #: There is nothing to judge. A sender that renames a field must not make leads vanish.
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One line of a section: a path and what may stand there."""

    section: str
    path: Path
    #: ``file:line``.
    at: str
    #: Any of these, or with ``negated`` none of these.
    values: frozenset[str] = frozenset()
    negated: bool = False
    #: Whether there must be nothing; None: ``values`` decide.
    empty: bool | None = None

    def judge(self, scope: Scope) -> tuple[Verdict, Reason | None]:
        """The verdict, and the reason unless it holds."""
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
            return Verdict.UNKNOWN, self._reason(_nothing(scope, self.path, found), found)
        hit = any(key_from_value(item) in self.values for item in items)
        return self._verdict(found, holds=hit is not self.negated)

    def said(self, scope: Scope) -> Reason:
        """The reason for a line that holds, with what was found there."""
        return self._reason(f"this is what '{self.section}' says", scope.read(self.path))

    def _verdict(self, found: object, *, holds: bool) -> tuple[Verdict, Reason | None]:
        if holds:
            return Verdict.HOLDS, None
        return Verdict.FAILS, self._reason("is another value than those that are taken", found)

    def _reason(self, text: str, value: object) -> Reason:
        return reason_for(self.section, text, at=self.at, path=self.path.text, value=value)


def _nothing(scope: Scope, path: Path, found: object) -> str:
    return absence(scope, path) if found is MISSING else f"{path.text} is empty"


def absence(scope: Scope, path: Path) -> str:
    """The sentence for a path that is not there, with the name that was perhaps meant."""
    near = scope.closest_key(path)
    return f"{path.text} is not in the payload" + (f" (there is {near[:40]!a})" if near else "")


def judge_all(conditions: Iterable[Condition], scope: Scope) -> tuple[Verdict, tuple[Reason, ...]]:
    """Whether every line holds. One that fails decides, whatever cannot be judged."""
    verdict, reasons = Verdict.HOLDS, []
    for condition in conditions:
        one, reason = condition.judge(scope)
        if one is Verdict.FAILS:
            return Verdict.FAILS, (reason,) if reason else ()
        if one is Verdict.UNKNOWN:
            verdict = Verdict.UNKNOWN
            reasons += [reason] if reason else []
    return verdict, tuple(reasons)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """The three sections together, for the delivery or for one item of it."""

    #: Each group is enough by itself.
    ignore: tuple[Sequence[Condition], ...] = ()
    cancellation: tuple[Sequence[Condition], ...] = ()
    accept: Sequence[Condition] = ()

    def ignored_by(self, scope: Scope) -> tuple[Reason, ...]:
        """The lines by which it is known not to be a booking; empty where it is not."""
        for group in self.ignore:
            if group and judge_all(group, scope)[0] is Verdict.HOLDS:
                return tuple(line.said(scope) for line in group)
        return ()

    def is_cancellation(self, scope: Scope) -> bool:
        """Whether it calls off an earlier booking."""
        return _any_group(self.cancellation, scope)


def _any_group(groups: Iterable[Sequence[Condition]], scope: Scope) -> bool:
    return any(judge_all(group, scope)[0] is Verdict.HOLDS for group in groups if group)
