"""Create a test for a mapping file from the result of mapping a payload."""

import datetime as dt
import re
import textwrap
import urllib.parse
from pathlib import Path
from typing import Any

from adapter.mapping.authoring.anonymize import anonymized_parameter, anonymized_payload
from adapter.mapping.engine import SENT_OUTCOMES, Mapped, Outcome, Scope
from adapter.mapping.loader.yaml_document import text_from_data
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing.forms import pairs_from_form


def is_sample(source: Source, file: Path) -> bool:
    """Return True if a file is in the mapping's folder, where samples contain no real people."""
    return file.resolve().is_relative_to(source.path.parent.resolve())


def payload_of(source: Source, file: Path, scope: Scope) -> Any:
    """Return the ``payload`` of a test for a sample: the file's name, or the data of a query."""
    if source.kind == "query":
        return scope.payload
    return str(file.resolve().relative_to(source.path.parent.resolve()))


def with_sample(source: Source, text: str, request: WebhookRequest, now: dt.datetime) -> str:
    """Return a mapping's text with an anonymized request added as a test.

    Raise :class:`PayloadError` if the request cannot be read.
    """
    payload, mapped, given = made_up_test(source, request, now)
    return _with_test(text, entry_from_mapped(payload, mapped, now=now, **given))


def made_up_test(
    source: Source, request: WebhookRequest, now: dt.datetime | None
) -> tuple[Any, Mapped, dict[str, Any]]:
    """Return an anonymized payload, its result, and the headers and query string of its test.

    Raise :class:`PayloadError` if the request cannot be read.
    """
    payload = anonymized_payload(source, request, source.scope(request))
    given = read_from_url(source, request)
    headers = {
        name: anonymized_parameter(source, "headers", name, value)
        for name, value in given["headers"].items()
    }
    pairs = urllib.parse.parse_qsl(given["query"], keep_blank_values=True)
    made_up = [(name, anonymized_parameter(source, "query", name, text)) for name, text in pairs]
    given = {"headers": headers, "query": urllib.parse.urlencode(made_up)}
    sample = source.scope_from_payload(
        payload, given["headers"], given["query"], fetched=request.fetched
    )
    return payload, source.compiled.apply(sample, now), given


def read_from_url(source: Source, request: WebhookRequest) -> dict[str, Any]:
    """Return the headers and the query parameters that the mapping reads, for a test."""
    lowercase = request.lowercase_headers
    parts = [used.path.parts for used in source.used_paths]
    read = {one[1].encode() for one in parts if one[0] == "query" and len(one) > 1}
    pairs = pairs_from_form(request.query.encode("utf-8", "surrogatepass"), None)
    kept = [pair for pair in pairs if pair[0] in read]
    return {
        "headers": {name: lowercase[name] for name in lowercase if name in source.headers_read},
        "query": "" if source.kind == "query" else urllib.parse.urlencode(kept),
    }


def _with_test(text: str, entry: str) -> str:
    """Return a mapping's text with a test appended to its ``tests:`` section."""
    lines = text.rstrip("\n").split("\n")
    begin = next((n for n, line in enumerate(lines) if re.match(r"tests:\s*(#.*)?$", line)), None)
    if begin is None:
        return "\n".join([*lines, "", "tests:", textwrap.indent(entry, "  ")])
    rest = range(begin + 1, len(lines))
    end = next((n for n in rest if re.match(r"[^\s#-]", lines[n])), len(lines))
    while end > begin + 1 and re.match(r"\s*(#.*)?$", lines[end - 1]):
        end -= 1  # comments and blank lines belong to the next section
    first = next((lines[n] for n in rest if lines[n].lstrip().startswith("- ")), "  - ")
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join([*lines[:end], textwrap.indent(entry, indent).rstrip("\n"), *lines[end:], ""])


def entry_from_mapped(
    payload: Any,
    mapped: Mapped,
    *,
    now: dt.datetime | None,
    content_type: str | None = None,
    headers: dict[str, str] | None = None,
    query: str = "",
) -> str:
    """Return a test as YAML, ready to be pasted under ``tests:``."""
    entry: dict[str, Any] = {"name": _name(mapped), "payload": payload}
    if headers:
        entry["headers"] = headers
    if query:
        entry["query"] = query
    if content_type and isinstance(payload, str):
        entry["content_type"] = content_type
    if now is not None:
        entry["received"] = now.isoformat()
    return text_from_data([{**entry, **_expected(mapped)}])


def _name(mapped: Mapped) -> str:
    if mapped.outcome is Outcome.PROSPECT:
        return "a lead without a tour time"
    booked = sum(item.outcome is Outcome.BOOK for item in mapped.items)
    if mapped.outcome is Outcome.BOOK:
        return "a booked tour" if booked == 1 else f"{booked} booked tours"
    return f"a lead with the outcome {mapped.outcome}"


def _expected(mapped: Mapped) -> dict[str, Any]:
    if mapped.outcome in SENT_OUTCOMES:
        key = "expect" if mapped.outcome is Outcome.BOOK else "prospect"
        sent = [dict(item.appointment) for item in mapped.items if item.outcome is mapped.outcome]
        return {key: sent[0] if len(sent) == 1 else sent}
    if mapped.outcome is Outcome.HELD:
        reasons = [
            *mapped.reasons,
            *(one for item in mapped.items for one in item.blocking_reasons),
        ]
        return {"held": {reason.field: reason.reason for reason in reasons}}
    return {str(mapped.outcome): True}
