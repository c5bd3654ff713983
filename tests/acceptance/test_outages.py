"""Kill, restart and freeze PostgreSQL while real web and worker processes use it."""

import concurrent.futures
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from adapter import store
from adapter.exceptions import StoreUnavailable
from adapter.models import EventState, WebhookRequest
from adapter.store import child_processes
from adapter.store.child_processes import popen
from adapter.store.embedded import STOP_SIGNAL, EmbeddedServer
from tests.adapter_process import AdapterProcess, kept_environ
from tests.bundled_web import SECRETS, Web, is_up, start_web
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.rows import new_event
from tests.wait import wait_until

pytestmark = pytest.mark.timed

#: Time limit for a 503: 6 s, plus another 6 s if all threads were waiting.
ANSWER_SECONDS = 15.0
numbers = itertools.count(1)


@contextlib.contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """Freeze all processes of the server. The kernel keeps their sockets open."""
    family = [process, *process.children(recursive=True)]
    for member in family:
        member.suspend()
    try:
        yield
    finally:
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.resume()


class Server:
    """A PostgreSQL server for one test."""

    def __init__(self, embedded_server: EmbeddedServer) -> None:
        self._server = embedded_server
        self.url = embedded_server.url

    def start(self) -> None:
        self._process: subprocess.Popen[bytes] = self._server.spawn()
        self._server.wait(self._process)

    def stop(self) -> None:
        if self._process.poll() is None:
            child_processes.stop(self._process, STOP_SIGNAL, 10)

    def frozen(self) -> contextlib.AbstractContextManager[None]:
        return frozen(psutil.Process(self._process.pid))


def signed(web: Web, number: int) -> WebhookRequest:
    """Return a signed webhook that is different for each number."""
    return web.signed(body=json.dumps({"leadId": f"RF-{number}"}).encode())


def timed(request: WebhookRequest) -> tuple[int, float]:
    """Return the response's status and the time that it took."""
    began = time.monotonic()
    headers = dict(request.headers)
    answer = requests.post(request.url, data=request.body, headers=headers, timeout=30)
    return answer.status_code, time.monotonic() - began


def at_once(web: Web, count: int) -> list[tuple[int, float]]:
    """Send several new webhooks at the same time."""
    requests = [signed(web, next(numbers)) for _ in range(count)]
    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        return list(threads.map(timed, requests))


def fill_the_pools(web: Web) -> None:
    """Make both processes open all connections in their pools."""
    for _ in range(4):
        assert {status for status, _ in at_once(web, 16)} == {200}


@pytest.fixture
def server(data_folder: Path) -> Iterator[Server]:
    server = Server(EmbeddedServer(data_folder))
    server.start()
    store.migrate(server.url)
    yield server
    server.stop()


@pytest.fixture
def web(server: Server) -> Iterator[Web]:
    """Run two web processes with four threads each."""
    web = Web(free_port(), server.url)
    gunicorn = start_web(server.url, web.port, ADAPTER_WEB_THREADS="4", ADAPTER_LOG_LEVEL="ERROR")
    try:
        wait_until(lambda: is_up(web.url), "gunicorn answers")
        yield web
    finally:
        gunicorn.terminate()
        gunicorn.wait(40)


def test_connections_cut_by_a_restart_neither_lose_nor_delay_webhooks(
    server: Server, web: Web
) -> None:
    fill_the_pools(web)
    server.stop()
    server.start()

    answers = at_once(web, 8)

    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < 3.0


def test_without_postgresql_the_503_comes_within_three_seconds(server: Server, web: Web) -> None:
    fill_the_pools(web)
    server.stop()
    lead = signed(web, next(numbers))
    answers = [*at_once(web, 4), timed(lead)]
    assert {status for status, _ in answers} == {503}
    # The wait itself is 2.5 s; the rest is for a busy machine.
    assert max(seconds for _, seconds in answers) < 4.5

    server.start()
    began = time.monotonic()
    wait_until(lambda: timed(lead)[0] == 200, "webhooks are taken again", 20)
    assert time.monotonic() - began < 10.0


