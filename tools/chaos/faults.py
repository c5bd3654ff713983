"""Inject faults: kill and freeze processes, cut connections, and make the sandbox misbehave."""

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

import psutil
import psycopg
import requests

from tests.wait import wait_until
from tools.chaos.stage import Stage

#: Faults of the sandbox. None of them rejects a request that it books, so that
#: a response without a booking is always unambiguous.
UPSTREAM: Mapping[str, Mapping[str, Any]] = {
    "503": {"status": 503, "headers": {"Retry-After": "1"}},
    "429": {"status": 429, "headers": {"Retry-After": "2"}},
    "401": {"status": 401},
    # A rejection so late that the same person's newer request may have arrived.
    "late 503": {"status": 503, "headers": {"Retry-After": "2"}, "delay": 1.5},
    "late 429": {"status": 429, "headers": {"Retry-After": "2"}, "delay": 1.5},
    "late 401": {"status": 401, "delay": 1.5},
    "time-out": {"delay": 4.0},
    "drop before": {"drop": "before"},
    "drop after": {"drop": "after"},
    "drop during": {"drop": "during"},
    "carried out late": {"drop": "before", "book_after": 6.0},
    "PARTIAL_SUCCESS": {"job": "PARTIAL_SUCCESS"},
    "FAILURE": {"job": "FAILURE"},
    "stuck PENDING": {"job": "PENDING"},
    "slow": {"delay": 1.2},
    "slow job": {"job_seconds": 4.0},
    "note 429": {"on": "event", "status": 429, "headers": {"Retry-After": "2"}},
    "status 500": {"on": "status", "status": 500},
    "status time-out": {"on": "status", "delay": 4.0},
    "status 429": {"on": "status", "status": 429, "headers": {"Retry-After": "2"}},
    "note 503": {"on": "event", "status": 503, "headers": {"Retry-After": "1"}},
    "note time-out": {"on": "event", "delay": 4.0},
    "note dropped before": {"on": "event", "drop": "before"},
    "note dropped after": {"on": "event", "drop": "after"},
    "note FAILURE": {"on": "event", "job": "FAILURE"},
    "calendar 500": {"on": "availability", "status": 500},
    "calendar 429": {"on": "availability", "status": 429, "headers": {"Retry-After": "2"}},
    "calendar time-out": {"on": "availability", "delay": 4.0},
    "calendar unreadable": {"on": "availability", "status": 200, "body": {"result": ["soon"]}},
}
#: Long enough to kill a process in the meantime.
HELD_OPEN = {"delay": 1.51}
#: Number of faults of each kind per round.
PROCESS_FAULTS = 4
UPSTREAM_FAULTS = 9
#: A frozen worker may sleep past its lease.
LONGEST_FREEZE_SECONDS = 25.0


class Storm:
    """One round's faults, chosen at random with ``rng``. The context manager ends them."""

    def __init__(self, stage: Stage, rng: random.Random, without: Collection[str]) -> None:
        self._stage = stage
        self._rng = rng
        self._stopping = threading.Event()
        self._thawing: list[tuple[threading.Timer, psutil.Process]] = []
        self.injected: list[str] = []
        self._deeds: dict[str, Callable[[], None]] = {
            "stop a worker": lambda: rng.choice(stage.workers()).terminate(),
            "kill a worker": lambda: rng.choice(stage.workers()).kill(),
            "kill the workers in a POST": self._kill_the_workers_in_a_post,
            "kill a web worker": self._kill_a_web_worker,
            "kill gunicorn": lambda: stage.part("gunicorn").kill(),
            "kill PostgreSQL": lambda: stage.part("postgres").kill(),
            "kill PostgreSQL in a POST": self._kill_postgres_in_a_post,
            "cut the database's connections": self._cut_the_database,
            "freeze a worker": self._freeze_a_worker,
        }
        upstream = [name for name in UPSTREAM if name not in without]
        deeds = [name for name in self._deeds if name not in without]
        self.drawn = [
            *rng.sample(upstream, min(UPSTREAM_FAULTS, len(upstream))),
            *rng.sample(deeds, min(PROCESS_FAULTS, len(deeds))),
        ]
        rng.shuffle(self.drawn)

    def __enter__(self) -> "Storm":
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Delete the sandbox's pending faults. Frozen processes resume on their own later."""
        self._stopping.set()
        for timer, process in self._thawing:
            if failure is None:
                timer.join()
            timer.cancel()
            _thaw(process)
        with contextlib.suppress(requests.RequestException):
            self._stage.upstream.forget_faults()

    def rage(self) -> None:
        """Inject all chosen faults in order."""
        for name in self.drawn:
            self._stopping.wait(self._rng.uniform(0.2, 1.3))
            self.inject(name)
            self.injected.append(name)

    def inject(self, name: str) -> None:
        """Inject one fault, either now or into one of the sandbox's next requests."""
        if name in UPSTREAM:
            self._stage.upstream.fault(dict(UPSTREAM[name]))
            return
        # The process may already be dead.
        with contextlib.suppress(LookupError, psutil.Error, psycopg.Error, IndexError):
            self._deeds[name]()

    def _kill_the_workers_in_a_post(self) -> None:
        self._wait_for_a_post()
        for worker in self._stage.workers():
            worker.kill()

    def _kill_a_web_worker(self) -> None:
        self._rng.choice(self._stage.part("gunicorn").children()).kill()

    def _kill_postgres_in_a_post(self) -> None:
        self._wait_for_a_post()
        self._stage.part("postgres").kill()

    def _cut_the_database(self) -> None:
        with psycopg.connect(self._stage.database_url, connect_timeout=2) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    def _freeze_a_worker(self) -> None:
        if self._rng.random() < 0.5:
            self._wait_for_a_post()
        worker = self._rng.choice(self._stage.workers())
        worker.send_signal(signal.SIGSTOP)
        timer = threading.Timer(self._rng.uniform(0.5, LONGEST_FREEZE_SECONDS), _thaw, [worker])
        timer.daemon = True
        self._thawing.append((timer, worker))
        timer.start()

    def _wait_for_a_post(self) -> None:
        """Wait until the sandbox is delaying a POST, or until a timeout."""
        self._stage.upstream.fault(dict(HELD_OPEN))
        with contextlib.suppress(AssertionError):
            wait_until(self._is_posting, "a POST", seconds=4)

    def _is_posting(self) -> bool:
        return any(
            call["fault"] == HELD_OPEN and call["answered_at"] is None
            for call in self._stage.upstream.calls()
        )


def _thaw(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(signal.SIGCONT)
