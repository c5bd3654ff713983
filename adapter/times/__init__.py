"""Dates, instants and zones as people and programs write them; nothing is guessed."""

from adapter.times.formats import Format, compile_format
from adapter.times.instants import (
    Instant,
    certain_instant,
    read_date,
    read_instant,
    utc_from_local,
)
from adapter.times.zones import zone_from_name

__all__ = [
    "Format",
    "Instant",
    "certain_instant",
    "compile_format",
    "read_date",
    "read_instant",
    "utc_from_local",
    "zone_from_name",
]
