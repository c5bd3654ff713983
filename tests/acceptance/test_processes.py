"""Test `adapter run` with real processes: restarts, no lost leads, no double bookings."""

import contextlib
import json
import re
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import requests
from psycopg.conninfo import conninfo_to_dict

import adapter
from adapter.exceptions import WRONG_CONFIGURATION, ConfigurationError
from adapter.server.child_process import ChildProcess
from adapter.server.supervisor import _locked
from adapter.server.web_process import check_listening
from adapter.settings import Settings
from adapter.store import Database, migrate
from adapter.store.child_processes import popen
from tests.adapter_process import (
    ADAPTER,
    AdapterProcess,
    environment,
    is_ready,
    is_up,
    run_command,
    start_adapter,
)
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.sandbox_client import FullBacklogServer
from tests.wait import wait_until


def test_a_worker_that_is_killed_in_the_post_leaves_unknown_posted_once(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    running = start()
    running.upstream.fault({"delay": 60})
    assert running.send(lead).startswith("200 ")
    wait_until(lambda: running.upstream.posts(), "the sandbox holds the POST open")
    assert running.states() == ["sending"]

    worker = running.part("worker")
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)

    wait_until(lambda: running.states() == ["unknown"], "the booking is unknown", 60)
    assert running.part("worker").pid != worker.pid
    assert len(running.upstream.posts()) == 1
    (booking,) = running.bookings()
    story = running.run_command("show", str(booking.id)).stdout
    assert "pending → sending" in story
    assert "sending → unknown (sender_lost, by worker)" in story
    assert "posted" in story


