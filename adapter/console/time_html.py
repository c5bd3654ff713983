"""Render times as local 12-hour times, with the exact time in a tooltip."""

import datetime as dt
import functools
import json
import re
from collections import Counter
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import flask
from markupsafe import Markup

from adapter.console.context import services
from adapter.models import Booking, Kind
from adapter.operations import serializers

#: The cookie that console.js stores the user's time zone in.
ZONE_COOKIE: Final = "console_zone"
#: The cookie for a user who wants to see all times in UTC.
UTC_COOKIE: Final = "console_utc"
#: How reasons for review begin if a message has a date without a time of day.
NO_TIME_OF_DAY: Final = ("there is a date but no time of day", "a date without a time of day")
#: The longest date to show as the sender wrote it.
MAX_DAY: Final = 30
_ZONE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+){0,2}")


@functools.lru_cache(maxsize=200)
def zone_named(name: str) -> ZoneInfo | None:
    """Return the time zone with this IANA name, or None if it does not exist."""
    if not _ZONE_NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return None


def reader_zone() -> ZoneInfo:
    """Return the browser's time zone, or the communities' most common one if unknown.

    Return UTC if the user has chosen UTC.
    """
    if is_utc_chosen():
        return ZoneInfo("UTC")
    known = zone_named(flask.request.cookies.get(ZONE_COOKIE, ""))
    if known is not None:
        return known
    zones = Counter(
        community.timezone.key
        for source in services.sources.values()
        for community in source.communities.values()
    )
    return ZoneInfo(zones.most_common(1)[0][0] if zones else "UTC")


def is_utc_chosen() -> bool:
    """Return True if the user has chosen to see all times in UTC."""
    return flask.request.cookies.get(UTC_COOKIE) == "1"


def clock(at: dt.datetime | dt.time) -> str:
    """Format a local time of day, as in ``2:30 PM``."""
    return f"{at.hour % 12 or 12}:{at:%M %p}"


def clock_in(at: dt.datetime, zone: ZoneInfo) -> str:
    """Format a time of day in a time zone. Include the zone unless it is the user's."""
    local = at.astimezone(zone)
    is_own = local.utcoffset() == at.astimezone(reader_zone()).utcoffset()
    return clock(local) if is_own else f"{clock(local)} {local:%Z}"


def hour_text(at: dt.datetime) -> str:
    """Format an hour in the user's time zone, as in ``3 PM``."""
    local = at.astimezone(reader_zone())
    return f"{local.hour % 12 or 12} {local:%p}"


def day_text(day: dt.date, today: dt.date) -> str:
    """Return a day's display name, such as ``Today``, ``Tomorrow`` or ``Fri, Nov 27``."""
    words = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}
    if (distance := (day - today).days) in words:
        return words[distance]
    year = "" if day.year == today.year else f", {day.year}"
    return f"{day:%a, %b} {day.day}{year}"


def moment(at: dt.datetime | None) -> Markup:
    """Render a time in the user's time zone, as in ``Yesterday, 7:48 AM``."""
    if at is None:
        return Markup("")
    local, now = at.astimezone(reader_zone()), services.now().astimezone(reader_zone())
    day = day_text(local.date(), now.date())
    return _element(at, clock(local) if day == "Today" else f"{day}, {clock(local)}")


def time_ago(at: dt.datetime | None, timezone: str | None = None) -> Markup:
    """Render a time as ``4 min ago`` or ``in 2 h``, with the exact time in a tooltip.

    Days are counted in ``timezone``, or else in the user's time zone.
    """
    return _element(at, ago_text(at, timezone)) if at is not None else Markup("")


def ago_text(at: dt.datetime, timezone: str | None = None) -> str:
    """Describe a time as ``just now``, ``4 min ago``, ``in 2 h`` or ``yesterday``."""
    now = services.now()
    if abs(now - at) >= dt.timedelta(days=1):
        return _days_text(at, now, ZoneInfo(timezone) if timezone else reader_zone())
    if abs(now - at) < dt.timedelta(minutes=1):
        return "just now" if at <= now else "in a moment"
    if abs(now - at) < dt.timedelta(minutes=2):
        return "1 min ago" if at <= now else "in 1 min"
    return serializers.ago(at, now)


