"""Display untrusted text safely, and render payloads with an HTML ID for each value.

Templates escape markup. This module escapes invisible characters (control characters, marks that
reverse the text direction, halves of surrogate pairs) and truncates long strings.
"""

import dataclasses
import datetime as dt
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from adapter.console.context import services
from adapter.console.problem_text import NAMES
from adapter.console.time_html import clock, day_text, local_text, moment, reader_zone, tour_time
from adapter.console.wording import phone_text, value_text
from adapter.mapping.engine.tour_time import TO_FETCH
from adapter.mapping.provenance import is_covered
from adapter.models import Booking, Event, Kind, Reason
from adapter.operations.advice import is_missing
from adapter.parsing.paths import Location
from adapter.store import Rejection

#: Maximum length of displayed text, in characters.
MAX_TEXT: Final = 4000
#: Maximum number of payload lines on a page.
MAX_LINES: Final = 2000
#: Values nested deeper than this are not indented further.
MAX_DEPTH: Final = 8
#: Maximum size of a displayed raw body, in bytes.
MAX_RAW_BODY: Final = 100_000
#: The name of a lead without a name.
NO_NAME: Final = "No name"
#: How reasons for review begin if a message has a date without a time of day.
NO_TIME_OF_DAY: Final = ("there is a date but no time of day", "a date without a time of day")

# C0 and C1 controls except tab and line feed, format characters that hide text or reverse
# its direction, and surrogates, which cannot be encoded.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def escape_invisible(text: str, max_length: int = MAX_TEXT) -> str:
    """Escape invisible characters, and truncate the text to ``max_length`` characters."""
    escaped = _INVISIBLE.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text[:max_length])
    return f"{escaped} … ({len(text):,} characters)" if len(text) > max_length else escaped


def render_value(value: object) -> object:
    """Escape a value that a template prints (Jinja's ``finalize``)."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    return escape_invisible(value, MAX_RAW_BODY) if isinstance(value, str) else value


def form_value(value: str) -> Markup:
    """Escape a form value for HTML. Keep invisible characters, because the form resubmits them."""
    return Markup(escape(value.replace("\x00", "")))  # noqa: S704 - it is escaped


def full_name(booking: Booking) -> str:
    """Return the renter's full name, or "" if it is unknown or has been erased."""
    parts = (booking.appointment.get("first_name"), booking.appointment.get("last_name"))
    return " ".join(filter(None, parts))


def renter_name(booking: Booking) -> str:
    """Return the renter's full name, the name that cannot be used in quotes, or ``No name``."""
    return full_name(booking) or _unused_name(booking) or NO_NAME


def _unused_name(booking: Booking) -> str:
    """Return a name that the mapping could not use, in quotes, or "" if there is none."""
    reason = next((one for one in booking.reasons if one.field in NAMES), None)
    return f"“{text}”" if reason is not None and (text := value_text(reason)) else ""


def message_name(message: Event | Rejection) -> str:
    """Return the display name of a message without leads."""
    return f"Message from {message.source}"


def name_or_contact(booking: Booking) -> str:
    """Return the renter's name, or else the phone number or email address, or ""."""
    phone = phone_text(booking.appointment.get("phone_1"))
    return full_name(booking) or phone or str(booking.appointment.get("email_1") or "")


def tour_html(booking: Booking) -> Markup:
    """Render a tour's start in the community's time zone, or as the sender wrote it."""
    if booking.kind is Kind.PROSPECT:
        return Markup('<span class="soft">No tour</span>')
    if (at := booking.starts_in_knock) is not None:
        text = tour_time(at, booking.timezone) if booking.timezone is not None else moment(at)
        return text + _moved_from(booking) if booking.is_moved else text
    if (wall := booking.wall_time) is not None:
        return Markup("{}, {}").format(day_text(wall.date(), _today()), clock(wall))
    reason = next((one for one in booking.reasons if one.field == "starts_at"), None)
    if reason is not None and (sent := _unread_time(reason)):
        return Markup("<bdi>{}</bdi>").format(escape_invisible(sent))
    return Markup('<span class="soft">No time given</span>')


