"""Measure the response time, CPU time and size of console pages (section ``console``)."""

import dataclasses
import json
import os
import statistics
import time
import urllib.error
from collections.abc import Iterator, Mapping, Sequence

import psutil
import psycopg

from bench import BenchError, servers
from bench.growth import fill, signed_in
from bench.rounds import Effort, turned
from bench.servers import Target
from bench.tables import Goal, Row

#: Goals for each page with the smaller number of stored webhooks.
MOST_MS, MOST_KIB = 100.0, 100.0
#: The kernel counts CPU time in whole ticks, so a short run may see none.
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
#: The maximum ratio of the CPU time with the larger number to that with the smaller number.
MOST_GROWTH = 1.3
#: Every page that has a URL of its own, in the order of the menu, then pages about one lead, one
#: community and one source.
PATHS: tuple[str, ...] = (
    "/queue",
    "/queue?todo=call",
    "/queue?todo=community",
    "/leads",
    "/leads?kind=webhooks",
    "/leads?q=stored77@example.com",
    "/leads?q=renter",
    "/decisions",
    "/sources",
    "/sources/rentfeed",
    "/invoice",
    "/",
    "/?days=7",
    "/?days=30",
    "/metrics",
    "/status",
    "/communities",
    "/communities/pick?source=rentfeed&value=60007",
    "/try?source=rentfeed&event=501",
    "/rejections",
    "/audit",
    "/people",
    "/leads/501",
    "/leads/501/panel",
)
#: Vary the leads of :data:`bench.growth.FILL`: 1,700 need review, each is as long as a portal's
#: lead, and users have acted on some. These numbers do not depend on how many leads are stored.
FILL = (
    """UPDATE events SET body = convert_to(replace(replace(%(body)s, 'RF-1', 'RF-' || id), '20417',
        CASE WHEN id BETWEEN 1001 AND 1700 THEN 60000 + id %% 150 ELSE 20417 END::text), 'UTF8')""",
    """UPDATE bookings SET appointment = appointment || jsonb_build_object(
        'first_name', 'Renter' || event_id %% 150, 'last_name', 'Stored' || event_id,
        'phone_1', '+1303' || lpad(event_id::text, 7, '0'),
        'move_in_date', '2027-01-15', 'notes', 'Is there covered parking?')""",
    # These leads are for tours at night, or have no contact.
    """UPDATE bookings SET state = 'held', reason = 'held_by_mapping', job_id = NULL,
        starts_at = now() + event_id * interval '3 minutes', reasons = jsonb_build_array(
            CASE event_id %% 2 WHEN 0 THEN jsonb_build_object('field', 'starts_at', 'reason',
                'is at 23:30 in America/Denver, and tours start from 07:00 to 21:00')
            ELSE jsonb_build_object('field', 'email_1', 'reason',
                'neither an email address nor a phone number was found') END)
    WHERE event_id BETWEEN 201 AND 1000""",
    # These leads are for 150 unknown properties.
    """UPDATE bookings SET state = 'held', reason = 'held_by_mapping', job_id = NULL,
        community = NULL, timezone = NULL, starts_at = NULL,
        wall_time = now() + event_id * interval '5 minutes',
        reasons = jsonb_build_array(jsonb_build_object('field', 'community', 'reason',
            'no community is known by this name', 'path', 'listing.propertyId',
            'value', (60000 + event_id %% 150)::text))
    WHERE event_id BETWEEN 1001 AND 1700""",
    """UPDATE events SET state = 'held', reasons = '[{"field": "body", "reason": "is not JSON"}]'
    WHERE id BETWEEN 1701 AND 1800""",
    """UPDATE events SET state = 'ignored' WHERE id BETWEEN 1801 AND 2000""",
    """DELETE FROM bookings WHERE event_id BETWEEN 1701 AND 2000""",
    """INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
    SELECT event_id, id, created_at, NULL, state, 'mapped', 'worker' FROM bookings""",
    """INSERT INTO rejections (source, received_at, reason, method, url, headers, body, bytes,
        sender, can_retry, proofs)
    SELECT 'rentfeed', now() - n * interval '10 minutes', 'signature_mismatch', 'POST',
        '/hooks/rentfeed', '[]', convert_to(%(body)s, 'UTF8'), 800, '838e1e4a', true, '{}'
    FROM generate_series(1, 500) n""",
    """INSERT INTO audit_log (at, by, action, lead_id, detail)
    SELECT now() - n * interval '5 minutes', 'ana', 'released', n + 200, ''
    FROM generate_series(1, 1000) n""",
    "VACUUM ANALYZE",
)


