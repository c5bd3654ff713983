"""Check that the database itself enforces the adapter's guarantees."""

import collections
import concurrent.futures
import dataclasses
import datetime as dt
import hashlib
import itertools
import secrets
import sys
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from adapter import store
from adapter.exceptions import ConfigurationError, StoreUnavailable, WrongSchema
from adapter.models import MOVES, AttemptOutcome, BookingState, EventState, Reason, WebhookRequest
from adapter.store import Database, Task
from adapter.store.bookings import MOST_RELATED, RELATED
from adapter.store.embedded import EmbeddedServer
from adapter.store.queries import STATEMENTS
from tests.databases import run_sql
from tests.paths import ROOT
from tests.rows import LATER, NOW, booking, insert_event, new_event
from tests.wait import wait_until

#: The module, because the package exports its function with the same name.
migrate = sys.modules["adapter.store.migrate"]

#: Selects every object in the schema, with its kind and definition.
CATALOG = """
WITH tables AS (
    SELECT oid, relname, relkind, reloptions FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
)
SELECT 'relation', concat_ws(' ', relkind, relname, reloptions) FROM tables
UNION ALL
SELECT 'column', concat_ws(' ', relname, attnum, attname, format_type(atttypid, atttypmod),
    attnotnull, attidentity, pg_get_expr(adbin, adrelid))
FROM tables JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL
SELECT 'constraint', concat_ws(' ', relname, conname, pg_get_constraintdef(pg_constraint.oid))
FROM tables JOIN pg_constraint ON conrelid = tables.oid
UNION ALL
SELECT 'index', pg_get_indexdef(oid) FROM tables WHERE relkind = 'i'
UNION ALL
SELECT 'sequence', concat_ws(' ', relname, seqtypid::regtype, seqstart, seqincrement, seqcycle)
FROM tables JOIN pg_sequence ON seqrelid = oid
UNION ALL
SELECT 'trigger', concat_ws(' ', tgenabled, pg_get_triggerdef(pg_trigger.oid))
FROM tables JOIN pg_trigger ON tgrelid = tables.oid AND NOT tgisinternal
UNION ALL
SELECT 'function', pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a'
UNION ALL
SELECT 'type', concat_ws(' ', typname, enumlabel, enumsortorder)
FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid
UNION ALL
SELECT 'statistics', pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
"""

#: The migrations of tagged versions (v0.2.0). For a change, add another file.
RELEASED = {
    "0001_initial.sql": "49689996eeaec80197652d2aa72360104da0ad3701984c20ca653be7c6a8d5e1",
}


def insert_booking(
    opened: Database, state: BookingState = BookingState.PENDING, keys: tuple[int, ...] = ()
) -> int:
    event_id = insert_event(opened, digest=secrets.token_bytes(8))
    assert event_id is not None
    with opened.transaction() as tx:
        event = tx.events.get(event_id)
        assert event is not None
        new = booking(
            state,
            event_id=event_id,
            source=event.source,
            starts_at=NOW + dt.timedelta(days=12),
            appointment={"last_name": "Okafor"},
            reasons=(Reason(field="email_1", reason="not an email address"),),
            asked_at=NOW,
            match_keys=keys,
            due_at=NOW if state is BookingState.PENDING else None,
        )
        return tx.bookings.insert(new, 0, now=NOW).id


def test_migrations_run_once_and_the_second_time_do_nothing(empty_database: str) -> None:
    assert store.migrate(empty_database) == [one.name for one in migrate._own()]
    assert store.migrate(empty_database) == []
    with Database(empty_database) as opened:
        assert opened.check_schema().missing == ()
        assert len(opened.hash_key()) == 32


def test_concurrent_migrations_take_turns(empty_database: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(store.migrate, [empty_database] * 4))

    assert sorted(itertools.chain(*runs)) == [one.name for one in migrate._own()]


