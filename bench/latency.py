"""Measure the time from webhook to POST, with and without a backlog (section ``latency``)."""

import functools
import statistics
from collections.abc import Iterator, Sequence

import psycopg

from bench import servers
from bench.acknowledging import Bench
from bench.rounds import Effort
from bench.stage import Mail, Stage, wait_until
from bench.tables import Goal, Row

PER_SECOND = 20
#: Tours this many days ahead count as soon, because ADAPTER_SOON_HOURS is set to two days.
SOON_DAYS = 1
#: Insert another source's pending bookings, as mapping would have stored them.
BACKLOG = """
WITH event AS (
    INSERT INTO events (source, state, received_at, content_type, headers, query, body)
    SELECT 'website', 'mapped', now(), '', '{}', '', '' FROM generate_series(1, %(count)s)
    RETURNING id
), turn AS (INSERT INTO source_turns (source) VALUES ('website') ON CONFLICT DO NOTHING)
INSERT INTO bookings (
    event_id, item, source, state, community, timezone, starts_at, appointment, due_at,
    created_at, updated_at, asked_at)
SELECT id, 0, 'website', 'pending', 'maple-court', 'America/Denver', now() + interval '9 days',
    jsonb_build_object(
        'integration_id', 'int_7Qm2', 'community_id', 'com_maple', 'attribution_id', 'att',
        'appointment_date', to_char(now() + interval '9 days', 'YYYY-MM-DD'),
        'appointment_time', '20:30:00', 'last_name', 'Waiting',
        'email_1', 'waiting' || id || '@example.com'),
    now(), now(), now(), now()
FROM event
"""


def put_backlog(url: str, count: int) -> None:
    """Store this many pending bookings, as if their webhooks had been mapped."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BACKLOG.encode(), {"count": count})


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the time to the POST, with and without a backlog, and the time to acknowledge."""
    folder = servers.folder()
    with servers.database(folder, effort.server) as url:
        yield from _to_post(Stage(url, folder), effort)
    with servers.database(folder, effort.server) as url:
        yield from _behind(Stage(url, folder, limit=120), effort)
    yield from _during_a_backlog(effort)


def _to_post(stage: Stage, effort: Effort) -> Iterator[Row]:
    names = [f"lead-{number}" for number in range(effort.webhooks)]
    with stage.running_with_web() as target:
        mail = Mail(stage, target)
        mail.send("warm")
        wait_until(mail.until_posted_ms, "the first webhook is posted")
        mail.taken_ms.clear()
        mail.send_evenly(names, PER_SECOND)
        wait_until(lambda: len(mail.until_posted_ms()) > len(names), "all are posted", 0.5)
        taken = mail.until_posted_ms()
    posted = [ms for email, ms in taken.items() if not email.startswith("warm")]
    for name, part, bound in (("p50", 0.5, 25), ("p99", 0.99, 100)):
        yield Row(
            section="latency",
            what=f"webhook to POST at {PER_SECOND} per second, {name}",
            figure=quantile(posted, part),
            unit="ms",
            beside="webhook to response",
            other=quantile(mail.taken_ms, part),
            goals=(Goal(bound=bound, of="figure"),),
        )


def _behind(stage: Stage, effort: Effort) -> Iterator[Row]:
    """Send tours that start soon one by one, first with an empty queue, then with a backlog."""
    with stage.running_with_web() as target:
        mail = Mail(stage, target)
        mail.send("warm")
        wait_until(mail.until_posted_ms, "the first webhook is posted")
        alone = _soon(mail, "alone", effort.soon)
        put_backlog(stage.url, effort.backlog)
        before = len(stage.sandbox.posts())
        wait_until(lambda: len(stage.sandbox.posts()) > before, "the backlog is being sent")
        behind = _soon(mail, "behind", effort.soon)
    yield Row(
        section="latency",
        what=f"webhook to POST with {effort.backlog:,} pending bookings",
        figure=statistics.median(behind) / 1000,
        unit="s",
        beside="with an empty queue",
        other=statistics.median(alone) / 1000,
        goals=(Goal(bound=1, of="figure"),),
    )


def _is_posted(mail: Mail, email: str) -> bool:
    return email in mail.until_posted_ms()


def _soon(mail: Mail, prefix: str, count: int) -> list[float]:
    """Send ``count`` webhooks one by one. Return the milliseconds from each webhook to its POST."""
    taken = []
    for number in range(count):
        name = f"{prefix}-{number}"
        mail.send(name, in_days=SOON_DAYS)
        email = f"{name}@example.com"
        wait_until(functools.partial(_is_posted, mail, email), "the tour is posted")
        taken.append(mail.until_posted_ms()[email])
    return taken


def _during_a_backlog(effort: Effort) -> Iterator[Row]:
    """Measure two web processes alternately, one of them with many pending events and bookings."""
    folder = servers.folder()
    connections = max(effort.connections[:2])
    secret = servers.secret()
    with (
        servers.databases(folder, ("empty", "waiting"), effort.server) as urls,
        servers.webs(urls, secret, folder) as targets,
    ):
        put_backlog(urls["waiting"], effort.backlog)
        with psycopg.connect(urls["waiting"]) as connection:
            connection.execute(b"UPDATE events SET state = 'received'")
        seen = Bench(targets, secret, folder).rounds(connections, effort)
    yield Row(
        section="latency",
        what=f"acknowledge p99 with {effort.backlog:,} pending bookings, {connections} conn.",
        figure=statistics.median(answers.p99_ms for answers in seen["waiting"]),
        unit="ms",
        beside="with an empty queue",
        other=statistics.median(answers.p99_ms for answers in seen["empty"]),
        goals=(Goal(bound=1.2),),
    )


def quantile(values: Sequence[float], part: float) -> float:
    """Return a percentile of the values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
