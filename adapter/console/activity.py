"""Serve the activity page, which lists users' actions as sentences."""

import datetime as dt
import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import flask
from markupsafe import Markup, escape

from adapter.console.context import bp, services
from adapter.console.display import escape_invisible
from adapter.console.form_input import row_id_from
from adapter.console.renters import names_of
from adapter.console.stored_messages import event_of
from adapter.models import LOCAL_USER, shown_user
from adapter.operations.advice import label_of
from adapter.operations.aliases import names_in
from adapter.store import AuditEntry

PAGE_SIZE: Final = 50
#: What a user did, by action, as a phrase that follows the user's name.
#: ``{lead}`` is a link with the renter's name. The other values come from the entry's detail.
SENTENCES: Final[Mapping[str, str]] = {
    "looked": "opened {a_lead}",
    "looked_at_rejected": "read a rejected message from {first}",
    "released": "sent {a_lead} to Knock{anyway}",
    "edited_and_released": "changed {the_fields} and sent the lead to Knock{anyway}",
    "time_given": "added a time to {a_tour} and booked it",
    "confirmed": "marked {a_tour} as already in Knock",
    "discarded": "dismissed {a_lead}",
    "reported_canceled": "reported that {a_tour} was canceled in Knock",
    "replayed": "read {a_message} again",
    "replayed_by_force": "read {a_message} again, although it was finished",
    "undone": "undid {a_booking}",
    "brought_back": "brought back {a_lead}",
    "snoozed": "snoozed {a_lead}",
    "unsnoozed": "unsnoozed {a_lead}",
    "assigned": "assigned {a_lead} to {detail}",
    "unassigned": "unassigned {a_lead}",
    "exported": "exported leads{filter}",
    "reconciled": "checked a portal's invoice against the leads",
    "searched": "searched for a renter",
    "searched_rejected": "searched the rejected messages{of_detail}",
    "signed_in": "signed in",
    "let_in": "rechecked the rejected messages from {detail}",
    "backtested": "tested a change to the {detail} mapping",
    "drafted": "drafted a mapping for {detail}",
    "test_sent": "sent a test message for {detail}",
    "user_added": "added {first} with {access} access",
    "user_removed": "removed {first}",
    "role_changed": "changed {first}'s access, and {first} {role} now",
    "password_set": "set a new password for {first}",
    "password_changed": "changed their own password",
    "password_refused": "entered the wrong current password",
    "unlocked": "unlocked sign-in for everyone who was locked out",
    "paused": "paused {paused}. Reason: {reason}",
    "resumed": "resumed {paused}",
    "restored": "resumed bookings after the database was restored",
    "property_assigned": "assigned {property} to {community}",
    "property_unassigned": "removed the assignment of {property} to {community}",
    "not_taken_back": "couldn't undo the bookings of {sent}, which are already in Knock",
    "community_added": "added the community {community}",
    "community_changed": "updated {community}'s settings",
    "mapping_put_in_place": "published version {last} of the {first} mapping",
    "mapping_rolled_back": "rolled back the {first} mapping, which is now version {last}",
    "alarm_acknowledged": "acknowledged an alarm: {detail}",
    "alarm_snoozed": "snoozed an alarm: {detail}",
}
#: The name of each action in the filter.
NAMES: Final[Mapping[str, str]] = {
    "looked": "Opened a lead",
    "looked_at_rejected": "Read a rejected message",
    "released": "Sent a lead to Knock",
    "edited_and_released": "Changed a lead and sent it to Knock",
    "time_given": "Added a tour time",
    "confirmed": "Marked a lead as in Knock",
    "discarded": "Dismissed a lead",
    "reported_canceled": "Reported a canceled tour",
    "replayed": "Read a message again",
    "replayed_by_force": "Read a closed message again",
    "undone": "Undid a booking",
    "brought_back": "Brought a lead back",
    "snoozed": "Snoozed a lead",
    "unsnoozed": "Unsnoozed a lead",
    "assigned": "Assigned a lead",
    "unassigned": "Unassigned a lead",
    "exported": "Exported leads",
    "reconciled": "Checked an invoice",
    "searched": "Searched for a renter",
    "searched_rejected": "Searched rejected messages",
    "signed_in": "Signed in",
    "let_in": "Rechecked rejected messages",
    "backtested": "Tested a mapping",
    "drafted": "Drafted a mapping",
    "test_sent": "Sent a test message",
    "user_added": "Added a person",
    "user_removed": "Removed a person",
    "role_changed": "Changed a person's access",
    "password_set": "Set a person's password",
    "password_changed": "Changed their own password",
    "password_refused": "Entered the wrong password",
    "unlocked": "Unlocked sign-ins",
    "paused": "Paused bookings",
    "resumed": "Resumed bookings",
    "restored": "Resumed after a restore",
    "property_assigned": "Assigned a property",
    "property_unassigned": "Removed a property's assignment",
    "not_taken_back": "Couldn't undo bookings",
    "community_added": "Added a community",
    "community_changed": "Changed a community",
    "mapping_put_in_place": "Published a mapping",
    "mapping_rolled_back": "Rolled back a mapping",
    "alarm_acknowledged": "Acknowledged an alarm",
    "alarm_snoozed": "Snoozed an alarm",
}
#: What users with each role can do.
ROLES: Final = {"operate": "can edit", "read": "can only view"}
#: The access that each role gives.
ACCESS: Final = {"operate": "edit", "read": "view-only"}
#: What a user confirmed when booking a lead, by the word in the entry's detail.
CONFIRMED: Final = {
    "anyway": "even though there was a similar or newer request",
    "another_person": "because this is a different person",
}
#: What a user did to several leads with one click, by action.
MANY: Final[Mapping[str, str]] = {
    "released": "sent {leads} to Knock",
    "confirmed": "marked {leads} as already in Knock",
    "discarded": "dismissed {leads}",
    "replayed": "read {leads} again",
    "undone": "undid the booking of {leads}",
    "snoozed": "snoozed {leads}",
    "assigned": "assigned {leads} to {detail}",
}
#: Actions after which the same click rereads the leads of a property.
OF_PROPERTY: Final = ("property_assigned", "property_unassigned")
#: Maximum time between two successive entries of the same click.
ONE_CLICK: Final = dt.timedelta(seconds=5)
MOST_NAMED: Final = 3
#: Maximum number of entries to read for a page. One click makes an entry for each of 200 leads.
MOST_READ: Final = 250
#: The ID of a lead in a detail that lists leads.
_NUMBER: Final = re.compile(r"\d+")
#: The beginnings of actions that only show data.
_LOOKS: Final = ("looked", "searched")


