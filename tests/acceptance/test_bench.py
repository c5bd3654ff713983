"""Run the benchmarks with minimal effort. Check that every row has a figure and a baseline.

These tests do not check how fast anything is.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from adapter import signatures
from adapter.mapping import registry
from adapter.models import WebhookRequest, utc_now
from adapter.settings import Policy
from adapter.store.embedded import EmbeddedServer
from bench import (
    BenchError,
    acknowledging,
    charts,
    client,
    console_pages,
    draining,
    growth,
    hostile,
    leads,
    load,
    mapping,
    peers,
)
from bench.__main__ import main
from bench.load import Answers, Requests
from bench.rounds import TINY, microseconds, turned
from bench.tables import Goal, Row, text_from_rows
from tests.databases import set_durable
from tests.paths import MAPPINGS
from tests.ports import free_port

SAMPLE = (MAPPINGS / "samples" / "rentfeed-tour.json").read_bytes()


@pytest.fixture(scope="module")
def durable(postgres: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """Make the tests' PostgreSQL flush to disk, as the benchmarks require."""
    set_durable(postgres, is_durable=True)
    yield postgres
    set_durable(postgres, is_durable=False)


def row(**changes: Any) -> Row:
    values = {"section": "map", "what": "rentfeed", "figure": 120.0, "unit": "µs"}
    return Row(**{**values, "beside": "reads", "other": 2.0, **changes})


