"""Serve the page where users compare a portal's invoice with the leads that arrived."""

import datetime as dt
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

import flask

from adapter.console.context import bp, one_at_a_time, services
from adapter.console.views import download, record_action
from adapter.exceptions import NotPossible, PayloadError
from adapter.mapping.portal_yaml import rules_for
from adapter.mapping.problems import MappingErrors
from adapter.operations.ledger.claims_csv import LABELS, claims_csv, dollars
from adapter.operations.ledger.compare import Comparison, Ledger, is_late, sum_of
from adapter.operations.ledger.verdicts import CLAIMS, Verdict, day_text

#: Time limit for a comparison, because the same process receives webhooks.
MAX_SECONDS: Final = 5.0
#: Maximum number of lines to show for each result. The file for the portal has all claims.
MAX_SHOWN: Final = 200
#: Bytes reserved for the other fields of the form that contains the claims.
_FORM_ROOM: Final = 4096


@bp.get("/invoice")
def invoice() -> str:
    """Show the form to upload a portal's invoice."""
    return _page(source=flask.request.args.get("source", ""))


@bp.post("/invoice")
def compare_invoice() -> Any:
    """Compare the uploaded invoice, and show the result. Nothing is stored."""
    form, file = flask.request.form, flask.request.files.get("file")
    source = form.get("source", "")
    period = {name: form.get(name, "") for name in ("since", "until")}
    try:
        if source not in services.sources:
            raise NotPossible("Choose the portal that sent the invoice.")
        data = file.read() if file is not None else b""
        if not data:
            raise NotPossible("Choose the invoice file.")
        [ledger] = one_at_a_time(_compared(source, data, *map(_day, period.values())))
    except (NotPossible, PayloadError, MappingErrors) as exc:
        return _page(source=source, refusal=_in_words(exc), **period), 409
    record_action("reconciled", detail=f"{source}, {len(ledger.lines)} lines")
    return _page(source=source, ledger=ledger, request_claims=_claims_text(ledger), **period)


@bp.post("/invoice/claims.csv")
def claims_file() -> Any:
    """Return the claims in the submitted form as a CSV download. Claims are not stored."""
    # Spreadsheet programs recognize UTF-8 by its byte order mark.
    text = "\ufeff" + flask.request.form.get("claims", "")
    return download("claims.csv", [text], "text/csv")


def _compared(
    source: str, data: bytes, since: dt.date | None, until: dt.date | None
) -> Iterator[Ledger]:
    settings = services.settings
    rules = rules_for(source, settings.mappings_dir)
    today = services.now().date()
    parts = (services.store, settings.policy, source, services.sources, rules)
    yield Comparison(*parts, today=today, seconds=MAX_SECONDS).run(data, since, until)


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise NotPossible("Enter dates as year-month-day, such as 2026-03-01.") from None


def _in_words(exc: Exception) -> str:
    text = str(exc).replace(" (--columns)", "").replace(" with --since and --until", " below")
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def _claims_text(ledger: Ledger) -> str | None:
    """Return the claims as CSV, or None if there are no claims or too many for a form."""
    text = "".join(claims_csv(ledger)) if ledger.claims else ""
    size = len(urllib.parse.quote_plus(text)) + _FORM_ROOM
    return text if text and size <= services.settings.max_body_bytes else None


def _page(**values: Any) -> str:
    return flask.render_template(
        "console/invoice.html",
        **values,
        sources=sorted(services.sources),
        labels=LABELS,
        verdicts=[
            (Verdict.NOT_ARRIVED, "You were charged for these leads, but they never arrived."),
            (Verdict.CHARGED_TWICE, "You were already charged for these leads on an earlier line."),
            (Verdict.DUPLICATE, "These renters were already leads at the same community."),
            (Verdict.DOUBTFUL, "Check each of these lines. They are not part of the claims."),
            (
                Verdict.NOT_IN_KNOCK,
                "You were charged for these leads, but agents can't see them in Knock.",
            ),
        ],
        claim_verdicts=CLAIMS,
        dollars=dollars,
        day_text=day_text,
        sum_of=sum_of,
        is_late=is_late,
        most_shown=MAX_SHOWN,
        most_bytes=services.settings.max_body_bytes,
    )
