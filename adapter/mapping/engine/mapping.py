"""Apply a compiled mapping to a webhook. This has no side effects and never raises."""

import dataclasses
import datetime as dt
import hashlib
import itertools
import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.conditions import Filter, Verdict, evaluate_all
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.fields import Field, FieldFiller, NotesFiller, PathLookup
from adapter.mapping.engine.partial_lists import PartialList
from adapter.mapping.engine.reshape import ItemReader, ListReader, PayloadReader
from adapter.mapping.engine.results import Item, Mapped, Outcome, WithoutTime
from adapter.mapping.engine.scope import Scope, others_name, reason_for
from adapter.mapping.transforms import clean_text
from adapter.models import Kind, Reason
from adapter.parsing.local_time import read_absolute_instant
from adapter.parsing.paths import Path, as_list, unwrap_single
from adapter.propexo import notes
from adapter.propexo.appointment import NO_CONTACT
from adapter.settings import Policy

#: Maximum number of items in a webhook. If there are more, it needs review.
MAX_ITEMS: Final = 50
#: Longer dedupe keys are stored as their hash.
MAX_KEY_LENGTH: Final = 200
CAP_KEY_PART: Final = 500
IDS_ONLY_REASON: Final = "needs_enrichment: it contains only IDs and no appointment fields"
#: Why a webhook needs review if the list under ``for_each`` is empty.
NO_ITEMS: Final = "there are no items"
#: Outcomes, most important first. A webhook gets the first one that any of its items has.
PRECEDENCE: Final = tuple(Outcome)
#: Fields that a guest card does not need. A community and an email or phone are enough.
NOT_NEEDED_BY_PROSPECTS: Final = frozenset({"starts_at", "name", "last_name"})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NamedReader:
    """A name under ``read:``, with the reader that provides its value."""

    name: str
    at: str
    reader: PayloadReader

    @property
    def needs(self) -> set[str]:
        """The first key of each path that this reader uses. A key may be another reader's name."""
        reader = self.reader
        needed = {path.parts[0] for path in getattr(reader, "paths", (reader.path,))}
        if isinstance(reader, ItemReader):
            needed.add(reader.index)
        if isinstance(reader, ListReader) and reader.labels:
            needed.add(reader.labels.path.parts[0])
        return needed


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ForEach:
    """A line of ``for_each``: the path of a list, and a name for each item in the list."""

    name: str
    at: str
    path: Path
    #: The readers that need an item of this level.
    readers: Sequence[NamedReader] = ()

    def items(self, scope: Scope) -> list[Any]:
        """Return the items of the list. At a final ``*``, an item may be a list itself."""
        found = scope.read(self.path)
        is_whole = self.path.ends_with_each and isinstance(found, list)
        return [one for one in found if one is not None] if is_whole else _items(found)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CompiledMapping:
    """The compiled sections of one mapping file."""

    #: Conditions for the webhook as a whole.
    event_filter: Filter
    #: Conditions for each item.
    item_filter: Filter
    readers: Sequence[NamedReader]
    #: The levels of ``for_each``, outermost first. Each item of the innermost list is an item.
    for_each: Sequence[ForEach]
    #: The parts of the dedupe key. If there are none, only an identical body counts as a repeat.
    dedupe: Sequence[PathLookup]
    #: The paths and templates under ``dedupe`` that can identify a lead. At least one must have a
    #: value. The others, such as the property, do not identify a lead.
    identifying: Container[str]
    #: Lists that the mapping reads only in part.
    partial_lists: Sequence[PartialList] = ()
    #: When the renter made the request, according to the sender.
    sent_at: PathLookup
    #: Fillers run in this order. The community is first, because the tour time needs its time zone.
    fillers: Sequence[FieldFiller]
    #: Validates an appointment and returns the errors by field. The second argument names the
    #: fields that have already been validated.
    validate: Callable[[Mapping[str, Any], Container[str], Kind], Mapping[str, Sequence[str]]]
    without_time: WithoutTime
    policy: Policy
    #: ``readers`` and ``for_each``, except readers that the dedupe key does not need.
    key_readers: Sequence[NamedReader] = dataclasses.field(init=False)
    key_levels: Sequence[ForEach] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Select the readers for the dedupe key once, because every webhook needs the key."""
        names = self._key_names()
        levels = [
            dataclasses.replace(one, readers=_named(names, one.readers)) for one in self.for_each
        ]
        object.__setattr__(self, "key_readers", _named(names, self.readers))
        object.__setattr__(self, "key_levels", levels)

    def _key_names(self) -> set[str]:
        """Return the names that must be read before the dedupe key can be computed."""
        groups = (*self.event_filter.ignore, *self.event_filter.cancellation)
        conditions = (*itertools.chain(*groups), *self.event_filter.accept)
        places = [*(one.path for one in conditions), *(level.path for level in self.for_each)]
        paths = itertools.chain(places, *(lookup.paths for lookup in self.dedupe))
        needed = {path.parts[0] for path in paths}
        for reading in reversed((*self.readers, *self.item_readers)):
            needed |= reading.needs if reading.name in needed else set()
        return needed

    @property
    def inner_names(self) -> frozenset[str]:
        """The names that exist only inside items of ``for_each``."""
        names = frozenset(reading.name for reading in self.item_readers)
        return names | {level.name for level in self.for_each}

    @property
    def item_readers(self) -> Sequence[NamedReader]:
        """The readers whose values depend on an item of ``for_each``."""
        return [reading for level in self.for_each for reading in level.readers]

    def apply(self, scope: Scope, now: dt.datetime | None) -> Mapped:
        """Map a webhook. If ``now`` is None, allow tours in the past and the far future."""
        repairs = [reason_for("event", text) for text in scope.repairs]
        scope, notes_so_far = self._read(scope, self.readers)
        notes_so_far.reasons += repairs + self._left_out(scope, is_item=False)
        outcome, reasons = _evaluate(self.event_filter, scope)
        if outcome not in (Outcome.BOOK, Outcome.CANCELLATION):
            return Mapped(outcome=outcome, reasons=(*reasons, *repairs))
        scopes, problem = self._item_scopes(scope, self.for_each)
        if problem:
            return Mapped(outcome=Outcome.HELD, reasons=(problem,))
        keys = [self._key_parts(one) for one, _ in scopes]
        shared = self._shared_values([one for one, _ in scopes])
        items = tuple(
            self._item(one, self._draft([notes_so_far, more], key, now), outcome, shared)
            for (one, more), key in zip(scopes, keys, strict=True)
        )
        return Mapped(
            outcome=min((item.outcome for item in items), key=PRECEDENCE.index),
            items=items,
            dedupe_key=_joined_key(outcome, keys),
        )

    def dedupe_key(self, scope: Scope) -> str | None:
        """Return the dedupe key that all deliveries of the same booking share, or None.

        A cancellation often has the same ID as its booking, so its key gets a prefix. An ignored
        delivery has no key, so that it cannot turn a booking with the same ID into a duplicate.
        """
        scope, _ = self._read(scope, self.key_readers)
        outcome, _ = _evaluate(self.event_filter, scope)
        if outcome not in (Outcome.BOOK, Outcome.CANCELLATION):
            return None
        scopes, problem = self._item_scopes(scope, self.key_levels)
        return (
            None if problem else _joined_key(outcome, [self._key_parts(one) for one, _ in scopes])
        )

    def item_scopes(self, scope: Scope) -> list[Scope]:
        """Return the scopes of a webhook's items. A webhook without items counts as one item."""
        whole, each = self.scopes(scope)
        return each or [whole]

    def scopes(self, scope: Scope) -> tuple[Scope, list[Scope]]:
        """Return the webhook's own scope, and a list with the scopes of its items."""
        scope, _ = self._read(scope, self.readers)
        scopes, _ = self._item_scopes(scope, self.for_each)
        return scope, [one for one, _ in scopes]

    def _read(self, scope: Scope, readers: Iterable[NamedReader]) -> tuple[Scope, Draft]:
        """Add the values for ``read:`` to the scope. Return the scope and a draft with problems."""
        draft = Draft()
        for reading in readers:
            result = reading.reader.read(scope)
            scope = scope.with_names({reading.name: result.value})
            if result.others:
                scope = scope.with_names({others_name(reading.name): result.others})
            if result.problem:
                path = reading.reader.path.text
                draft.note(
                    reason_for(reading.name, result.problem, at=reading.at, path=path),
                    f"{reading.name.capitalize()}: {result.fact}" if result.fact else None,
                )
        return scope, draft

    def _item_scopes(
        self, scope: Scope, levels: Iterable[ForEach]
    ) -> tuple[list[tuple[Scope, Draft]], Reason | None]:
        """Return a scope and a draft for each item, or the reason the items cannot be read."""
        scopes = [(scope, Draft())]
        for level in levels:
            try:
                scopes = self._inner_scopes(level, scopes)
            except Unreadable as exc:
                return [], reason_for("for_each", str(exc), at=level.at, path=level.path.text)
        return scopes, None

    def _inner_scopes(
        self, level: ForEach, outer: Sequence[tuple[Scope, Draft]]
    ) -> list[tuple[Scope, Draft]]:
        """Return a scope and a draft for each item. Raise Unreadable if the list is empty."""
        inner: list[tuple[Scope, Draft]] = []
        without = 0
        for scope, draft in outer:
            items = level.items(scope)
            without += not items
            if len(items) + len(inner) > MAX_ITEMS:
                raise Unreadable(
                    f"there are {len(items) + len(inner)} items, more than {MAX_ITEMS}"
                )
            for item in items:
                one, more = self._read(scope.with_names({level.name: item}), level.readers)
                inner.append((one, _joined_draft(draft, more)))
        if not inner:
            raise Unreadable(NO_ITEMS)
        if without:
            text = f"{without} of {len(outer)} have no items here"
            inner[0][1].note(reason_for("for_each", text, at=level.at, path=level.path.text))
        return inner

    def _shared_values(self, scopes: Sequence[Scope]) -> Mapping[int, Draft]:
        """Fill in the fields whose values are the same for all items, and return the drafts."""
        if len(scopes) == 1:
            return {}
        names, shared = self.inner_names, {}
        for number, fill in enumerate(self.fillers):
            if not isinstance(fill, Field | NotesFiller) or getattr(fill, "is_fallback", False):
                continue
            if not any(path.parts[0] in names for path in fill.paths):
                shared[number] = Draft()
                fill.fill(scopes[0], shared[number])
        return shared

    def _draft(
        self, drafts: Sequence[Draft], key: Sequence[str] | None, now: dt.datetime | None
    ) -> Draft:
        return Draft(
            now=now,
            policy=self.policy,
            dedupe_key=_key_from_parts(key) if key else None,
            reasons=[reason for one in drafts for reason in one.reasons],
            facts=[fact for one in drafts for fact in one.facts],
        )

    def _item(
        self, scope: Scope, draft: Draft, outcome: Outcome, shared: Mapping[int, Draft]
    ) -> Item:
        key = draft.dedupe_key
        if outcome is Outcome.BOOK:
            outcome, reasons = _evaluate(self.item_filter, scope)
            if outcome not in (Outcome.BOOK, Outcome.CANCELLATION):
                return Item(
                    outcome=outcome, reasons=reasons, blocking_reasons=reasons, dedupe_key=key
                )
        for number, fill in enumerate(self.fillers):
            if number in shared:
                draft.merge(shared[number])
            else:
                fill.fill(scope, draft)
        draft.reasons += self._left_out(scope, is_item=True)
        kind = self._kind(draft, outcome)
        if kind is Kind.PROSPECT:
            draft.waive(NOT_NEEDED_BY_PROSPECTS)
        _finish(draft)
        return self._item_from(draft, self._sent_at(scope), outcome, kind)

    def _kind(self, draft: Draft, outcome: Outcome) -> Kind:
        is_lead = outcome is Outcome.BOOK and draft.has_no_time
        is_prospect = is_lead and self.without_time.makes_cards
        return Kind.PROSPECT if is_prospect else Kind.APPOINTMENT

    def _item_from(
        self, draft: Draft, sent_at: dt.datetime | None, outcome: Outcome, kind: Kind
    ) -> Item:
        if outcome is Outcome.BOOK and not draft.blocking_reasons:
            for field, texts in self.validate(draft.appointment, draft.checked, kind).items():
                draft.block(reason_for(field, "; ".join(texts)))
        if outcome is Outcome.BOOK and draft.blocking_reasons:
            is_ignored = draft.has_no_time and self.without_time is WithoutTime.IGNORE
            outcome = Outcome.IGNORED if is_ignored else Outcome.HELD
        elif outcome is Outcome.BOOK and kind is Kind.PROSPECT:
            outcome = Outcome.PROSPECT
        return Item(
            outcome=outcome,
            kind=kind,
            community=draft.community,
            starts_at=draft.starts_at,
            wall_time=draft.wall_time,
            appointment=draft.appointment,
            reasons=tuple(draft.reasons),
            blocking_reasons=tuple(draft.blocking_reasons),
            notes_added=tuple(draft.facts),
            sent_at=sent_at,
            dedupe_key=draft.dedupe_key,
        )

    def _sent_at(self, scope: Scope) -> dt.datetime | None:
        """Return the UTC time when the renter made the request, or None if it is uncertain."""
        try:
            return self.read_sent_at(scope)
        except Unreadable:
            return None

    def read_sent_at(self, scope: Scope) -> dt.datetime:
        """Read the UTC time of the renter's request. Raise :class:`Unreadable` on failure."""
        _, value = self.sent_at.first(scope)
        return read_absolute_instant(unwrap_single(value))

    def _key_parts(self, scope: Scope) -> list[str] | None:
        """Return the text at each dedupe path, or None if the item cannot be identified."""
        parts, is_identified = [], False
        for lookup in self.dedupe:
            try:
                place, value = lookup.first(scope)
                parts.append("" if value is None else _key_part(unwrap_single(value)))
            except Unreadable:
                return None
            is_identified |= bool(parts[-1]) and place in self.identifying
        return parts if is_identified else None

    def _left_out(self, scope: Scope, *, is_item: bool) -> list[Reason]:
        """Return a reason for each list with items that the mapping does not read."""
        if not self.partial_lists:
            return []
        names = self.inner_names
        found = (
            one.reason(scope)
            for one in self.partial_lists
            if (one.path.parts[0] in names) is is_item
        )
        return [reason for reason in found if reason]