def test_a_migration_waits_for_a_transaction_that_holds_its_tables(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Migrate while a sender holds a lock on claims and waits for a lock on events."""
    store.migrate(empty_database)
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 0.2)
    later = migrate.Migration("0002_later.sql", "ALTER TABLE events ADD COLUMN later int")
    monkeypatch.setattr(migrate, "_missing", lambda _: [later])
    with psycopg.connect(empty_database) as sender:
        sender.execute("LOCK TABLE claims IN ROW EXCLUSIVE MODE")
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            running = other.submit(store.migrate, empty_database)
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            with psycopg.connect(empty_database, autocommit=True) as watch:
                wait_until(lambda: watch.execute(waits).fetchone() != (0,), "it waits")
            sender.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE")
            sender.commit()
            assert running.result(30) == ["0002_later.sql"]


def test_released_migrations_never_change() -> None:
    """Compare digests, because a database that has run a migration never gets a change to it."""
    folder = ROOT / "adapter/store/sql/migrations"
    digests = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()
    }

    assert {name: digests[name] for name in RELEASED} == RELEASED


def test_schema_sql_is_what_the_migrations_make(empty_database: str, fresh_database: str) -> None:
    """Check that schema.sql and the migrations produce the same schema."""
    schema = (ROOT / "adapter/store/sql/schema.sql").read_text()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(migrate.LEDGER)
        connection.execute(schema.encode())
        written = catalog(connection)
    with psycopg.connect(fresh_database) as connection:
        migrated = catalog(connection)
    assert len(written) > 300
    assert sorted(written) == sorted(migrated)


def catalog(connection: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """Return every object in the schema, with its definition."""
    return set(connection.execute(CATALOG).fetchall())


def test_a_database_made_before_the_first_release_is_refused_unchanged(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(migrate.LEDGER)
        connection.execute("INSERT INTO migrations (name) VALUES ('0001_leads.sql')")
        before = catalog(connection)
        with pytest.raises(ConfigurationError, match=r"before 0.2 .* cannot be upgraded: set DATA"):
            store.migrate(empty_database)
        assert catalog(connection) == before


def test_an_older_version_leaves_a_newer_database_alone(empty_database: str) -> None:
    """Simulate a release that is rolled back."""
    store.migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("INSERT INTO migrations (name) VALUES ('0999_newer.sql')")
    assert store.migrate(empty_database) == []
    with Database(empty_database) as opened:
        assert opened.check_schema().unknown == ("0999_newer.sql",)
        with pytest.raises(WrongSchema, match=r"from a newer version: it has 0999_newer\.sql"):
            opened.check_schema(allow_newer=False)


def test_a_migration_that_was_changed_after_it_ran_is_refused(empty_database: str) -> None:
    store.migrate(empty_database)
    run_sql(
        empty_database, "UPDATE migrations SET sha256 = 'other' WHERE name = '0001_initial.sql'"
    )

    with pytest.raises(ConfigurationError, match=r"with a different version of 0001_initial\.sql"):
        store.migrate(empty_database)
    with Database(empty_database) as opened, pytest.raises(WrongSchema, match="version of 0001"):
        opened.check_schema()


def test_a_database_of_version_0_2_0_gets_its_digests_with_the_next_migration(
    empty_database: str,
) -> None:
    """Start with a table of migrations that has no column for digests."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(migrate.LEDGER.partition(";")[0].encode())
        for one in migrate._own():
            connection.execute(one.sql.encode())
            connection.execute("INSERT INTO migrations (name) VALUES (%s)", [one.name])
        assert set(migrate._recorded(connection).values()) == {None}
        with Database(empty_database) as opened:
            assert opened.check_schema().missing == ()

        assert store.migrate(empty_database) == []

        assert migrate._recorded(connection) == {one.name: one.sha256 for one in migrate._own()}


@pytest.fixture
def other_role(postgres: EmbeddedServer) -> Iterator[str]:
    """Create a role for this test, and yield the part of a URL that makes connections use it."""
    run_sql(postgres.url, "CREATE ROLE other")
    yield "&options=-c%20role%3Dother"
    run_sql(postgres.url, "DROP OWNED BY other; DROP ROLE other")


def test_a_role_without_the_right_to_create_tables_is_named_with_the_grant(
    empty_database: str, other_role: str
) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"role other cannot create tables in schema public of database test_\d+: "
        r"GRANT USAGE, CREATE ON SCHEMA public TO other",
    ):
        store.migrate(empty_database + other_role)


def test_a_role_without_that_right_migrates_if_there_is_nothing_to_do(
    fresh_database: str, other_role: str
) -> None:
    run_sql(fresh_database, "GRANT SELECT ON migrations TO other")
    assert store.migrate(fresh_database + other_role) == []
    run_sql(fresh_database, "REVOKE ALL ON migrations FROM other")


