"""Test that a restored database sends nothing until its missing leads have been found."""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from adapter import store
from adapter.bookings import database_check, write_log
from adapter.bookings.matching import WRITE_LOG
from adapter.cli import restored
from adapter.exceptions import NotPossible
from adapter.models import BookingState, Clock
from adapter.operations.restore import Restore, Survey
from adapter.propexo.appointment import request_from
from adapter.store import Database, Sending
from adapter.store.embedded import EmbeddedServer
from adapter.store.identity import SKIPPED_IDS
from adapter.store.migrate import FIRST, LEDGER
from tests.databases import database_url, run_sql, temporary_database
from tests.harness import SECRETS, START, Harness, load_cached, settle
from tests.leads import lead, surname
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.shell import Shell

#: Copies the values into a new row, as pg_restore does.
COPY_ROW = """
CREATE TEMP TABLE dump AS SELECT * FROM database_identity;
DELETE FROM database_identity;
INSERT INTO database_identity SELECT * FROM dump;
"""


@pytest.fixture
def clocks() -> list[Clock]:
    return [lambda: START]


@pytest.fixture
def upstream(clocks: list[Clock]) -> Iterator[SandboxClient]:
    """Yield a sandbox with the harness's clock."""
    with running_sandbox(clock=lambda: clocks[-1]()) as upstream:
        yield upstream


@pytest.fixture
def harness(opened: Database, upstream: SandboxClient, clocks: list[Clock]) -> Harness:
    harness = Harness(opened, upstream)
    clocks.append(harness.clock)
    return harness


def sending(store: Database) -> Sending:
    with store.statement() as tx:
        return tx.stats.sending(START)


def run_worker(harness: Harness) -> None:
    """Run the steps that a worker runs every five seconds."""
    harness.pipeline.check_database()
    harness.pipeline.recover()


def mark(database: str, at: dt.datetime) -> None:
    """Change the database as if no worker had run since the given time."""
    statement = "UPDATE database_identity SET seen_at = %s, written_by = pg_current_xact_id()"
    with psycopg.connect(database) as connection:
        connection.execute(statement, [at])


def pending(harness: Harness, number: int, **changes: Any) -> int:
    (booking,) = harness.mapped("rentfeed", lead(number, **changes))
    assert booking.state is BookingState.PENDING
    return booking.id


def post_without_a_trace(harness: Harness, upstream: SandboxClient, booking_id: int) -> None:
    """Send a booking without recording it, as the lost database did after the backup."""
    booking = harness.booking(booking_id)
    upstream.book(request_from(booking.appointment, {}, booking.kind))


def test_a_database_whose_rows_were_copied_sends_nothing(
    harness: Harness, opened: Database, database: str, upstream: SandboxClient
) -> None:
    """Simulate pg_restore into the same database, whose name, cluster and OID stay the same."""
    run_worker(harness)
    booking_id = pending(harness, 1)
    run_sql(database, COPY_ROW)

    harness.send()

    assert harness.state(booking_id) is BookingState.PENDING
    assert sending(opened).stopped_for == "restored", "before any worker has noticed"
    run_worker(harness)
    harness.send()
    assert upstream.posts() == []


def test_a_copy_in_another_database_sends_nothing(
    postgres: EmbeddedServer, template: str, upstream: SandboxClient
) -> None:
    """Simulate a copy of the database that was made for tests."""
    run_sql(postgres.url, f"CREATE DATABASE original TEMPLATE {template}")
    with Database(database_url(postgres, "original"), size=2) as opened:
        original = Harness(opened, upstream)
        run_worker(original)
        booking_id = pending(original, 1)
    with (
        temporary_database(postgres, "TEMPLATE original") as url,
        Database(url, size=2) as opened,
    ):
        copy = Harness(opened, upstream)
        copy.send()
        run_worker(copy)
        copy.send()
        assert copy.state(booking_id) is BookingState.PENDING
        assert copy.mapped("rentfeed", lead(2)), "webhooks are taken and mapped"
    run_sql(postgres.url, "DROP DATABASE original WITH (FORCE)")
    assert upstream.posts() == []


