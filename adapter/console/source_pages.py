"""Serve the list of lead sources, and a page for each source."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound, TooManyRequests

from adapter import signatures
from adapter.bookings.reconcile import replacing_in_knock
from adapter.console.context import bp, services
from adapter.console.mapping_fix import fixes_of
from adapter.console.needs_you import changed_sources
from adapter.console.renters import messages_of
from adapter.console.status_line import current_verdict
from adapter.console.views import record_action
from adapter.exceptions import NotPossible
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.operations import trial_message
from adapter.operations.status import DAY
from adapter.store import Filter
from adapter.webhooks import signed_client
from adapter.webhooks.endpoints import secret_names

#: Maximum size of a message that is shown as a curl command.
MAX_CURL_BYTES: Final = 20_000
_sending: Final = threading.Lock()
#: Number of a source's newest messages on its page.
NEWEST: Final = 10
#: A description of each signature scheme, by name.
SCHEMES: Final = {
    "hmac": "The sender signs each message with a secret that only you and the sender know.",
    "token": "The sender adds a secret token to each message.",
    "basic": "The sender adds a username and a password to each message.",
    "none": "We can't verify the sender. Anyone who knows the address can send messages.",
}


#: Titles for the entries in a mapping's ``about`` section, by key.
ABOUT: Final = {
    "switch_on": "How to set up this sender",
    "retries": "If this sender can't reach us",
    "cannot": "Limitations of this sender",
}


@bp.app_context_processor
def source_helpers() -> dict[str, Any]:
    """Return the template function that formats a stored message as a curl command."""
    return {"curl_of": curl_of}


#: Headers that belong to the connection of the original request.
_OF_CONNECTION: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "transfer-encoding"}
)


def _is_left_out(header: str) -> bool:
    return header in _OF_CONNECTION or "signature" in header or "hmac" in header


def curl_of(name: str, request: WebhookRequest) -> str:
    """Return a curl command that sends a message again, or "" if the message is too long.

    It is not signed, because a message's credentials are not stored.
    """
    if len(request.body) > MAX_CURL_BYTES:
        return ""
    query = request.url.partition("?")[2]
    url = _address(name) + (f"?{query}" if query else "")
    unsigned = request.without_headers({n for n in request.lowercase_headers if _is_left_out(n)})
    return signed_client.curl(dataclasses.replace(unsigned, method="POST", url=url))


@bp.get("/sources")
def sources() -> str:
    """List the lead sources, comparing today's number of webhooks with the usual number."""
    names, now = sorted(services.sources), services.now()
    with services.store.transaction() as tx:
        activity = tx.stats.source_activity(names, now - DAY, now)
        rejected, pauses = tx.rejections.counts(), tx.send_queue.pauses()
    problems = current_verdict().problems
    return flask.render_template(
        "console/sources.html",
        activity=activity,
        rejected=rejected,
        quiet={one.source for one in problems if one.code == "source_silent"},
        refused={one.source for one in problems if one.code == "source_refused"},
        changed=changed_sources(),
        paused={one.source for one in pauses if one.source},
        descriptions={name: one.description for name, one in services.sources.items()},
    )


@bp.get("/sources/<name>")
def source(name: str) -> str:
    """Show a lead source's URL, signature and latest webhooks."""
    found = services.sources.get(name)
    if found is None:
        raise NotFound("There is no lead source with this name.")
    now, secrets = services.now(), secret_names(found)
    with services.store.transaction() as tx:
        [activity] = tx.stats.source_activity([name], now - DAY, now)
        uses, rejected = tx.stats.secret_uses(), tx.rejections.counts().get(name, 0)
        messages = messages_of(tx, tx.search.events(Filter(source=name), limit=NEWEST))
        replaced = replacing_in_knock(tx, [one.bookings[0] for one in messages if one.bookings])
        pause = next((one for one in tx.send_queue.pauses() if one.source == name), None)
    scheme = signatures.scheme_of(found.signature)
    return flask.render_template(
        "console/source.html",
        source=found,
        address=_address(name),
        proof=SCHEMES.get(scheme, "The sender signs each message."),
        preset=found.signature.get("preset"),
        secrets=[_secret(secret, uses.get((name, secret))) for secret in secrets],
        activity=activity,
        rejected=rejected,
        messages=messages,
        replaced=replaced,
        pause=pause,
        about=_about(found),
        has_sample=trial_message.may_sign(found) and trial_message.sample_of(found) is not None,
        fixes=fixes_of(name),
        is_quiet=any(
            one.source == name and one.code == "source_silent" for one in current_verdict().problems
        ),
    )


@bp.post("/sources/<name>/test")
def send_test_message(name: str) -> Any:
    """Send a signed sample to the source's own URL, where it is verified and then discarded."""
    found = services.sources.get(name)
    if found is None:
        raise NotFound("There is no lead source with this name.")
    record_action("test_sent", detail=name)
    try:
        with one_trial_message():
            trial_message.send(found, services.settings, services.store, services.now)
    except NotPossible as exc:
        flask.flash(str(exc), "bad")
    else:
        flask.flash("The test message arrived and was accepted. Nothing was booked.", "good")
    return flask.redirect(flask.url_for("console.source", name=name))


@contextlib.contextmanager
def one_trial_message() -> Iterator[None]:
    """Abort the request with 429 if this process is already sending a test message.

    Each test message keeps two of the process's threads busy.
    """
    if not _sending.acquire(blocking=False):
        raise TooManyRequests("Another test message is being sent. Try again in a few seconds.")
    try:
        yield
    finally:
        _sending.release()


def _about(source: Source) -> list[tuple[str, str]]:
    """Return the title and text of each entry in a mapping's ``about`` section."""
    known = source.sections.get("about", {})
    return [(title, known[key]) for key, title in ABOUT.items() if known.get(key)]


def _address(name: str) -> str:
    """Return the URL that a source sends its webhooks to."""
    return f"{services.settings.public_url or flask.request.host_url.rstrip('/')}/hooks/{name}"


def _secret(variable: str, used_at: Any) -> dict[str, Any]:
    is_set = bool(services.settings.environ.get(variable, "").strip())
    return {"name": variable, "is_set": is_set, "used_at": used_at}