def fill_console(url: str, count: int) -> None:
    """Store ``count`` leads. A fixed number of them need review."""
    fill(url, count)
    body = (servers.ROOT / "mappings" / "samples" / "rentfeed-tour.json").read_text()
    payload = json.dumps(json.loads(body) | {"leadId": "RF-1"})
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in FILL:
            connection.execute(statement.encode(), {"body": payload})


def rows(effort: Effort) -> Iterator[Row]:
    """Yield rows for each page: response time, CPU time with more leads, and size."""
    folder, secret = servers.folder(), servers.secret()
    names = {f"{count:,}": f"console_{count}" for count in effort.console_sizes}
    with servers.databases(folder, tuple(names.values()), effort.server) as found:
        urls = {size: found[name] for size, name in names.items()}
        for count, url in zip(effort.console_sizes, urls.values(), strict=True):
            fill_console(url, count)
        with servers.webs(urls, secret, folder) as targets:
            readers = {size: Reader(target) for size, target in targets.items()}
            for path in PATHS:
                yield from _rows_of(path, readers, effort)


def _rows_of(path: str, readers: Mapping[str, "Reader"], effort: Effort) -> Iterator[Row]:
    """Open a page with each number of leads in turn, and yield its table rows."""
    seen: dict[str, list[Opened]] = {size: [] for size in readers}
    for number in range(effort.rounds):
        for size in turned(list(readers), number):
            seen[size].append(readers[size].opened(path, effort.console_times))
    few, many = (Opened.median(opened) for opened in seen.values())
    fewer, more = readers
    what = f"GET /console{path}, {fewer} leads"

    def row(what: str, figure: float, unit: str, beside: str, other: float, goal: Goal) -> Row:
        return Row(
            section="console",
            what=what,
            figure=figure,
            unit=unit,
            beside=beside,
            other=other,
            goals=(goal,),
        )

    most_ms = Goal(bound=MOST_MS, of="figure")
    yield row(what, few.ms, "ms", "CPU time", few.cpu_ms, most_ms)
    growth = f"… CPU time, {more} leads"
    yield row(growth, many.cpu_ms, "ms", f"{fewer} leads", few.cpu_ms, Goal(bound=MOST_GROWTH))
    most_kib = Goal(bound=MOST_KIB, of="figure")
    yield row(f"… size, {more} leads", many.kib, "KiB", f"{fewer} leads", few.kib, most_kib)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The cost of viewing a page once: wall time, CPU time of web and PostgreSQL, and size."""

    ms: float
    cpu_ms: float
    kib: float

    @classmethod
    def median(cls, opened: Sequence["Opened"]) -> "Opened":
        """Return the medians of all rounds."""
        return cls(
            ms=statistics.median(one.ms for one in opened),
            cpu_ms=statistics.median(one.cpu_ms for one in opened),
            kib=statistics.median(one.kib for one in opened),
        )


class Reader:
    """A signed-in user who opens a web process's pages."""

    def __init__(self, target: Target) -> None:
        assert target.url is not None
        self._opener = signed_in(target)
        self._address = f"http://127.0.0.1:{target.port}/console"
        self._processes = [psutil.Process(target.pid), servers.postmaster(target.url)]

    def opened(self, path: str, times: int) -> Opened:
        """Open a page several times. Return the median time and the average CPU time."""
        self._open(path)  # fills caches and prepares statements
        before = self._cpu_seconds()
        seen = [self._open(path) for _ in range(times)]
        return Opened(
            ms=statistics.median(ms for ms, _ in seen),
            cpu_ms=max(self._cpu_seconds() - before, TICK_SECONDS) / times * 1000,
            kib=seen[-1][1] / 1024,
        )

    def _open(self, path: str) -> tuple[float, int]:
        began = time.perf_counter()
        try:
            with self._opener.open(self._address + path) as answer:
                size = len(answer.read())
        except urllib.error.HTTPError as error:
            raise BenchError(f"/console{path}: {error}") from error
        return (time.perf_counter() - began) * 1000, size

    def _cpu_seconds(self) -> float:
        return sum(map(servers.cpu_seconds, self._processes))
