"""Leads as CSV: a line each, or the sums that an invoice of a listing portal is compared with."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from adapter.models import Booking, BookingState
from adapter.operations import serializers
from adapter.store import Database, Filter

#: What the key of a source or a community looks like. Whatever else was typed may name a renter.
_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")

#: Bookings that are read at a time.
PAGE: Final = 500

COLUMNS: Final = (
    "booking",
    "event",
    "kind",
    "source",
    "community",
    "received_at",
    "state",
    "why",
    "tour_at",
    "tour_at_local",
    "first_name",
    "last_name",
    "email",
    "phone",
    "attribution_id",
    "job_id",
)
SUMS: Final = ("booked", "duplicate", "held", "failed", "unknown", "expired")


def bookings_csv(store: Database, which: Filter, *, most: int | None = None) -> Iterator[str]:
    """Every booking that the filter lets through, newest first: CSV in pieces, titles first.

    Each page is a transaction of its own, so that a long export holds none open. Of more than
    ``most`` the last line says that there are more.
    """
    yield _line(COLUMNS)
    before: int | None = None
    while most is None or most > 0:
        with store.transaction() as tx:
            found = tx.search.bookings(which, before=before, limit=PAGE)
        yield "".join(_line(_row(booking)) for booking in found)
        if len(found) < PAGE:
            return
        before, most = found[-1].id, most - PAGE if most is not None else None
    yield _line(["there are more: ask for a shorter time, or use adapter export"])


def _row(booking: Booking) -> Iterable[object]:
    fields = booking.appointment
    return (
        booking.id,
        booking.event_id,
        booking.kind,
        booking.source,
        booking.community,
        serializers.utc(booking.created_at),
        booking.state,
        booking.reason,
        serializers.utc(booking.starts_at),
        serializers.local(booking.starts_at, booking.timezone),
        fields.get("first_name"),
        fields.get("last_name"),
        fields.get("email_1"),
        fields.get("phone_1"),
        fields.get("attribution_id"),
        booking.job_id,
    )


def filter_text(which: Filter) -> str:
    """What was asked for, in words that name no renter: of a text only that there was one."""
    keys = [("source", which.source), ("community", which.community)]
    words = [
        *(f"state={state}" for state in which.states if state in {*BookingState}),
        *(f"{name}={key if _KEY.fullmatch(key) else '…'}" for name, key in keys if key),
        *([f"since={serializers.utc(which.since)}"] if which.since else []),
        *([f"until={serializers.utc(which.until)}"] if which.until else []),
        *(["search"] if which.text.strip() else []),
    ]
    return " ".join(words)


def sums(store: Database, which: Filter) -> list[dict[str, Any]]:
    """For each source and community: leads received, and how many of them are in which state.

    By the time at which the webhook came. Webhooks that are no lead (ignored) do not count.
    """
    with store.transaction() as tx:
        rows = tx.search.leads_of_period(which)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if row["state"] == "ignored":
            continue
        key = (row["source"], row["community"] or "")
        line = found.setdefault(
            key,
            {"source": key[0], "community": key[1], "received": 0}
            | dict.fromkeys((*SUMS, "others"), 0),
        )
        line["received"] += row["leads"]
        line[row["state"] if row["state"] in SUMS else "others"] += row["leads"]
    return [found[key] for key in sorted(found)]


def sums_csv(lines: Iterable[Mapping[str, Any]]) -> str:
    """The sums as CSV."""
    names = ("source", "community", "received", *SUMS, "others")
    return _line(names) + "".join(_line([line[name] for name in names]) for line in lines)


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: object) -> str:
    """The text of a cell. A spreadsheet must not take a renter's name for a formula."""
    text = "" if value is None else str(value)
    is_phone = text[:1] == "+" and text[1:].isdigit()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_phone else text
