"""Test the facts that problems are derived from, and the places where problems are shown."""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import flask.testing
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter.app import create_app
from adapter.exceptions import VerificationError
from adapter.models import BookingState, WebhookRequest
from adapter.operations.health import Problem, read_facts
from adapter.server.heartbeat import HEARTBEAT_SECONDS, WRITES_SECONDS, Heart
from adapter.server.worker import Worker
from adapter.settings import Settings
from adapter.store import Database, DatabaseClock
from adapter.store.monitoring import MOST_ROWS
from adapter.store.queries import STATEMENTS
from adapter.webhooks.endpoints import build_endpoint
from tests.databases import run_sql
from tests.harness import SECRETS, Harness, load_cached
from tests.leads import lead, reconcile_when_due
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.postgres_proxy import counting_proxy
from tests.sandbox_client import SandboxClient
from tests.shell import Shell
from tests.wait import wait_until

HOUR = dt.timedelta(hours=1)


def problems(harness: Harness) -> dict[str, Problem]:
    """Return the problems by code, except those that occur in every test."""
    ignored = ("sandbox", "clock_differs")  # the tests' clock stands still
    return {one.code: one for one in harness.verdict().problems if one.code not in ignored}


def execute(harness: Harness, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(harness.pipeline.store.url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode(), values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def worker(harness: Harness) -> Heart:
    """Store the heartbeat of a worker that has checked the queue."""
    heart = Heart(harness.pipeline, "worker")
    heart.looked()
    heart.beat()
    return heart


def age_processes(harness: Harness, seconds: int) -> None:
    """Make time pass without a heartbeat."""
    execute(
        harness,
        "UPDATE processes SET seen_at = seen_at - %s, looked_at = looked_at - %s,"
        " started_at = started_at - %s",
        *[dt.timedelta(seconds=seconds)] * 3,
    )


# --- processes


def test_a_worker_is_missed_when_its_heartbeats_end(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.server.worker.HEARTBEAT_SECONDS", 0.05)
    assert problems(harness)["no_worker"].since is None
    with Worker(harness.pipeline).running():
        looked = "SELECT id FROM processes WHERE looked_at IS NOT NULL"
        wait_until(lambda: execute(harness, looked), "its heartbeat is stored")
        assert not problems(harness)
        facts = harness.verdict().facts
        assert facts is not None
        assert facts.workers == 1
    age_processes(harness, 59)
    assert not problems(harness)
    harness.receive("rentfeed", lead(1))
    age_processes(harness, 2)
    missed = problems(harness)["no_worker"]
    assert missed.since is not None
    assert missed.sentence.startswith("No worker has run since ")
    assert missed.sentence.endswith(": 1 webhook is waiting.")


def test_a_worker_that_hangs_is_missed_although_it_sends_heartbeats(
    harness: Harness, worker: Heart
) -> None:
    age_processes(harness, 61)
    worker._looked_at = worker._started_at - 61
    worker.beat()
    assert "has hung since" in problems(harness)["no_worker"].sentence
    worker.looked()
    worker.beat()
    assert not problems(harness)


def test_a_worker_whose_look_at_the_queue_never_ends_hangs(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start a check of the queue that never ends, which must not count as a check."""
    monkeypatch.setattr("adapter.server.worker.HEARTBEAT_SECONDS", 0.05)
    one = Worker(harness.pipeline)

    def hang() -> Any:
        one._stopping.wait()
        return {}

    monkeypatch.setattr(harness.pipeline, "due", hang)
    with one.running():
        wait_until(lambda: execute(harness, "SELECT id FROM processes"), "its heartbeat is stored")
        execute(harness, "UPDATE processes SET started_at = started_at - interval '61 s'")
        assert "has hung" in problems(harness)["no_worker"].sentence


def test_a_web_process_is_missed_once_there_was_one(harness: Harness, worker: Heart) -> None:
    web = Heart(harness.pipeline, "web", 4711)
    web.beat()
    assert not problems(harness)
    age_processes(harness, 91)
    worker.beat()
    assert problems(harness).keys() == {"no_web"}
    web.beat()
    assert not problems(harness)


def test_old_heartbeats_are_deleted_except_the_latest_of_each_kind(harness: Harness) -> None:
    for kind in ("web", "worker", "worker"):
        Heart(harness.pipeline, kind).beat()
        age_processes(harness, 86_401)
    heart = Heart(harness.pipeline, "worker")
    heart.beat()
    heart.beat()
    rows = execute(harness, "SELECT kind, id FROM processes ORDER BY 1")
    assert [kind for kind, _ in rows] == ["web", "worker"]
    assert rows[1][1] == heart._id


def test_a_heartbeat_is_one_statement(database: str, upstream: SandboxClient) -> None:
    with counting_proxy(database) as (url, proxy), Database(url, size=1) as opened:
        heart = Heart(Harness(opened, upstream).pipeline, "worker")
        counts = []
        for _ in range(8):
            proxy.counts.clear()
            heart.beat()
            counts.append((proxy.counts["round trips"], proxy.counts["statements"]))
    # The others also opened the connection or prepared the statement.
    assert min(counts) == (1, 1)


def test_a_clock_that_differs_is_reported(harness: Harness, worker: Heart) -> None:
    found = {one.code: one for one in harness.verdict().problems}
    assert "behind PostgreSQL's" in found["clock_differs"].sentence
    harness.clock.at = dt.datetime.now(dt.UTC)
    worker.beat()
    assert "clock_differs" not in {one.code for one in harness.verdict().problems}


def test_a_slow_database_is_reported_after_a_minute(
    harness: Harness, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.operations.health.SLOW_SECONDS", 0.2)
    heart = Heart(harness.pipeline, "worker")
    half = round(WRITES_SECONDS / HEARTBEAT_SECONDS / 2)
    heart.beat()
    heart.looked()
    with locked_processes(database):
        for _ in range(half - 2):
            heart.beat()
    heart.beat()
    assert "database_slow" not in problems(harness), "there are too few writes"
    with locked_processes(database):
        for _ in range(3):
            heart.beat()
    heart.beat()
    assert problems(harness)["database_slow"].sentence.startswith("PostgreSQL needs 0.3 s to save")
    for _ in range(2 * half):
        heart.beat()
    assert "database_slow" not in problems(harness)


@contextlib.contextmanager
def locked_processes(database: str) -> Iterator[None]:
    """Make each write of a heartbeat take 0.3 seconds."""
    slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
    slow += "pg_sleep(0.3); RETURN NULL; END $$; CREATE TRIGGER slow AFTER INSERT "
    run_sql(database, f"{slow} ON processes EXECUTE FUNCTION slow()")
    yield
    run_sql(database, "DROP FUNCTION slow CASCADE")


def test_a_worker_that_waits_for_a_migration_does_not_seem_to_hang(
    fresh_database: str, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.server.worker.HEARTBEAT_SECONDS", 0.05)
    with Database(fresh_database, size=8) as opened:
        harness = Harness(opened, upstream)
        with Worker(harness.pipeline).running():
            looked = "SELECT id FROM processes WHERE looked_at IS NOT NULL"
            wait_until(lambda: execute(harness, looked), "it has looked")
            run_sql(fresh_database, "INSERT INTO migrations (name) VALUES ('9999_newer.sql')")
            waiting = "SELECT id FROM processes WHERE is_waiting"
            wait_until(lambda: execute(harness, waiting), "its heartbeat says so")
        age_processes(harness, 20)
        execute(harness, "UPDATE processes SET looked_at = looked_at - interval '60 s'")
        assert "has waited for the right" in problems(harness)["no_worker"].sentence


def test_a_machine_whose_clock_differs_is_reported_although_its_worker_follows_postgresql(
    harness: Harness,
) -> None:
    now = dt.datetime.now(dt.UTC)
    harness.pipeline.clock = clock = DatabaseClock(lambda: now - HOUR)
    clock.measure(harness.pipeline.store)
    Heart(harness.pipeline, "worker").beat()
    (found,) = (one for one in harness.verdict().problems if one.code == "clock_differs")
    assert "is 3600 s behind PostgreSQL's, so its worker sends nothing." in found.sentence


def test_changed_mappings_that_are_not_loaded_are_reported(
    opened: Database, upstream: SandboxClient, tmp_path: Any
) -> None:
    for file in (*MAPPINGS.glob("*.yaml"), *MAPPINGS.glob("samples/*")):
        target = tmp_path / file.relative_to(MAPPINGS)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())
    harness = Harness(opened, upstream, mappings=tmp_path)
    heart = Heart(harness.pipeline, "worker")
    heart.looked()
    heart.beat()
    (tmp_path / "rentfeed.yaml").write_text("not: a mapping")
    heart.beat()
    assert not problems(harness)
    assert heart._outdated_since is not None
    heart._outdated_since -= 61
    heart.beat()
    assert problems(harness).keys() == {"mappings_outdated"}


# --- the queue


def test_a_webhook_that_is_not_mapped_is_reported(harness: Harness, worker: Heart) -> None:
    harness.receive("rentfeed", lead(1))
    harness.clock.advance(119)
    assert not problems(harness)
    harness.clock.advance(1)
    assert problems(harness).keys() == {"webhooks_not_mapped"}
    harness.pipeline.mapper.map_due()
    assert "webhooks_not_mapped" not in problems(harness)


def test_a_rejected_token_is_reported_at_once(
    harness: Harness, worker: Heart, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(1))
    upstream.fault({"status": 401})
    harness.send()
    stopped = problems(harness)["sending_stopped"]
    assert stopped.since == harness.clock()
    assert stopped.sentence.endswith("because Propexo rejects our API token: 1 booking is waiting.")
    assert harness.verdict().why_unsent == stopped.sentence
    harness.pipeline.sender.try_resume_sending()
    harness.clock.advance(11)
    harness.pipeline.sender.try_resume_sending()
    assert not problems(harness)


def test_an_unreachable_propexo_is_reported_with_the_reason(
    opened: Database, upstream: SandboxClient
) -> None:
    harness = Harness(opened, upstream)
    harness.pipeline.propexo.base_url = f"http://127.0.0.1:{free_port()}"
    heart = Heart(harness.pipeline, "worker")
    heart.looked()
    heart.beat()
    (booking,) = harness.mapped("rentfeed", lead(1))
    began = harness.clock()
    while "sending_stopped" not in problems(harness):
        assert harness.clock() - began < dt.timedelta(minutes=5)
        harness.clock.advance(20)
        harness.pipeline.sender.send_due()
    found = problems(harness)["sending_stopped"]
    assert found.since is not None
    host = harness.pipeline.propexo.base_url.removeprefix("http://")
    assert "because Propexo cannot be reached" in found.sentence
    assert f"Connection refused ({host})" in found.sentence
    harness.pipeline.propexo.base_url = upstream.url
    harness.clock.advance(300)
    harness.pipeline.sender.try_resume_sending()
    harness.send()
    assert harness.state(booking.id) is BookingState.SUBMITTED
    assert "sending_stopped" not in problems(harness)


def test_bookings_that_nobody_sends_are_reported(harness: Harness, worker: Heart) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.clock.advance(299)
    assert not problems(harness)
    harness.clock.advance(1)
    assert problems(harness).keys() == {"nothing_sent"}


def test_a_booking_that_waits_for_the_same_person_is_no_problem(
    harness: Harness, worker: Heart
) -> None:
    harness.mapped("rentfeed", lead(1, email="dana@example.com"))
    harness.send()
    harness.mapped("rentfeed", lead(2, day=15, email="dana@example.com"))
    harness.clock.advance(3000)
    assert not problems(harness)


# --- sources


def rejected(harness: Harness, number: int) -> None:
    """Send a request with an invalid signature."""
    endpoint = build_endpoint(harness.pipeline.sources["rentfeed"], harness.settings)
    headers = {
        "content-type": "application/json",
        "x-rentfeed-signature": "0" * 64,
        "x-rentfeed-timestamp": str(int(harness.clock().timestamp())),
    }
    body = json.dumps(lead(number)).encode()
    request = WebhookRequest("POST", "https://adapter.example.com/hooks/rentfeed", headers, body)
    with pytest.raises(VerificationError):
        harness.pipeline.receiver.verify(endpoint, request)
    harness.pipeline.receiver.background_writer.flush()


def test_a_rotated_secret_is_reported_until_a_request_is_accepted(
    harness: Harness, worker: Heart
) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.pipeline.receiver.background_writer.flush()
    for number in range(2, 5):
        harness.clock.advance(30)
        rejected(harness, number)
    harness.clock.advance(59)
    assert "source_refused" not in problems(harness)
    harness.clock.advance(1)
    found = problems(harness)["source_refused"]
    assert found.source == "rentfeed"
    assert found.sentence.startswith("3 requests from rentfeed failed verification")
    harness.mapped("rentfeed", lead(5))
    assert "source_refused" not in problems(harness)


def test_a_repeat_shows_too_that_the_secret_is_right(harness: Harness, worker: Heart) -> None:
    harness.mapped("rentfeed", lead(1))
    for number in range(2, 6):
        rejected(harness, number)
        harness.clock.advance(40)
    harness.receive("rentfeed", lead(1))
    harness.pipeline.receiver.background_writer.flush()
    harness.clock.advance(200)
    assert "source_refused" not in problems(harness)


def test_requests_without_a_signature_say_nothing_about_the_secret(
    harness: Harness, worker: Heart
) -> None:
    for _ in range(5):
        rejected(harness, 1)
    execute(harness, "UPDATE rejections SET reason = 'header_missing'")
    harness.clock.advance(600)
    assert "source_refused" not in problems(harness)


def count_hours(harness: Harness, hours: int, events: int | None, each: int = 1) -> None:
    """Store counts for past hours, and a latest event that arrived now."""
    hour = harness.clock().replace(minute=0)
    for ago in range(0, hours, each):
        execute(
            harness,
            "INSERT INTO hourly_counts VALUES ('rentfeed', %s, %s)",
            hour - ago * HOUR - HOUR,
            events,
        )
    harness.mapped("rentfeed", lead(1))


def silent_after(harness: Harness) -> float:
    """Return how many hours pass before the source is reported as silent."""
    began = harness.clock()
    while "source_silent" not in problems(harness):
        harness.clock.advance(360)
        assert harness.clock() - began < 24 * 7 * HOUR
    return (harness.clock() - began) / HOUR


@pytest.mark.parametrize(
    ("events", "each", "hours"),
    [(4, 1, 1.8), (1, 1, 7.0), (1, 12, 84.0), (40, 1, 1.0)],
    ids=["96 a day", "24 a day", "2 a day", "960 a day"],
)
def test_a_source_is_silent_when_that_is_unlikely(
    harness: Harness, worker: Heart, events: int, each: int, hours: float
) -> None:
    count_hours(harness, 24 * 28, events, each)
    assert silent_after(harness) == pytest.approx(hours, abs=0.11 + each)


def test_a_silence_is_judged_by_the_same_hours_of_the_week(harness: Harness, worker: Heart) -> None:
    """Simulate a source that sends 10 webhooks an hour from 15:00 to 23:00 UTC, at 18:00 UTC."""
    hour = harness.clock().replace(hour=0)
    for ago in range(28):
        for number in range(15, 23):
            execute(
                harness,
                "INSERT INTO hourly_counts VALUES ('rentfeed', %s, 10)",
                hour - ago * 24 * HOUR - 24 * HOUR + number * HOUR,
            )
    harness.clock.at = hour + 22 * HOUR + 55 * HOUR / 60
    harness.mapped("rentfeed", lead(1))
    assert silent_after(harness) == pytest.approx(17.08, abs=0.2)  # at 16:00 on the next day


def test_a_new_source_is_judged_by_earlier_days(harness: Harness, worker: Heart) -> None:
    count_hours(harness, 47, 4)
    harness.clock.advance(24 * 3600)
    assert "source_silent" not in problems(harness)
    execute(harness, "DELETE FROM hourly_counts")
    harness.clock.at -= 24 * HOUR
    count_hours(harness, 72, 4)
    assert silent_after(harness) == pytest.approx(1.8, abs=0.11)


def test_one_batch_an_hour_early_or_late_is_no_silence(harness: Harness, worker: Heart) -> None:
    """Simulate a sender that sends 100 webhooks at 18:50 every day, and at 18:10 today."""
    hour = harness.clock()
    for day in range(1, 29):
        execute(
            harness,
            "INSERT INTO hourly_counts VALUES ('rentfeed', %s, 100)",
            hour - day * 24 * HOUR,
        )
    harness.clock.advance(600)
    harness.mapped("rentfeed", lead(1))
    harness.clock.advance(23.6 * 3600)
    assert "source_silent" not in problems(harness)


# --- review


def test_leads_that_need_review_are_reported_in_time(harness: Harness, worker: Heart) -> None:
    harness.mapped("rentfeed", lead(1, day=9, time="11:30 PM"))
    harness.clock.advance(24 * 3600 - 1)
    assert not problems(harness)
    harness.clock.advance(1)
    assert problems(harness).keys() == {"review_overdue"}
    harness.clock.at = dt.datetime(2026, 3, 10, 1, 31, tzinfo=dt.UTC)
    assert problems(harness).keys() == {"review_overdue", "tour_soon"}


def test_a_held_webhook_waits_too(harness: Harness, worker: Heart) -> None:
    harness.map_event(harness.receive("rentfeed", b"{").event_id)
    harness.clock.advance(24 * 3600)
    assert problems(harness).keys() == {"review_overdue"}


def test_unknown_bookings_are_reported_after_an_hour(
    harness: Harness, worker: Heart, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    upstream.fault({"drop": "after"})
    harness.send()
    assert harness.state(booking.id) is BookingState.UNKNOWN
    harness.clock.advance(3599)
    assert not problems(harness)
    harness.clock.advance(1)
    assert problems(harness).keys() == {"bookings_unknown"}
    reconcile_when_due(harness, booking.id)
    assert not problems(harness)


def test_expired_tours_are_reported(harness: Harness, worker: Heart) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.clock.at = dt.datetime(2026, 3, 14, 20, 26, tzinfo=dt.UTC)
    harness.pipeline.recover()
    assert "tours_expired" in problems(harness)


# --- the server


def test_scarce_connections_are_reported(harness: Harness, worker: Heart, database: str) -> None:
    name = database.partition("?")[0].rpartition("/")[2]
    facts = read_facts(harness.pipeline.store, (), harness.settings, harness.clock())
    used, allowed = facts.connections
    assert 0 < used < allowed
    try:
        execute(harness, f"ALTER DATABASE {name} CONNECTION LIMIT 1")
        assert "connections_low" in problems(harness)
    finally:
        execute(harness, f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    assert "connections_low" not in problems(harness)


def test_the_free_space_of_a_local_server_is_known(harness: Harness) -> None:
    facts = read_facts(harness.pipeline.store, (), harness.settings, harness.clock())
    assert facts.disk_free is not None


def test_the_facts_cost_the_same_in_a_large_database(opened_fresh: Database) -> None:
    """Count the database pages that each statement reads with 30,000 completed leads."""
    with psycopg.connect(opened_fresh.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO events (source, state, received_at, content_type, headers, query, body)"
            " SELECT 'rentfeed', 'mapped', now() - n * interval '1 minute', '', '{}', '', ''"
            " FROM generate_series(1, 30000) n"
        )
        connection.execute(
            "INSERT INTO bookings (event_id, item, source, state, starts_at, appointment, asked_at,"
            " created_at, updated_at)"
            " SELECT id, 0, source, 'booked', now(), '{}', now(), received_at, now() FROM events"
        )
        connection.execute(
            "INSERT INTO attempts (booking_id, request, started_at, lease_until, outcome)"
            " SELECT id, '{}', now(), now(), 'accepted' FROM bookings"
        )
        connection.execute("VACUUM ANALYZE")
        pages = {name: _pages(connection, name, given) for name, given in STATEMENT_VALUES.items()}
    assert all(count < 150 for count in pages.values()), pages


AT = dt.datetime.now(dt.UTC)
STATEMENT_VALUES: dict[str, dict[str, Any]] = {
    "known_processes": {"limit": 200},
    "queue_facts": {"now": AT, "late": AT, "too_late": AT, "limit": MOST_ROWS},
    "review_facts": {"now": AT, "unknown_before": AT, "limit": MOST_ROWS},
    "source_facts": {
        "sources": ["leasebot", "rentfeed"],
        "now": AT,
        "reasons": ["signature_mismatch"],
        "refused_after": AT,
        "most_partial": 4,
    },
    "connections": {},
    "data_folder": {},
}


def _pages(
    connection: psycopg.Connection[tuple[Any, ...]], name: str, values: dict[str, Any]
) -> int:
    row = connection.execute(
        b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + STATEMENTS[name], values
    ).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


# --- where it is shown


def test_stats_and_queue_begin_with_the_verdict(harness: Harness, shell: Shell) -> None:
    harness.receive("rentfeed", lead(1))
    first = "BROKEN: No worker is running: 1 webhook is waiting."
    assert shell("stats").startswith(first)
    assert shell("queue").startswith(first)
    assert shell.json("stats")["level"] == shell.json("queue")["level"] == "broken"
    assert shell.json("queue")["problems"][0]["code"] == "no_worker"


def test_stats_check_has_an_exit_code_for_each_level(
    harness: Harness, shell: Shell, worker: Heart
) -> None:
    harness.clock.at = dt.datetime.now(dt.UTC)
    worker.beat()
    text = shell("stats", "--check", exit_code=0)
    assert text.startswith("OK: All is well. 1 worker is running.")
    execute(harness, "UPDATE processes SET clock_ahead_seconds = 3")
    text = shell("stats", "--check", exit_code=1)
    assert text.startswith("WARNING: The clock of ")
    assert "Synchronize the clocks" in text
    age_processes(harness, 120)
    found = shell.json("stats", "--check", exit_code=2)
    assert [one["code"] for one in found["problems"]] == ["no_worker", "sandbox"]


def test_stats_check_reports_a_database_that_is_away(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    text = shell("stats", "--check", exit_code=2)
    assert text.startswith(
        "BROKEN: PostgreSQL is unavailable: cannot reach PostgreSQL at 127.0.0.1:"
    )


def test_a_pending_booking_says_why_it_is_not_sent(
    harness: Harness, shell: Shell, worker: Heart, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    assert "not sent yet" not in shell("show", str(booking.id))
    upstream.fault({"status": 401})
    harness.send()
    assert "not sent yet: Nothing has been sent since " in shell("show", str(booking.id))
    assert "rejects our API token" in shell.json("show", str(booking.id))["why_unsent"]
    assert shell("queue").startswith("BROKEN: Nothing has been sent since ")


@pytest.fixture
def web(harness: Harness) -> Iterator[flask.testing.FlaskClient]:
    settings = Settings(
        database_url=harness.pipeline.store.url,
        mappings_dir=MAPPINGS,
        environ=SECRETS,
        metrics_token="open sesame",
    )
    client = create_app(settings, harness.clock, load_cached(MAPPINGS)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer open sesame"
    with client.application.extensions["pipeline"].store:
        yield client


def metrics(client: flask.testing.FlaskClient) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_the_metrics_contain_the_verdict(
    web: flask.testing.FlaskClient, harness: Harness, worker: Heart
) -> None:
    harness.receive("rentfeed", lead(1))
    harness.mapped("rentfeed", lead(2))
    harness.clock.advance(300)
    found = metrics(web)
    assert found["adapter_workers_alive",] == 1
    assert found["adapter_oldest_unmapped_seconds",] == 300
    assert found["adapter_oldest_due_seconds",] == 300
    assert found["adapter_problem", "webhooks_not_mapped", ""] == 1
    assert found["adapter_problem", "nothing_sent", ""] == 1
    age_processes(harness, 120)
    assert metrics(web)["adapter_workers_alive",] == 0