def _moved_from(booking: Booking) -> Markup:
    """Render a note that Knock has moved a tour, with the original time in a tooltip."""
    zone = ZoneInfo(booking.timezone) if booking.timezone else reader_zone()
    first = local_text(booking.starts_at, zone) if booking.starts_at is not None else "no time"
    return Markup(' <span class="soft small" title="moved from {}">moved</span>').format(first)


def _today() -> dt.date:
    return services.now().astimezone(reader_zone()).date()


def _unread_time(reason: Reason) -> str:
    """Return an unusable tour time in the sender's words, or "" if the sender sent none."""
    value, text = value_text(reason), reason.reason
    is_object = (reason.value or "").startswith("{")
    if is_object or " is not in the payload (there is" in text:  # the sender has renamed the value
        return f"{value}, date not read" if value else "Time not read"
    if not value or text.startswith(TO_FETCH):
        return ""
    if text.startswith(NO_TIME_OF_DAY):
        return f"{_day_alone(value)}, no time"
    return f"{value}, no date" if is_missing(text) else f"“{value}”"


def _day_alone(text: str) -> str:
    """Format a date, or return it as the sender wrote it, because 4/5 may be in April or May."""
    try:
        return day_text(dt.date.fromisoformat(text), _today())
    except ValueError:
        return text


def duration(seconds: float) -> str:
    """Format a duration, such as ``4.2 s``, ``3 min`` or ``4 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PayloadLine:
    """One line of a displayed payload."""

    depth: int
    key: str
    #: None for an object or a list, whose items follow on their own lines.
    text: str | None
    #: The line's HTML id.
    anchor: str
    #: True if it is known that the mapping does not read the value.
    is_unread: bool = False


def anchor_for(location: Location) -> str:
    """Return the HTML ID for the payload value at a location."""
    return "p" + hashlib.sha256(repr(location).encode("utf-8", "replace")).hexdigest()[:12]


def payload_lines(payload: Any, read: Collection[Location] | None = None) -> list[PayloadLine]:
    """Return a payload's display lines, with a note at the end if some are omitted.

    If ``read`` contains the locations that the mapping reads, values at other locations are marked.
    """
    lines: list[PayloadLine] = []
    # Uses a stack, because a payload may be nested deeper than Python's recursion limit.
    stack: list[tuple[Location, str, Any]] = [((), "", payload)]
    while stack:
        location, key, value = stack.pop()
        if len(lines) == MAX_LINES:
            lines.append(PayloadLine(depth=0, key="", text="… and more", anchor="p-more"))
            break
        children = _children(value)
        if key or children is None:
            depth = min(max(len(location) - 1, 0), MAX_DEPTH)
            text = None if children else _scalar_text(value)
            anchor = anchor_for(location)
            is_unread = read is not None and text is not None and not is_covered(location, read)
            lines.append(
                PayloadLine(depth=depth, key=key, text=text, anchor=anchor, is_unread=is_unread)
            )
        stack += reversed([((*location, step), str(step), child) for step, child in children or ()])
    return lines


def _children(value: Any) -> list[tuple[str | int, Any]] | None:
    if isinstance(value, Mapping):
        return [*zip(value, value.values(), strict=True)][:MAX_LINES]
    return [*enumerate(value[:MAX_LINES])] if isinstance(value, list) else None


def _scalar_text(value: Any) -> str:
    """Return the display text of a scalar value, or of an empty object or list."""
    if isinstance(value, str):
        return escape_invisible(value)
    if value is None or isinstance(value, bool | Mapping | list):
        return json.dumps(value)
    # Python does not convert integers of more than 4,300 digits to text.
    is_long = isinstance(value, int) and value.bit_length() > 4000
    return "a very long number" if is_long else str(value)
