"""Refused requests and sources as plain data and as text for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from adapter.store import Rejection
from adapter.stories import table, utc


def rejection_as_dict(rejection: Rejection) -> dict[str, Any]:
    """A refused request as plain data, without what was sent."""
    return {
        "id": rejection.id,
        "source": rejection.source,
        "received_at": utc(rejection.received_at),
        "reason": rejection.reason,
        "sender": rejection.sender,
        "bytes": rejection.size,
        "can_retry": rejection.can_retry,
    }


def whole_rejection_as_dict(rejection: Rejection) -> dict[str, Any]:
    """The same with what was sent; a body that is no text is shown as far as it is one."""
    body = rejection.body
    return rejection_as_dict(rejection) | {
        "method": rejection.method,
        "url": rejection.url,
        "headers": dict(rejection.headers),
        "body": None if body is None else body.decode("utf-8", "replace"),
    }


def rejections_table(rejections: Iterable[Rejection]) -> str:
    """Refused requests, a line each."""
    return table(
        ("id", "source", "received", "reason", "sender", "bytes", "can be retried"),
        (
            [
                "yes" if value is True else "no" if value is False else value
                for value in rejection_as_dict(rejection).values()
            ]
            for rejection in rejections
        ),
    )


def sources_text(sources: Iterable[Mapping[str, Any]]) -> str:
    """Sources as :mod:`adapter.cli.sources` describes them, some lines each."""
    return "\n\n".join("\n".join(_source_lines(source)) for source in sources)


def _source_lines(source: Mapping[str, Any]) -> list[str]:
    proof = source["preset"] or source["scheme"]
    counts = ", ".join(f"{state} {count}" for state, count in sorted(source["events"].items()))
    last = f"; the last one {source['last_event_at']}" if source["last_event_at"] else ""
    lines = [
        f"{source['source']}  {source['address']}",
        "  OPEN: anybody who knows the address may send (scheme: none)"
        if source["is_open"]
        else f"  signature: {proof}",
    ]
    lines += [
        f"  secret {secret['name']}: last used {secret['last_used_at'] or 'never'}"
        for secret in source["secrets"]
    ]
    return [*lines, f"  events: {counts or 'none'}{last}", f"  rejections: {source['rejections']}"]