def _days_text(at: dt.datetime, now: dt.datetime, zone: ZoneInfo) -> str:
    days = (at.astimezone(zone).date() - now.astimezone(zone).date()).days
    if abs(days) == 1:
        return "tomorrow" if days > 0 else "yesterday"
    return f"in {days} days" if days > 0 else f"{-days} days ago"


def _exact(at: dt.datetime) -> str:
    """Format a time to the second, in the user's time zone."""
    local = at.astimezone(reader_zone())
    return f"{local:%a, %b} {local.day}, {local.year}, {local.hour % 12 or 12}:{local:%M:%S %p %Z}"


def _element(at: dt.datetime, text: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.astimezone(dt.UTC).isoformat(timespec="seconds"), _exact(at), text
    )


def tour_time(at: dt.datetime, timezone: str) -> Markup:
    """Render a tour's start in a time zone, as in ``Tomorrow, 2:30 PM MST``."""
    return _element(at, local_text(at, ZoneInfo(timezone)))


def local_text(at: dt.datetime, zone: ZoneInfo) -> str:
    """Format a time in a time zone, as in ``Tomorrow, 2:30 PM MST``."""
    local = at.astimezone(zone)
    today = services.now().astimezone(zone).date()
    return f"{day_text(local.date(), today)}, {clock(local)} {local:%Z}"


def _moved_from(booking: Booking) -> Markup:
    """Render a note that Knock has moved a tour, with the original time in a tooltip."""
    zone = ZoneInfo(booking.timezone) if booking.timezone else reader_zone()
    first = local_text(booking.starts_at, zone) if booking.starts_at is not None else "no time"
    return Markup(' <span class="soft small" title="moved from {}">moved</span>').format(first)


def full_text(at: dt.datetime, timezone: str | None) -> str:
    """Format a time within a sentence, as in ``Wednesday, Dec 2, 2:00 PM MST``.

    Without ``timezone``, return only the day, in the user's time zone.
    """
    zone = ZoneInfo(timezone) if timezone else reader_zone()
    local, this_year = at.astimezone(zone), services.now().astimezone(zone).year
    year = "" if local.year == this_year else f", {local.year}"
    day = f"{local:%A, %b} {local.day}{year}"
    return f"{day}, {clock(local)} {local:%Z}" if timezone else day


def tour_html(booking: Booking) -> Markup:
    """Render a tour's start in the community's time zone, or as the sender wrote it."""
    if booking.kind is Kind.PROSPECT:
        return Markup('<span class="soft">No tour</span>')
    if (at := booking.starts_in_knock) is not None:
        text = tour_time(at, booking.timezone) if booking.timezone is not None else moment(at)
        return text + _moved_from(booking) if booking.is_moved else text
    if (wall := booking.wall_time) is not None:
        today = services.now().astimezone(reader_zone()).date()
        return Markup("{}, {}").format(day_text(wall.date(), today), clock(wall))
    if day := _day_alone(booking):
        return Markup("{}, no time").format(day)
    return Markup('<span class="soft">No time given</span>')


def _day_alone(booking: Booking) -> str:
    """Return the date from a request without a time of day, or "" if there is none."""
    texts = [one.value or "" for one in booking.reasons if one.reason.startswith(NO_TIME_OF_DAY)]
    if not texts:
        return ""
    try:
        value = json.loads(texts[0])
    except ValueError:
        value = texts[0]
    days = [one for one in (value if isinstance(value, list) else [value]) if one]
    text = str(days[0]) if len(days) == 1 else ""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return text[:MAX_DAY]  # as the sender wrote it, because 4/5 may be in April or in May
    return day_text(day, services.now().astimezone(reader_zone()).date())
