"""Serve the pages where users assign unrecognized properties to communities."""

import dataclasses
import difflib
import time
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, services
from adapter.console.form_input import row_id_from
from adapter.console.renters import names_of
from adapter.console.stored_messages import event_of
from adapter.console.time_html import ZONES, zone_title
from adapter.console.wording import changed_value
from adapter.exceptions import KeyMissing, NotPossible, UpstreamError
from adapter.mapping.engine import Community
from adapter.models import AddedCommunity, Alias, Event
from adapter.operations.aliases import (
    Aliases,
    Preview,
    PropertyName,
    TakenBack,
    community_key,
    key_of_value,
    names_in,
    yaml_of,
)
from adapter.operations.check_models import unreadable
from adapter.operations.take_back import UNDO_SECONDS
from adapter.propexo.directory import Directory, RateLimitedReads
from adapter.store import UnknownCommunity
from adapter.store.crm_models import CrmModel, Reading

#: Maximum numbers of properties and of communities on a page.
MOST_PROPERTIES: Final = 30
MOST_COMMUNITIES: Final = 60
#: Maximum number of leads already in Knock to list after an assignment is undone.
MOST_SENT: Final = 50
NO_LIST: Final = (
    "We can't get the list of communities from Knock right now. Try again in a few minutes."
)
#: A community whose name is at least this similar is shown first.
SIMILAR: Final = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Unrecognized:
    """A property name that matches no community, with the number of affected leads."""

    source: str
    value: str
    name: PropertyName | None
    leads: int
    #: True if the property has been assigned, but these leads were received earlier.
    is_assigned: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A community that a user may choose for an unrecognized property."""

    community: Community
    is_similar: bool


@bp.app_context_processor
def community_helpers() -> dict[str, Any]:
    """Return the template functions that display communities and time zones."""
    return {"community_title": community_title, "zone_title": zone_title}


def community_title(key: str | None) -> str:
    """Return a community's display name, or its key if the community is unknown.

    Return "" if the key is None.
    """
    found = _communities().get(key or "")
    return found.title if found is not None else key or ""


def aliases() -> Aliases:
    """Return the operations that assign properties on behalf of the signed-in user."""
    live = services.pipeline.live
    return Aliases(services.settings, services.store, live, services.now, flask.g.user.name)


@bp.get("/communities")
def communities() -> str:
    """Show unrecognized properties, assigned properties, and all communities."""
    with services.store.transaction() as tx:
        every = tx.stats.unknown_communities()
        unknown = [one for one in every if one.value is not None]
        shown = sorted(unknown, key=lambda one: -one.waiting)[:MOST_PROPERTIES]
        events = {one.event_id: event_of(tx, one.event_id) for one in shown}
        numbers = map(row_id_from, flask.request.args.getlist("sent")[:MOST_SENT])
        sent = [tx.bookings.get(number) for number in numbers if number is not None]
        models = tx.crm_models.all()
    live = services.pipeline.live
    return flask.render_template(
        "console/communities.html",
        unrecognized=[
            _unrecognized(one, event) for one in shown for event in [events.get(one.event_id)]
        ],
        more=len(unknown) - len(shown),
        nameless=sum(one.waiting for one in every if one.value is None),
        sent=[one for one in sent if one is not None],
        assigned=[
            (
                alias,
                _title(alias) if number < MOST_PROPERTIES else alias.name,
                live.status_of(alias),
            )
            for number, alias in enumerate(reversed(live.overrides.aliases))
        ],
        yaml=yaml_of(live.overrides.aliases, live.added),
        added={one.key for one in live.added},
        known=sorted(_communities().values(), key=lambda one: one.title),
        lead_sources=_lead_sources(),
        not_readable=_not_readable(models),
    )


def _not_readable(models: Sequence[CrmModel]) -> list[str]:
    """Return the names of communities whose tours cannot be read from Knock."""
    is_sandbox = services.settings.is_sandbox
    lost = {
        one.integration_id
        for one in unreadable(models)
        if one.state is Reading.OFF or not is_sandbox
    }
    return sorted(one.title for one in _communities().values() if one.integration_id in lost)


def _title(alias: Alias) -> str:
    """Return an assigned property's display name."""
    try:
        return aliases().title_of(alias)
    except KeyMissing:
        return alias.name


def _unrecognized(unknown: UnknownCommunity, event: Event | None) -> Unrecognized:
    source, value = services.sources.get(unknown.source), unknown.value or ""
    names = names_in(source, event) if source is not None and event is not None else []
    name = next((one for one in names if one.value == value), None)
    known = source.community_lookup.known if source is not None else {}
    return Unrecognized(
        source=unknown.source,
        value=value,
        name=name,
        leads=unknown.waiting,
        is_assigned=name is not None and name.key in known,
    )


