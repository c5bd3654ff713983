"""Read the PromQL expressions in ``ops/``, and the metrics that `/metrics` exports."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import yaml

from adapter.console import metrics_page
from tests.paths import ROOT

ALERTS = ROOT / "ops" / "alerts.yml"
DASHBOARD = ROOT / "ops" / "dashboard.json"


@dataclasses.dataclass(frozen=True)
class Selector:
    """One use of a metric in an expression."""

    name: str
    #: The values that it is compared with, by label.
    matched: dict[str, str]
    is_rate: bool


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def expressions() -> dict[str, str]:
    """Return all expressions in the rules and the dashboard, keyed by rule or panel."""
    queries = {
        f"{panel['title']} {target['refId']}": filled(target["expr"])
        for panel in panels()
        for target in panel["targets"]
    }
    return {rule["alert"]: rule["expr"] for rule in rules()} | queries


def filled(expression: str) -> str:
    """Return a query with its variables filled in, as Grafana sends it."""
    return expression.replace("$__rate_interval", "2m").replace("$source", ".*")


def selectors(expression: str) -> list[Selector]:
    """Parse an expression. Raise ValueError if it is invalid."""
    return list(_selectors(promql_parser.parse(expression)))


def _selectors(node: Any, *, is_rate: bool = False) -> Iterator[Selector]:
    match node:
        case promql_parser.VectorSelector():
            matched = {one.name: one.value for one in node.matchers.matchers}
            yield Selector(node.name or "", matched, is_rate)
        case promql_parser.MatrixSelector():
            yield from _selectors(node.vector_selector, is_rate=True)
        case promql_parser.BinaryExpr():
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case promql_parser.Call():
            for argument in node.args:
                yield from _selectors(argument)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr():
            yield from _selectors(node.expr)
        case promql_parser.NumberLiteral():
            pass
        case _:
            raise TypeError(f"unknown part of an expression: {type(node).__name__}")


def exported() -> dict[str, dict[str, tuple[str, ...] | None]]:
    """Return the labels of each time series that `/metrics` exports, with their known values."""
    series: dict[str, dict[str, tuple[str, ...] | None]] = {
        f"adapter_{name}": dict.fromkeys(labels)
        for name, (_, labels) in metrics_page.GAUGES.items()
    }
    for one in metrics_page.COUNTED:
        labels = {name: values or None for name, values in one.labels.items()}
        if one.buckets:
            series[f"adapter_{one.name}_bucket"] = labels | {"le": None}
            series |= dict.fromkeys(
                (f"adapter_{one.name}_sum", f"adapter_{one.name}_count"), labels
            )
        else:
            series[f"adapter_{one.name}_total"] = labels
    return series