def test_a_migration_waits_a_limited_time_for_another_and_names_it(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold the migration lock as an older version does, until the session ends."""
    monkeypatch.setattr(migrate, "WAIT_SECONDS", 1)
    holder = psycopg.connect(empty_database, application_name="adapter migrate", autocommit=True)
    with holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [migrate.LOCK])
        pid = holder.info.backend_pid
        with pytest.raises(
            StoreUnavailable,
            match=rf"for 1 seconds: adapter migrate of role .*pg_terminate_backend\({pid}\)",
        ):
            store.migrate(empty_database)
    assert store.migrate(empty_database) != []


def test_an_unmigrated_database_is_reported(empty_database: str) -> None:
    with Database(empty_database) as opened:
        assert migrate.FIRST in opened.schema_state().missing
        with pytest.raises(WrongSchema, match=r"missing \d+ migrations?: run adapter migrate"):
            opened.check_schema()


@pytest.mark.parametrize("steps", [1, 2])
def test_an_interrupted_migration_continues_next_time(
    empty_database: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulate kill -9: some steps are committed, but the next one is not."""
    missing = migrate._missing

    def cut_off(done: set[str]) -> Iterator[object]:
        yield from itertools.islice(missing(done), steps - 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(migrate, "_missing", cut_off)
    with pytest.raises(KeyboardInterrupt):
        store.migrate(empty_database)
    monkeypatch.undo()
    store.migrate(empty_database)

    with Database(empty_database) as opened:
        assert opened.schema_state().missing == ()
        assert len(opened.hash_key()) == 32


def test_a_newer_versions_columns_do_not_stop_an_older_one(opened_fresh: Database) -> None:
    """Simulate a release that migrates while old workers are still running."""
    booking_id = insert_booking(opened_fresh)
    with opened_fresh.transaction() as tx:
        tx.attempts.begin(booking_id, {}, now=NOW, lease_until=LATER)
        booking = tx.bookings.get(booking_id)
        assert booking is not None
        tx.messages.add(booking, NOW)
        tx.invitation_mails.queue(booking_id, "en", NOW)
        for table in ("events", "bookings", "attempts", "messages", "invitation_mails"):
            tx.connection.execute(f"ALTER TABLE {table} ADD COLUMN later int".encode())
    with opened_fresh.transaction() as tx:
        story = tx.events.history(str(booking_id))
        assert tx.messages.claim(NOW, LATER) is not None
        assert tx.invitation_mails.claim(NOW) is not None
    assert story is not None
    assert len(story.attempts[booking_id]) == len(story.messages) == len(story.emails) == 1


def test_an_event_is_due_to_be_mapped(opened: Database) -> None:
    event_id = insert_event(opened)

    with opened.transaction() as tx:
        found = tx.events.next_received(NOW)
    assert found is not None
    event, has_more = found
    assert (event.id, has_more) == (event_id, False)
    assert event.state is EventState.RECEIVED
    assert event.body == b'{"a": 1}'


def test_the_same_digest_is_stored_once_and_counted(opened: Database) -> None:
    first = insert_event(opened)
    assert insert_event(opened) is None
    assert insert_event(opened, source="leasebot") is not None

    with opened.transaction() as tx:
        facts: dict[str, Any] = {
            "source": "rentfeed",
            "digest": b"one",
            "now": NOW,
            "delivery": {},
        }
        repeat = tx.claims.record_duplicate(**facts, content=b"content of one")
        change = tx.claims.record_duplicate(**facts, content=b"other")
    assert (repeat.first_id, repeat.latest_id, repeat.is_same, repeat.repeats) == (
        first,
        first,
        True,
        1,
    )
    assert (change.first_id, change.is_same, change.repeats) == (first, False, 2)
    with opened.transaction() as tx:
        story = tx.events.history(str(first))
    assert story is not None
    assert story.duplicates == 2


def test_fifty_concurrent_inserts_with_one_digest_make_one_event(opened: Database) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda _: insert_event(opened), range(50)))

    assert sum(event_id is not None for event_id in ids) == 1


