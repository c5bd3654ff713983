"""Parse browser input: form and query values, row IDs and list filters."""

import datetime as dt
from collections.abc import Iterable, Mapping

import flask
from werkzeug.datastructures import ImmutableMultiDict, MultiDict

from adapter.store import LARGEST_NUMBER, Filter, storable


def sanitize_form(request: flask.Request) -> None:
    """Replace the request's query string and form with values that PostgreSQL can store.

    Only a POST request has a form. The body of any other request is not read.
    """
    request.args = _sanitized(request.args)
    request.form = _sanitized(request.form if request.method == "POST" else MultiDict())


def _sanitized(sent: MultiDict[str, str]) -> ImmutableMultiDict[str, str]:
    return ImmutableMultiDict((_text(name), _text(text)) for name, text in sent.items(multi=True))


def _text(text: str) -> str:
    # NULs are replaced, not dropped, because dropping one could change the meaning.
    return storable(text.replace("\x00", "\N{REPLACEMENT CHARACTER}"))


def row_id_from(text: str | None) -> int | None:
    """Parse a row ID. Return None if the text is not a valid ID."""
    digits = (text or "").strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(LARGEST_NUMBER)):
        return None
    number = int(digits)
    return number if number <= LARGEST_NUMBER else None


def row_ids_from(texts: Iterable[str]) -> list[int]:
    """Parse row IDs. Skip invalid IDs and duplicates."""
    found = map(row_id_from, texts)
    return [number for number in dict.fromkeys(found) if number]


def filter_from(args: Mapping[str, str], zone: dt.tzinfo = dt.UTC) -> Filter:
    """Create a filter from query parameters, reading dates in ``zone``. Ignore invalid dates."""
    state = args.get("state", "")
    return Filter(
        states=(state,) if state else (),
        source=args.get("source") or None,
        community=args.get("community") or None,
        since=_instant(args.get("since", ""), zone),
        until=_instant(args.get("until", ""), zone, days=1),
        text=args.get("q", "")[:200],
    )


def _instant(text: str, zone: dt.tzinfo, days: int = 0) -> dt.datetime | None:
    """Parse a time, by default in UTC. For a date, return midnight in ``zone``, plus ``days``."""
    try:
        at = dt.datetime.fromisoformat(text)
        if len(text) == len("2026-03-14"):
            at = (at + dt.timedelta(days=days)).replace(tzinfo=zone)
        return at.astimezone(dt.UTC) if at.tzinfo else at.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None
