"""Test concurrent load with real processes: no duplicates, no loss, soon tours first."""

import concurrent.futures
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import requests

from adapter.models import WebhookRequest
from adapter.server.demo_scenario import webhooks
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import signed_client
from bench.latency import BACKLOG
from tests.adapter_process import SECRETS, AdapterProcess
from tests.harness import load_cached
from tests.paths import MAPPINGS
from tests.sandbox_client import running_sandbox
from tests.wait import wait_until

RENTFEED = load_cached(MAPPINGS)["rentfeed"]

#: Higher than this test can reach.
FAST = {
    "ADAPTER_RATE_PER_MINUTE": "100000",
    "ADAPTER_ADDRESS_LIMIT_PER_MINUTE": "1000000",
    "ADAPTER_SOURCE_LIMIT_PER_MINUTE": "1000000",
    "ADAPTER_LOG_LEVEL": "WARNING",
}


def surname(number: int) -> str:
    letters = (number // 676, number // 26 % 26, number % 26)
    return "Roe" + "".join(chr(ord("a") + letter) for letter in letters)


def lead(number: int, days: int = 0) -> dict[str, Any]:
    """Return a lead for a separate person, with a tour in nine days plus ``days``."""
    _, _, payload = next(webhooks(MAPPINGS, dt.datetime.now(dt.UTC) + dt.timedelta(days=days)))
    payload["leadId"] = f"RF-{number}"
    email = f"{surname(number).lower()}@example.com"
    payload["contact"] |= {"name": f"Dana {surname(number)}", "email": email, "phone": ""}
    return dict(payload)


def signed_lead(url: str, payload: dict[str, Any]) -> WebhookRequest:
    return signed_client.sign_webhook(
        RENTFEED,
        SECRETS["RENTFEED_SECRET"],
        body=json.dumps(payload).encode(),
        content_type="application/json",
        adapter_url=url,
    )


def post(signed: WebhookRequest) -> str:
    """Return the status from the response: accepted or duplicate."""
    response = requests.post(signed.url, data=signed.body, headers=dict(signed.headers), timeout=30)
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
        signed = [signed_lead(running.url, lead(number)) for number in range(500)]
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            pairs = [(threads.submit(post, one), threads.submit(post, one)) for one in signed]
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
    assert post(signed_lead(running.url, lead(1))) == "accepted"
    wait_until(lambda: len(running.upstream.posts()) >= 5, "the backlog is being sent")

    soon = lead(2)
    zone = ZoneInfo("America/Denver")
    at = dt.datetime.now(zone).replace(hour=12, minute=0, second=0) + dt.timedelta(days=1)
    soon["tour"] |= {"date": at.strftime("%m/%d/%Y"), "time": at.strftime("%I:%M %p")}
    before = len(running.upstream.posts())
    assert post(signed_lead(running.url, soon)) == "accepted"
    wait_until(
        lambda: any(one["last_name"] == surname(2) for one in running.upstream.posts()),
        "the soon tour is posted",
        20,
    )

    names = [one["last_name"] for one in running.upstream.posts()]
    ahead = names.index(surname(2)) - before
    assert ahead <= 3, f"{ahead} others went out first"
    assert names.count("Waiting") >= 3
