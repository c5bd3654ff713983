"""Zones by the names that senders use: IANA, Windows, and Rails."""

import functools
import zoneinfo
from typing import Final

from adapter.exceptions import Unreadable
from adapter.parsing.text import CAP_NUMBER, clean_text

#: Names of Microsoft Windows for the Americas, Europe and UTC, with the zone that Unicode's
#: CLDR calls primary (``windowsZones``, territory 001).
WINDOWS: Final = {
    "Alaskan Standard Time": "America/Anchorage",
    "Aleutian Standard Time": "America/Adak",
    "Argentina Standard Time": "America/Argentina/Buenos_Aires",
    "Atlantic Standard Time": "America/Halifax",
    "Azores Standard Time": "Atlantic/Azores",
    "Bahia Standard Time": "America/Bahia",
    "Belarus Standard Time": "Europe/Minsk",
    "Canada Central Standard Time": "America/Regina",
    "Central America Standard Time": "America/Guatemala",
    "Central Brazilian Standard Time": "America/Cuiaba",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "Central Standard Time": "America/Chicago",
    "Central Standard Time (Mexico)": "America/Mexico_City",
    "Cuba Standard Time": "America/Havana",
    "E. Europe Standard Time": "Europe/Chisinau",
    "E. South America Standard Time": "America/Sao_Paulo",
    "Eastern Standard Time": "America/New_York",
    "Eastern Standard Time (Mexico)": "America/Cancun",
    "FLE Standard Time": "Europe/Kyiv",
    "GMT Standard Time": "Europe/London",
    "GTB Standard Time": "Europe/Bucharest",
    "Greenland Standard Time": "America/Nuuk",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "Haiti Standard Time": "America/Port-au-Prince",
    "Hawaiian Standard Time": "Pacific/Honolulu",
    "Kaliningrad Standard Time": "Europe/Kaliningrad",
    "Magallanes Standard Time": "America/Punta_Arenas",
    "Montevideo Standard Time": "America/Montevideo",
    "Mountain Standard Time": "America/Denver",
    "Mountain Standard Time (Mexico)": "America/Mazatlan",
    "Newfoundland Standard Time": "America/St_Johns",
    "Pacific SA Standard Time": "America/Santiago",
    "Pacific Standard Time": "America/Los_Angeles",
    "Pacific Standard Time (Mexico)": "America/Tijuana",
    "Paraguay Standard Time": "America/Asuncion",
    "Romance Standard Time": "Europe/Paris",
    "Russian Standard Time": "Europe/Moscow",
    "SA Eastern Standard Time": "America/Cayenne",
    "SA Pacific Standard Time": "America/Bogota",
    "SA Western Standard Time": "America/La_Paz",
    "Saint Pierre Standard Time": "America/Miquelon",
    "Tocantins Standard Time": "America/Araguaina",
    "Turkey Standard Time": "Europe/Istanbul",
    "Turks And Caicos Standard Time": "America/Grand_Turk",
    "US Eastern Standard Time": "America/Indiana/Indianapolis",
    "US Mountain Standard Time": "America/Phoenix",
    "Venezuela Standard Time": "America/Caracas",
    "W. Europe Standard Time": "Europe/Berlin",
    "Yukon Standard Time": "America/Whitehorse",
}

#: Names of Ruby on Rails (ActiveSupport) for the Americas and Europe, and the four that
#: schedulers write as "Eastern Time (ET)".
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

#: IANA has these as zones without summer time; people write them all year round.
_ABBREVIATIONS: Final = frozenset({"EST", "MST"})


def zone_from_name(name: object) -> zoneinfo.ZoneInfo:
    """The zone of an IANA, Windows or Rails name. Raises :class:`Unreadable` for any other.

    ``EST`` and ``MST`` are refused: they do not say whether summer time is kept.
    """
    text = clean_text(name, CAP_NUMBER)
    known = WINDOWS.get(text) or RAILS.get(text) or text
    # Only a listed name reaches ZoneInfo, which opens a file by it.
    if known in _ABBREVIATIONS or known not in _iana_names():
        raise Unreadable("not the name of a time zone, such as America/Denver")
    return zoneinfo.ZoneInfo(known)


@functools.cache
def _iana_names() -> frozenset[str]:
    # One call reads the whole folder of zones, which takes milliseconds.
    return frozenset(zoneinfo.available_timezones())