@pytest.mark.parametrize(
    ("part", "name"), [(0, "another server"), (1, "another timeline"), (2, "another database")]
)
def test_each_part_of_the_identity_counts(
    harness: Harness, opened: Database, database: str, part: int, name: str
) -> None:
    run_worker(harness)
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT identity FROM database_identity").fetchone()
        assert row is not None
        parts = row[0].split("/")
        assert len(parts) == 3
        parts[part] += "0"
        connection.execute(
            "UPDATE database_identity SET identity = %s, written_by = pg_current_xact_id()",
            ["/".join(parts)],
        )
    with opened.statement() as tx:
        last = tx.identity.last_run()
    assert last is not None
    assert last.difference is not None
    assert name in last.difference
    assert sending(opened).stopped_for == "restored"


def test_an_ordinary_role_can_read_the_identity_unless_it_is_forbidden(
    postgres: EmbeddedServer, fresh_database: str
) -> None:
    run_sql(postgres.url, "CREATE ROLE ordinary")
    read = "SET ROLE ordinary; SELECT current_identity()"
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        (identity,) = one_row(connection, read)
        assert len(identity.split("/")) == 3
        connection.execute("RESET ROLE")
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        assert one_row(connection, read) == (None,)
    run_sql(postgres.url, "DROP ROLE ordinary")


def one_row(connection: psycopg.Connection[Any], statements: str) -> Any:
    cursor = connection.execute(statements.encode())
    while cursor.nextset():
        pass
    return cursor.fetchone()


def test_it_is_logged_once_and_ids_are_skipped(
    harness: Harness, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_worker(harness)
    before = harness.receive("rentfeed", lead(1)).event_id
    run_sql(database, COPY_ROW)
    run_worker(harness)
    run_worker(harness)

    logged = [one for one in caplog.records if one.message == "database_restored"]
    assert [(one.levelname, one.reason) for one in logged] == [  # type: ignore[attr-defined]
        ("ERROR", "its rows were copied")
    ]
    assert harness.receive("rentfeed", lead(2)).event_id > before + SKIPPED_IDS


def test_an_accepted_token_does_not_resume_a_restored_database(
    harness: Harness, opened: Database, database: str
) -> None:
    run_worker(harness)
    run_sql(database, COPY_ROW)
    run_worker(harness)
    harness.clock.advance(60)
    run_worker(harness)
    assert sending(opened).stopped_for == "restored"


def test_workers_keep_the_database_as_their_own(harness: Harness, opened: Database) -> None:
    for _ in range(3):
        run_worker(harness)
    booking_id = pending(harness, 1)
    settle(harness)
    assert harness.state(booking_id) is BookingState.BOOKED
    assert sending(opened).stopped_for is None


def test_an_exact_copy_of_the_files_is_noticed_by_propexos_list(
    harness: Harness, opened: Database, database: str, upstream: SandboxClient
) -> None:
    """Simulate a disk snapshot: the identity is unchanged, but Propexo's log contains more."""
    run_worker(harness)
    booking_id = pending(harness, 1)
    post_without_a_trace(harness, upstream, booking_id)
    mark(database, START - dt.timedelta(hours=1))

    harness.send()
    assert harness.state(booking_id) is BookingState.PENDING, "Propexo was not asked yet"
    run_worker(harness)
    harness.send()

    assert sending(opened).stopped_for == "restored"
    assert len(upstream.posts()) == 1


def test_after_a_long_stop_sending_goes_on(
    harness: Harness, opened: Database, database: str, upstream: SandboxClient
) -> None:
    run_worker(harness)
    known, unknown = pending(harness, 1), pending(harness, 2)
    settle(harness)
    mark(database, START - dt.timedelta(hours=1))
    assert harness.state(known) is BookingState.BOOKED

    run_worker(harness)

    waiting = pending(harness, 3)
    harness.send()
    assert harness.state(waiting) is not BookingState.PENDING
    assert sending(opened).stopped_for is None
    assert harness.state(unknown) is BookingState.BOOKED


def during_the_check(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]
) -> None:
    """Run an action after Propexo's log is read and before the worker decides."""
    check = harness.pipeline.database_check
    read = check._newer_writes

    def read_slowly(*arguments: Any) -> str | None:
        cause = read(*arguments)
        happens()
        return cause

    monkeypatch.setattr(check, "_newer_writes", read_slowly)
    harness.pipeline.check_database()
    monkeypatch.undo()