def test_nothing_is_left_when_the_transaction_fails(opened: Database) -> None:
    def store_and_fail() -> None:
        with opened.transaction() as tx:
            tx.events.insert(new_event(b"x"))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        store_and_fail()

    with opened.transaction() as tx:
        assert tx.events.next_received(NOW) is None
    assert insert_event(opened, digest=b"x") is not None


def test_text_that_postgresql_cannot_store_is_cleaned(opened: Database) -> None:
    with opened.transaction() as tx:
        event_id = tx.events.insert(
            dataclasses.replace(
                new_event(),
                request=WebhookRequest.from_body(
                    b"\x00\xff", "a\x00b", headers={"x": "\ud800\x00"}, query="\x00"
                ),
            )
        )
        event = tx.events.get(event_id or 0)
    assert event is not None
    assert (event.content_type, event.headers, event.query) == (
        "ab",
        {"content-type": "ab", "x": "?"},
        "",
    )
    assert event.body == b"\x00\xff"


def test_the_latest_content_for_a_digest_is_known(opened: Database) -> None:
    first = insert_event(opened)
    facts: dict[str, Any] = {"source": "rentfeed", "digest": b"one"}
    with opened.transaction() as tx:
        tx.claims.set_latest(**facts, content=b"other", event_id=77)
        repeat = tx.claims.record_duplicate(**facts, content=b"other", delivery={}, now=NOW)
        change = tx.claims.record_duplicate(
            **facts, content=b"content of one", delivery={}, now=NOW
        )

    assert (repeat.first_id, repeat.latest_id, repeat.is_same) == (first, 77, True)
    assert not change.is_same


@pytest.mark.parametrize("to", list(MOVES))
def test_a_booking_moves_only_between_allowed_states(opened: Database, to: BookingState) -> None:
    for state in BookingState:
        booking_id = insert_booking(opened, BookingState.HELD)
        with opened.transaction() as tx:
            tx.connection.execute(
                "UPDATE bookings SET state = %s, job_id = 'j', due_at = %s WHERE id = %s",
                [state, NOW if state in ("pending", "submitted") else None, booking_id],
            )
            due_at = NOW if to in (BookingState.PENDING, BookingState.SUBMITTED) else None
            moved = tx.bookings.move(
                booking_id, to, why="test", now=LATER, due_at=due_at, job_id="j"
            )()

        assert moved == (state in MOVES[to]), f"{state} → {to}"


def test_each_move_is_one_line_of_history(opened: Database) -> None:
    booking_id = insert_booking(opened)
    with opened.transaction() as tx:
        tx.bookings.move(booking_id, BookingState.SENDING, why="sending", now=LATER, by="worker")
        tx.bookings.move(booking_id, BookingState.BOOKED, why="never", now=LATER)
    with opened.transaction() as tx:
        story = tx.events.history(str(booking_id))

    assert story is not None
    assert [(line.from_state, line.to_state, line.why, line.by) for line in story.history] == [
        (None, "received", "webhook_verified", "web"),
        (None, "pending", "mapped", "worker"),
        ("pending", "sending", "sending", "worker"),
    ]


@pytest.mark.parametrize(
    ("outcome", "allowed"),
    [
        (None, False),
        (AttemptOutcome.ACCEPTED, False),
        (AttemptOutcome.UNKNOWN, False),
        (AttemptOutcome.NOT_SENT, True),
        (AttemptOutcome.RATE_LIMITED, True),
        (AttemptOutcome.NOT_AUTHORIZED, True),
        (AttemptOutcome.REFUSED, True),
        (AttemptOutcome.JOB_FAILED, True),
    ],
)
def test_the_database_rejects_a_blind_second_post(
    opened: Database, outcome: AttemptOutcome | None, allowed: bool
) -> None:
    booking_id = insert_booking(opened)
    with opened.transaction() as tx:
        attempt = tx.attempts.begin(booking_id, {}, now=NOW, lease_until=LATER)()
        if outcome is not None:
            assert tx.attempts.finish(attempt.id, outcome, now=NOW)

    def again() -> None:
        with opened.transaction() as tx:
            tx.connection.execute("UPDATE bookings SET state = 'pending', due_at = now()")
            tx.attempts.begin(booking_id, {}, now=NOW, lease_until=LATER)

    if allowed:
        again()
    else:
        with pytest.raises(psycopg.errors.UniqueViolation, match="never_two_that_may_have_booked"):
            again()


