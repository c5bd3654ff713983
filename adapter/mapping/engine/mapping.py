"""A mapping, compiled: what one delivery becomes. Pure, and it raises for no input."""

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.conditions import Filter, Verdict, judge_all
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.fields import Field, FieldFiller, Lines, PathLookup
from adapter.mapping.engine.reshape import Read
from adapter.mapping.engine.results import Item, Mapped, Outcome, WithoutTime
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.transforms import clean_text
from adapter.models import Kind, Reason
from adapter.parsing.datetimes import read_absolute_instant
from adapter.parsing.paths import Path, unwrap_single
from adapter.propexo import notes
from adapter.settings import Policy

#: One delivery makes no more appointments than this.
MOST_ITEMS: Final = 50
#: Longer keys are stored as their hash.
LONGEST_KEY: Final = 200
CAP_KEY_PART: Final = 500
NO_CONTACT: Final = "neither an e-mail address nor a phone number was found"
THIN: Final = "needs_enrichment: it holds ids only, and none of the fields of an appointment"
#: The first of these that an item has is the outcome of the whole.
RANKS: Final = (
    Outcome.BOOK,
    Outcome.PROSPECT,
    Outcome.HELD,
    Outcome.CANCELLATION,
    Outcome.IGNORED,
)
#: What a guest card can do without; where and how to reach the renter it cannot.
NOT_FOR_A_PROSPECT: Final = frozenset({"starts_at", "name", "last_name"})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One name under ``read:``."""

    name: str
    at: str
    read: Read


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Each:
    """``for_each``: the name of one item, and where the items are."""

    name: str
    at: str
    path: Path


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CompiledMapping:
    """All sections of one mapping file, ready to be applied."""

    #: Judged once for the delivery, and for each item.
    event_filter: Filter
    item_filter: Filter
    readings: Sequence[Reading]
    item_readings: Sequence[Reading]
    for_each: Each | None
    dedupe: PathLookup
    #: Where the sender says when the renter asked.
    sent_at: PathLookup
    #: In order: the community before the time, for the time is on the community's clock.
    fills: Sequence[FieldFiller]
    #: What the target refuses, per field: the last look before anything is booked. The second
    #: argument names the fields that it has checked already.
    refused: Callable[[Mapping[str, Any], Container[str], Kind], Mapping[str, Sequence[str]]]
    without_time: WithoutTime
    policy: Policy

    @property
    def inner_names(self) -> frozenset[str]:
        """The names that only an item of ``for_each`` has."""
        readings = frozenset(reading.name for reading in self.item_readings)
        return readings | {self.for_each.name} if self.for_each else readings

    def apply(self, scope: Scope, now: dt.datetime | None) -> Mapped:
        """What the delivery becomes. Without ``now`` past and future are not judged."""
        scope, said = self._read(scope, self.readings)
        outcome, reasons = _judge(self.event_filter, scope)
        if outcome not in (Outcome.BOOK, Outcome.CANCELLATION):
            return Mapped(outcome=outcome, reasons=reasons)
        scopes, problem = self._item_scopes(scope)
        if problem:
            return Mapped(outcome=Outcome.HELD, reasons=(problem,))
        keys = [self._key_parts(one) for one, _ in scopes]
        same = self._same_for_all([one for one, _ in scopes])
        items = tuple(
            self._item(one, self._draft([said, more], key, now), outcome, same)
            for (one, more), key in zip(scopes, keys, strict=True)
        )
        return Mapped(
            outcome=next(rank for rank in RANKS if any(item.outcome is rank for item in items)),
            items=items,
            dedupe_key=_whole_key(outcome, keys),
        )

    def dedupe_key(self, scope: Scope) -> str | None:
        """What two deliveries share that make the same booking; None where nothing says so.

        A cancellation often carries the booking's own id: its key is another one. What is no
        booking has none, so that it never stands in the way of a booking with the same id.
        """
        scope, _ = self._read(scope, self.readings)
        outcome, _ = _judge(self.event_filter, scope)
        if outcome not in (Outcome.BOOK, Outcome.CANCELLATION):
            return None
        scopes, problem = self._item_scopes(scope)
        return None if problem else _whole_key(outcome, [self._key_parts(one) for one, _ in scopes])

    def item_scopes(self, scope: Scope) -> list[Scope]:
        """The scopes that fields are read in, whatever the delivery is: for checks and tools."""
        whole, each = self.scopes(scope)
        return each or [whole]

    def scopes(self, scope: Scope) -> tuple[Scope, list[Scope]]:
        """What the delivery is read in, and each of its items; none where there are none."""
        scope, _ = self._read(scope, self.readings)
        scopes, _ = self._item_scopes(scope)
        return scope, [one for one, _ in scopes]

    def _read(self, scope: Scope, readings: Iterable[Reading]) -> tuple[Scope, Draft]:
        """The scope with the names that ``read:`` makes; the draft holds what must be said."""
        said = Draft()
        for reading in readings:
            made = reading.read.make(scope)
            scope = scope.with_names({reading.name: made.value})
            if made.problem:
                path = reading.read.path.text
                said.note(
                    reason_for(reading.name, made.problem, at=reading.at, path=path),
                    f"{reading.name.capitalize()}: {made.fact}" if made.fact else None,
                )
        return scope, said

    def _item_scopes(self, scope: Scope) -> tuple[list[tuple[Scope, Draft]], Reason | None]:
        """A scope for each item with what must be said of it, or why there are none."""
        if self.for_each is None:
            return [(scope, Draft())], None
        each = self.for_each
        try:
            items = _items(scope.read(each.path))
            problem = _wrong_number(len(items))
        except Unreadable as exc:
            items, problem = [], str(exc)
        if problem:
            return [], reason_for("for_each", problem, at=each.at, path=each.path.text)
        scopes = (scope.with_names({each.name: item}) for item in items)
        return [self._read(one, self.item_readings) for one in scopes], None

    def _same_for_all(self, scopes: Sequence[Scope]) -> Mapping[int, Draft]:
        """What the lines give that read nothing of the item, by number: they are read once."""
        if self.for_each is None or len(scopes) == 1:
            return {}
        names, same = self.inner_names, {}
        for number, fill in enumerate(self.fills):
            if isinstance(fill, Field | Lines) and not any(
                path.parts[0] in names for path in fill.paths
            ):
                same[number] = Draft()
                fill.fill(scopes[0], same[number])
        return same

    def _draft(
        self, said: Sequence[Draft], key: Sequence[str] | None, now: dt.datetime | None
    ) -> Draft:
        return Draft(
            now=now,
            policy=self.policy,
            dedupe_key=_key_from_parts(key) if key else None,
            reasons=[reason for one in said for reason in one.reasons],
            facts=[fact for one in said for fact in one.facts],
        )

    def _item(
        self, scope: Scope, draft: Draft, outcome: Outcome, same: Mapping[int, Draft]
    ) -> Item:
        key = draft.dedupe_key
        if outcome is Outcome.BOOK:
            outcome, reasons = _judge(self.item_filter, scope)
            if outcome not in (Outcome.BOOK, Outcome.CANCELLATION):
                return Item(outcome=outcome, reasons=reasons, because=reasons, dedupe_key=key)
        for number, fill in enumerate(self.fills):
            if number in same:
                draft.add(same[number])
            else:
                fill.fill(scope, draft)
        kind = self._kind(draft, outcome)
        if kind is Kind.PROSPECT:
            draft.waive(NOT_FOR_A_PROSPECT)
        _complete(draft)
        finished = self._finished(draft, outcome, kind)
        sent_at = self._sent_at(scope)
        return dataclasses.replace(finished, sent_at=sent_at) if sent_at else finished

    def _kind(self, draft: Draft, outcome: Outcome) -> Kind:
        is_lead = outcome is Outcome.BOOK and draft.has_no_time
        is_prospect = is_lead and self.without_time is WithoutTime.PROSPECT
        return Kind.PROSPECT if is_prospect else Kind.APPOINTMENT

    def _finished(self, draft: Draft, outcome: Outcome, kind: Kind) -> Item:
        if outcome is Outcome.BOOK and not draft.blocking_reasons:
            for field, texts in self.refused(draft.appointment, draft.checked, kind).items():
                draft.block(reason_for(field, "; ".join(texts)))
        if outcome is Outcome.BOOK and draft.blocking_reasons:
            aside = draft.has_no_time and self.without_time is WithoutTime.IGNORE
            outcome = Outcome.IGNORED if aside else Outcome.HELD
        elif outcome is Outcome.BOOK and kind is Kind.PROSPECT:
            outcome = Outcome.PROSPECT
        return Item(
            outcome=outcome,
            kind=kind,
            community=draft.community,
            starts_at=draft.starts_at,
            appointment=draft.appointment,
            reasons=tuple(draft.reasons),
            because=tuple(draft.blocking_reasons),
            notes_added=tuple(draft.facts),
            dedupe_key=draft.dedupe_key,
        )

    def _sent_at(self, scope: Scope) -> dt.datetime | None:
        """When the renter asked. What is no certain instant is left out: arrival counts then."""
        try:
            for _, value in self.sent_at.found(scope):
                return read_absolute_instant(unwrap_single(value))
        except Unreadable:
            return None
        return None

    def _key_parts(self, scope: Scope) -> list[str] | None:
        """The dedupe paths' values as texts; None when one of them has nothing to say."""
        parts = []
        for path in self.dedupe.paths:
            try:
                value = scope.read(path)
                parts.append("" if scope.is_empty(value) else _key_part(unwrap_single(value)))
            except Unreadable:
                return None
        return parts if all(parts) else None


