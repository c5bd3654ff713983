"""Charts as places of rectangles and lines; the templates write them as SVG. Pure."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from adapter.operations.status import SourceState

WIDTH: Final = 720
HEIGHT: Final = 200
LEFT: Final = 40
BOTTOM: Final = 24


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle, in the chart's units, with what it says."""

    x: float
    y: float
    width: float
    height: float
    #: Which colour: the place of its outcome.
    colour: int
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """A text on an axis."""

    at: float
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Hours:
    """Leads of each hour by outcome."""

    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    levels: Sequence[Tick]
    total: int


def hours_chart(hours: Sequence[tuple[dt.datetime, Mapping[str, int]]]) -> Hours:
    """A bar for each hour, its outcomes on top of each other."""
    most = max((sum(counts.values()) for _, counts in hours), default=0)
    top = _round_up(most)
    step = (WIDTH - LEFT) / max(len(hours), 1)
    bars, ticks = [], []
    for number, (hour, counts) in enumerate(hours):
        x, y = LEFT + number * step, float(HEIGHT - BOTTOM)
        for colour, (name, count) in enumerate(counts.items()):
            height = count / top * (HEIGHT - BOTTOM - 10)
            y -= height
            if count:
                title = f"{hour:%H:%M} UTC: {count} {name}"
                bars.append(Bar(x + 2, y, step - 4, height, colour, title))
        if number % 4 == 0:
            ticks.append(Tick(x + step / 2, f"{hour:%H:%M}"))
    levels = [
        Tick(HEIGHT - BOTTOM - part / 2 * (HEIGHT - BOTTOM - 10), f"{top * part // 2}")
        for part in (0, 1, 2)
    ]
    return Hours(bars, ticks, levels, sum(sum(counts.values()) for _, counts in hours))


def _round_up(most: int) -> int:
    """The next even number of one digit and zeros."""
    size = 1
    while size * 10 < most:
        size *= 10
    return max(2, -(-most // (2 * size)) * 2 * size)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """One source's p50 and p95 on a line."""

    name: str
    y: float
    begin: float
    end: float
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Spans:
    """How fast each source's leads were booked."""

    spans: Sequence[Span]
    height: int
    longest: str


def spans_chart(sources: Sequence[SourceState]) -> Spans:
    """A line from p50 to p95 for each source that had something booked."""
    known = [
        (one.name, one.p50_seconds, one.p95_seconds)
        for one in sources
        if one.p50_seconds is not None and one.p95_seconds is not None
    ]
    longest = max((p95 for _, _, p95 in known), default=1.0) or 1.0
    left = 150
    spans = [
        Span(
            name,
            20 + number * 26,
            left + p50 / longest * (WIDTH - left - 170),
            left + p95 / longest * (WIDTH - left - 170),
            f"{_seconds(p50)} to {_seconds(p95)}",
        )
        for number, (name, p50, p95) in enumerate(known)
    ]
    return Spans(spans, 20 + len(known) * 26, _seconds(longest))


def _seconds(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
