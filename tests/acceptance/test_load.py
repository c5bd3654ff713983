"""Test concurrent load with real processes: no duplicates, no losses, and soonest tours first."""

import concurrent.futures
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import requests

from adapter.models import WebhookRequest
from adapter.store.embedded import EmbeddedServer
from bench.latency import BACKLOG
from tests.adapter_process import AdapterProcess
from tests.sandbox_client import running_sandbox
from tests.senders import lead, signed, surname
from tests.wait import wait_until

#: A rate limit higher than this test can reach.
FAST = {
    "ADAPTER_RATE_PER_MINUTE": "100000",
    "ADAPTER_ADDRESS_LIMIT_PER_MINUTE": "1000000",
    "ADAPTER_SOURCE_LIMIT_PER_MINUTE": "1000000",
    "ADAPTER_LOG_LEVEL": "WARNING",
}


def post(one: WebhookRequest) -> str:
    """Return the status in the response: accepted or duplicate."""
    response = requests.post(one.url, data=one.body, headers=dict(one.headers), timeout=30)
    return str(response.json()["status"])


def query(running: AdapterProcess, statement: str) -> Any:
    url = EmbeddedServer(Path(running.environ["ADAPTER_DATA_DIR"])).url
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def test_500_identical_pairs_at_once_are_500_events_and_500_posts(
    start: Callable[..., AdapterProcess],
) -> None:
    """Send each webhook from two threads at once to two gunicorn processes."""
    with running_sandbox(limit_per_minute=1_000_000) as upstream:
        running = start(**FAST, PROPEXO_TOKEN="sandbox", PROPEXO_BASE_URL=upstream.url)
        webhooks = [signed(running.url, lead(number)) for number in range(500)]
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            pairs = [(threads.submit(post, one), threads.submit(post, one)) for one in webhooks]
            answers = [sorted((first.result(), second.result())) for first, second in pairs]

        assert answers == [["accepted", "duplicate"]] * 500
        assert query(running, "SELECT count(*) FROM events") == 500
        wait_until(lambda: len(upstream.posts()) >= 500, "all are posted", 120)
        wait_until(
            lambda: query(running, "SELECT count(*) FROM bookings WHERE state = 'booked'") == 500,
            "all are booked",
            120,
        )
        assert len(upstream.posts()) == 500


def test_a_soon_tour_is_sent_before_ten_thousand_others(
    start: Callable[..., AdapterProcess],
) -> None:
    running = start(ADAPTER_SOON_HOURS="48")
    url = EmbeddedServer(Path(running.environ["ADAPTER_DATA_DIR"])).url
    with psycopg.connect(url) as connection:
        connection.execute(BACKLOG.encode(), {"count": 10_000})
    assert post(signed(running.url, lead(1))) == "accepted"
    wait_until(lambda: len(running.upstream.posts()) >= 5, "the backlog is being sent")

    soon = lead(2)
    zone = ZoneInfo("America/Denver")
    at = dt.datetime.now(zone).replace(hour=12, minute=0, second=0) + dt.timedelta(days=1)
    soon["tour"] |= {"date": at.strftime("%m/%d/%Y"), "time": at.strftime("%I:%M %p")}
    before = len(running.upstream.posts())
    assert post(signed(running.url, soon)) == "accepted"
    wait_until(
        lambda: any(one["last_name"] == surname(2) for one in running.upstream.posts()),
        "the soon tour is posted",
        20,
    )

    names = [one["last_name"] for one in running.upstream.posts()]
    ahead = names.index(surname(2)) - before
    assert ahead <= 3, f"{ahead} others went out first"
    assert names.count("Waiting") >= 3
