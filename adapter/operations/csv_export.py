"""Export leads as CSV, or totals to compare with a listing portal's invoice."""

import csv
import datetime as dt
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from adapter.models import Booking, BookingState
from adapter.operations import serializers
from adapter.store import Database, Filter

#: Pattern for source and community keys. Any other input could be a renter's name.
_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")

#: The beginning of a formula, even after characters that some spreadsheets split cells at.
_FORMULA: Final = re.compile(r"""(^|[;\r\n])(["\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])""")

#: Number of bookings to read at a time.
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
    "in_knock",
    "confirmed_at",
    "moved_to",
    "moved_to_local",
)
#: Columns that are attributes of a booking. The others are fields of its appointment.
_FROM_BOOKING: Final = (
    "booking=id event=event_id kind source community state why=reason "
    "tour_at=starts_at job_id confirmed_at moved_to"
)
SUMS: Final = (
    *("source", "community", "received", "booked"),
    *("duplicate", "held", "failed", "unknown", "expired", "others"),
)


def bookings_csv(store: Database, which: Filter, *, most: int | None = None) -> Iterator[str]:
    """Yield a header and the matching bookings as CSV lines, newest first.

    Each page is read in a separate transaction, so that a long export does not keep one open. If
    there are more than ``most`` bookings, the last line says so.
    """
    yield csv_line(COLUMNS)
    before: int | None = None
    while most is None or most > 0:
        with store.transaction() as tx:
            page = tx.search.bookings(which, before=before, limit=PAGE)
            received = tx.events.received_times(page)
        yield "".join(csv_line(_row(booking, received[booking.id])) for booking in page)
        if len(page) < PAGE:
            return
        before, most = page[-1].id, most - PAGE if most is not None else None
    yield csv_line(["there are more: choose a shorter period, or use adapter export"])


def _row(booking: Booking, received_at: dt.datetime) -> Iterable[object]:
    values = serializers.dump(booking, _FROM_BOOKING) | {
        "received_at": received_at,
        "tour_at_local": serializers.local(booking.starts_at, booking.timezone),
        "moved_to_local": serializers.local(booking.moved_to, booking.timezone),
        "email": booking.appointment.get("email_1"),
        "phone": booking.appointment.get("phone_1"),
        "in_knock": "canceled" if booking.is_gone else booking.knock_status,
    }
    return [values.get(name, booking.appointment.get(name)) for name in COLUMNS]


def filter_text(which: Filter) -> str:
    """Describe a filter for the audit log, omitting text that could identify a renter."""
    keys = [("source", which.source), ("community", which.community)]
    parts = [
        *(f"state={state}" for state in which.states if state in {*BookingState}),
        *(f"{name}={key if _KEY.fullmatch(key) else '…'}" for name, key in keys if key),
        *([f"since={serializers.utc(which.since)}"] if which.since else []),
        *([f"until={serializers.utc(which.until)}"] if which.until else []),
        *(["search"] if which.text.strip() else []),
    ]
    return " ".join(parts)


def sums_csv(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the totals by source and community as CSV."""
    return csv_line(SUMS) + "".join(csv_line([line[name] for name in SUMS]) for line in lines)


def csv_line(cells: Iterable[object]) -> str:
    """Return a line of CSV with cells that no spreadsheet treats as formulas."""
    text = io.StringIO()
    csv.writer(text).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: object) -> str:
    """Format a CSV cell so that no spreadsheet treats it as a formula."""
    value = serializers.utc(value) if isinstance(value, dt.datetime) else value
    text = "" if value is None else str(value)
    is_phone = text[:1] == "+" and text[1:].isdigit()
    return text if is_phone else _FORMULA.sub(r"\1'\2", text)
