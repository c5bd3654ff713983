"""Measure the CPU time of web, worker and PostgreSQL per booking (section ``cpu``)."""

from collections.abc import Iterator

import psutil

from bench import servers
from bench.rounds import Effort
from bench.stage import Mail, Stage, wait_until
from bench.tables import Goal, Row

PER_SECOND = 20
#: Number of bookings before the measurement, which fill caches and prepare statements.
WARM = 30
#: CPU time per booking of commit d205799, measured on one machine by running this module
#: alternately on that commit and the next one. On another machine, the ratio
#: says little.
BEFORE_MS = 32.0


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the CPU time that evenly spaced tours need, from webhook to `booked`."""
    folder = servers.folder()
    with servers.database(folder, effort.server) as url:
        used = _used_ms(Stage(url, folder), effort)
    yield Row(
        section="cpu",
        what=f"CPU time per booking at {PER_SECOND} bookings per second",
        figure=used,
        unit="ms",
        beside="commit d205799, measured once",
        other=BEFORE_MS,
        goals=(Goal(bound=0.67),),
    )


def _used_ms(stage: Stage, effort: Effort) -> float:
    with stage.running_with_web() as target:
        mail = Mail(stage, target)
        processes = [psutil.Process(pid) for pid in (target.pid, stage.worker_pid)]
        processes.append(servers.postmaster(stage.url))
        _book(stage, mail, "warm", min(WARM, effort.webhooks))
        before = _seconds(processes)
        _book(stage, mail, "lead", effort.webhooks)
        return (_seconds(processes) - before) / effort.webhooks * 1000


def _book(stage: Stage, mail: Mail, prefix: str, count: int) -> None:
    """Send this many webhooks and wait until they are booked."""
    expected = stage.booked() + count
    mail.send_evenly([f"{prefix}-{number}" for number in range(count)], PER_SECOND)
    wait_until(lambda: stage.booked() >= expected, "all are booked", 0.5)


def _seconds(processes: list[psutil.Process]) -> float:
    return sum(map(servers.cpu_seconds, processes))
