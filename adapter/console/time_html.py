"""Render times as local 12-hour times, with the exact time in a tooltip."""

import datetime as dt
import functools
import re
from collections import Counter
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import flask
from markupsafe import Markup

from adapter.console.context import services
from adapter.operations import serializers

#: The cookie that console.js stores the user's time zone in.
ZONE_COOKIE: Final = "console_zone"
#: The cookie for a user who wants to see all times in UTC.
UTC_COOKIE: Final = "console_utc"
#: Days that are at least this many days ago are shown with their year.
LONG_AGO: Final = 90
#: The time zones of the United States, by the name that people use.
ZONES: Final = {
    "America/New_York": "Eastern",
    "America/Chicago": "Central",
    "America/Denver": "Mountain",
    "America/Phoenix": "Arizona",
    "America/Los_Angeles": "Pacific",
    "America/Anchorage": "Alaska",
    "Pacific/Honolulu": "Hawaii",
}
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


def zone_title(name: str) -> str:
    """Return a time zone's display name, such as ``Mountain time``."""
    return f"{ZONES[name]} time" if name in ZONES else name.replace("_", " ")


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


def _year_text(day: dt.date, today: dt.date) -> str:
    """Return the year to show for a day in another year or months ago, otherwise "".

    Without the year, a day of last March looks like a day of next March.
    """
    is_clear = day.year == today.year and (today - day).days < LONG_AGO
    return "" if is_clear else f", {day.year}"


def day_text(day: dt.date, today: dt.date) -> str:
    """Return a day's display name, such as ``Today``, ``Tomorrow`` or ``Fri, Nov 27``."""
    words = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}
    if (distance := (day - today).days) in words:
        return words[distance]
    return f"{day:%a, %b} {day.day}{_year_text(day, today)}"


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


def full_text(at: dt.datetime, timezone: str | None) -> str:
    """Format a time within a sentence, as in ``Wednesday, Dec 2, 2:00 PM MST``.

    Without ``timezone``, return only the day, in the user's time zone.
    """
    zone = ZoneInfo(timezone) if timezone else reader_zone()
    local, today = at.astimezone(zone), services.now().astimezone(zone).date()
    day = f"{local:%A, %b} {local.day}{_year_text(local.date(), today)}"
    return f"{day}, {clock(local)} {local:%Z}" if timezone else day
