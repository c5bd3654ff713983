"""Define table rows, each with a figure, its baseline, their ratio and the goal."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """A limit for a row's ratio or figure."""

    bound: float
    sense: Literal["≤", "≥"] = "≤"
    of: Literal["ratio", "figure"] = "ratio"

    def is_met(self, row: "Row") -> bool:
        """Return True if the row meets this goal."""
        value = self._value(row)
        return value <= self.bound if self.sense == "≤" else value >= self.bound

    def reached(self, row: "Row") -> float:
        """Return by what factor the row is better than the limit (1 or 0 for a limit of zero)."""
        value = self._value(row)
        if not value or not self.bound:
            return float(self.is_met(row))
        return self.bound / value if self.sense == "≤" else value / self.bound

    def _value(self, row: "Row") -> float:
        return row.ratio if self.of == "ratio" else row.figure


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A figure and its baseline in the same unit, both medians over the same rounds."""

    section: str
    what: str
    figure: float
    unit: str
    beside: str
    other: float
    goals: tuple[Goal, ...] = ()

    @property
    def ratio(self) -> float:
        """Return the figure divided by its baseline."""
        return self.figure / self.other

    @property
    def verdict(self) -> str:
        """Return "met" or "missed", or "" if there is no goal."""
        if not self.goals:
            return ""
        return "met" if all(goal.is_met(self) for goal in self.goals) else "missed"

    @property
    def reserve(self) -> float:
        """Return how well the row meets its worst goal: 1 means just met, 2 means twice as good."""
        return min(goal.reached(self) for goal in self.goals)

    def cells(self) -> tuple[str, ...]:
        """Return the row as a list of table cells."""
        return (
            self.what,
            f"{number(self.figure)} {self.unit}",
            self.beside,
            f"{number(self.other)} {self.unit}",
            f"{self.ratio:.2f}",
            ", ".join(self._goal_text(goal) for goal in self.goals),
            self.verdict,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON-compatible data."""
        return dataclasses.asdict(self) | {"ratio": self.ratio, "verdict": self.verdict}

    def _goal_text(self, goal: Goal) -> str:
        if goal.of == "ratio":
            return f"{goal.sense} {goal.bound:g}"
        return f"{goal.sense} {number(goal.bound)} {self.unit}"


HEAD = ("measurement", "figure", "baseline", "baseline figure", "ratio", "goal", "result")


def number(value: float) -> str:
    """Format a number with about three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def text_from_rows(rows: Sequence[Row]) -> str:
    """Format the rows of one section as aligned columns."""
    table = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def markdown_from_rows(rows: Iterable[Row]) -> str:
    """Format the rows of one section as a Markdown table."""
    lines = [HEAD, ("---",) * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
