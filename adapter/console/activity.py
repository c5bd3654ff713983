"""Serve the activity page, which lists users' actions as sentences."""

from typing import Final

import flask
from markupsafe import Markup, escape

from adapter.console.context import bp, services
from adapter.console.display import escape_invisible
from adapter.console.form_input import row_id_from
from adapter.operations.sign_in import LOCAL
from adapter.store import AuditEntry

PAGE_SIZE: Final = 50
#: What a user did, by action. ``{lead}`` is a link, and ``{detail}`` comes from the audit log.
SENTENCES: Final = {
    "looked": "looked at {lead}",
    "looked_at_rejected": "looked at a rejected message: {detail}",
    "released": "booked {lead} {detail}",
    "confirmed": "marked {lead} as already in Knock",
    "discarded": "dismissed {lead} {detail}",
    "replayed": "had {lead} read again with the current settings",
    "replayed_by_force": "booked {lead} again",
    "undone": "undid the booking of {lead}",
    "brought_back": "brought {lead} back",
    "snoozed": "snoozed {lead}",
    "unsnoozed": "showed {lead} again",
    "assigned": "assigned {lead} to {detail}",
    "unassigned": "removed the person from {lead}",
    "exported": "exported leads: {detail}",
    "reconciled": "compared a portal's list with the leads: {detail}",
    "searched": "searched for a lead",
    "searched_rejected": "searched the rejected messages {detail}",
    "signed_in": "signed in",
    "let_in": "rechecked rejected messages: {detail}",
    "backtested": "tested a changed mapping: {detail}",
    "user_added": "added a person or set a password: {detail}",
    "user_removed": "removed a person: {detail}",
    "role_changed": "changed a role: {detail}",
    "password_changed": "changed their password",
    "unlocked": "unlocked all sign-ins",
    "paused": "paused sending: {detail}",
    "resumed": "resumed sending: {detail}",
    "restored": "resumed sending after a restore: {detail}",
    "property_assigned": "assigned a property: {detail}",
    "property_unassigned": "took an assigned property back: {detail}",
    "community_added": "added a community: {detail}",
    "mapping_put_in_place": "put a mapping in place: {detail}",
    "mapping_rolled_back": "rolled a mapping back: {detail}",
}


@bp.get("/audit")
def audit() -> str:
    """Show users' actions, newest first. Page views are listed only on request."""
    args = flask.request.args
    by, action = _known_name(args.get("by", "").strip()), args.get("action", "")
    lead_id, before = row_id_from(args.get("lead")), row_id_from(args.get("before"))
    hidden = None if args.get("looks") or action else "looked"
    with services.store.transaction() as tx:
        entries = tx.audit.entries(
            by=by or None,
            action=action or None,
            lead_id=lead_id,
            before=before,
            limit=PAGE_SIZE,
            except_action=hidden,
        )
    query = {name: args[name] for name in ("by", "action", "lead", "looks") if args.get(name)}
    return flask.render_template(
        "console/audit.html",
        entries=[(entry, sentence(entry)) for entry in entries],
        query=query,
        actions={
            one: text.partition(":")[0].replace("{lead}", "a lead").partition(" {")[0]
            for one, text in SENTENCES.items()
        },
        next_before=entries[-1].id if len(entries) == PAGE_SIZE else None,
    )


def sentence(entry: AuditEntry) -> Markup:
    """Return a user's action as the rest of a sentence that begins with the user's name."""
    text = SENTENCES.get(entry.action)
    if text is None:
        text = entry.action.replace("_", " ") + (" {lead}" if entry.lead_id else "") + " {detail}"
    escaped = Markup(escape(text))  # noqa: S704 - it is escaped
    return escaped.format(lead=_link(entry.lead_id), detail=escape_invisible(entry.detail))


def _link(lead_id: int | None) -> Markup | str:
    if lead_id is None:
        return "a lead"
    address = flask.url_for("console.lead", key=lead_id)
    return Markup('<a href="{}">#{}</a>').format(address, lead_id)


def _known_name(text: str) -> str:
    """Return a user's name in its original spelling, given the name in any case."""
    names: dict[str, str] = {
        one.casefold(): one for one in services.sign_in.users() if one != LOCAL
    }
    return names.get(text.casefold(), text)
