"""Test requests that wait for their outcome, with real PostgreSQL and gunicorn."""

import concurrent.futures
import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.databases import listeners
from tests.gunicorn_process import (
    LEAD,
    GunicornServer,
    HttpResponse,
    call_timed,
    running_gunicorn,
    running_worker,
    write_mappings,
)
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.wait import wait_until

pytestmark = pytest.mark.timed


# --- over HTTP -------------------------------------------------------------------------------

TOKEN = {"scheme": "token", "in": "header", "name": "X-Token", "secrets": ["BOT_SECRET"]}
SAYS = {
    "text": "{status} {event}",
    "booked": {
        "json": {"say": "You are booked for {booking.starts_at}, {booking.first_name}."},
    },
    "held": {"xml": "<Say>A person will call you: {booking.reason}</Say>"},
}
#: Half of the server's four threads.
SEATS = 2
numbers = itertools.count(1)


@dataclasses.dataclass
class Stage:
    """Runs a web server, a worker and the sandbox."""

    web: GunicornServer
    upstream: SandboxClient
    #: The lead's tour time, in the future.
    at: dt.datetime

    def lead(self, **changes: Any) -> dict[str, Any]:
        """Return a lead for a new person each time, because a person has only one tour."""
        number = next(numbers)
        at = (self.at + dt.timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        new = {"id": f"L-{number}", "email": f"dana{number}@example.com", "at": at}
        return dict(LEAD) | new | changes

    def send(self, lead: dict[str, Any], name: str = "bot") -> HttpResponse:
        headers = {"Content-Type": "application/json", "X-Token": "one"}
        return self.web.post(name, headers, json.dumps(lead).encode())


def sections(wait: str) -> dict[str, Any]:
    return {"signature": TOKEN, "respond": {"wait": wait, **SAYS}}


@pytest.fixture(scope="module")
def stage(module_database: str, tmp_path_factory: Any) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("mappings")
    write_mappings(
        folder,
        {
            "bot": sections("20s"),
            "hasty": sections("1s"),
            "form": {"signature": TOKEN},
            "polite": {"signature": TOKEN, "respond": {"text": "{status}"}},
            "open": {"signature": {"scheme": "none"}, "respond": {"wait": "20s", **SAYS}},
        },
    )
    environ: dict[str, Any] = {
        "BOT_SECRET": "one",
        "ADAPTER_LOG_LEVEL": "ERROR",
        "ADAPTER_WEB_THREADS": "4",
    }
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    with (
        running_sandbox() as upstream,
        running_worker(folder, module_database, upstream, environ),
        running_gunicorn(folder, module_database, **environ) as web,
    ):
        yield Stage(web, upstream, dt.datetime.combine(day, dt.time(18), dt.UTC))


def test_a_chatbot_is_told_that_it_is_booked(stage: Stage) -> None:
    lead = stage.lead()
    answer, took = call_timed(lambda: stage.send(lead))
    hour = dt.datetime.strptime(lead["at"], "%Y-%m-%dT%H:%M:%S%z")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    said = json.loads(answer.body)["say"]
    assert said.startswith(f"You are booked for {hour:%A}, {hour:%B} {hour.day} at ")
    assert said.endswith(" AM, Dana.")
    assert took < 15
    assert lead["email"] in [post["email_1"] for post in stage.upstream.posts()]


def test_a_repeat_gets_the_same_response_even_with_other_bytes(stage: Stage) -> None:
    lead = stage.lead()
    first = stage.send(lead)
    again = stage.send(lead)
    changed = stage.send(lead | {"sent": "a second later"})

    assert b"You are booked" in first.body
    assert again.body == first.body
    assert changed.body == first.body
    posted = [post["email_1"] for post in stage.upstream.posts()]
    assert posted.count(lead["email"]) == 1


def test_an_unverified_sender_learns_nothing_about_other_requests(stage: Stage) -> None:
    lead = stage.lead(name="Dana Secret")
    assert b"You are booked" in stage.send(lead, "open").body
    guessed = stage.send(lead | {"more": 1}, "open")

    assert guessed.body.startswith(b"duplicate ")
    assert b"Dana" not in guessed.body


def test_a_held_lead_is_returned_with_its_reason(stage: Stage) -> None:
    answer = stage.send(stage.lead(email="nobody"))

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert answer.body.startswith(b"<Say>A person will call you: ")
    assert len(answer.body) > len("<Say>A person will call you: </Say>")


def test_an_ignored_webhook_gets_its_response_immediately(stage: Stage) -> None:
    answer, took = call_timed(lambda: stage.send(stage.lead(kind="chat")))

    assert answer.body.startswith(b"ignored ")
    assert took < 10


def test_an_outcome_after_the_deadline_is_accepted_and_returned_later(stage: Stage) -> None:
    lead = stage.lead()
    stage.upstream.fault({"delay": 3})
    answer, took = call_timed(lambda: stage.send(lead, "hasty"))

    assert answer.status == 200
    assert answer.body.startswith(b"accepted ")
    assert 1 <= took < 3
    wait_until(lambda: b"You are booked" in stage.send(lead, "hasty").body, "it is booked")


def test_a_cut_connection_loses_no_response(stage: Stage) -> None:
    stage.send(stage.lead())  # the listener has started
    wait_until(lambda: len(listeners(stage.web.database)) == 1, "it listens")
    (pid,) = listeners(stage.web.database)
    stage.upstream.fault({"delay": 2})
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        answer = threads.submit(stage.send, stage.lead())
        with psycopg.connect(stage.web.database) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])

        assert b"You are booked" in answer.result(30).body
    wait_until(lambda: listeners(stage.web.database) not in ([], [pid]), "it listens again")
    assert b"You are booked" in stage.send(stage.lead()).body


def test_beyond_the_waiter_limit_the_response_is_immediate(stage: Stage) -> None:
    stage.upstream.fault(*[{"delay": 6}] * SEATS)
    with concurrent.futures.ThreadPoolExecutor(SEATS) as threads:
        seated = [threads.submit(stage.send, stage.lead()) for _ in range(SEATS)]
        wait_until(lambda: in_flight(stage.web.database) == SEATS, "all seats are taken")
        beyond, took = call_timed(lambda: stage.send(stage.lead()))
        form, form_took = call_timed(lambda: stage.send(stage.lead(), "form"))

        assert beyond.body.startswith(b"accepted ")
        assert form.status == 200
        assert max(took, form_took) < 3
        assert all(b"You are booked" in one.result(30).body for one in seated)


def in_flight(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM bookings WHERE state = 'sending'").fetchone()
        assert row is not None
        return int(row[0])


def test_without_a_wait_the_template_is_returned_immediately(stage: Stage) -> None:
    lead = stage.lead()

    assert [stage.send(lead, "polite").body, stage.send(lead, "polite").body] == [
        b"accepted",
        b"duplicate",
    ]


def test_without_the_section_nothing_changes(stage: Stage) -> None:
    lead = stage.lead()
    first, second = stage.send(lead, "form"), stage.send(lead, "form")

    assert (first.status, json.loads(first.body)["status"]) == (200, "accepted")
    assert (second.status, json.loads(second.body)["status"]) == (200, "duplicate")
