"""Test a worker that checks tour times in Knock while the calendar cannot be read."""

import datetime as dt
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.models import utc_now
from adapter.store import Database
from tests.gunicorn_process import running_worker
from tests.harness import SECRETS, Harness
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.senders import lead
from tests.wait import wait_until

#: Maximum delay of a lead, in seconds. Only a slow machine takes longer.
MOST_SECONDS = 5.0
#: More communities than a worker has threads for sending, and several leads for each.
COMMUNITIES = 8
LEADS = 24
ENOUGH = "10000"

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return mappings with eight communities that check the times of tours in Knock."""
    folder = tmp_path_factory.mktemp("run") / "mappings"
    shutil.copytree(MAPPINGS, folder)
    communities = {
        f"place-{number}": {
            "integration_id": "int_7Qm2",
            "community_id": f"com_{number}",
            "timezone": "America/Denver",
            "check_availability": True,
            "attributions": {"rentfeed": "att_rentfeed_m"},
            "known_as": {"rentfeed": [f"place {number}"]},
        }
        for number in range(COMMUNITIES)
    }
    file = folder / "communities.yaml"
    lines = [f"{key}: {json.dumps(one)}" for key, one in communities.items()]
    file.write_text("\n".join([file.read_text(), *lines, ""]))
    return folder


@pytest.fixture(scope="module")
def stage(folder: Path, module_database: str) -> Iterator[tuple[SandboxClient, Database]]:
    """Run a sandbox, and a worker with a high rate limit."""
    environ = SECRETS | {"ADAPTER_RATE_PER_MINUTE": ENOUGH}
    with (
        running_sandbox(limit_per_minute=100_000) as upstream,
        Database(module_database, size=2) as opened,
        running_worker(folder, module_database, upstream, environ),
    ):
        yield upstream, opened


def delays(harness: Harness, upstream: SandboxClient) -> list[float]:
    """Receive a burst of leads. Return the seconds from receipt to POST for each lead."""
    received: dict[str, dt.datetime] = {}
    for _ in range(LEADS):
        payload = lead_of(next(numbers))
        harness.clock.at = received[payload["contact"]["email"]] = utc_now()
        harness.receive("rentfeed", payload)
        harness.pipeline.store.notify_workers()
    wait_until(lambda: received.keys() <= posted(upstream).keys(), "all are posted", 60)
    found = posted(upstream)
    return [(found[email] - at).total_seconds() for email, at in received.items()]


def lead_of(number: int) -> dict[str, Any]:
    """Return a lead for a new person, with a different tour time at one of the communities."""
    payload, slot = lead(number), number // COMMUNITIES
    payload["listing"] |= {"propertyId": f"place {number % COMMUNITIES}"}
    day = utc_now() + dt.timedelta(days=3 + slot // 8)
    time = dt.time(hour=9 + slot % 8)
    payload["tour"] |= {"date": f"{day:%m/%d/%Y}", "time": f"{time:%I:%M %p}"}
    return payload


def posted(upstream: SandboxClient) -> dict[str, dt.datetime]:
    """Return the time when the sandbox received the POST for each email address."""
    path = "/crm/v1/appointments/knock"
    calls = [one for one in upstream.calls() if one["path"] == path and one["body"]]
    emails = [one["body"]["email_1"] for one in calls]
    assert len(emails) == len(set(emails)), "a lead was posted twice"
    return {one["body"]["email_1"]: dt.datetime.fromisoformat(one["received_at"]) for one in calls}


FAULTS: list[dict[str, Any]] = [
    {"delay": 8},
    {"delay": 2.5},
    {"drop": "before"},
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "60"}},
    {"status": 200, "body": "<html>"},
]


def test_no_lead_waits_for_a_calendar_that_cannot_be_asked(
    stage: tuple[SandboxClient, Database], folder: Path
) -> None:
    """Check that each lead is posted once within five seconds, no matter how the endpoint fails."""
    upstream, opened = stage
    harness = Harness(opened, upstream, mappings=folder)
    delays(harness, upstream)  # while the worker starts
    usual = max(delays(harness, upstream))
    for fault in FAULTS:
        upstream.fault(*[{"on": "availability", **fault}] * (LEADS * 2))
        slowest = max(delays(harness, upstream))
        forget(opened, upstream)
        if slowest > MOST_SECONDS + usual:  # the machine may have become slower since
            usual = max(usual, *delays(harness, upstream))
        assert slowest <= MOST_SECONDS + usual, f"{fault}: {slowest:.1f} s, usually {usual:.1f} s"


def forget(opened: Database, upstream: SandboxClient) -> None:
    """Delete the cached responses, as if a minute had passed. Delete the unused faults too."""
    upstream.clear_faults()
    with opened.transaction() as tx:
        tx.connection.execute(b"UPDATE free_times SET asked_at = 'epoch', answered_at = 'epoch'")