def test_a_pool_does_not_sleep_when_postgresql_is_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the pool's first pause as long as the pauses in a long outage."""
    monkeypatch.setattr("psycopg_pool.base.AttemptWithBackoff.INITIAL_DELAY", 120.0)
    with store.Database(server.url) as opened:
        opened.check_schema()
        server.stop()
        with pytest.raises(StoreUnavailable):
            opened.check_schema()
        server.start()
        wait_until(lambda: can_read(opened), "the pool connects again", 20)


def can_read(opened: store.Database) -> bool:
    try:
        opened.check_schema()
    except StoreUnavailable:
        return False
    return True


def test_a_frozen_postgresql_is_a_503_in_time_and_is_used_again_later(
    server: Server, web: Web
) -> None:
    """Freeze PostgreSQL, so that connections are accepted and stay open but get no response."""
    fill_the_pools(web)
    before = web.events()
    lead = signed(web, next(numbers))
    with server.frozen():
        answers = [*at_once(web, 8), *at_once(web, 8), timed(lead)]
        assert {status for status, _ in answers} == {503}
        assert max(seconds for _, seconds in answers) < ANSWER_SECONDS
        assert is_up(web.url)

    wait_until(lambda: timed(lead)[0] == 200, "webhooks are taken again", 20)
    assert timed(lead)[0] == 200
    assert {status for status, _ in at_once(web, 16)} == {200}
    assert web.events() >= before + 17