def test_a_late_response_corrects_unknown_and_nothing_else(opened: Database) -> None:
    booking_id = insert_booking(opened)
    with opened.transaction() as tx:
        attempt = tx.attempts.begin(booking_id, {}, now=NOW, lease_until=LATER)()
        assert tx.attempts.finish(attempt.id, AttemptOutcome.UNKNOWN, now=NOW)
        assert tx.attempts.finish(attempt.id, AttemptOutcome.ACCEPTED, now=LATER)
        assert not tx.attempts.finish(attempt.id, AttemptOutcome.REFUSED, now=LATER)


def test_an_event_that_another_worker_maps_is_skipped(opened: Database) -> None:
    first, later = insert_event(opened, b"1"), new_event(b"2")
    # Of two events with the same time, either may come first.
    later = dataclasses.replace(later, received_at=later.received_at + dt.timedelta(seconds=1))
    with opened.transaction() as tx:
        second = tx.events.insert(later)
    with opened.transaction() as tx, opened.transaction() as other:
        taken, left = tx.events.next_received(NOW), other.events.next_received(NOW)
        assert taken is not None
        assert left is not None
        assert (taken[0].id, taken[1]) == (first, True)
        assert left[0].id == second


def test_a_postponed_event_is_not_due_and_does_not_block_others(opened: Database) -> None:
    first, second = insert_event(opened, b"1"), insert_event(opened, b"2")
    with opened.transaction() as tx:
        tx.events.postpone(first or 0, LATER)
        found = tx.events.next_received(NOW)
        assert found is not None
        assert (found[0].id, found[1]) == (second, False)
        found = tx.events.next_received(LATER)
        assert found is not None
        assert found[0].id == second, "the one that has been due longer"


SLOTS = {Task.MAP: 2, Task.SEND: 2, Task.CHECK: 2, Task.MESSAGE: 1}


def due(opened: Database, now: dt.datetime = NOW, late: dt.datetime = NOW) -> list[int]:
    with opened.transaction() as tx:
        return list(tx.jobs.due(now, late=late, slots=SLOTS).values())


def test_due_rows_are_counted_for_each_task_up_to_its_slots(opened: Database) -> None:
    assert due(opened) == [0, 0, 0, 0]
    for number in range(3):
        insert_event(opened, b"%d" % number)
    assert due(opened) == [2, 0, 0, 0]
    booking_id = insert_booking(opened)
    assert due(opened) == [2, 1, 0, 0]
    assert due(opened, NOW - dt.timedelta(seconds=1)) == [2, 0, 0, 0], "it is not due yet"
    assert due(opened, late=NOW + dt.timedelta(days=365)) == [2, 0, 0, 0], "it can only expire"
    with opened.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET state = 'submitted', job_id = 'j', due_at = %s", [NOW]
        )
    assert due(opened) == [2, 0, 1, 0]
    with opened.transaction() as tx:
        assert tx.rate_limit.suspend("not_authorized", NOW)
    assert due(opened) == [2, 0, 0, 0], "nothing is sent or read while sending is suspended"
    with opened.transaction() as tx:
        tx.rate_limit.resume()
        booking = tx.bookings.get(booking_id)
        assert booking is not None
        tx.bookings.reschedule(booking, LATER)
        tx.messages.add(booking, NOW)
    assert due(opened) == [2, 0, 0, 1]
    insert_booking(opened)
    assert due(opened) == [2, 1, 0, 0], "messages wait until no booking has to be sent"


def test_an_expired_attempt_is_found_after_its_lease(opened: Database) -> None:
    booking_id = insert_booking(opened)
    with opened.transaction() as tx:
        attempt = tx.attempts.begin(booking_id, {}, now=NOW, lease_until=LATER)()

        assert tx.attempts.expired(LATER) == []
        assert tx.attempts.expired(LATER + dt.timedelta(seconds=1)) == [attempt]


@pytest.mark.parametrize("key", ["", "0", "nobody", "9" * 40, "-1", "1\x00", "\ud800", "²"])
def test_an_unknown_key_has_no_history(opened: Database, key: str) -> None:
    with opened.transaction() as tx:
        assert tx.events.history(key) is None


