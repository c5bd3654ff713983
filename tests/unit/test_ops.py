"""Test the alerts and the dashboard in ``ops/``, and run promtool on them if it is installed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from adapter.operations.health import CONDITIONS, Level
from docs.generate import alert_name
from tests.paths import ROOT
from tests.promql import ALERTS, DASHBOARD, exported, expressions, panels, rules, selectors
from tests.unit.test_docs import anchors_of
from tests.unit.test_init import init

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def run_promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", expressions())
def test_expressions_use_only_what_is_exported(name: str) -> None:
    series = exported() | {"up": {"job": ("adapter",)}}
    found = selectors(expressions()[name])

    assert found
    for one in found:
        assert one.name in series
        for label, value in one.matched.items():
            known = series[one.name][label]
            assert known is None or set(value.split("|")) <= set(known) | {".*"}
        assert one.is_rate is one.name.endswith(("_total", "_bucket", "_sum", "_count"))


def test_codes_of_problems_in_expressions_exist() -> None:
    codes = {
        one.matched["code"]
        for expression in expressions().values()
        for one in selectors(expression)
        if "code" in one.matched
    }
    assert len(codes) > 10
    assert codes <= CONDITIONS.keys()


def test_each_problem_has_an_alert_whose_severity_is_its_level() -> None:
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules()}
    for code, one in CONDITIONS.items():
        expected = {Level.BROKEN: "page", Level.WARNING: "ticket"}.get(one.level)
        if code == "database_unreachable":  # then, the metrics cannot be read
            code, expected = "unreachable", "page"
        assert severities.get(alert_name(code)) == expected


def test_each_alert_says_what_to_do_and_names_a_section_of_the_runbook() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert anchor in anchors_of(ROOT / page)
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"].keys() == {"severity"}


def test_alerts_that_are_named_in_the_runbook_exist() -> None:
    named = re.findall(
        r"^### (Adapter\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE
    )

    assert named
    assert set(named) <= {rule["alert"] for rule in rules()}


def test_each_panel_has_a_place_of_its_own_and_reads_the_chosen_prometheus() -> None:
    board = json.loads(DASHBOARD.read_text())
    variables = {one["name"] for one in board["templating"]["list"]}
    ids = [panel["id"] for panel in board["panels"]]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(ids)) == len(ids)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    for panel in panels():
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(board))) <= variables | {
        "__all",
        "__rate_interval",
    }


def test_each_counter_and_histogram_is_on_the_dashboard() -> None:
    shown = {
        one.name
        for panel in panels()
        for target in panel["targets"]
        for one in selectors(target["expr"].replace("$__rate_interval", "2m"))
    }
    assert {name for name in exported() if name.endswith(("_total", "_bucket"))} <= shown


@promtool
def test_prometheus_accepts_what_init_writes(tmp_path: Path) -> None:
    init(tmp_path / "leads", "--host", "tours.example.com")
    folder = tmp_path / "leads" / "prometheus"
    (folder / "metrics-token").write_text("secret")

    run_promtool("check", "config", folder / "prometheus.yml")
    assert (folder / "alerts.yml").read_bytes() == ALERTS.read_bytes()
    board = tmp_path / "leads" / "grafana" / "dashboard.json"
    assert board.read_bytes() == DASHBOARD.read_bytes()


#: The events in each test of the alerts, minute by minute, and the expected alerts.
EPISODES = {
    "nothing is wrong": ({'up{job="adapter"}': "1+0x30"}, {}),
    "no worker, as both web processes say": (
        {
            'up{job="adapter"}': "1+0x30",
            'adapter_problem{code="no_worker",source="",instance="a"}': "1+0x30",
            'adapter_problem{code="no_worker",source="",instance="b"}': "1+0x30",
        },
        {"AdapterNoWorker": {"severity": "page"}},
    ),
    "a source's secret was changed": (
        {
            'up{job="adapter"}': "1+0x30",
            'adapter_problem{code="source_refused",source="rentfeed"}': "1+0x30",
        },
        {"AdapterSourceRefused": {"severity": "page", "source": "rentfeed"}},
    ),
    "a problem is over": (
        {
            'up{job="adapter"}': "1+0x30",
            'adapter_problem{code="no_worker",source=""}': "1+0x10 _x20",
        },
        {},
    ),
    "web is down": ({'up{job="adapter"}': "0+0x30"}, {"AdapterUnreachable": {"severity": "page"}}),
    "the job is missing": ({}, {"AdapterUnreachable": {"severity": "page"}}),
    "a webhook was not stored": (
        {
            'up{job="adapter"}': "1+0x30",
            'adapter_webhooks_total{source="rentfeed",outcome="unavailable"}': "0+0x25 1+0x5",
        },
        {"AdapterWebhooksNotStored": {"severity": "ticket", "source": "rentfeed"}},
    ),
    "half of the requests to Propexo fail": (
        {
            'up{job="adapter"}': "1+0x30",
            'adapter_propexo_requests_total{operation="read_status",result="ok"}': "0+10x30",
            'adapter_propexo_requests_total{operation="read_status",result="unreachable"}': (
                "0+10x30"
            ),
        },
        {"AdapterPropexoFails": {"severity": "ticket"}},
    ),
    "acknowledging is slow": (
        {
            'up{job="adapter"}': "1+0x30",
            'adapter_acknowledge_seconds_bucket{le="2.5"}': "0+1x30",
            'adapter_acknowledge_seconds_bucket{le="5"}': "0+10x30",
            'adapter_acknowledge_seconds_bucket{le="+Inf"}': "0+10x30",
        },
        {"AdapterAcknowledgesSlowly": {"severity": "ticket"}},
    ),
    "booking is slow": (
        {
            'up{job="adapter"}': "1+0x30",
            'adapter_time_to_booked_seconds_bucket{source="rentfeed",le="900"}': "0+1x30",
            'adapter_time_to_booked_seconds_bucket{source="rentfeed",le="3600"}': "0+10x30",
            'adapter_time_to_booked_seconds_bucket{source="rentfeed",le="+Inf"}': "0+10x30",
        },
        {"AdapterBooksSlowly": {"severity": "ticket"}},
    ),
}


@promtool
def test_the_alerts_fire_when_they_should(tmp_path: Path) -> None:
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": key, "values": text} for key, text in series.items()],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname, severity, source) (ALERTS{alertstate="firing"})',
                    "eval_time": "30m",
                    "exp_samples": [
                        {"labels": _labels(alert, labels), "value": 1}
                        for alert, labels in fired.items()
                    ],
                }
            ],
        }
        for name, (series, fired) in EPISODES.items()
    ]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": tests}))
    run_promtool("test", "rules", file)


def _labels(alert: str, labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{k}="{v}"' for k, v in {"alertname": alert, **labels}.items()) + "}"