def _complete(draft: Draft) -> None:
    """What takes more than one field to see."""
    if not draft.found and not draft.text:
        draft.block(reason_for("event", THIN))
    elif not {"email_1", "phone_1"} & draft.appointment.keys():
        draft.block(reason_for("email_1", NO_CONTACT))
    text = notes.compose(draft.text, draft.facts)
    draft.appointment |= {"notes": text} if text else {}


def _judge(event_filter: Filter, scope: Scope) -> tuple[Outcome, tuple[Reason, ...]]:
    ignored = event_filter.ignored_by(scope)
    if ignored:
        return Outcome.IGNORED, ignored
    if event_filter.is_cancellation(scope):
        return Outcome.CANCELLATION, ()
    verdict, reasons = judge_all(event_filter.accept, scope)
    if verdict is Verdict.FAILS:
        return Outcome.IGNORED, reasons
    return (Outcome.HELD if verdict is Verdict.UNKNOWN else Outcome.BOOK), reasons


def _items(found: Any) -> list[Any]:
    """The items of a list, of a list of lists, or the one that is given bare."""
    if not isinstance(found, list):
        return [found] if isinstance(found, Mapping | str) and found else []
    items: list[Any] = []
    for item in found:
        items += item if isinstance(item, list) else [item]
    return [item for item in items if item is not None]


def _wrong_number(count: int) -> str | None:
    if not count:
        return "there is no item"
    return f"there are {count} items, more than {MOST_ITEMS}" if count > MOST_ITEMS else None


def _key_part(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return clean_text(value, CAP_KEY_PART)


def _whole_key(outcome: Outcome, keys: Sequence[Sequence[str] | None]) -> str | None:
    """The key of a delivery: its item's, or those of all of its items."""
    parts = keys[0] if len(keys) == 1 else keys
    if not parts or not all(parts):
        return None
    key = _key_from_parts(parts)
    return key if outcome is Outcome.BOOK else f"{outcome} {key}"


def _key_from_parts(parts: Sequence[Any]) -> str:
    """One text by itself, several as a JSON list: no two lists give the same text."""
    key = parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)
    if len(key) <= LONGEST_KEY:
        return key
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