def test_a_restart_of_postgresql_ends_neither_worker_nor_web(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    running = start()
    running.send(lead)
    wait_until(lambda: running.states() == ["booked"], "the worker works")
    survivors = [running.part("worker"), running.part("gunicorn")]
    payload = json.loads(lead.read_text())
    payload["contact"] |= {"email": "sam.roe@example.com", "phone": "", "mobile": ""}
    lead.write_text(json.dumps(payload | {"leadId": "RF-second"}))

    running.part("postgres").kill()
    began = time.monotonic()
    wait_until(lambda: running.send(lead).startswith("200 "), "a lead is taken", 60)
    wait_until(lambda: running.states() == ["booked", "booked"], "the lead is booked", 60)

    assert time.monotonic() - began < 60.0
    assert [running.part("worker"), running.part("gunicorn")] == survivors
    assert len(running.upstream.posts()) == 2


def test_an_outcome_while_postgresql_was_frozen_is_saved_later(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    running = start()
    running.upstream.fault({"delay": 3})
    assert running.send(lead).startswith("200 ")
    wait_until(lambda: running.upstream.posts(), "the sandbox holds the POST open")
    with frozen(running.part("postgres")):
        wait_until(lambda: is_answered(running), "Propexo has answered")

    wait_until(lambda: running.states() == ["booked"], "the lead is booked", 60)
    assert len(running.upstream.posts()) == 1


#: A worker with a short watchdog limit, and a pool that pauses as long as in a long outage.
WORKER = """
import sys
from adapter.cli import main
from adapter.server import worker
from psycopg_pool import base

base.AttemptWithBackoff.INITIAL_DELAY = 120.0
worker.DEAD_SECONDS, worker.DEAD_EXCHANGES = 6.0, 1
worker.HEARTBEAT_SECONDS = 1.0
sys.argv = ["adapter", "worker"]
main()
"""
AWAY_SECONDS = 9.0
BACK_SECONDS = 3.0


@contextlib.contextmanager
def lone_worker(url: str, said: Path, **changes: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker whose log lines go to a file."""
    given = {
        "DATABASE_URL": url,
        "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
        "PROPEXO_TOKEN": "sandbox",
        "PROPEXO_BASE_URL": "http://127.0.0.1:1",
        "ADAPTER_PROPEXO_TIMEOUT_SECONDS": "1",
    } | changes
    with said.open("wb") as errors:
        process = popen([sys.executable, "-c", WORKER], env=kept_environ() | given, stderr=errors)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def maps_within(url: str, seconds: float) -> bool:
    """Store an event without a notification. Return True if it is soon mapped."""
    began = time.monotonic()
    with store.Database(url) as opened:
        event_id = opened.insert_event(new_event(str(next(numbers)).encode()))
        assert event_id is not None
        wait_until(lambda: not is_received(opened, event_id), "it is mapped", 60)
    return time.monotonic() - began < seconds


def is_received(opened: store.Database, event_id: int) -> bool:
    with opened.transaction() as tx:
        event = tx.events.get(event_id)
    assert event is not None
    return event.state is EventState.RECEIVED


def test_a_worker_outlives_every_outage_and_is_soon_back(server: Server, tmp_path: Path) -> None:
    said = tmp_path / "log"
    server.stop()
    with lone_worker(server.url, said) as worker:
        wait_until(lambda: "postgresql_unavailable" in said.read_text(), "it waits at its start")
        server.start()
        assert maps_within(server.url, BACK_SECONDS)

        server.stop()
        time.sleep(AWAY_SECONDS)  # longer than a part may be silent
        server.start()
        assert maps_within(server.url, BACK_SECONDS)
        assert worker.poll() is None


def test_web_starts_without_postgresql_and_says_so(server: Server, tmp_path: Path) -> None:
    """Simulate a booting machine, on which web and PostgreSQL start at the same time."""
    said, web = tmp_path / "log", Web(free_port(), server.url)
    server.stop()
    environ = kept_environ() | SECRETS | {"DATABASE_URL": server.url, "PORT": str(web.port)}
    environ |= {"ADAPTER_MAPPINGS_DIR": str(MAPPINGS)}
    with said.open("wb") as errors:
        process = popen([sys.executable, "-m", "adapter", "web"], env=environ, stderr=errors)
    try:
        wait_until(lambda: is_up(web.url), "web is up")
        lead = signed(web, next(numbers))
        assert requests.get(web.url + "/readyz", timeout=10).status_code == 503
        assert timed(lead)[0] == 503
        assert "cannot reach PostgreSQL" in said.read_text()
        server.start()
        wait_until(lambda: timed(lead)[0] == 200, "the lead is accepted", 20)
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(40)


def test_a_worker_that_waits_for_postgresql_says_why_once(tmp_path: Path) -> None:
    said = tmp_path / "log"
    with lone_worker("postgresql://someone:hunter2@127.0.0.1:1/leads", said) as worker:
        wait_until(lambda: "postgresql_unavailable" in said.read_text(), "it waits")
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(3)
    (line,) = said.read_text().splitlines()
    assert "Connection refused" in line
    assert "hunter2" not in line


def test_a_worker_that_waits_for_postgresql_outlives_sighup_and_ends_on_sigterm(
    server: Server, tmp_path: Path
) -> None:
    said, token = tmp_path / "log", tmp_path / "token"
    token.write_text("sandbox")
    server.stop()
    in_file = {"PROPEXO_TOKEN": "", "PROPEXO_TOKEN_FILE": str(token)}
    with lone_worker(server.url, said, **in_file) as worker:
        wait_until(lambda: '"part": "start"' in said.read_text(), "it waits")
        worker.send_signal(signal.SIGHUP)
        server.start()
        wait_until(lambda: "mappings_reloaded" in said.read_text(), "it reloads later")

        server.stop()
        token.write_text("rotated")
        worker.send_signal(signal.SIGHUP)
        wait_until(lambda: "restarting_with_new_secrets" in said.read_text(), "it starts again")
        wait_until(lambda: waits_despite_sighup(worker, said), "the new program waits")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == -signal.SIGTERM


def waits_despite_sighup(worker: "subprocess.Popen[bytes]", said: Path) -> bool:
    worker.send_signal(signal.SIGHUP)
    assert worker.poll() is None
    return said.read_text().count('"part": "start"') == 2


def is_answered(running: AdapterProcess) -> bool:
    answer = requests.get(running.upstream.url + "/_sandbox/requests", timeout=5).json()
    return all(call["answered_at"] is not None for call in answer["requests"])