def test_an_unreachable_database_is_reported_without_its_password() -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/leads"
    with pytest.raises(StoreUnavailable) as caught:
        store.migrate(url)

    assert "Connection refused" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert not store.is_reachable(url)


#: Makes copies of a booking, each with its own item and a person with two keys.
_COPIES = """INSERT INTO bookings (event_id, item, source, state, starts_at, community, timezone,
        appointment, job_id, due_at, asked_at, match_keys, created_at, updated_at)
    SELECT event_id, n, source, %(state)s::text, starts_at + n * interval '1 second', community,
        timezone, appointment, CASE WHEN %(state)s <> 'pending' THEN n::text END,
        CASE WHEN %(state)s <> 'booked' THEN due_at END, asked_at, ARRAY[n, -n], created_at,
        updated_at
    FROM bookings, generate_series(%(from)s::int, %(to)s::int) n WHERE id = %(id)s"""
_WAITING = {"state": "pending", "from": 40_001, "to": 50_000}
_IN_FLIGHT = {"state": "submitted", "from": 30_001, "to": 33_000}
_DONE = {"state": "booked", "from": 1, "to": 20_000}
_FEW = [
    {"state": "booked", "from": 1, "to": 800},
    {"state": "submitted", "from": 30_001, "to": 30_100},
    {"state": "pending", "from": 40_001, "to": 40_100},
]


@pytest.mark.parametrize(
    ("counted", "since"),
    [
        pytest.param([_DONE], [_WAITING], id="a queue without statistics"),
        pytest.param([_DONE, _WAITING], [], id="a queue"),
        pytest.param([_DONE, _IN_FLIGHT], [_WAITING], id="in flight, queue without statistics"),
        pytest.param([_DONE, _IN_FLIGHT, _WAITING], [], id="in flight, and a queue"),
        pytest.param([_DONE, _IN_FLIGHT], [], id="in flight"),
        pytest.param(_FEW, [], id="a few of each"),
    ],
)
def test_no_statement_reads_the_whole_queue_for_one_booking(
    opened_fresh: Database, counted: list[dict[str, Any]], since: list[dict[str, Any]]
) -> None:
    """Check each statement's plan, because reading the whole queue would take quadratic time."""
    booking_id = insert_booking(opened_fresh, keys=(40_001, -7))
    values = {
        "now": LATER,
        "late": LATER,
        "before": LATER,
        "soon": NOW + dt.timedelta(days=30),
        "id": booking_id,
        "keys": [40_001, -7],
        "since": NOW,
        "limit": 500,
        **{str(task): 2 for task in Task},
    }
    with opened_fresh.transaction() as tx:
        run = tx.connection.execute
        for group in counted:
            run(_COPIES, {**group, "id": booking_id})
        run("ANALYZE bookings")
        for group in since:
            run(_COPIES, {**group, "id": booking_id})
        pages = {
            name: _pages_read(tx.connection, _whole(name), values)
            for name in (
                *("next_soon_tour", "next_in_turn", "bookings_of_keys", "lock_related"),
                *("due_rows", "next_check", "expired_tours", "expired_prospects"),
                "read_rate_limit",
            )
        }
    assert {name: count for name, count in pages.items() if count > 60} == {}


def test_of_a_contact_of_thousands_a_bounded_part_is_read(opened_fresh: Database) -> None:
    booking_id = insert_booking(opened_fresh, keys=(7, 8, -30_000))
    values = {"now": NOW, "since": NOW, "keys": [7, 8, -30_000], "limit": MOST_RELATED}
    with opened_fresh.transaction() as tx:
        run = tx.connection.execute
        run(_COPIES, {**_DONE, "id": booking_id})
        run("UPDATE bookings SET match_keys = ARRAY[7, 100 + item, -item] WHERE item > 0")
        run("ANALYZE bookings")
        booking = tx.bookings.get(booking_id)
        assert booking is not None
        assert tx.bookings.lock_related([booking], NOW)() == {7}
        assert [row.id for row in tx.bookings.of_keys([7, 8, -30_000], NOW)] == [booking_id]
        pages = {
            name: _pages_read(tx.connection, _whole(name), values)
            for name in ("bookings_of_keys", "lock_related")
        }
    assert {name: count for name, count in pages.items() if count > 150} == {}


