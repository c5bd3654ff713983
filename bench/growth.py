"""Measure speed with many stored events, and memory use (section ``growth``)."""

import contextlib
import datetime as dt
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import psutil
import psycopg

from adapter.models import utc_now
from adapter.operations.sign_in import SignIn
from adapter.settings import settings_from
from adapter.store import Database
from adapter.store.queries import STATEMENTS
from bench import servers
from bench.acknowledging import Bench
from bench.rounds import Effort, turned
from bench.servers import Target
from bench.stage import Stage, wait_until
from bench.tables import Goal, Row

GOAL = Goal(bound=1.2)
CONNECTIONS = 8
#: Paths to fetch at each database size. Each must return 200 to a user who has opened the link that
#: `adapter run` prints.
PATHS: tuple[str, ...] = (
    "/readyz",
    "/console/metrics",
    "/console/",
    "/console/queue",
    "/console/leads",
    "/console/leads?q=stored77@example.com",
    "/console/leads?q=stored",
)

#: Insert leads with claims, bookings and history. At every size, there are a thousand leads per
#: day, so that pages that cover the last day always count the same number. The newest hundred are
#: pending, and the hundred before them are submitted.
FILL = (
    """INSERT INTO events (id, source, state, received_at, content_type, headers, query, body)
    SELECT n, 'rentfeed', 'mapped', now() - n * interval '86 seconds', 'application/json', '{}',
        '', convert_to(repeat('x', 300), 'UTF8') FROM generate_series(1, %(count)s) n""",
    """INSERT INTO claims (source, digest, content, lead_id, latest_id, claimed_at)
    SELECT 'rentfeed', sha256(n::text::bytea), sha256(n::text::bytea), n, n, now()
    FROM generate_series(1, %(count)s) n""",
    """INSERT INTO history (event_id, at, to_state, why, by)
    SELECT n, now(), 'received', 'webhook_verified', 'web' FROM generate_series(1, %(count)s) n""",
    """INSERT INTO bookings (id, event_id, item, source, state, community, timezone, starts_at,
        appointment, job_id, created_at, updated_at, asked_at, match_keys)
    SELECT n + %(count)s, n, 0, 'rentfeed', 'booked', 'maple-court', 'America/Denver',
        now() + interval '3 days' - n * interval '86 seconds',
        jsonb_build_object('last_name', 'Stored', 'email_1', 'stored' || n || '@example.com'),
        n::text, now() - n * interval '86 seconds', now() - n * interval '86 seconds',
        now() - n * interval '86 seconds', ARRAY[n::bigint, -n::bigint]
    FROM generate_series(1, %(count)s) n""",
    """UPDATE bookings SET state = 'pending', job_id = NULL, due_at = now()
    WHERE event_id <= 100""",
    """UPDATE bookings SET state = 'submitted', due_at = now() + interval '1 hour'
    WHERE event_id BETWEEN 101 AND 200""",
    "INSERT INTO source_turns (source) VALUES ('rentfeed')",
    "SELECT setval('lead_ids', 2 * %(count)s + 1000)",
)
TABLES = ("events", "claims", "history", "bookings")

#: The statements that a worker uses to find due rows and claim an event or booking. They are rolled
#: back.
CLAIMS = {
    "counting due rows": STATEMENTS["due_rows"],
    "claiming an event": STATEMENTS["next_received"],
    "claiming a check": STATEMENTS["next_check"],
    "claiming a tour that starts soon": STATEMENTS["next_soon_tour"],
    "claiming a booking": STATEMENTS["next_in_turn"],
}


def rows(effort: Effort) -> Iterator[Row]:
    """Yield rows that compare each size with the smallest, then rows about memory use."""
    folder = servers.folder()
    names = {f"with_{size}": size for size in effort.sizes}
    secret = servers.secret()
    with servers.databases(folder, tuple(names), effort.server) as urls:
        by_size = {f"{size:,}": urls[name] for name, size in names.items()}
        for name, size in names.items():
            fill(urls[name], size)
        with servers.webs(by_size, secret, folder) as targets:
            yield from _with_webs(targets, by_size, secret, effort)
    with servers.database(folder, effort.server) as url:
        yield _memory_of_worker(Stage(url, folder), effort)


def _with_webs(
    targets: Mapping[str, Target], urls: Mapping[str, str], secret: str, effort: Effort
) -> Iterator[Row]:
    bench = Bench(targets, secret, servers.folder())
    yield from _acknowledging(bench, effort)
    yield from _statements(urls, effort)
    yield from _pages(targets, effort)
    yield _memory_of_web(bench, targets, effort)


