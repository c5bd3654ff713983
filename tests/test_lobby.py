"""Requests that wait for their outcome, on a real PostgreSQL and over real gunicorn."""

import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapter.answers import Finding, Outcome
from adapter.events import BookingState
from adapter.exceptions import StoreUnavailable
from adapter.lobby import Lobby
from adapter.receiver import look
from adapter.store import settlements
from tests.house import House, tour
from tests.serving import LEAD, Answer, Served, served, timed, working, write_mappings
from tests.upstream import Upstream, served_sandbox
from tests.waiting import wait_until

LONG = 20.0


@pytest.fixture
def lobby(database: str) -> Iterator[Lobby]:
    made = Lobby(lambda: settlements(database), 4)
    yield made
    made.close()


def listeners(database: str) -> list[int]:
    """Process ids of PostgreSQL's for the connections that listen."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '%LISTEN settled'"
            " AND datname = current_database()"
        )
        return [row[0] for row in rows]


@dataclasses.dataclass
class Waiting:
    """A wait in a thread of its own, and how often it has looked."""

    found: "concurrent.futures.Future[Finding]"
    looks: list[Finding]


@contextlib.contextmanager
def waiting(house: House, lobby: Lobby, event_id: int) -> Iterator[Waiting]:
    """One that waits for an event and has looked at it, with the listener at work."""
    looks: list[Finding] = []

    def noted() -> Finding:
        looks.append(look(house.pipeline, event_id))
        return looks[-1]

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        deadline = time.monotonic() + LONG
        found = threads.submit(lobby.wait, event_id, noted, deadline)
        # The second look is that of the listener's beginning.
        wait_until(lambda: len(looks) >= 2, "it has looked and is heard")
        yield Waiting(found, looks)


def test_a_booking_that_is_settled_wakes_whoever_waits_for_its_event(
    house: House, lobby: Lobby
) -> None:
    event_id = house.receive("rentfeed", tour()).event_id
    with waiting(house, lobby, event_id) as one:
        house.pipeline.map_event(event_id)
        house.send()
        house.clock.advance(5)
        (booking,) = house.story(event_id).bookings
        assert booking.state is BookingState.SUBMITTED
        house.pipeline.follow_up(booking.id)

        found = one.found.result(LONG)
    assert found.outcome is Outcome.BOOKED
    assert found.booking is not None
    assert found.booking.id == booking.id
    assert len(one.looks) <= 5, "it looks when it is told to, and does not poll"


def test_a_held_event_wakes_at_once(house: House, lobby: Lobby) -> None:
    event_id = house.receive("rentfeed", tour(contact={"name": "Dana Okafor"})).event_id
    with waiting(house, lobby, event_id) as one:
        house.pipeline.map_event(event_id)

        assert one.found.result(LONG).outcome is Outcome.HELD


def test_what_is_rolled_back_wakes_nobody(house: House, database: str) -> None:
    heard = settlements(database)
    assert next(heard) is None
    event_id = house.receive("rentfeed", tour()).event_id
    (booking,) = house.mapped("rentfeed", tour(leadId="RF-2"))
    with contextlib.suppress(ZeroDivisionError), house.pipeline.store.transaction() as leads:
        assert leads.move(booking.id, BookingState.SUPERSEDED, why="newer", now=house.clock())
        raise ZeroDivisionError
    house.pipeline.map_event(event_id)

    assert [next(heard), next(heard)] == [booking.event_id, event_id]


def test_an_outcome_that_is_known_is_told_without_waiting(house: House, lobby: Lobby) -> None:
    (booking,) = house.mapped("rentfeed", tour(contact={"name": "Dana Okafor"}))
    found = lobby.wait(
        booking.event_id, lambda: look(house.pipeline, booking.event_id), time.monotonic()
    )

    assert found.outcome is Outcome.HELD


def test_a_listener_that_is_cut_off_comes_back_and_nothing_is_missed(
    house: House, database: str
) -> None:
    event_id = house.receive("rentfeed", tour(contact={"name": "Dana Okafor"})).event_id
    gate = threading.Event()
    cut = threading.Event()

    def listen() -> Iterator[int | None]:
        if cut.is_set():
            gate.wait(LONG)
        try:
            yield from settlements(database)
        finally:
            cut.set()

    lobby = Lobby(listen, 4)
    with contextlib.closing(lobby), waiting(house, lobby, event_id) as one:
        (pid,) = listeners(database)
        with psycopg.connect(database) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert cut.wait(LONG), "the listener noticed"
        house.pipeline.map_event(event_id)  # settled while nobody listens
        assert not one.found.done()
        gate.set()

        assert one.found.result(LONG).outcome is Outcome.HELD


def test_without_postgresql_the_answer_is_accepted_at_the_deadline() -> None:
    def away() -> Any:
        raise StoreUnavailable("away")

    began = time.monotonic()
    with contextlib.closing(Lobby(away, 1)) as lobby:
        found = lobby.wait(5, away, began + 0.3)

    assert found == Finding(event_id=5)
    assert 0.3 <= time.monotonic() - began < 5


def test_beyond_its_seats_nobody_waits() -> None:
    lobby = Lobby(lambda: iter(()), 1)
    free = threading.Event()
    seated = threading.Event()

    def look_slowly() -> Finding:
        seated.set()
        free.wait(LONG)
        return Finding(event_id=1, outcome=Outcome.BOOKED)

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        first = threads.submit(lobby.wait, 1, look_slowly, time.monotonic() + LONG)
        assert seated.wait(LONG)
        began = time.monotonic()
        second = lobby.wait(2, lambda: Finding(event_id=2), began + LONG)
        took = time.monotonic() - began
        free.set()
        assert first.result(LONG).outcome is Outcome.BOOKED
    assert second.outcome is Outcome.ACCEPTED
    assert took < LONG / 4
    # The seat is free again.
    third = Finding(event_id=3, outcome=Outcome.HELD)
    assert lobby.wait(3, lambda: third, time.monotonic()) == third
    lobby.close()


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
    """A web server, a worker and the sandbox."""

    web: Served
    upstream: Upstream
    #: The lead's tour, in the future.
    at: dt.datetime

    def lead(self, **changes: Any) -> dict[str, Any]:
        """Somebody new each time, as one person has one tour."""
        number = next(numbers)
        at = (self.at + dt.timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        new = {"id": f"L-{number}", "email": f"dana{number}@example.com", "at": at}
        return dict(LEAD) | new | changes

    def send(self, lead: dict[str, Any], name: str = "bot") -> Answer:
        headers = {"Content-Type": "application/json", "X-Token": "one"}
        return self.web.post(name, headers, json.dumps(lead).encode())


def sections(wait: str) -> dict[str, Any]:
    return {"signature": TOKEN, "respond": {"wait": wait, **SAYS}}


@pytest.fixture(scope="module")
def stage(postgres: Any, template: str, tmp_path_factory: Any) -> Iterator[Stage]:
    from tests.conftest import run_sql, url_of

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
    run_sql(postgres.url, f"CREATE DATABASE lobby TEMPLATE {template}")
    database = url_of(postgres, "lobby")
    environ = {"BOT_SECRET": "one", "ADAPTER_LOG_LEVEL": "ERROR", "ADAPTER_WEB_THREADS": "4"}
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    with (
        served_sandbox() as upstream,
        working(folder, database, upstream, environ),
        served(folder, database, **environ) as web,
    ):
        yield Stage(web, upstream, dt.datetime.combine(day, dt.time(18), dt.UTC))
    run_sql(postgres.url, "DROP DATABASE lobby WITH (FORCE)")


@pytest.mark.processes
def test_a_chatbot_is_told_that_it_is_booked(stage: Stage) -> None:
    lead = stage.lead()
    answer, took = timed(lambda: stage.send(lead))
    hour = dt.datetime.strptime(lead["at"], "%Y-%m-%dT%H:%M:%S%z")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    said = json.loads(answer.body)["say"]
    assert said.startswith(f"You are booked for {hour:%A} {hour.day} {hour:%B} at ")
    assert said.endswith(" AM, Dana.")
    assert took < 15
    assert lead["email"] in [post["email_1"] for post in stage.upstream.posts()]


@pytest.mark.processes
def test_a_repeat_is_told_the_same_and_so_is_one_with_other_bytes(stage: Stage) -> None:
    lead = stage.lead()
    first = stage.send(lead)
    again = stage.send(lead)
    changed = stage.send(lead | {"sent": "a second later"})

    assert b"You are booked" in first.body
    assert again.body == first.body
    assert changed.body == first.body
    posted = [post["email_1"] for post in stage.upstream.posts()]
    assert posted.count(lead["email"]) == 1


@pytest.mark.processes
def test_who_proved_nothing_reads_nothing_of_what_another_one_sent(stage: Stage) -> None:
    lead = stage.lead(name="Dana Secret")
    assert b"You are booked" in stage.send(lead, "open").body
    guessed = stage.send(lead | {"more": 1}, "open")

    assert guessed.body.startswith(b"duplicate ")
    assert b"Dana" not in guessed.body


@pytest.mark.processes
def test_a_lead_that_a_person_must_look_at_is_told_with_its_reason(stage: Stage) -> None:
    answer = stage.send(stage.lead(email="nobody"))

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert answer.body.startswith(b"<Say>A person will call you: ")
    assert len(answer.body) > len("<Say>A person will call you: </Say>")


@pytest.mark.processes
def test_a_webhook_that_is_no_booking_is_told_at_once(stage: Stage) -> None:
    answer, took = timed(lambda: stage.send(stage.lead(kind="chat")))

    assert answer.body.startswith(b"ignored ")
    assert took < 10


@pytest.mark.processes
def test_what_is_not_known_in_time_is_accepted_and_told_later(stage: Stage) -> None:
    lead = stage.lead()
    stage.upstream.fault({"delay": 3})
    answer, took = timed(lambda: stage.send(lead, "hasty"))

    assert answer.status == 200
    assert answer.body.startswith(b"accepted ")
    assert 1 <= took < 3
    wait_until(lambda: b"You are booked" in stage.send(lead, "hasty").body, "it is booked")


@pytest.mark.processes
def test_a_connection_that_is_cut_costs_no_answer(stage: Stage) -> None:
    stage.send(stage.lead())  # the listener has begun
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


@pytest.mark.processes
def test_beyond_the_seats_the_answer_comes_at_once_and_others_are_served(stage: Stage) -> None:
    stage.upstream.fault(*[{"delay": 6}] * SEATS)
    with concurrent.futures.ThreadPoolExecutor(SEATS) as threads:
        seated = [threads.submit(stage.send, stage.lead()) for _ in range(SEATS)]
        wait_until(lambda: in_flight(stage.web.database) == SEATS, "all seats are taken")
        beyond, took = timed(lambda: stage.send(stage.lead()))
        form, form_took = timed(lambda: stage.send(stage.lead(), "form"))

        assert beyond.body.startswith(b"accepted ")
        assert form.status == 202
        assert max(took, form_took) < 3
        assert all(b"You are booked" in one.result(30).body for one in seated)


def in_flight(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM bookings WHERE state = 'sending'").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.processes
def test_without_a_wait_the_template_is_answered_at_once(stage: Stage) -> None:
    lead = stage.lead()

    assert [stage.send(lead, "polite").body, stage.send(lead, "polite").body] == [
        b"accepted",
        b"duplicate",
    ]


@pytest.mark.processes
def test_without_the_section_nothing_changes(stage: Stage) -> None:
    lead = stage.lead()
    first, second = stage.send(lead, "form"), stage.send(lead, "form")

    assert (first.status, json.loads(first.body)["status"]) == (202, "accepted")
    assert (second.status, json.loads(second.body)["status"]) == (200, "duplicate")
