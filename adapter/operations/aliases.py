"""Assign sources' property names to communities, and undo assignments.

Users decide which community a property belongs to. Nothing is guessed.
"""

import contextlib
import dataclasses
import datetime as dt
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import KeyMissing, NotPossible, PayloadError, Unreadable
from adapter.mapping import overlay
from adapter.mapping.engine import Scope
from adapter.mapping.engine.fields import paths_of
from adapter.mapping.engine.scope import reason_for
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.loader.yaml_document import text_from_data
from adapter.mapping.source import Source
from adapter.models import AddedCommunity, Alias, Booking, BookingState, Clock, Event
from adapter.operations.live_sources import LiveSources
from adapter.operations.replay import REPLACEABLE, Replays
from adapter.operations.take_back import UNDO_SECONDS
from adapter.parsing.paths import MISSING, Path, unwrap_single
from adapter.parsing.text import clean_text
from adapter.settings import Settings
from adapter.store import Database, Transaction

#: Maximum number of leads that one call books or holds again.
MOST_LEADS: Final = 200
#: Maximum number of leads in an audit log entry.
MOST_RECORDED: Final = 50
#: Number of leads to search for a property's display name.
MOST_TITLED: Final = 10
#: Maximum length of a property's name.
MAX_NAME: Final = 200
#: States in which a booking may be in Knock.
SENT: Final = (
    BookingState.SENDING,
    BookingState.SUBMITTED,
    BookingState.BOOKED,
    BookingState.UNKNOWN,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PropertyName:
    """A property's name in a webhook, as the source spells it."""

    #: The name that the mapping reads, which identifies the property.
    name: str
    #: The normalized name, for comparisons.
    key: str
    #: The beginning of the name as JSON, as in the reasons of held leads.
    value: str
    #: Other text in the webhook that tells a person which property it is, or "".
    title: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """The effect that assigning a property would have on its held leads."""

    tours: int
    #: How many of the tours are today, in the community's time zone.
    today: int
    guest_cards: int
    #: Leads that would still need review.
    others: int
    #: Reasons why leads cannot be booked anymore, with the number of leads for each.
    refused: Mapping[str, int]
    #: True if there are more leads than one call processes.
    has_more: bool
    #: The tours that would be booked, such as ``Tue 2026-12-01 10:30 MST``, by event.
    booked: Mapping[int, Sequence[str]]

    @property
    def sent(self) -> int:
        """The number of leads that would be sent to Knock."""
        return self.tours + self.guest_cards


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TakenBack:
    """The result of removing an alias: leads held again and leads already sent."""

    alias: Alias
    #: How many leads need a community again.
    leads: int
    #: The bookings that may already be in Knock.
    sent: tuple[Booking, ...]


def _is_waiting(value: str) -> Callable[[Booking], bool]:
    """Return a predicate that matches bookings held because of an unknown property name."""
    return lambda booking: (
        booking.state is BookingState.HELD
        and any(why.field == "community" and why.value == value for why in booking.reasons)
    )


def names_in(source: Source, event: Event) -> list[PropertyName]:
    """Return the property names in a webhook, in the order of the items. Never raise."""
    try:
        scopes = source.compiled.item_scopes(source.scope(event.request))
    except PayloadError:
        return []
    return [name for scope in scopes for name in [_name_in(source, scope)] if name is not None]


def _name_in(source: Source, scope: Scope) -> PropertyName | None:
    lookup = source.community_lookup.lookup
    try:
        used, value = next(lookup.values(scope), (None, None))
    except Unreadable:
        return None
    value = unwrap_single(value)
    key = key_from_value(value)
    if used is None or not key:
        return None
    titles = filter(None, _titles(scope, paths_of(used)[0], lookup.paths))
    return PropertyName(
        name=_text(value),
        key=key,
        value=reason_for("community", "", value=value).value or "",
        title=next((one for one in titles if one != _text(value)), ""),
    )


def _titles(scope: Scope, used: Path, paths: Sequence[Path]) -> Iterator[str]:
    """Yield a property's other names in the payload, to help users recognize it."""
    for path in paths:
        if path != used:
            yield _text(_read(scope, path))
    parent = _read(scope, dataclasses.replace(used, parts=used.parts[:-1])) if used.parts[1:] else 0
    if isinstance(parent, Mapping):
        near = [name for name in parent if "name" in str(name).lower()]
        yield from (_text(parent[name]) for name in sorted(near, key=lambda one: len(str(one))))


def _read(scope: Scope, path: Path) -> Any:
    with contextlib.suppress(Unreadable):
        value = scope.read(path)
        return None if value is MISSING else unwrap_single(value)
    return None


def _text(value: object) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    with contextlib.suppress(Unreadable):
        return clean_text(value, MAX_NAME)
    return ""


class Aliases:
    """Assigns property names to communities on behalf of a user."""

    def __init__(
        self, settings: Settings, store: Database, live: LiveSources, clock: Clock, by: str
    ) -> None:
        self._settings, self._store, self._live = settings, store, live
        self._clock, self._by = clock, by

    def property_of(self, source: str, value: str) -> PropertyName | None:
        """Find a property name in a source's held leads. Return None if it is unknown."""
        known = self._live.sources.get(source)
        events = self._waiting(source, value, limit=1)
        if known is None or not events:
            return None
        names = names_in(known, events[0])
        return next((name for name in names if name.value == value), None)

    def preview(self, source: str, value: str, alias: Alias) -> Preview:
        """Return the effect that adding an alias would have on held leads."""
        overrides = self._live.overrides
        planned = dataclasses.replace(overrides, aliases=(*overrides.aliases, alias))
        sources = overlay.apply(self._live.files, planned, self._settings.policy)
        zone = sources[source].communities[alias.community].timezone
        today = self._clock().astimezone(zone).date().isoformat()
        replays = Replays(self._settings, self._store, sources, self._clock)
        events, is_replaced = self._waiting(source, value), _is_waiting(value)
        counts = {"tours": 0, "today": 0, "guest_cards": 0, "others": 0}
        refused: dict[str, int] = {}
        booked: dict[int, Sequence[str]] = {}
        for event in events[:MOST_LEADS]:
            one = replays.replay(event.id, by=self._by, dry_run=True, is_replaced=is_replaced)
            if one.refusal is not None:
                refused[one.refusal] = refused.get(one.refusal, 0) + 1
                continue
            for name, count in _counts(one.fields, today).items():
                counts[name] += count
            if tours := _booked_tours(one.fields):
                booked[event.id] = tours
        has_more = len(events) > MOST_LEADS
        return Preview(**counts, refused=refused, has_more=has_more, booked=booked)

    def add(self, alias: Alias) -> None:
        """Save an alias. Raise :class:`NotPossible` if its name or community cannot be used."""
        source = self._live.sources.get(alias.source)
        if source is None:
            raise NotPossible(f"there is no source {alias.source}")
        if alias.community not in source.communities:
            raise NotPossible(f"there is no community {alias.community}")
        if known := source.community_lookup.known.get(alias.key):
            raise NotPossible(f"{alias.source} already uses this name for {known.key}")
        has_own = source.communities[alias.community].attributions.get(alias.source)
        if not has_own and not alias.attribution_id:
            raise NotPossible(f"{alias.community} has no attribution for {alias.source}")
        with self._store.transaction() as tx:
            if not tx.overrides.add_alias(alias):
                raise NotPossible("another user has just assigned this property")
            self._record(tx, "property_assigned", alias, _held_event(tx, alias))
        self._live.refresh()

    def add_community(self, added: AddedCommunity) -> None:
        """Add a community. Raise NotPossible if users have already added one with this key."""
        with self._store.transaction() as tx:
            if not tx.overrides.add_community(added):
                raise NotPossible(f"there is already a community with the key {added.key}")
            tx.audit.record("community_added", by=self._by, at=self._clock(), detail=f"{added.key}")
        self._live.refresh()

    def change_community(self, changed: AddedCommunity) -> None:
        """Save the hours and options of a community. Raise NotPossible if no user added it."""
        with self._store.transaction() as tx:
            if not tx.overrides.change_community(changed):
                raise NotPossible(f"the community {changed.key} was not added in the console")
            tx.audit.record("community_changed", by=self._by, at=self._clock(), detail=changed.key)
        self._live.refresh()

    def book_waiting(self, source: str, value: str) -> tuple[int, int]:
        """Map held leads again. Return the number of changed leads and the number still held.

        Other leads from the same webhooks are not changed, because users may have edited them. New
        bookings are sent after :data:`UNDO_SECONDS`.
        """
        replays = Replays(self._settings, self._store, self._live.sources, self._clock)
        events = self._waiting(source, value)
        for event in events[:MOST_LEADS]:
            until = self._clock() + dt.timedelta(seconds=UNDO_SECONDS)
            replays.replay(
                event.id,
                by=self._by,
                dry_run=False,
                send_after=until,
                is_replaced=_is_waiting(value),
            )
        left = len(self._waiting(source, value))
        return min(len(events), MOST_LEADS) - min(left, MOST_LEADS), left

    def book_all_waiting(self, alias: Alias) -> int:
        """Remap all leads held because of an alias's name. Return the number of changed leads."""
        with self._store.transaction() as tx:
            unknown = [one for one in tx.stats.unknown_communities() if one.value is not None]
        values = [one.value or "" for one in unknown if one.source == alias.source]
        total = 0
        for value in values:
            name = self.property_of(alias.source, value)
            changed = 1 if name is not None and name.key == alias.key else 0
            while changed:
                changed, _ = self.book_waiting(alias.source, value)
                total += changed
        return total

    def remove(self, source: str, key: str) -> TakenBack:
        """Remove an alias, and hold its leads again unless they were sent.

        Raise :class:`NotPossible` if the alias does not exist.
        """
        with self._store.transaction() as tx:
            alias = tx.overrides.remove_alias(source, key)
            if alias is None:
                raise NotPossible("this assignment has already been undone")
            self._record(tx, "property_unassigned", alias, self._named_event(tx, alias))
        self._live.refresh()
        waiting = self._bookings_of(alias, REPLACEABLE)
        replays = Replays(self._settings, self._store, self._live.sources, self._clock)
        for event_id in dict.fromkeys(booking.event_id for booking in waiting):
            self._hold_again(replays, event_id, alias)
        # Some may have been sent in the meantime.
        left, sent = self._bookings_of(alias, REPLACEABLE), self._bookings_of(alias, SENT)
        if sent:
            self._record_sent(sent)
        return TakenBack(alias=alias, leads=len(waiting) - len(left), sent=tuple(sent))

    def _record_sent(self, sent: Sequence[Booking]) -> None:
        """Record which leads were already sent so that users can find them later."""
        ids = ", ".join(str(one.id) for one in sent[:MOST_RECORDED])
        with self._store.transaction() as tx:
            tx.audit.record("not_taken_back", by=self._by, at=self._clock(), detail=ids)

    def _bookings_of(self, alias: Alias, states: Sequence[BookingState]) -> list[Booking]:
        """Return the bookings that got their community from an alias, newest first."""
        source, before, bookings = self._live.sources.get(alias.source), None, list[Booking]()
        while source is not None:
            with self._store.transaction() as tx:
                found = tx.overrides.bookings_since(
                    alias, [str(state) for state in states], before=before, limit=MOST_LEADS
                )
                events = {one.event_id: tx.events.get(one.event_id) for one in found}
            named = {key for key, event in events.items() if self._is_named(alias, event)}
            bookings += [one for one in found if one.event_id in named]
            # Bookings that were sent are only listed, and there may be very many.
            if len(found) < MOST_LEADS or states is SENT:
                break
            before = found[-1].id
        return bookings

    def title_of(self, alias: Alias) -> str:
        """Return an assigned property's display name, or else the name that the source uses."""
        source = self._live.sources.get(alias.source)
        if source is None:
            return alias.name
        with self._store.transaction() as tx:
            for event_id in _events_at(tx, alias):
                event = tx.events.get(event_id)
                names = names_in(source, event) if event is not None else []
                titles = (one.title for one in names if one.key == alias.key and one.title)
                if title := next(titles, ""):
                    return title
        return alias.name

    def _is_named(self, alias: Alias, event: Event | None) -> bool:
        """Return True if an event contains an alias's name at a path that the mapping reads."""
        sources = (self._live.sources[alias.source], self._live.files[alias.source])
        return event is not None and any(
            alias.key == one.key for source in sources for one in names_in(source, event)
        )

    def _hold_again(self, replays: Replays, event_id: int, alias: Alias) -> None:
        """Map an event again without an alias. Keep the event's other bookings if possible.

        Otherwise, replace all of them, because none may be sent to the unassigned community.
        """
        done = replays.replay(
            event_id,
            by=self._by,
            dry_run=False,
            is_replaced=lambda booking: booking.community == alias.community,
        )
        if done.refusal is not None and done.refusal.startswith("its booking"):
            replays.replay(event_id, by=self._by, dry_run=False)

    def _waiting(self, source: str, value: str, *, limit: int = MOST_LEADS + 1) -> list[Event]:
        """Return the webhooks whose leads are held because of an unknown name, oldest first."""
        with self._store.transaction() as tx:
            ids = tx.overrides.events_waiting(source, value, limit=limit)
            events = [tx.events.get(one) for one in ids]
        return [event for event in events if event is not None and event.kept == "all"]

    def _record(self, tx: Transaction, action: str, alias: Alias, event_id: int | None) -> None:
        # Leave out the name, which comes from a payload. Name a webhook that contains it instead.
        detail = f"{alias.source}: {alias.community}"
        tx.audit.record(action, by=self._by, at=self._clock(), lead_id=event_id, detail=detail)

    def _named_event(self, tx: Transaction, alias: Alias) -> int | None:
        """Return the ID of a webhook that contains an alias's name, or None."""
        ids = _events_at(tx, alias)
        with contextlib.suppress(KeyMissing):
            return next((one for one in ids if self._is_named(alias, tx.events.get(one))), None)
        return None


def _events_at(tx: Transaction, alias: Alias) -> Iterable[int]:
    """Return the IDs of the first and the newest webhooks that may contain an alias's name."""
    states = [str(state) for state in BookingState]
    newest = tx.overrides.bookings_since(alias, states, before=None, limit=MOST_TITLED)
    first = tx.overrides.first_events(alias, limit=MOST_TITLED)
    return dict.fromkeys((*first, *(booking.event_id for booking in newest)))


def _held_event(tx: Transaction, alias: Alias) -> int | None:
    """Return the ID of a webhook whose lead is held because of an alias's name, or None."""
    unknown = [one for one in tx.stats.unknown_communities() if one.source == alias.source]
    found = (one.event_id for one in unknown if key_of_value(one.value or "") == alias.key)
    return next(found, None)


def _counts(fields: Mapping[str, tuple[Any, Any]], today: str) -> dict[str, int]:
    after: dict[str, list[Any]] = {}
    for name, (_, new) in fields.items():
        after.setdefault(name.partition(".")[2], []).append(new)
    outcomes = after.get("outcome", [])
    return {
        "tours": outcomes.count("book"),
        "today": sum(today in str(tour) for tour in after.get("tour", [])),
        "guest_cards": outcomes.count("prospect"),
        "others": 0 if outcomes else 1,
    }


def _booked_tours(fields: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return the tours that would be booked from a webhook's items."""
    items = [name.rpartition(".")[0] for name, (_, new) in fields.items() if new == "book"]
    return [str(fields[f"{item}.tour"][1]) for item in items if f"{item}.tour" in fields]


def key_of_value(value: str) -> str:
    """Convert a JSON value in a lead's reason to a key for the table of aliases."""
    try:
        return key_from_value(json.loads(value)) or ""
    except ValueError:
        return ""


def community_key(name: str, taken: Collection[str]) -> str:
    """Return a unique key for a new community, derived from its name."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "community"
    keys = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
    return next(key for key in keys if key not in taken)


def yaml_of(aliases: Sequence[Alias], added: Sequence[AddedCommunity]) -> str:
    """Return lines for communities.yaml that replace aliases and communities added by users."""
    entries: dict[str, dict[str, Any]] = {one.key: _entry(one) for one in added}
    for alias in aliases:
        entry = entries.setdefault(alias.community, {})
        names = entry.setdefault("known_as", {}).setdefault(alias.source, [])
        names.append(alias.name)
        if alias.attribution_id:
            entry.setdefault("attributions", {})[alias.source] = alias.attribution_id
    return text_from_data(entries) if entries else ""


def _entry(added: AddedCommunity) -> dict[str, Any]:
    names = ("name", "integration_id", "community_id", "timezone")
    options = {
        "tour_hours": dict(added.tour_hours),
        "check_availability": added.check_availability,
        "pms": added.pms,
    }
    chosen = {name: value for name, value in options.items() if value}
    return {name: getattr(added, name) for name in names} | chosen