@bp.get("/communities/pick")
def pick_community() -> str:
    """Show the communities that a property can be assigned to, and preview the chosen one."""
    args = flask.request.args
    source, value, name = _property(args)
    if name.key in services.sources[source].community_lookup.known:
        return _book_assigned(source, value, name)
    chosen = _communities(source).get(args.get("community", ""))
    attribution = args.get("attribution", "").strip()
    needs_attribution = chosen is not None and not chosen.attributions.get(source)
    preview = None
    if chosen is not None and (attribution or not needs_attribution):
        alias = _alias(source, name, chosen.key, attribution if needs_attribution else "")
        preview = aliases().preview(source, value, alias)
    query = args.get("find", "").strip()
    choices = _choices(name, query, list(_communities(source).values()))
    return flask.render_template(
        "console/pick_community.html",
        source=source,
        value=value,
        name=name,
        leads=_waiting(source, value),
        chosen=chosen,
        attribution=attribution,
        attributions=_attributions(chosen) if needs_attribution and chosen else None,
        preview=preview,
        tours=_tours(preview) if preview is not None else [],
        choices=choices[:MOST_COMMUNITIES],
        more=max(0, len(choices) - MOST_COMMUNITIES),
        find=query,
    )


def _tours(preview: Preview) -> list[tuple[str, str]]:
    """Return the renter's name and the time of each tour that would be booked."""
    with services.store.transaction() as tx:
        names = names_of(tx, preview.booked)
    return [
        (names.get(event_id, "No name"), changed_value("tour", tour))
        for event_id, tours in preview.booked.items()
        for tour in tours
    ]


def _book_assigned(source: str, value: str, name: PropertyName) -> str:
    """Show a page that offers to book leads received before their property was assigned."""
    known = services.sources[source].community_lookup.known[name.key]
    return flask.render_template(
        "console/book_assigned.html",
        source=source,
        value=value,
        name=name,
        community=known,
        leads=_waiting(source, value),
    )


@bp.post("/communities/assign")
def assign_community() -> Any:
    """Assign a property to a community, and book the leads that were waiting for it."""
    form = flask.request.form
    source, value, name = _property(form)
    operation = aliases()
    attribution = form.get("attribution", "").strip()
    operation.add(_alias(source, name, form.get("community", ""), attribution))
    changed, left = operation.book_waiting(source, value)
    return _to_assigned(source, name.key, changed=changed, left=left)


@bp.post("/communities/continue")
def continue_assigned() -> Any:
    """Book more of the leads that were waiting for an assigned property."""
    source, value, name = _property(flask.request.form)
    changed, left = aliases().book_waiting(source, value)
    return _to_assigned(source, name.key, changed=changed, left=left)


@bp.get("/communities/assigned")
def assigned_community() -> str:
    """Show a new assignment, with an undo button."""
    args = flask.request.args
    source, key = args.get("source", ""), args.get("key", "")
    alias = _assigned(source, key)
    if alias is None:
        raise NotFound("This assignment was undone.")
    with services.store.transaction() as tx:
        unknown = tx.stats.unknown_communities()
    values = [one.value or "" for one in unknown if one.source == source]
    left = next((value for value in values if key_of_value(value) == key), "")
    counts = {name: args.get(name, "") for name in ("changed", "left")}
    return flask.render_template(
        "console/assigned.html",
        alias=alias,
        title=_title(alias),
        left_value=left,
        undo_seconds=UNDO_SECONDS,
        may_undo=services.now().timestamp() < (row_id_from(args.get("until")) or 0),
        **{name: int(text) if text.isdigit() else 0 for name, text in counts.items()},
    )


def _assigned(source: str, key: str) -> Alias | None:
    found = services.pipeline.live.overrides.aliases
    return next((one for one in found if (one.source, one.key) == (source, key)), None)


@bp.post("/communities/undo")
def undo_assignment() -> Any:
    """Undo a property's assignment, and hold its unsent leads for review again."""
    form = flask.request.form
    source, key = form.get("source", ""), form.get("key", "")
    alias = _assigned(source, key)
    title = _title(alias) if alias is not None else ""
    taken = aliases().remove(source, key)
    flask.flash(_taken_back_text(taken, title), "warn" if taken.sent else "good")
    sent = [booking.id for booking in taken.sent[:MOST_SENT]]
    return flask.redirect(flask.url_for("console.communities", sent=sent))


def _taken_back_text(taken: TakenBack, title: str) -> str:
    community = community_title(taken.alias.community)
    text = f"{title or taken.alias.name} is no longer assigned to {community}."
    if taken.leads == 1:
        text += " 1 lead needs a community again."
    elif taken.leads:
        text += f" {taken.leads} leads need a community again."
    if taken.sent:
        count = "1 tour is" if len(taken.sent) == 1 else f"{len(taken.sent)} tours are"
        text += f" {count} already in Knock, see below."
    return text


@bp.get("/communities/new")
def new_community() -> str:
    """Show the communities in Propexo that are not set up in the adapter yet."""
    try:
        listed, error = _unlisted(_directory()), ""
    except UpstreamError:
        listed, error = [], NO_LIST
    return flask.render_template(
        "console/new_community.html", listed=listed, error=error, zones=ZONES, query=_query()
    )