def bench(*arguments: str) -> list[dict[str, Any]]:
    """Run one section with minimal effort, and return its rows."""
    ended = CliRunner().invoke(main, [*arguments, "--tiny", "--json"], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    rows: list[dict[str, Any]]
    (rows,) = json.loads(ended.stdout)["sections"].values()
    return rows


GROWN = [
    "p99",
    "p50",
    "due rows",
    "an event",
    "a check",
    "a tour that starts soon",
    "a booking",
    *growth.PATHS,
    "web",
    "worker",
]


def assert_measured(rows: list[dict[str, Any]]) -> None:
    for one in rows:
        assert one["figure"] > 0 or one["what"] == "responses with 429", one
        assert one["other"] > 0, one
        assert one["ratio"] == pytest.approx(one["figure"] / one["other"]), one


def test_map_has_a_row_for_each_mapping_and_its_slowest_hostile_body() -> None:
    rows = bench("map")
    assert_measured(rows)
    names = [one["what"].split(",")[0] for one in rows]
    assert names[:3] == names[-3:] == ["rentfeed", "leasebot", "website"]
    assert len(names) == 6 + mapping.PAYLOADS.is_dir(), "the corpus has a row where it is here"


def test_verify_has_a_row_for_each_scheme() -> None:
    rows = bench("verify")
    assert_measured(rows)
    assert len({one["what"] for one in rows}) == len(rows) == 12


@pytest.mark.parametrize("has_wrk", [True, False], ids=["wrk", "own client"])
def test_acknowledge_stands_beside_both_servers(
    has_wrk: bool, durable: EmbeddedServer, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTER_DATA_DIR", str(data_folder))
    if has_wrk and load.client() != "wrk":
        pytest.skip("wrk is not installed")
    if not has_wrk:
        monkeypatch.setattr("bench.load.client", lambda: "bench.client")
    monkeypatch.setattr("bench.peers.shutil.which", lambda name: None)
    rows = bench("acknowledge", "--server", durable.url)
    assert_measured(rows)
    assert [(one["what"], one["beside"]) for one in rows] == [
        ("2 conn., rate", "one INSERT"),
        ("2 conn., rate", "empty 204"),
        ("2 conn., p50", "one INSERT"),
        ("2 conn., p99", "one INSERT"),
    ]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("drain", ["2 workers", "requests per minute", "busiest", "429"]),
        ("latency", ["p50", "p99", "pending bookings", "acknowledge p99"]),
        ("cpu", ["CPU time per booking"]),
        ("growth", GROWN),
        (
            "console",
            [word for path in console_pages.PATHS for word in (path, "CPU time", "size")],
        ),
    ],
)
def test_each_section_has_its_rows(
    section: str,
    words: list[str],
    durable: EmbeddedServer,
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADAPTER_DATA_DIR", str(data_folder))
    assert_rows(bench(section, "--server", durable.url), words)
    with psycopg.connect(durable.url) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname ~ '^bench_'")
        assert left.fetchall() == [], "what was made on somebody's server is dropped"


def test_start_has_its_rows_and_a_cluster_of_its_own(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTER_DATA_DIR", str(data_folder))
    assert_rows(bench("start"), ["until ready", "adapter check", "memory"])
    assert list(data_folder.iterdir()) == [], "it is gone afterwards"


def assert_rows(rows: list[dict[str, Any]], words: list[str]) -> None:
    assert_measured(rows)
    for one, word in zip(rows, words, strict=True):
        assert word in one["what"]


def test_the_fullest_window_slides() -> None:
    assert draining.fullest([0, 1, 59, 60.5, 60.9]) == 4
    assert draining.fullest([0, 60, 120]) == 1


def test_charts_are_written_for_what_was_measured(tmp_path: Path) -> None:
    goal = Goal(bound=2, sense="≥")
    rows = {
        "map": [row(goals=(Goal(bound=60),)), row(what="leasebot", goals=(goal,))],
        "acknowledge": [
            row(section="acknowledge", what=f"8 conn., {word}", beside=beside)
            for word in ("rate", "p99")
            for beside in ("one INSERT", "Node-RED")
        ],
    }
    made = charts.write(tmp_path, rows)
    assert [file.name for file in made] == ["benchmarks-goals.svg", "benchmarks-acknowledge.svg"]
    first = [file.read_bytes() for file in made]
    assert all(text.lstrip().startswith(b"<?xml") for text in first)
    assert [file.read_bytes() for file in charts.write(tmp_path, rows)] == first


@pytest.mark.parametrize(
    ("goal", "reserve"),
    [
        (Goal(bound=30), 0.5),
        (Goal(bound=120), 2.0),
        (Goal(bound=30, sense="≥"), 2.0),
        (Goal(bound=240, of="figure"), 2.0),
        (Goal(bound=0), 0.0),
    ],
)
def test_the_degree_to_which_a_goal_is_met(goal: Goal, reserve: float) -> None:
    assert row(goals=(goal,)).reserve == reserve


def test_a_peer_that_is_not_installed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.peers.shutil.which", lambda name: None)
    with peers.running("secret", tmp_path) as found:
        assert found == {}
    assert capsys.readouterr().err.count("is not installed; skipping it") == 2


@pytest.fixture
def written(tmp_path: Path) -> Requests:
    source = registry.load(MAPPINGS, Policy())["rentfeed"]
    return leads.write(tmp_path / "requests", source, "secret", SAMPLE, 3)


def test_the_requests_are_distinct_and_each_is_signed(written: Requests) -> None:
    source = registry.load(MAPPINGS, Policy())["rentfeed"]
    verifier = signatures.verifier(source.signature, ["secret"])
    again = client.requests(written.file, written.length)
    keys = set()
    for _ in range(written.count):
        head, _, body = next(again).partition(b"\r\n\r\n")
        lines = head.decode().splitlines()[1:]
        headers = dict(line.split(": ", 1) for line in lines)
        request = WebhookRequest(
            method="POST", url="http://127.0.0.1/hooks/rentfeed", headers=headers, body=body
        )
        verifier.verify(request, utc_now().timestamp())
        assert len(body) == leads.BODY_BYTES == int(headers["Content-Length"])
        keys.add(json.loads(body)["leadId"])
    assert len(keys) == written.count


@pytest.mark.parametrize(
    ("count", "stored", "why"),
    [(3, 2, "3 were acknowledged and 2 are stored"), (4, 4, "some repeated")],
)
def test_there_is_no_figure_where_something_was_not_stored(
    written: Requests, count: int, stored: int, why: str
) -> None:
    answers = Answers(count=count, rate=1.0, p50_ms=1.0, p99_ms=1.0)
    with pytest.raises(BenchError, match=why):
        acknowledging.check(answers, written, stored)


def test_an_answer_that_is_not_a_good_one_is_no_figure(written: Requests) -> None:
    answers = [(200, 0.001), (503, 0.001)]
    assert client.summary(answers, 1.0)["refused"] == 1
    with pytest.raises(BenchError, match="failed"):
        load.run(free_port(), written, connections=1, seconds=1)


@pytest.mark.parametrize(
    ("goals", "verdict"),
    [
        ((), ""),
        ((Goal(bound=60),), "met"),
        ((Goal(bound=59),), "missed"),
        ((Goal(bound=60), Goal(bound=119, of="figure")), "missed"),
        ((Goal(bound=60, sense="≥"),), "met"),
        ((Goal(bound=61, sense="≥"),), "missed"),
    ],
)
def test_a_goal_bounds_the_ratio_or_the_figure(goals: tuple[Goal, ...], verdict: str) -> None:
    assert row(goals=goals).verdict == verdict


def test_the_table_has_goal_and_ratio_side_by_side() -> None:
    text = text_from_rows([row(goals=(Goal(bound=60), Goal(bound=500, of="figure")))])
    assert re.split(" {2,}", text.splitlines()[1]) == [
        *("rentfeed", "120 µs", "reads", "2.00 µs", "60.00", "≤ 60, ≤ 500 µs", "met")
    ]


def test_candidates_take_turns() -> None:
    assert turned(["a", "b", "c"], 4) == ["b", "c", "a"]
    times = microseconds({"nothing": lambda: None, "much": lambda: sum(range(5000))}, TINY)
    assert times["much"] > times["nothing"]


def test_hostile_bodies_are_as_long_as_is_said() -> None:
    made = dict(hostile.deliveries(json.loads(SAMPLE), 64 * 1024))
    assert len(made) > 200
    assert max(len(delivery.body) for delivery in made.values()) <= 64 * 1024
    assert "contact.phone is digits" in made