def fill(url: str, count: int) -> None:
    """Store ``count`` leads, and create the indexes afterward to save time."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '256MB'")
        connection.execute("SET session_replication_role = replica")  # skip foreign key checks
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " AND tablename = ANY(%s) AND indexname NOT IN (SELECT conname FROM pg_constraint)",
            [list(TABLES)],
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        for statement in FILL:
            connection.execute(statement.encode(), {"count": count})
        for _, definition in indexes:
            connection.execute(definition.encode())
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _acknowledging(bench: Bench, effort: Effort) -> Iterator[Row]:
    connections = CONNECTIONS if CONNECTIONS in effort.connections else effort.connections[0]
    seen = bench.rounds(connections, effort)
    for field, unit in (("p99_ms", "ms"), ("p50_ms", "ms")):
        taken = {
            size: statistics.median(getattr(answers, field) for answers in rounds)
            for size, rounds in seen.items()
        }
        yield from _beside_smallest(f"acknowledge {field.removesuffix('_ms')}", taken, unit)


def _statements(urls: Mapping[str, str], effort: Effort) -> Iterator[Row]:
    for url in urls.values():
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")  # because autovacuum runs at unpredictable times
    with contextlib.ExitStack() as stack:
        connections = {
            size: stack.enter_context(psycopg.connect(url)) for size, url in urls.items()
        }
        for what, statement in CLAIMS.items():

            def run(size: str, statement: bytes = statement) -> float:
                return spent_ms(connections[size], statement)

            yield from _beside_smallest(
                what, _in_turn(run, list(urls), effort, effort.statement_times), "ms"
            )


def spent_ms(connection: psycopg.Connection, statement: bytes) -> float:
    """Return a statement's planning and execution time in ms, and roll back the statement.

    PostgreSQL measures the time itself and plans the statement each time, whereas the adapter's
    statements are prepared after a few runs. If this process measured it, most of the time would go
    into waking up two processes: ``SELECT 1`` on two empty databases then differs threefold,
    depending on their cores.
    """
    now = dt.datetime.now(dt.UTC)
    values: dict[str, object] = {"now": now, "late": now, "soon": now + dt.timedelta(days=4)}
    values |= {"map": 3, "send": 6, "check": 3, "message": 1}
    explained = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values)
    ((plan,),) = explained.fetchall()
    connection.rollback()
    return float(plan[0]["Planning Time"] + plan[0]["Execution Time"])


def _pages(targets: Mapping[str, Target], effort: Effort) -> Iterator[Row]:
    browsers = {size: signed_in(target) for size, target in targets.items()}
    for path in PATHS:

        def get(size: str, path: str = path) -> float:
            began = time.perf_counter()
            with browsers[size].open(f"http://127.0.0.1:{targets[size].port}{path}") as answer:
                answer.read()
            return (time.perf_counter() - began) * 1000

        yield from _beside_smallest(
            f"GET {path}", _in_turn(get, list(targets), effort, effort.page_times), "ms"
        )


def signed_in(target: Target) -> urllib.request.OpenerDirector:
    """Return a client signed in with a link like the one that `adapter run` prints."""
    assert target.url is not None
    with Database(target.url, size=1) as database:
        key = SignIn(settings_from({}), database, utc_now).new_link()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(f"http://127.0.0.1:{target.port}/console/open?key={key}").close()
    return opener


def _in_turn(
    measured: Callable[[str], float], sizes: list[str], effort: Effort, times: int
) -> dict[str, float]:
    """Return the median of all rounds' minimums for each size.

    The minimum is used because these calls are so short that other work on the machine often takes
    longer. It shows growth with the number of stored rows and hides growth within a round, such as
    dead rows after a rollback.
    """
    taken: dict[str, list[float]] = {size: [] for size in sizes}
    for number in range(effort.rounds):
        for size in turned(sizes, number):
            taken[size].append(min(measured(size) for _ in range(times)))
    return {size: statistics.median(times) for size, times in taken.items()}


def _beside_smallest(what: str, taken: Mapping[str, float], unit: str) -> Iterator[Row]:
    smallest, *others = taken
    for size in others:
        yield Row(
            section="growth",
            what=f"{what}, {size} events stored",
            figure=taken[size],
            unit=unit,
            beside=f"{smallest} events stored",
            other=taken[smallest],
            goals=(GOAL,),
        )


def _memory_of_web(bench: Bench, targets: Mapping[str, Target], effort: Effort) -> Row:
    """Measure the web process's memory on the smallest database, after thousands of webhooks."""
    name = next(iter(targets))
    before, count = memory_mb(targets[name].pid), 0
    while count < effort.remembered:
        count += bench.loaded(name, CONNECTIONS, effort.load_seconds).count
    return _memory_row("web processes", memory_mb(targets[name].pid), before, count)


def _memory_of_worker(stage: Stage, effort: Effort) -> Row:
    """Measure a worker's memory while it maps and books webhooks."""
    count = max(effort.remembered // 20, effort.drained)
    with stage.running() as pid:
        stage.fill(effort.drained, "warm")
        wait_until(lambda: stage.booked() >= effort.drained, "the first are booked")
        before = memory_mb(pid)
        stage.fill(count, "many")
        wait_until(lambda: stage.booked() >= effort.drained + count, "all are booked")
        return _memory_row("worker", memory_mb(pid), before, count)


def _memory_row(who: str, after: float, before: float, count: int) -> Row:
    return Row(
        section="growth",
        what=f"memory of the {who} after {count:,} more events",
        figure=after,
        unit="MB",
        beside="before these events",
        other=before,
        goals=(Goal(bound=1.1),),
    )


def memory_mb(pid: int) -> float:
    """Return the total RSS of a process and its children, in MB.

    Shared pages are counted for each process. If they were counted once, the sum would grow as
    forked workers write to their pages, although no memory is added.
    """
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return float(sum(one.memory_info().rss for one in family)) / 1e6
