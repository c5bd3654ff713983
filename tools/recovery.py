"""Kill each process of `adapter run` under load, and time the next POST of a booking.

Webhooks arrive all the time, and are repeated until they are accepted. If `adapter run` itself is
killed, it is restarted immediately, as systemd would do.
"""

import concurrent.futures
import contextlib
import datetime as dt
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import psutil
import psycopg
import requests

from adapter import sandbox
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import signed_client
from tests.adapter_process import AdapterProcess, is_ready, start_adapter
from tests.harness import load_cached
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

#: Webhooks per second.
PACE = 2.0
#: Longer than any recovery should take.
MOST_SECONDS = 60.0


class Sender:
    """Sends two leads a second, and repeats each until the adapter accepts it."""

    def __init__(self, running: AdapterProcess) -> None:
        self._running, self._numbers = running, itertools.count(1)
        self._stopping = threading.Event()
        self._threads = concurrent.futures.ThreadPoolExecutor(40)
        self._day = (dt.datetime.now(dt.UTC) + dt.timedelta(days=20)).strftime("%m/%d/%Y")

    def __enter__(self) -> "Sender":
        threading.Thread(target=self._send_all, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)

    def _send_all(self) -> None:
        while not self._stopping.wait(1 / PACE):
            self._threads.submit(self._send, next(self._numbers))

    def _send(self, number: int) -> None:
        payload = json.loads((MAPPINGS / "samples" / "rentfeed-tour.json").read_text())
        contact = {"name": "Dana Roe", "email": f"person{number}@example.com"}
        payload |= {"leadId": f"RF-{number}", "contact": contact}
        payload["createdAt"] = dt.datetime.now(dt.UTC).isoformat()
        payload["tour"]["date"] = self._day
        while not self._stopping.is_set():
            request = signed_client.sign_webhook(
                load_cached(MAPPINGS)["rentfeed"],
                "one",
                body=json.dumps(payload).encode(),
                content_type="application/json",
                adapter_url=self._running.url,
            )
            with contextlib.suppress(requests.RequestException):
                headers = dict(request.headers)
                answer = requests.post(request.url, data=request.body, headers=headers, timeout=5)
                if answer.ok:
                    return
            self._stopping.wait(0.3)


class Drill:
    """An instance of `adapter run` whose processes are killed one at a time in several ways."""

    def __init__(self, folder: Path, upstream: SandboxClient) -> None:
        self._upstream = upstream
        self._folder = folder
        self._settings = {
            "PROPEXO_TOKEN": "sandbox",
            "PROPEXO_BASE_URL": upstream.url,
            "ADAPTER_RATE_PER_MINUTE": "600",
            "ADAPTER_PROPEXO_TIMEOUT_SECONDS": "20",
            "ADAPTER_LOG_LEVEL": "ERROR",
        }
        self.running = start_adapter(folder, errors=sys.stderr, **self._settings)
        self.kills: dict[str, Callable[[], None]] = {
            "worker": lambda: self.running.part("worker").kill(),
            "worker in a POST": self._kill_in_a_post,
            "web": lambda: self.running.part("gunicorn").kill(),
            "web worker": self._kill_a_web_worker,
            "postgres": lambda: self.running.part("postgres").kill(),
            "backend": self._kill_a_backend,
            "run": self._kill_run,
        }

    def measure(self, name: str) -> float:
        """Kill one process, and return the seconds until the next POST."""
        wait_until(lambda: is_ready(self.running.url), "it is ready", MOST_SECONDS)
        self._wait_for_post()  # it is at work
        with contextlib.suppress(psutil.Error, LookupError):
            self.kills[name]()
        began = time.monotonic()
        self._wait_for_post()
        return time.monotonic() - began

    def _wait_for_post(self) -> None:
        before = len(self._upstream.posts())
        wait_until(lambda: len(self._upstream.posts()) > before, "a POST", MOST_SECONDS)

    def _kill_in_a_post(self) -> None:
        self._upstream.fault({"delay_before": 3.0})
        self._wait_for_post()
        self.running.part("worker").kill()

    def _kill_a_web_worker(self) -> None:
        self.running.part("gunicorn").children()[-1].kill()

    def _kill_a_backend(self) -> None:
        url = EmbeddedServer(self._folder).url
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type = 'client backend' ORDER BY random() LIMIT 1"
            ).fetchone()
        if row is not None:
            psutil.Process(row[0]).kill()

    def _kill_run(self) -> None:
        self.running.process.kill()
        self.running.process.wait()
        ports = {name: self.running.environ[name] for name in ("PORT", "ADAPTER_SANDBOX_PORT")}
        again = start_adapter(self._folder, errors=sys.stderr, **self._settings, **ports)
        self.running.process = again.process


@click.command(help=__doc__)
@click.option("--kills", type=int, default=30, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--only", multiple=True, help="Kill only these processes.")
def main(kills: int, seed: int, only: tuple[str, ...]) -> None:
    chance, found = random.Random(seed), dict[str, list[float]]()
    with (
        tempfile.TemporaryDirectory(prefix="adapter-recovery-") as folder,
        sandbox.Server(sandbox.create_app(job_seconds=0.0, limit_per_minute=2000)) as server,
    ):
        drill = Drill(Path(folder) / "data", SandboxClient(server.url))
        wait_until(lambda: is_ready(drill.running.url), "it starts", MOST_SECONDS)
        with Sender(drill.running):
            names = list(only or drill.kills)
            for number in range(kills):
                name = names[number % len(names)]
                time.sleep(chance.uniform(0.5, 4.0))
                found.setdefault(name, []).append(drill.measure(name))
                click.echo(f"{name:20} {found[name][-1]:5.1f} s")
        drill.running.stop()
    for name, seconds in found.items():
        click.echo(f"{name:20} n {len(seconds):2}  worst {max(seconds):5.1f} s")


if __name__ == "__main__":
    main()