def test_a_worker_that_was_frozen_before_its_post_does_not_post_after_its_lease(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    """Freeze a worker between the commit and the first byte, so that another worker takes over."""
    with FullBacklogServer() as upstream, contextlib.ExitStack() as stack:
        running = start(
            PROPEXO_TOKEN="sandbox",
            PROPEXO_BASE_URL=upstream.url,
            ADAPTER_PROPEXO_TIMEOUT_SECONDS="5",
        )
        assert running.send(lead).startswith("200 ")
        frozen = running.part("worker")
        wait_until(lambda: is_connecting(frozen, upstream.port), "the worker is connecting")
        frozen.suspend()
        stack.callback(frozen.resume)
        upstream.open()
        other = popen([*ADAPTER, "worker"], env=running.environ)
        stack.callback(other.wait, 40)
        stack.callback(other.terminate)
        wait_until(lambda: running.states() == ["unknown"], "its lease is over", 60)
        assert not [request for request in upstream.received if b"last_name" in request]

        frozen.resume()
        wait_until(lambda: len(outcomes_of(running)) == 2, "it is started again")
        wait_until(lambda: None not in outcomes_of(running), "that is answered")

        assert outcomes_of(running) == ["not_sent", "rate_limited"]
        late = [request for request in upstream.received if b"last_name" in request]
        assert len(late) == 1, "only what was started again"


def is_connecting(process: psutil.Process, port: int) -> bool:
    return any(
        one.status == psutil.CONN_SYN_SENT and one.raddr[1:] == (port,)
        for one in process.net_connections("tcp")
    )


def outcomes_of(running: AdapterProcess) -> list[str | None]:
    """Return the outcomes of the only booking's attempts, in order."""
    (booking,) = running.bookings()
    shown = json.loads(running.run_command("show", str(booking.id), "--json").stdout)
    return [attempt["outcome"] for attempt in shown["attempts"]]


def test_every_killed_process_is_restarted_and_the_next_lead_is_booked(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    running = start()
    killed = [running.part(word) for word in ("gunicorn", "worker", "postgres")]
    for process in killed:
        process.send_signal(signal.SIGKILL)
    for process in killed:
        process.wait(10)

    wait_until(lambda: is_ready(running.url), "the web process is back", 60)
    wait_until(lambda: running.send(lead).startswith("200 "), "a lead is taken", 60)
    wait_until(lambda: running.states() == ["booked"], "the lead is booked", 60)
    assert len(running.upstream.posts()) == 1


@pytest.fixture
def starting(data_folder: Path) -> Iterator[AdapterProcess]:
    """Yield `adapter run` after its worker has started, while web is still starting."""
    running = start_adapter(data_folder / "data")
    wait_until(lambda: running.find("worker"), "the worker was begun", 60)
    yield running
    running.stop()


def test_a_process_killed_during_startup_is_restarted(starting: AdapterProcess, lead: Path) -> None:
    starting.part("worker").kill()

    wait_until(lambda: is_ready(starting.url), "adapter run is ready", 60)
    wait_until(lambda: starting.send(lead).startswith("200 "), "a lead is taken", 60)
    wait_until(lambda: starting.states() == ["booked"], "the lead is booked", 60)


def test_a_signal_during_the_start_ends_it(starting: AdapterProcess) -> None:
    wait_until(lambda: starting.find("gunicorn"), "the web process was begun")
    web = starting.part("gunicorn")
    web.suspend()  # it would never be ready
    family = psutil.Process(starting.process.pid).children(recursive=True)

    starting.process.send_signal(signal.SIGTERM)

    wait_until(lambda: is_told_to_end(web), "the parts are told")
    web.resume()
    assert starting.process.wait(60) == 0
    wait_until(lambda: not any(map(psutil.Process.is_running, family)), "all processes are gone")


def is_told_to_end(process: psutil.Process) -> bool:
    """Return True if SIGTERM is pending for a suspended process (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    pending = int(status.partition("ShdPnd:")[2].split()[0], 16)
    return bool(pending & 1 << signal.SIGTERM - 1)


def test_an_error_within_a_run_is_not_reported_as_one_of_its_folder(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), _locked(tmp_path):
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("words", "starts"), [(["false"], 1), (["true"], 1), (["sh", "-c", "kill -9 $$"], 4)]
)
def test_a_process_that_does_not_start_is_an_error(words: list[str], starts: int) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        begun.append(subprocess.Popen(words))
        return begun[-1]

    def is_given_up() -> bool:
        if not process.is_crash_looping:
            process.keep_alive(print)
        return process.is_crash_looping

    process = ChildProcess("worker", start)
    wait_until(is_given_up, "it is given up")
    assert len(begun) == starts


def test_the_printed_link_opens_the_console(data_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "errors"
    with file.open("w") as errors:
        running = start_adapter(data_folder / "data", errors=errors)
    try:
        wait_until(lambda: "/console/open?key=" in file.read_text(), "the link is printed", 60)
        (link,) = re.findall(r"http://\S+/console/open\?key=\S+", file.read_text())
        for page in ("/console/", "/metrics"):
            assert requests.get(running.url + page, timeout=10).status_code in (401, 403)
        with requests.Session() as browser:
            assert browser.get(link, timeout=10).status_code == 200
            for page in ("/console/queue", "/console/metrics"):
                assert browser.get(running.url + page, timeout=10).status_code == 200
        assert requests.get(link, timeout=10).status_code == 403
    finally:
        running.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_everything(start: Callable[..., AdapterProcess], number: int) -> None:
    running = start()
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len(family) >= 4

    running.process.send_signal(number)

    assert running.process.wait(60) == 0
    wait_until(lambda: not any(map(psutil.Process.is_running, family)), "all processes are gone")


def problems_of(ended: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return the lines of a startup error, which web and worker log as JSON."""
    lines = ended.stderr.strip().splitlines()
    if lines[0].startswith("adapter: "):
        return [line.removeprefix("adapter: ") for line in lines]
    events = [json.loads(line) for line in lines]
    assert {(one["level"], one["event"]) for one in events} == {("critical", "start_failed")}
    return [one["problem"] for one in events]


def broken_mappings(folder: Path) -> Path:
    copy = folder / "broken"
    copy.mkdir()
    for file in MAPPINGS.glob("*.yaml"):
        text = file.read_text()
        (copy / file.name).write_text(
            text.replace("email_1: contact.email", "e_mail: contact.email")
        )
    (copy / "samples").symlink_to(MAPPINGS / "samples")
    return copy


@pytest.mark.parametrize("command", ["run", "migrate", "bookings"])
def test_a_wrong_database_url_is_one_clear_error(tmp_path: Path, command: str) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/leads"

    ended = run_command(environment(tmp_path, DATABASE_URL=url, PROPEXO_TOKEN="any"), command)

    assert ended.returncode == 1
    (line,) = problems_of(ended)
    assert "cannot reach PostgreSQL at 127.0.0.1:1/leads: Connection refused" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("command", ["run", "web", "worker"])
def test_an_invalid_mapping_is_reported_with_its_position(tmp_path: Path, command: str) -> None:
    folder = broken_mappings(tmp_path)

    ended = run_command(environment(tmp_path, ADAPTER_MAPPINGS_DIR=str(folder)), command)

    assert ended.returncode == WRONG_CONFIGURATION
    first = problems_of(ended)[0]
    assert "rentfeed.yaml:" in first
    assert "'e_mail'" in first


@pytest.mark.parametrize("command", ["run", "web"])
def test_a_missing_secret_is_named(tmp_path: Path, command: str) -> None:
    ended = run_command(environment(tmp_path, RENTFEED_SECRET=""), command)

    assert ended.returncode == WRONG_CONFIGURATION
    (line,) = problems_of(ended)
    assert "rentfeed.yaml" in line
    assert "RENTFEED_SECRET is not set" in line


@pytest.mark.parametrize(
    ("command", "variable"), [("run", "PORT"), ("run", "ADAPTER_SANDBOX_PORT"), ("web", "PORT")]
)
def test_a_port_in_use_is_named_with_its_setting(
    tmp_path: Path, command: str, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_command(environment(tmp_path, **{variable: port}), command)

    assert ended.returncode == WRONG_CONFIGURATION
    (line,) = problems_of(ended)
    assert f"port {port}" in line
    assert variable in line


def test_web_logs_what_it_started_with(fresh_database: str, tmp_path: Path) -> None:
    environ = environment(tmp_path, DATABASE_URL=fresh_database, PROPEXO_TOKEN="sandbox")
    said = tmp_path / "log"
    with said.open("wb") as errors:
        web = popen([*ADAPTER, "web"], env=environ | {"ADAPTER_PORT": "tcp://a"}, stderr=errors)
    try:
        wait_until(lambda: is_ready(f"http://127.0.0.1:{environ['PORT']}"), "it is ready")
        with psycopg.connect(fresh_database) as connection:
            names = connection.execute(
                "SELECT DISTINCT application_name FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
    finally:
        web.terminate()
        web.wait(30)
    lines = {line["event"]: line for line in map(json.loads, said.read_text().splitlines())}
    started = lines["web_started"]
    assert environ["PORT"] in started["address"]
    assert {"leasebot", "rentfeed"} <= set(started["sources"])
    assert started["database"].endswith("/" + str(conninfo_to_dict(fresh_database)["dbname"]))
    assert (started["version"], started["propexo"]) == (adapter.__version__, "127.0.0.1")
    assert lines["service_links_ignored"]["variables"] == ["ADAPTER_PORT"]
    assert names == [("adapter web",)]


def test_a_read_only_machine_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc"])
    with pytest.raises(ConfigurationError, match="mount a tmpfs at /tmp, or set TMPDIR"):
        check_listening(Settings(port=free_port()))


def test_a_run_after_a_kill_waits_for_the_ports_of_the_one_before(data_folder: Path) -> None:
    """Check that `adapter run` waits for its ports if the previous process is still stopping."""
    folder = data_folder / "data"
    lock = folder / "lock"
    killed = start_adapter(folder)
    wait_until(lambda: lock.exists() and lock.read_bytes(), "it has started")
    killed.process.kill()
    killed.process.wait()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = start_adapter(folder, PORT=str(taken.getsockname()[1]))
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(3)
    wait_until(lambda: is_ready(running.url), "it is ready", 60)
    running.stop()
    assert lock.read_bytes() == b"", "it was not killed"


def test_wrong_settings_are_all_named_at_once(tmp_path: Path) -> None:
    ended = run_command(
        environment(tmp_path, PORT="many", ADAPTER_LATEST_TOUR="9pm", PROPEXO_TOKN="red"), "run"
    )

    assert ended.returncode == WRONG_CONFIGURATION
    assert ended.stderr.strip().splitlines() == [
        "adapter: PORT must be a whole number from 1 to 65535",
        "adapter: ADAPTER_LATEST_TOUR must be a time of day such as 07:00",
        "adapter: PROPEXO_TOKN is not a setting; check the spelling",
    ]


def test_a_second_run_on_the_same_data_is_refused(start: Callable[..., AdapterProcess]) -> None:
    running = start()
    changes = {"PORT": str(free_port()), "ADAPTER_SANDBOX_PORT": str(free_port())}

    ended = run_command(running.environ | changes, "run")

    assert ended.returncode == WRONG_CONFIGURATION
    assert "another adapter is running in" in ended.stderr
    assert is_ready(running.url)


def test_the_lock_follows_no_link_and_is_closed_to_others(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    lock = tmp_path / "data" / "lock"
    lock.parent.mkdir(mode=0o755)
    lock.symlink_to(file)
    with pytest.raises(ConfigurationError, match="cannot use"), _locked(lock.parent):
        pass
    assert file.read_text() == "kept"

    lock.unlink()
    lock.touch(0o644)
    with _locked(lock.parent):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600

    lock.parent.chmod(0o777)
    with pytest.raises(ConfigurationError, match="other users can"), _locked(lock.parent):
        pass


def test_a_volume_that_is_open_to_all_holds_a_folder_that_is_not(tmp_path: Path) -> None:
    """Use a volume with mode 0777, like an `emptyDir` in Kubernetes."""
    tmp_path.chmod(0o777)
    with (
        pytest.raises(ConfigurationError, match="ADAPTER_DATA_DIR=") as refused,
        _locked(tmp_path),
    ):
        pass
    advised = Path(str(refused.value).rpartition("=")[2])
    with _locked(advised):
        assert (advised.parent, stat.S_IMODE(advised.stat().st_mode)) == (tmp_path, 0o755)


@pytest.mark.parametrize("command", ["run", "worker"])
def test_a_database_without_a_token_does_not_book_in_a_sandbox(
    tmp_path: Path, command: str
) -> None:
    ended = run_command(environment(tmp_path, DATABASE_URL="postgresql://127.0.0.1:1/x"), command)

    assert ended.returncode == WRONG_CONFIGURATION
    assert problems_of(ended) == [
        "PROPEXO_TOKEN is not set; to book in a sandbox, set PROPEXO_TOKEN=sandbox"
    ]


@pytest.mark.parametrize("command", ["run", "worker"])
def test_a_database_that_booked_in_knock_does_not_book_in_a_sandbox(
    fresh_database: str, tmp_path: Path, command: str
) -> None:
    with Database(fresh_database) as opened, opened.transaction() as tx:
        tx.record_propexo_host("api.example.com")

    environ = environment(tmp_path, DATABASE_URL=fresh_database, PROPEXO_TOKEN="sandbox")
    ended = run_command(environ, command)

    assert ended.returncode == WRONG_CONFIGURATION
    assert "this database has booked in Knock through api.example.com" in ended.stderr


def test_a_worker_waits_for_the_migration_and_a_command_asks_for_it(
    empty_database: str, tmp_path: Path
) -> None:
    environ = environment(tmp_path, DATABASE_URL=empty_database, PROPEXO_TOKEN="sandbox")
    listed = run_command(environ, "bookings")
    assert listed.returncode == 1
    assert re.fullmatch(
        r"adapter: the database is missing \d+ migrations?: run adapter migrate\n", listed.stderr
    )
    said = tmp_path / "log"
    with said.open("wb") as errors:
        worker = popen([*ADAPTER, "worker"], env=environ, stderr=errors)
    try:
        wait_until(lambda: "run adapter migrate" in said.read_text(), "it waits")
        migrate(empty_database)
        wait_until(lambda: "worker_started" in said.read_text(), "it begins")
    finally:
        worker.terminate()
        assert worker.wait(30) == 0


def test_the_sandbox_can_be_asked_for_beside_a_database(
    start: Callable[..., AdapterProcess], module_database: str, lead: Path
) -> None:
    running = start(DATABASE_URL=module_database, PROPEXO_TOKEN="sandbox")
    wait_until(lambda: is_up(running.upstream.url), "the sandbox is ready", 60)

    assert running.send(lead).startswith("200 ")
    wait_until(lambda: len(running.upstream.posts()) == 1, "the tour is posted to the sandbox", 60)


def test_commands_that_read_leads_say_so_when_there_is_no_database(tmp_path: Path) -> None:
    ended = run_command(environment(tmp_path), "bookings")

    assert ended.returncode == WRONG_CONFIGURATION
    assert f"there is no database yet in {tmp_path}/postgres: `adapter run` creates" in ended.stderr


def test_leads_can_be_read_while_nothing_runs(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    running = start()
    running.send(lead)
    wait_until(lambda: running.states() == ["booked"], "the lead is booked", 60)
    running.process.send_signal(signal.SIGINT)
    running.process.wait(60)

    # Each of these commands starts its own PostgreSQL.
    (booking,) = json.loads(running.run_command("bookings", "--json").stdout)["bookings"]
    assert booking["state"] == "booked"
    assert "Dana Okafor" in running.run_command("bookings").stdout
    shown = json.loads(running.run_command("show", booking["job_id"], "--json").stdout)
    assert [change["to"] for change in shown["history"]][-1] == "booked"
    assert running.run_command("show", "999999").returncode == 1


def test_an_encrypted_lead_is_booked_and_its_key_rotated_beside_the_running_worker(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    old = run_command({}, "encryption", "key").stdout.strip()
    new = run_command({}, "encryption", "key").stdout.strip()
    running = start(ADAPTER_ENCRYPTION_KEYS=old)
    running.send(lead)
    wait_until(lambda: running.states() == ["booked"], "the lead is booked", 60)

    running.environ["ADAPTER_ENCRYPTION_KEYS"] = f"{new},{old}"
    done = running.run_command("encryption", "rotate", "--json")
    result = json.loads(done.stdout)
    assert (result["stored_again"], result["remaining"]) == (1, 0), done.stderr

    running.environ["ADAPTER_ENCRYPTION_KEYS"] = new
    (booking,) = running.bookings()
    shown = (
        running.run_command("rejections", "--json"),
        running.run_command("show", str(booking.id)),
    )
    assert [one.returncode for one in shown] == [0, 0]
    running.environ["ADAPTER_ENCRYPTION_KEYS"] = old
    lost = running.run_command("show", str(booking.id))
    assert (lost.returncode, lost.stdout) == (WRONG_CONFIGURATION, "")
    assert "to ADAPTER_ENCRYPTION_KEYS" in lost.stderr
