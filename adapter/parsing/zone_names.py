"""Find time zones by their IANA, Windows or Rails names."""

import functools
import zoneinfo
from typing import Final

from tzlocal.windows_tz import win_tz

from adapter.exceptions import Unreadable
from adapter.parsing.text import CAP_NUMBER, clean_text

#: Names from Ruby on Rails (ActiveSupport) for the Americas and Europe, and four that schedulers
#: use, such as "Eastern Time (ET)".
RAILS: Final = {
    "Alaska": "America/Juneau",
    "Amsterdam": "Europe/Amsterdam",
    "Arizona": "America/Phoenix",
    "Athens": "Europe/Athens",
    "Atlantic Time (Canada)": "America/Halifax",
    "Azores": "Atlantic/Azores",
    "Belgrade": "Europe/Belgrade",
    "Berlin": "Europe/Berlin",
    "Bern": "Europe/Zurich",
    "Bogota": "America/Bogota",
    "Brasilia": "America/Sao_Paulo",
    "Bratislava": "Europe/Bratislava",
    "Brussels": "Europe/Brussels",
    "Bucharest": "Europe/Bucharest",
    "Budapest": "Europe/Budapest",
    "Buenos Aires": "America/Argentina/Buenos_Aires",
    "Caracas": "America/Caracas",
    "Central America": "America/Guatemala",
    "Central Time (CT)": "America/Chicago",
    "Central Time (US & Canada)": "America/Chicago",
    "Chihuahua": "America/Chihuahua",
    "Copenhagen": "Europe/Copenhagen",
    "Dublin": "Europe/Dublin",
    "Eastern Time (ET)": "America/New_York",
    "Eastern Time (US & Canada)": "America/New_York",
    "Edinburgh": "Europe/London",
    "Georgetown": "America/Guyana",
    "Greenland": "America/Nuuk",
    "Guadalajara": "America/Mexico_City",
    "Hawaii": "Pacific/Honolulu",
    "Helsinki": "Europe/Helsinki",
    "Indiana (East)": "America/Indiana/Indianapolis",
    "Istanbul": "Europe/Istanbul",
    "Kyiv": "Europe/Kyiv",
    "La Paz": "America/La_Paz",
    "Lima": "America/Lima",
    "Lisbon": "Europe/Lisbon",
    "Ljubljana": "Europe/Ljubljana",
    "London": "Europe/London",
    "Madrid": "Europe/Madrid",
    "Mazatlan": "America/Mazatlan",
    "Mexico City": "America/Mexico_City",
    "Monterrey": "America/Monterrey",
    "Montevideo": "America/Montevideo",
    "Moscow": "Europe/Moscow",
    "Mountain Time (MT)": "America/Denver",
    "Mountain Time (US & Canada)": "America/Denver",
    "Newfoundland": "America/St_Johns",
    "Pacific Time (PT)": "America/Los_Angeles",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Paris": "Europe/Paris",
    "Prague": "Europe/Prague",
    "Puerto Rico": "America/Puerto_Rico",
    "Quito": "America/Lima",
    "Riga": "Europe/Riga",
    "Rome": "Europe/Rome",
    "Santiago": "America/Santiago",
    "Sarajevo": "Europe/Sarajevo",
    "Saskatchewan": "America/Regina",
    "Skopje": "Europe/Skopje",
    "Sofia": "Europe/Sofia",
    "Stockholm": "Europe/Stockholm",
    "Tallinn": "Europe/Tallinn",
    "Tijuana": "America/Tijuana",
    "Vienna": "Europe/Vienna",
    "Vilnius": "Europe/Vilnius",
    "Warsaw": "Europe/Warsaw",
    "Zagreb": "Europe/Zagreb",
    "Zurich": "Europe/Zurich",
}

#: Zones without daylight saving time whose names people also use in summer.
_ABBREVIATIONS: Final = frozenset({"EST", "MST"})


def zone_from_name(name: object) -> zoneinfo.ZoneInfo:
    """Return the time zone with this IANA, Windows or Rails name.

    Raise :class:`Unreadable` if there is none. ``EST`` and ``MST`` are rejected, because it is
    unclear whether daylight saving time is meant.
    """
    text = clean_text(name, CAP_NUMBER)
    key = text if text in _iana_names() else win_tz.get(text) or RAILS.get(text)
    # ZoneInfo opens the file named by its key, so only known keys may reach it.
    if key is None or key in _ABBREVIATIONS:
        raise Unreadable("not the name of a time zone, such as America/Denver")
    return zoneinfo.ZoneInfo(key)


@functools.cache
def _iana_names() -> frozenset[str]:
    # Cached, because listing the zones reads a whole folder and takes milliseconds.
    return frozenset(zoneinfo.available_timezones())