def test_a_database_that_is_restored_during_the_check_is_not_taken_for_the_former_one(
    harness: Harness, opened: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_worker(harness)
    mark(database, START - dt.timedelta(hours=1))
    during_the_check(harness, monkeypatch, lambda: run_sql(database, COPY_ROW))
    assert sending(opened).stopped_for == "restored"
    run_worker(harness)
    assert sending(opened).stopped_for == "restored"


def test_a_worker_that_decides_late_does_not_stop_an_accepted_database(
    harness: Harness,
    opened: Database,
    database: str,
    upstream: SandboxClient,
    restore: Restore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_worker(harness)
    post_without_a_trace(harness, upstream, pending(harness, 1))
    mark(database, START - dt.timedelta(hours=1))
    during_the_check(harness, monkeypatch, lambda: restore.resume(by="ana", detail="nothing lost"))
    assert sending(opened).stopped_for is None


def test_the_log_is_read_only_until_it_lists_a_lost_write(
    harness: Harness,
    database: str,
    upstream: SandboxClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(write_log, "PAGE", 2)
    run_worker(harness)
    for number in range(6):
        forgotten(harness, upstream, number)
    mark(database, START - dt.timedelta(hours=1))
    run_worker(harness)
    reads = [one for one in upstream.calls() if one["path"] == WRITE_LOG]
    assert len(reads) == 1


def test_while_propexo_cannot_be_asked_nothing_is_sent(
    harness: Harness, opened: Database, database: str, upstream: SandboxClient
) -> None:
    run_worker(harness)
    booking_id = pending(harness, 1)
    mark(database, START - dt.timedelta(hours=1))
    upstream.fault({"status": 500, "on": "list"})
    run_worker(harness)
    harness.send()
    assert harness.state(booking_id) is BookingState.PENDING

    run_worker(harness)
    settle(harness)
    assert harness.state(booking_id) is BookingState.BOOKED


def test_after_five_minutes_sending_goes_on_without_an_answer(
    harness: Harness,
    database: str,
    upstream: SandboxClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_worker(harness)
    booking_id = pending(harness, 1)
    mark(database, START - dt.timedelta(hours=1))
    upstream.fault(*[{"status": 500, "on": "list"}] * 3)
    run_worker(harness)
    run_worker(harness)
    harness.send()
    assert harness.state(booking_id) is BookingState.PENDING
    monkeypatch.setattr(database_check, "GIVE_UP_SECONDS", 0.0)
    run_worker(harness)
    settle(harness)
    assert harness.state(booking_id) is BookingState.BOOKED
    events = ("database_unchecked", "restore_not_excluded")
    assert [one.message for one in caplog.records if one.message in events] == [*events]


def test_while_propexo_is_unreachable_the_check_never_gives_up(
    harness: Harness, database: str, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_worker(harness)
    booking_id = pending(harness, 1)
    mark(database, START - dt.timedelta(hours=1))
    monkeypatch.setattr(database_check, "GIVE_UP_SECONDS", 0.0)
    harness.pipeline.propexo.base_url = f"http://127.0.0.1:{free_port()}"
    run_worker(harness)
    run_worker(harness)
    harness.pipeline.propexo.base_url = upstream.url
    harness.send()
    assert harness.state(booking_id) is BookingState.PENDING
    run_worker(harness)
    settle(harness)
    assert harness.state(booking_id) is BookingState.BOOKED


def test_a_propexo_without_the_list_is_no_obstacle(
    harness: Harness, database: str, upstream: SandboxClient
) -> None:
    run_worker(harness)
    booking_id = pending(harness, 1)
    mark(database, START - dt.timedelta(hours=1))
    upstream.fault({"status": 404, "on": "list"})
    run_worker(harness)
    settle(harness)
    assert harness.state(booking_id) is BookingState.BOOKED


@pytest.fixture
def restore(harness: Harness, opened: Database) -> Restore:
    pipeline = harness.pipeline
    return Restore(
        harness.settings,
        opened,
        pipeline.sources,
        pipeline.propexo,
        harness.clock,
        harness.clock.advance,
    )


@pytest.fixture
def backup(harness: Harness, restore: Restore) -> dt.datetime:
    """Book a lead, to prove that Propexo's log works. Return the time of the backup."""
    run_worker(harness)
    pending(harness, 50)
    settle(harness)
    harness.clock.advance(60)
    return harness.clock()


def survey_and_apply(harness: Harness, restore: Restore, since: dt.datetime) -> Survey:
    restore.stop()
    survey = restore.survey(since)
    restore.apply(survey, by="ana")
    return survey


def test_what_was_sent_is_booked_and_the_rest_is_sent_once(
    harness: Harness,
    restore: Restore,
    backup: dt.datetime,
    upstream: SandboxClient,
    opened: Database,
) -> None:
    sent, unsent = pending(harness, 1), pending(harness, 2)
    post_without_a_trace(harness, upstream, sent)

    survey = survey_and_apply(harness, restore, backup)

    assert survey.is_complete
    assert [booking.id for booking, _ in survey.sent] == [sent]
    assert harness.state(sent) is BookingState.BOOKED
    assert sending(opened).stopped_for is None
    settle(harness)
    assert harness.state(unsent) is BookingState.BOOKED
    names = [one["last_name"] for one in upstream.posts()]
    assert sorted(names) == sorted(surname(number) for number in (50, 1, 2))


def test_a_time_after_the_backup_does_no_harm(
    harness: Harness, restore: Restore, backup: dt.datetime, upstream: SandboxClient
) -> None:
    sent = pending(harness, 1)
    post_without_a_trace(harness, upstream, sent)
    harness.clock.advance(600)
    survey_and_apply(harness, restore, harness.clock())
    assert harness.state(sent) is BookingState.BOOKED


def test_a_job_that_failed_is_followed_up(
    harness: Harness, restore: Restore, backup: dt.datetime, upstream: SandboxClient
) -> None:
    failed = pending(harness, 1)
    upstream.fault({"job": "FAILURE"})
    post_without_a_trace(harness, upstream, failed)
    survey_and_apply(harness, restore, backup)
    assert harness.state(failed) is BookingState.SUBMITTED
    harness.check()
    assert harness.state(failed) is BookingState.FAILED
    harness.send()
    assert len(upstream.posts()) == 2


def test_a_write_of_another_program_is_left_alone(
    harness: Harness, restore: Restore, backup: dt.datetime, upstream: SandboxClient
) -> None:
    source = harness.pipeline.sources["rentfeed"]
    mapped = source.compiled.apply(source.scope_from_payload(lead(1)), harness.clock())
    fields = dict(mapped.items[0].appointment) | {"attribution_id": "att_of_theirs"}
    upstream.book(request_from(fields, {}))
    survey = restore.survey(backup)
    assert (survey.sent, survey.lost, survey.is_complete) == ([], [], True)


def test_a_lost_webhook_is_recognized_when_it_is_sent_again(
    harness: Harness, restore: Restore, backup: dt.datetime, upstream: SandboxClient
) -> None:
    lost = forgotten(harness, upstream, 1)

    survey = survey_and_apply(harness, restore, backup)
    (job, owner) = survey.lost[0]
    assert (owner.source, job.parameters["last_name"]) == ("rentfeed", surname(1))
    (again,) = harness.mapped("rentfeed", lost)

    assert (again.state, again.reason) == (BookingState.DUPLICATE, "same_person_and_time")
    stored = harness.booking(again.because_of or 0)
    assert (stored.state, stored.reason, stored.job_id) == (BookingState.BOOKED, "restored", job.id)
    settle(harness)
    assert len(upstream.posts()) == 2


def forgotten(harness: Harness, upstream: SandboxClient, number: int, **changes: Any) -> Any:
    """Book a lead in the sandbox only, as if the database had lost it. Return its webhook."""
    payload = lead(number, **changes)
    source = harness.pipeline.sources["rentfeed"]
    mapped = source.compiled.apply(source.scope_from_payload(payload), harness.clock())
    upstream.book(request_from(mapped.items[0].appointment, {}))
    return payload


def test_a_later_change_of_a_lost_tour_is_sent(
    harness: Harness, restore: Restore, backup: dt.datetime, upstream: SandboxClient
) -> None:
    forgotten(harness, upstream, 1)
    survey_and_apply(harness, restore, backup)
    (changed,) = harness.mapped("rentfeed", at(harness, lead(1, time="3:30 PM")))
    assert changed.state is BookingState.PENDING


def at(harness: Harness, payload: Any) -> Any:
    """Return the webhook with the current time as the renter's request time."""
    return payload | {"createdAt": (harness.clock() + dt.timedelta(seconds=1)).isoformat()}


def test_a_request_that_may_be_older_than_a_lost_tour_is_held(
    harness: Harness, restore: Restore, backup: dt.datetime, upstream: SandboxClient
) -> None:
    forgotten(harness, upstream, 1)
    survey_and_apply(harness, restore, backup)
    other_tour = lead(1, time="3:30 PM") | {"createdAt": "2026-03-02T18:00:30Z"}
    (other,) = harness.mapped("rentfeed", other_tour)
    assert (other.state, other.reason) == (BookingState.HELD, "after_restore")


def test_a_lead_that_waited_for_review_and_was_sent_is_booked(
    harness: Harness, restore: Restore, backup: dt.datetime, upstream: SandboxClient
) -> None:
    (held,) = harness.mapped("rentfeed", lead(1, time="11:30 PM"))
    assert held.state is BookingState.HELD
    post_without_a_trace(harness, upstream, held.id)
    survey_and_apply(harness, restore, backup)
    assert harness.state(held.id) is BookingState.BOOKED


def test_without_proof_pending_leads_are_searched_for(
    harness: Harness, restore: Restore, upstream: SandboxClient
) -> None:
    """Simulate a log that cannot be verified, because nothing is known to be in it."""
    since = harness.clock()
    run_worker(harness)
    sent, unsent = pending(harness, 1), pending(harness, 2)
    post_without_a_trace(harness, upstream, sent)
    harness.clock.advance(3600)

    survey = survey_and_apply(harness, restore, since)

    assert not survey.is_complete
    assert harness.state(sent) is BookingState.BOOKED, "this job is listed"
    unknown = harness.booking(unsent)
    assert (unknown.state, unknown.reason) == (BookingState.UNKNOWN, "restored")
    for _ in range(40):
        harness.clock.advance(1800)
        harness.check()
    ended = harness.booking(unsent)
    assert (ended.state, ended.reason, ended.due_at) == (BookingState.UNKNOWN, "not_found", None)
    assert len(upstream.posts()) == 1


def test_without_proof_what_is_mapped_after_the_survey_is_not_sent(
    harness: Harness, restore: Restore, upstream: SandboxClient
) -> None:
    """Simulate a webhook from the backup that was sent later, and is mapped only now."""
    run_worker(harness)
    event_id = harness.receive("rentfeed", lead(1)).event_id
    harness.clock.advance(60)
    restore.stop()
    survey = restore.survey(harness.clock())
    with pytest.raises(NotPossible, match="1 webhooks from before the restore"):
        restore.apply(survey, by="ana")
    harness.map_event(event_id)

    restore.apply(survey, by="ana")
    settle(harness)

    (booking,) = harness.story(event_id).bookings
    assert (booking.state, booking.reason) == (BookingState.UNKNOWN, "restored")
    assert upstream.posts() == []


def test_a_list_with_a_hole_proves_nothing(
    harness: Harness, restore: Restore, backup: dt.datetime, opened: Database
) -> None:
    pending(harness, 1)
    with opened.statement() as tx:
        tx.connection.execute(b"UPDATE bookings SET job_id = 'missing' WHERE job_id IS NOT NULL")
    survey = restore.survey(backup)
    assert (survey.expected, survey.listed, survey.is_complete) == (1, 0, False)


def test_a_backup_that_is_too_old_is_refused(harness: Harness, restore: Restore) -> None:
    with pytest.raises(NotPossible, match="29 days"):
        restore.survey(harness.clock() - dt.timedelta(days=40))


@pytest.fixture
def shell(
    harness: Harness, database: str, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> Shell:
    environ = SECRETS | {
        "DATABASE_URL": database,
        "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
        "PROPEXO_TOKEN": "sandbox",
        "PROPEXO_BASE_URL": upstream.url,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(restored, "clock_of", lambda _store: harness.clock)
    monkeypatch.setattr(time, "sleep", harness.clock.advance)
    return Shell()


def test_the_command_shows_and_does_it(
    harness: Harness,
    shell: Shell,
    backup: dt.datetime,
    opened: Database,
    upstream: SandboxClient,
    database: str,
) -> None:
    sent, unsent = pending(harness, 1), pending(harness, 2)
    post_without_a_trace(harness, upstream, sent)
    forgotten(harness, upstream, 3)
    run_sql(database, COPY_ROW)
    arguments = ("restored", "--since", f"{backup:%Y-%m-%dT%H:%M:%S}")

    shown = shell.json(*arguments, "--dry-run")

    assert [one["booking"] for one in shown["sent"]] == [sent]
    assert [one["person"] for one in shown["lost"]] == [f"Dana {surname(3)}"]
    assert (shown["pending"], shown["stored"], shown["senders"]) == ([unsent], [], ["rentfeed"])
    assert harness.state(sent) is BookingState.PENDING
    assert sending(opened).stopped_for == "restored"

    began = harness.clock()
    text = shell(*arguments, "--yes", "--by", "ana")
    assert (harness.clock() - began).total_seconds() >= 300, "Propexo may list it later"
    assert f"rentfeed, maple-court, Sat 2026-03-14 14:30 MDT, Dana {surname(3)}" in text
    assert "1 pending leads were not sent, and will be sent" in text
    assert "resend all webhooks since 2026-03-02T18:01:10Z: rentfeed" in text
    assert harness.state(sent) is BookingState.BOOKED
    assert sending(opened).stopped_for is None
    assert shell.json("audit")["acts"][0]["action"] == "restored"
    assert shell.json(*arguments, "--dry-run")["lost"] == []
    story = shell("show", shown["lost"][0]["job_id"])
    assert "submitted → booked (restored, by worker)" in story


def test_the_time_of_the_backup_is_the_default(
    harness: Harness, shell: Shell, backup: dt.datetime, database: str
) -> None:
    mark(database, backup)
    shown = shell.json("restored", "--dry-run")
    assert shown["since"] == f"{backup - dt.timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"


def test_without_propexo_sending_stays_suspended(
    harness: Harness,
    shell: Shell,
    backup: dt.datetime,
    opened: Database,
    upstream: SandboxClient,
) -> None:
    upstream.fault({"status": 500, "on": "list"})
    since = f"{backup:%Y-%m-%dT%H:%M:%S}"
    text = shell("restored", "--since", since, "--yes", exit_code=1)
    assert "cannot read Propexo's write log" in text
    assert sending(opened).stopped_for == "restored"


def test_doubt_is_an_exit_code(harness: Harness, shell: Shell, opened: Database) -> None:
    run_worker(harness)
    since = f"{harness.clock():%Y-%m-%dT%H:%M:%S}"
    booking_id = pending(harness, 1)
    text = shell("restored", "--since", since, "--yes", exit_code=1)
    assert "1 pending leads become unknown" in text
    assert harness.state(booking_id) is BookingState.UNKNOWN
    assert sending(opened).stopped_for is None


def test_a_move_without_a_gap_is_accepted(
    harness: Harness, shell: Shell, opened: Database, database: str
) -> None:
    run_worker(harness)
    booking_id = pending(harness, 1)
    run_sql(database, COPY_ROW)
    assert "would be" in shell("restored", "--nothing-lost", "--dry-run")
    assert sending(opened).stopped_for == "restored"

    shell("restored", "--nothing-lost", stdin="y\n")

    settle(harness)
    assert harness.state(booking_id) is BookingState.BOOKED


#: A database of version 0.2 with a lead that was booked, one that is pending and one webhook.
OLD_DATA = """
INSERT INTO events (id, source, state, received_at, content_type, headers, query, body)
SELECT id, 'rentfeed', state, %(at)s, 'application/json', '{}', '', %(body)s
FROM (VALUES (1, 'mapped'), (2, 'mapped'), (3, 'received')) new (id, state);
INSERT INTO bookings (
    id, event_id, item, source, state, community, timezone, starts_at, appointment, asked_at,
    job_id, posted_at, due_at, created_at, updated_at)
SELECT id, event, 0, 'rentfeed', state, 'maple-court', 'America/Denver', '2026-03-14T20:30Z',
    %(fields)s, %(at)s, job, %(at)s, CASE state WHEN 'pending' THEN %(at)s END, %(at)s, %(at)s
FROM (VALUES (11, 1, 'booked', 'job_1'), (12, 2, 'pending', NULL)) new (id, event, state, job);
INSERT INTO attempts (booking_id, request, started_at, lease_until, finished_at, outcome)
VALUES (11, %(fields)s, %(at)s, %(at)s, %(at)s, 'accepted');
INSERT INTO source_turns (source) VALUES ('rentfeed');
"""


@pytest.fixture
def old_database(empty_database: str, upstream: SandboxClient) -> str:
    """Return the URL of a database of version 0.2 with data."""
    source = load_cached(MAPPINGS)["rentfeed"]
    mapped = source.compiled.apply(source.scope_from_payload(lead(7)), START)
    values = {
        "at": START - dt.timedelta(hours=1),
        "body": json.dumps(lead(8)).encode(),
        "fields": Jsonb(dict(mapped.items[0].appointment)),
    }
    with psycopg.connect(empty_database, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(LEDGER)
        first = resources.files("adapter.store") / "sql" / "migrations" / FIRST
        connection.execute(first.read_text().encode())
        connection.execute("INSERT INTO migrations (name) VALUES (%s)", [FIRST])
        connection.execute(OLD_DATA.encode(), values)
    return empty_database


def test_a_database_of_version_0_2_is_migrated_and_its_leads_are_booked(
    old_database: str, upstream: SandboxClient
) -> None:
    assert store.migrate(old_database)
    with Database(old_database, size=2) as opened:
        harness = Harness(opened, upstream)
        run_worker(harness)
        harness.map_event(3)
        settle(harness)
        states = {harness.state(id_) for id_ in (11, 12)}
        (mapped,) = harness.story(3).bookings
        assert (states, mapped.state) == ({BookingState.BOOKED}, BookingState.BOOKED)
    assert sorted(one["last_name"] for one in upstream.posts()) == [surname(7), surname(8)]


def test_a_backup_of_version_0_2_is_noticed_by_propexos_list(
    old_database: str, upstream: SandboxClient
) -> None:
    store.migrate(old_database)
    with Database(old_database, size=2) as opened:
        harness = Harness(opened, upstream)
        post_without_a_trace(harness, upstream, 12)
        run_worker(harness)
        harness.send()
        assert sending(opened).stopped_for == "restored"
        assert harness.state(12) is BookingState.PENDING
    assert len(upstream.posts()) == 1


def test_a_post_whose_answer_was_lost_is_not_taken_for_a_restore(
    harness: Harness, opened: Database, database: str, upstream: SandboxClient
) -> None:
    run_worker(harness)
    booking_id = pending(harness, 1)
    upstream.fault({"drop": "after"})
    harness.send()
    assert harness.state(booking_id) is BookingState.UNKNOWN
    mark(database, START - dt.timedelta(hours=1))
    run_worker(harness)
    assert sending(opened).stopped_for is None