@bp.get("/audit")
def audit() -> str:
    """Show users' actions, newest first. Page views and searches are listed only on request."""
    args = flask.request.args
    by, action = _known_name(args.get("by", "").strip()), args.get("action", "")
    lead_id, before = row_id_from(args.get("lead", "").removeprefix("#")), args.get("before")
    hidden = () if args.get("looks") or action else _LOOKS
    with services.store.transaction() as tx:
        entries = tx.audit.entries(
            by=by or None,
            action=action or None,
            lead_id=lead_id,
            before=row_id_from(before),
            limit=MOST_READ,
            except_actions=hidden,
        )
        runs = list(_runs(entries))[:PAGE_SIZE]
        names = names_of(tx, (one for run in runs for entry in run for one in _leads_in(entry)))
        sent = tx.bookings.pending_at_first(
            entry.lead_id for run in runs for entry in run if entry.lead_id and _is_replay(entry)
        )
    last = runs[-1][-1].id if runs else None
    query = {name: args[name] for name in ("by", "action", "lead", "looks") if args.get(name)}
    return flask.render_template(
        "console/audit.html",
        entries=[(run[0], _sentence_of(run, names, sent)) for run in runs],
        query=query,
        actions=NAMES,
        next_before=last if len(entries) == MOST_READ or last != _last_id(entries) else None,
    )


def _last_id(entries: Sequence[AuditEntry]) -> int | None:
    return entries[-1].id if entries else None


def _runs(entries: Sequence[AuditEntry]) -> Iterator[Sequence[AuditEntry]]:
    """Group audit log entries, newest first, by the click that caused them."""
    run: list[AuditEntry] = []
    for entry in entries:
        if run and not _is_one_click(run[-1], entry):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


def _is_one_click(later: AuditEntry, earlier: AuditEntry) -> bool:
    if later.by != earlier.by or later.at - earlier.at >= ONE_CLICK:
        return False
    if _is_replay(later) and earlier.action in OF_PROPERTY:
        return True
    is_same = (later.action, later.detail) == (earlier.action, earlier.detail)
    return is_same and later.action in MANY


def _is_replay(entry: AuditEntry) -> bool:
    return entry.action in ("replayed", "replayed_by_force")