def _whole(name: str) -> bytes:
    """Return a statement together with the CTEs that come before it."""
    is_related = name in ("bookings_of_keys", "lock_related")
    return (RELATED if is_related else b"") + STATEMENTS[name]


def test_reports_of_decisions_read_their_period_only(opened_fresh: Database) -> None:
    booking_id = insert_booking(opened_fresh)
    old = {"since": LATER, "rule": "newer_request", "source": "rentfeed", "names": 3}
    values = {**old, "before": 2**62, "limit": 50, "ids": [booking_id]}
    with opened_fresh.transaction() as tx:
        run = tx.connection.execute
        run(_COPIES, {**_DONE, "id": booking_id})
        run(
            """UPDATE bookings SET state = 'duplicate', because_of = 7, reason = 'newer_request'
            WHERE item > 0"""
        )
        run(
            """INSERT INTO events (source, state, received_at, content_type, headers, query, body)
            SELECT 'rentfeed', 'ignored', received_at, '', '{}', '', body
            FROM events, generate_series(1, 20000)"""
        )
        for table in ("bookings", "events"):
            run(f"ANALYZE {table}".encode())
        pages = {
            name: _pages_read(tx.connection, STATEMENTS[name], values)
            for name in (
                *("decision_counts", "decided_bookings", "contacts_of_several"),
                *("bookings_of_ids", "bookings_because_of"),
            )
        }
    assert {name: count for name, count in pages.items() if count > 60} == {}


def test_console_lists_do_not_read_the_whole_table(opened_fresh: Database) -> None:
    """Check the search for a common name, and that the list of rejections reads no events."""
    booking_id = insert_booking(opened_fresh)
    values = dict.fromkeys(("states", "source", "community", "since", "until", "ids", "before"))
    values |= {"words": "'ann':*", "limit": 51, "first_id": 0, "last_id": 2**62, "keys": ["a"]}
    with opened_fresh.transaction() as tx:
        run = tx.connection.execute
        run(_COPIES, {**_DONE, "id": booking_id})
        run(
            """UPDATE bookings
            SET appointment = appointment
                || jsonb_build_object('first_name', 'Ann' || item % 150)"""
        )
        run(
            """INSERT INTO events (source, received_at, content_type, headers, query, body)
            SELECT source, received_at, '', '{}', '', body FROM events, generate_series(1, 5000)"""
        )
        run("SELECT gin_clean_pending_list('bookings_by_name')")
        run("ANALYZE bookings")
        pages = {
            name: _pages_read(tx.connection, STATEMENTS[name], values)
            for name in ("search_bookings", "undecryptable_rejections")
        }
    assert {name: count for name, count in pages.items() if count > 200} == {}


def test_the_chart_counts_leads_by_local_days(opened_fresh: Database) -> None:
    """Use days that begin at midnight in the user's time zone. One of them has 23 hours."""
    insert_booking(opened_fresh)
    since = dt.datetime(2026, 3, 7, tzinfo=dt.UTC)
    until, zone = since + dt.timedelta(days=4), "America/Denver"
    with opened_fresh.transaction() as tx:
        tx.connection.execute(
            """INSERT INTO bookings (event_id, item, source, state, appointment, asked_at,
                created_at, updated_at)
            SELECT event_id, n, source, CASE n %% 2 WHEN 0 THEN 'booked' ELSE 'held' END, '{}',
                now(), %(since)s + n * interval '1 hour', now()
            FROM bookings, generate_series(0, 95) n WHERE item = 0 AND n > 0""",
            {"since": since},
        )
        counted = {
            (row["day"], row["state"]): row["leads"]
            for row in tx.stats.daily_outcomes(
                dt.datetime(2026, 3, 7, 7, tzinfo=dt.UTC), until, zone
            )
        }
    expected = collections.Counter(
        (
            (since + dt.timedelta(hours=n)).astimezone(ZoneInfo(zone)).date(),
            ("booked", "held")[n % 2],
        )
        for n in range(7, 96)
    )
    assert counted == expected


def _pages_read(
    connection: psycopg.Connection[Any], statement: bytes, values: dict[str, Any]
) -> int:
    explained = connection.execute(
        b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, values
    ).fetchone()
    assert explained is not None
    plan = explained["QUERY PLAN"][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
