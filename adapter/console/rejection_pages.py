"""Serve the pages about webhooks that failed verification."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, services
from adapter.console.display import MAX_RAW_BODY, PayloadLine, payload_lines
from adapter.console.form_input import row_id_from
from adapter.console.views import record_action
from adapter.exceptions import PayloadError
from adapter.models import WebhookRequest
from adapter.operations import readmit
from adapter.operations.readmit import Retried
from adapter.store import Rejection, RejectionSummary

MAX_REJECTIONS: Final = 200
#: The problem and how to solve it, by reason.
CAUSES: Final = {
    "address_not_allowed": (
        "The sender's address is not on our list.",
        "The sender may have new servers. Ask your admin to compare its addresses with our list.",
    ),
    "address_unknown": (
        "We can't see the sender's address.",
        "Ask your admin to set ADAPTER_TRUSTED_PROXIES.",
    ),
    "body_hash_mismatch": (
        "The content was changed in transit.",
        "A proxy or firewall may rewrite messages. Ask your admin.",
    ),
    "credentials_mismatch": (
        "This message's username or password did not match ours.",
        "Ask your admin to compare our username and password with the sender's.",
    ),
    "header_missing": (
        "This message has no signature.",
        "The sender may not have our secret yet, or a stranger called this address.",
    ),
    "signature_mismatch": (
        "The message's signature doesn't match our secret for this source.",
        "Ask your admin to compare our secret with the sender's.",
    ),
    "timestamp_outside_tolerance": (
        "This message's signature is too old.",
        "The sender's clock may be wrong, or this is an old message that was sent again.",
    ),
    "token_mismatch": (
        "This message's token did not match ours.",
        "Ask your admin to compare our token with the sender's.",
    ),
    "token_missing": (
        "This message has no token.",
        "The sender may not have the token yet, or a stranger called this address.",
    ),
}
OTHER_CAUSE: Final = (
    "This message's signature is not what we expect.",
    "The sender may have changed how it signs messages. Ask your admin.",
)


@bp.app_context_processor
def rejection_helpers() -> dict[str, Any]:
    """Return the template function that explains why a webhook was rejected."""
    return {"cause_of": lambda reason: CAUSES.get(reason, OTHER_CAUSE)}


@bp.get("/rejections")
def rejections() -> str:
    """Show webhooks that failed verification, optionally filtered by text."""
    args = flask.request.args
    source, text = args.get("source") or None, args.get("q", "").strip()[:100]
    with services.store.transaction() as tx:
        counts = tx.rejections.counts()
        found = tx.rejections.newest(source=source, limit=MAX_REJECTIONS)
        lost = tx.encryption.undecryptable_rejections()
    hopeless = {name for name, number in counts.items() if _is_hopeless(name, number, found)}
    if text:
        record_action("searched_rejected", detail=source or "")
        ids = set(_containing(text, [source] if source else [*counts]))
        found = [one for one in found if one.id in ids]
    return flask.render_template(
        "console/rejections.html",
        counts=counts,
        found=found,
        lost=lost,
        source=source,
        text=text,
        hopeless=hopeless,
    )


def _is_hopeless(source: str, number: int, found: Iterable[RejectionSummary]) -> bool:
    """Return True if none of a source's rejected webhooks can be verified again."""
    own = [one for one in found if one.source == source]
    return len(own) == number and not any(one.can_retry for one in own)


def _containing(text: str, sources: list[str]) -> Iterator[int]:
    """Yield the IDs of rejected webhooks whose bodies contain the given text."""
    wanted = text.casefold()
    for source in sources:
        with services.store.transaction() as tx:
            kept = tx.rejections.of_source(source)
        yield from (one.id for one in kept if wanted in _body_text(one).casefold())


def _body_text(rejection: Rejection) -> str:
    return (rejection.body or b"").decode("utf-8", "replace")


def _payload(name: str, request: WebhookRequest) -> list[PayloadLine]:
    """Return the display lines of a rejected webhook, or an empty list if it cannot be parsed."""
    source = services.sources.get(name)
    if source is None or not request.body:
        return []
    try:
        return payload_lines(source.scope(request).payload)
    except PayloadError:
        return []


@bp.get("/rejections/<int:number>")
def rejection(number: int) -> str:
    """Show a rejected webhook, and record that the user viewed it."""
    found = _rejection(number)
    record_action("looked_at_rejected", detail=f"{found.source} {number}")
    as_request = WebhookRequest("POST", found.url, found.headers, found.body or b"")
    preview = _retry(found.source, dry_run=True, only=number) if found.can_retry else None
    return flask.render_template(
        "console/rejection.html",
        rejection=found,
        as_request=as_request,
        payload=_payload(found.source, as_request),
        raw=_body_text(found)[:MAX_RAW_BODY],
        is_cut=len(found.body or b"") > MAX_RAW_BODY,
        is_accepted_now=preview is not None and bool(preview.accepted),
    )


@bp.post("/rejections/<int:number>/retry")
def retry_one(number: int) -> Any:
    """Verify a rejected webhook again, and accept it if it passes."""
    found = _rejection(number)
    result = _retry(found.source, dry_run=False, only=number)
    flask.flash(*_said(result))
    return flask.redirect(flask.url_for("console.rejections", source=found.source))


@bp.post("/rejections/<source>/retry")
def retry(source: str) -> Any:
    """Verify a source's rejected webhooks again. The first click only previews the result."""
    is_preview = "now" not in flask.request.form
    result = _retry(source, dry_run=is_preview)
    if is_preview:
        return flask.render_template("console/recheck.html", source=source, result=result)
    flask.flash(*_said(result))
    return flask.redirect(flask.url_for("console.rejections", source=source))


def _retry(source: str, *, dry_run: bool, only: int | None = None) -> Retried:
    if source not in services.sources or source not in services.verifiers:
        raise NotFound("There is no source with this name.")
    receiver, verifier = services.pipeline.receiver, services.verifiers[source]
    by = flask.g.user.name
    return readmit.retry(
        receiver, services.sources[source], verifier, by=by, dry_run=dry_run, only=only
    )


def _said(result: Retried) -> tuple[str, str]:
    """Return a flash message about re-verified webhooks, and its category."""
    still = sum(result.refused.values()) + result.not_verifiable
    if not result.accepted and not result.repeated:
        what = "the message" if still == 1 else f"any of the {still} messages"
        return f"We still can't verify {what}. Nothing was accepted.", "warn"
    texts = [f"Accepted {_messages(result.accepted)}."] if result.accepted else []
    texts += [f"{_messages(result.repeated)} had already arrived."] if result.repeated else []
    texts += [f"We still can't verify {_messages(still)}."] if still else []
    return " ".join(texts), "good"


def _messages(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"


def _rejection(number: int) -> Rejection:
    with services.store.transaction() as tx:
        found = tx.rejections.get(number) if row_id_from(str(number)) is not None else None
    if found is None:
        raise NotFound("This message was accepted or deleted in the meantime.")
    return found