#: The replays that led to bookings: pairs of an event ID and a time.
_Sent = Collection[tuple[int, dt.datetime]]


def _sentence_of(run: Sequence[AuditEntry], names: Mapping[int, str], sent: _Sent) -> Markup:
    """Describe one click. If leads were read again, say how many were sent to Knock."""
    first, replays = run[-1], [entry for entry in run if _is_replay(entry)]
    booked = sum((entry.lead_id, entry.at) in sent for entry in replays)
    if first.action in OF_PROPERTY and replays:
        result = _result_of_assignment(first.action, replays, booked)
        return sentence(first, names) + result
    if not booked:
        return _sentence_of_click(run, names)
    if len(run) == 1:
        return sentence(first, names) + " and sent the lead to Knock"
    what = "all of them" if booked == len(replays) else f"{booked} of them"
    text = Markup("read {} again and sent {} to Knock: {}")
    return text.format(_leads(run), what, _named(run, names))


def _result_of_assignment(action: str, replays: Sequence[AuditEntry], booked: int) -> Markup:
    leads = _leads(replays)
    if action == "property_unassigned":
        need = "needs" if len(replays) == 1 else "need"
        return Markup(", so {} {} review again").format(leads, need)
    if not booked:
        return Markup(" and read {} again").format(leads)
    number = "" if booked == len(replays) else f"{booked} of "
    return Markup(" and sent {}{} to Knock").format(number, leads)


def _sentence_of_click(run: Sequence[AuditEntry], names: Mapping[int, str]) -> Markup:
    first = run[-1]
    if len(run) == 1:
        return sentence(first, names)
    text = "assigned {leads} to themselves" if _is_own(first) else MANY[first.action]
    did = Markup(escape(text)).format(leads=_leads(run), detail=shown_user(first.detail))  # noqa: S704 - escaped
    return Markup("{}: {}").format(did, _named(run, names))


def _leads(run: Sequence[AuditEntry]) -> Markup:
    """Return a link to the leads that several entries refer to, such as ``10 leads``."""
    ids = list(dict.fromkeys(entry.lead_id for entry in run if entry.lead_id))
    address = flask.url_for("console.several", leads=",".join(map(str, ids)))
    count = "1 lead" if len(ids) == 1 else f"{len(ids)} leads"
    return Markup('<a href="{}">{}</a>').format(address, count)


def _named(run: Sequence[AuditEntry], names: Mapping[int, str]) -> Markup:
    links = [_link(one, names) for one in dict.fromkeys(entry.lead_id for entry in run)]
    shown, more = links[:MOST_NAMED], len(links) - MOST_NAMED
    return listed([*shown, Markup("{} more").format(more)] if more > 0 else shown)


def _is_own(entry: AuditEntry) -> bool:
    """Return True if a user assigned a lead to themselves."""
    return entry.action == "assigned" and entry.detail == entry.by


def sentence(entry: AuditEntry, names: Mapping[int, str]) -> Markup:
    """Describe a user's action as a phrase that follows the user's name."""
    text = SENTENCES.get(entry.action)
    if _is_own(entry):
        text = "assigned {a_lead} to themselves"
    if text is None:
        text = entry.action.replace("_", " ") + " {lead}" * bool(entry.lead_id) + " {detail}"
    values = {name: value(entry, names) for name, value in _VALUES.items() if f"{{{name}}}" in text}
    return Markup(escape(text)).format(**values)  # noqa: S704 - it is escaped


def _leads_in(entry: AuditEntry) -> list[int]:
    """Return the IDs of the leads that an entry refers to."""
    if entry.action == "not_taken_back":
        return [int(one) for one in _NUMBER.findall(entry.detail)]
    return [entry.lead_id] if entry.lead_id is not None else []


def _link(lead_id: int | None, names: Mapping[int, str]) -> Markup:
    if lead_id is None:
        return Markup("a lead")
    address = flask.url_for("console.lead", key=lead_id)
    name = names.get(lead_id) or f"lead #{lead_id}"
    return Markup('<a href="{}"><bdi>{}</bdi></a>').format(address, escape_invisible(name))


def listed(parts: Sequence[str]) -> Markup:
    """Join names or labels, as in ``phone, notes and tour time``."""
    if len(parts) < 2:
        return Markup("").join(parts)
    return Markup("{} and {}").format(Markup(", ").join(parts[:-1]), parts[-1])