@bp.post("/communities/new")
def add_community() -> Any:
    """Add a community that the user selected from Propexo's list."""
    form, zone = flask.request.form, flask.request.form.get("timezone", "")
    chosen = form.get("listed", "")
    try:
        listed = {f"{one[0]} {one[1]}": one for one in _unlisted(_directory())}
    except UpstreamError as exc:
        raise NotPossible(NO_LIST) from exc
    if chosen not in listed:
        raise NotPossible("Choose a community from the list.")
    if zone not in zoneinfo.available_timezones():
        raise NotPossible("Choose the community's time zone.")
    integration_id, community_id, name = listed[chosen]
    added = AddedCommunity(
        key=community_key(name or community_id, _communities()),
        name=name or community_id,
        integration_id=integration_id,
        community_id=community_id,
        timezone=zone,
        by=flask.g.user.name,
        at=services.now(),
    )
    aliases().add_community(added)
    flask.flash(f"Added {added.name}.", "good")
    if form.get("source"):
        source, value = form["source"], form.get("value", "")
        target = flask.url_for(
            "console.pick_community", source=source, value=value, community=added.key
        )
        return flask.redirect(target)
    return flask.redirect(flask.url_for("console.communities"))


def _to_assigned(source: str, key: str, *, changed: int, left: int) -> Any:
    until = int(services.now().timestamp()) + UNDO_SECONDS
    target = flask.url_for(
        "console.assigned_community",
        source=source,
        key=key,
        changed=changed,
        left=left,
        until=until,
    )
    return flask.redirect(target)


def _query() -> dict[str, str]:
    args = flask.request.args
    return {name: args[name] for name in ("source", "value") if args.get(name)}


def _property(values: Mapping[str, str]) -> tuple[str, str, PropertyName]:
    """Return the source, value and name of the property in a query string or form."""
    source, value = values.get("source", ""), values.get("value", "")
    name = aliases().property_of(source, value)
    if name is None:
        raise NotFound("No lead is waiting for this property anymore.")
    return source, value, name


def _alias(source: str, name: PropertyName, community: str, attribution: str) -> Alias:
    return Alias(
        source=source,
        key=name.key,
        name=name.name,
        community=community,
        attribution_id=attribution or None,
        by=flask.g.user.name,
        at=services.now(),
    )


def _waiting(source: str, value: str) -> int:
    with services.store.transaction() as tx:
        unknown = tx.stats.unknown_communities()
    return sum(one.waiting for one in unknown if (one.source, one.value) == (source, value))


def _communities(source: str | None = None) -> Mapping[str, Community]:
    """Return a source's communities by key, or all communities if no source is given."""
    if source is not None and source in services.sources:
        return services.sources[source].communities
    return {
        key: one for loaded in services.sources.values() for key, one in loaded.communities.items()
    }


def _lead_sources() -> Mapping[str, Sequence[str]]:
    """Return the sources with a name for each community, keyed by community.

    Each source knows only its own assigned properties.
    """
    pairs = {
        (key, name)
        for loaded in services.sources.values()
        for key, one in loaded.communities.items()
        for name in one.known_as
    }
    found: dict[str, list[str]] = {}
    for key, name in sorted(pairs):
        found.setdefault(key, []).append(name)
    return found


def _choices(name: PropertyName, query: str, known: Sequence[Community]) -> list[Choice]:
    """Return the communities that match a search, with similar names first."""
    found = [one for one in known if query.casefold() in f"{one.title} {one.key}".casefold()]
    words = {one.key: _similarity(name, one) for one in found}
    ranked = sorted(
        found, key=lambda one: (-words[one.key] * (words[one.key] >= SIMILAR), one.title)
    )
    return [Choice(community=one, is_similar=words[one.key] >= SIMILAR) for one in ranked]


def _similarity(name: PropertyName, community: Community) -> float:
    return max(
        difflib.SequenceMatcher(None, text.casefold(), community.title.casefold()).ratio()
        for text in (name.title, name.name)
    )


def _attributions(community: Community) -> Mapping[str, str]:
    """Return a community's attributions, keyed by ID, or {} if Propexo's list cannot be read."""
    try:
        return _directory().attributions(community.integration_id, community.community_id)
    except UpstreamError:
        return {}


def _unlisted(directory: Directory) -> list[tuple[str, str, str]]:
    """Return (integration ID, community ID, name) for each community not set up yet."""
    known = {one.community_id for one in _communities().values()}
    return [
        (integration, community_id, name)
        for integration in directory.integrations
        for community_id, name in directory.communities(integration).items()
        if community_id not in known
    ]


def _directory() -> Directory:
    """Return a reader for Propexo's lists that stays within the rate limit."""
    parts = (services.pipeline.propexo, services.settings, services.store, services.now)
    return Directory(RateLimitedReads(*parts, time.sleep).page)