def _named(names: Container[str], readers: Iterable[NamedReader]) -> list[NamedReader]:
    return [one for one in readers if one.name in names]


def _finish(draft: Draft) -> None:
    """Check the rules that involve several fields, and compose the notes."""
    if not draft.found and not draft.lines:
        draft.block(reason_for("event", IDS_ONLY_REASON))
    elif not {"email_1", "phone_1"} & draft.appointment.keys():
        draft.block(reason_for("email_1", NO_CONTACT))
    text = notes.compose(draft.lines, draft.facts)
    draft.appointment |= {"notes": text} if text else {}


def _evaluate(event_filter: Filter, scope: Scope) -> tuple[Outcome, tuple[Reason, ...]]:
    ignored = event_filter.ignore_reasons(scope)
    if ignored:
        return Outcome.IGNORED, ignored
    if event_filter.is_cancellation(scope):
        return Outcome.CANCELLATION, ()
    verdict, reasons = evaluate_all(event_filter.accept, scope)
    if verdict is Verdict.FAILS:
        return Outcome.IGNORED, reasons
    return (Outcome.HELD if verdict is Verdict.UNKNOWN else Outcome.BOOK), reasons


def _items(found: Any) -> list[Any]:
    """Return a flat list of items. A single object or string becomes a list with one item."""
    found = as_list(found)
    if not isinstance(found, list):
        return [found] if isinstance(found, Mapping | str) and found else []
    items: list[Any] = []
    for item in found:
        items += item if isinstance(item, list) else [item]
    return [item for item in items if item is not None]


def _joined_draft(outer: Draft, inner: Draft) -> Draft:
    if not outer.reasons:
        return inner
    return Draft(reasons=[*outer.reasons, *inner.reasons], facts=[*outer.facts, *inner.facts])


def _key_part(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return clean_text(value, CAP_KEY_PART)


def _joined_key(outcome: Outcome, keys: Sequence[Sequence[str] | None]) -> str | None:
    """Combine the dedupe keys of a webhook's items into one key, or None if a key is missing."""
    parts = keys[0] if len(keys) == 1 else keys
    if not parts or (len(keys) > 1 and not all(parts)):
        return None
    key = _key_from_parts(parts)
    return key if outcome is Outcome.BOOK else f"{outcome} {key}"


def _key_from_parts(parts: Sequence[Any]) -> str:
    """Combine the parts of a dedupe key into a string, as JSON if there are several parts."""
    key = parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)
    if len(key) <= MAX_KEY_LENGTH:
        return key
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