def _of(what: str | Markup, entry: AuditEntry, names: Mapping[int, str]) -> Markup:
    """Return a phrase such as ``Dana Okafor's tour``. The name is a link to the lead."""
    link = _link(entry.lead_id, names)
    if names.get(entry.lead_id or 0):
        return Markup("{}'s {}").format(link, what)
    return link if what == "lead" else Markup("the {} of {}").format(what, link)


def _the_fields(entry: AuditEntry, names: Mapping[int, str]) -> Markup:
    """Return a phrase for a lead's changed fields, as in ``Dana Okafor's phone and tour time``."""
    return _of(listed(changed_labels(entry.detail) or ["details"]), entry, names)


def changed_labels(detail: str) -> list[str]:
    """Return the labels of the fields that a user changed before booking a lead."""
    found = [one for one in detail.split(", ") if one and one not in CONFIRMED]
    return [label_of(one).lower() for one in found]


def confirmed(detail: str) -> str:
    """Return a phrase for what a user confirmed when booking a lead, or ""."""
    return "".join(f", {text}" for one, text in CONFIRMED.items() if one in detail.split(", "))


def _paused(detail: str) -> str:
    """Return a phrase for the paused bookings, as in ``bookings from rentfeed``."""
    kind, _, name = detail.partition(":")[0].partition(" ")
    if kind == "source":
        return f"bookings from {name}"
    return f"bookings at {services.community_name(name)}" if kind == "community" else "all bookings"


def _filter(detail: str) -> str:
    """Return a phrase for an export's source and community, as in `` from rentfeed``, or ""."""
    parts = dict(part.partition("=")[::2] for part in detail.split())
    texts = [f" from {parts['source']}"] if "source" in parts else []
    texts += [f" of {services.community_name(parts['community'])}"] if "community" in parts else []
    return "".join(texts)


def _sent(entry: AuditEntry, names: Mapping[int, str]) -> Markup:
    """Return links to the leads that were already in Knock when a property was unassigned."""
    return listed([_link(one, names) for one in _leads_in(entry)])


def _property(entry: AuditEntry, _names: Mapping[int, str]) -> Markup:
    """Return the assigned property's name, read from a message that contains it."""
    source = entry.detail.partition(":")[0]
    with services.store.transaction() as tx:
        event = event_of(tx, entry.lead_id) if entry.lead_id else None
    known = services.sources.get(source)
    found = {*names_in(known, event)} if known and event and event.kept == "all" else set()
    if len(found) != 1:
        return Markup("a property from {}").format(source)
    (one,) = found
    shown = f"{one.title} ({source} ID {one.name})" if one.title else f"{one.name} (from {source})"
    return Markup("<bdi>{}</bdi>").format(escape_invisible(shown))


def _of_detail(function: Callable[[str], str]) -> Callable[[AuditEntry, Mapping[int, str]], Any]:
    return lambda entry, _names: escape_invisible(function(entry.detail))


#: The functions that return the values in sentences, by placeholder.
_VALUES: Final[Mapping[str, Callable[[AuditEntry, Mapping[int, str]], Any]]] = {
    "lead": lambda entry, names: _link(entry.lead_id, names),
    "sent": _sent,
    "property": _property,
    "detail": _of_detail(shown_user),
    "of_detail": _of_detail(lambda detail: f" from {detail}" if detail else ""),
    "first": _of_detail(lambda detail: detail.partition(" ")[0]),
    "last": _of_detail(lambda detail: detail.rpartition(" ")[2]),
    "access": _of_detail(lambda detail: ACCESS.get(detail.rpartition(" ")[2], "")),
    "role": _of_detail(lambda detail: ROLES.get(detail.rpartition(" ")[2], "")),
    "a_lead": functools.partial(_of, "lead"),
    "a_tour": functools.partial(_of, "tour"),
    "a_message": functools.partial(_of, "message"),
    "a_booking": functools.partial(_of, "booking"),
    "the_fields": _the_fields,
    "anyway": _of_detail(confirmed),
    "paused": _of_detail(_paused),
    "reason": _of_detail(lambda detail: detail.partition(": ")[2]),
    "filter": _of_detail(_filter),
    "community": _of_detail(lambda detail: services.community_name(detail.rpartition(": ")[2])),
}


def _known_name(text: str) -> str:
    """Return a user's name as it is stored, ignoring the case of ``text``."""
    users = [*services.sign_in.users(), LOCAL_USER]
    names: dict[str, str] = {shown_user(one).casefold(): one for one in users}
    return names.get(text.casefold(), text)
