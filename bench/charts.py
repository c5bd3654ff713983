"""Draw ``docs/benchmarks-*.svg``, with rates, times, and each row compared with its goal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "benchmarks"  # makes the same figures produce the same file

import matplotlib.pyplot as plt  # noqa: E402 - must come after the backend is chosen
from matplotlib.figure import Figure  # noqa: E402

from bench.tables import Row  # noqa: E402

OURS, OTHER, MISSED = "#1f6f8b", "#b8c4cc", "#b5483a"


def write(folder: Path, rows: Mapping[str, Sequence[Row]]) -> list[Path]:
    """Write every chart that has rows, and return the files."""
    made = []
    goals = [row for found in rows.values() for row in found if row.goals]
    if goals:
        made.append(_goals(folder / "benchmarks-goals.svg", goals))
    if found := rows.get("acknowledge"):
        made.append(_acknowledging(folder / "benchmarks-acknowledge.svg", found))
    return made


def _goals(file: Path, rows: Sequence[Row]) -> Path:
    """Draw how far each row is from its goal. A bar that passes the line meets the goal."""
    names = [f"{row.section}: {row.what}" for row in rows]
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.28 * len(rows)))
    shares = [min(row.reserve, 4.0) for row in rows]
    colours = [OURS if row.verdict == "met" else MISSED for row in rows]
    axes.barh(names, shares, color=colours)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlabel("share of the goal that is reached (1 means just met; capped at 4)")
    return _saved(figure, file)


def _acknowledging(file: Path, rows: Sequence[Row]) -> Path:
    """Draw the rate and p99 of the adapter and each baseline."""
    figure, both = plt.subplots(1, 2, figsize=(9, 3.6))
    for axes, word, title in (
        (both[0], "rate", "webhooks a second"),
        (both[1], "p99", "p99 in ms"),
    ):
        names, figures, colours = [], [], []
        for what in dict.fromkeys(row.what for row in rows if row.what.endswith(word)):
            found = [row for row in rows if row.what == what]
            short = what.partition(" conn.")[0]
            for name, value, colour in (
                (f"{short}: adapter", found[0].figure, OURS),
                *((f"{short}: {row.beside}", row.other, OTHER) for row in found),
            ):
                names.append(name)
                figures.append(value)
                colours.append(colour)
        axes.barh(names, figures, color=colours)
        axes.invert_yaxis()
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelsize=7)
    return _saved(figure, file)


def _saved(figure: Figure, file: Path) -> Path:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return file
