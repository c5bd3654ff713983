"""Test that running processes reload either all changed mappings or none."""

import contextlib
import dataclasses
import datetime as dt
import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapter.server.demo_scenario import webhooks
from adapter.store.child_processes import popen
from tests.adapter_process import ADAPTER, environment, is_ready, run_command
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.wait import wait_until


@dataclasses.dataclass
class Harness:
    """A mappings folder for this test, and the processes that read it."""

    folder: Path
    environ: dict[str, str]
    said: Path
    started: list["subprocess.Popen[bytes]"] = dataclasses.field(default_factory=list)

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        with self.said.open("ab") as said:
            process = popen([*ADAPTER, command], env=self.environ, stderr=said)
        self.started.append(process)
        return process

    def change(self, old: str, new: str) -> None:
        file = self.folder / "rentfeed.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def greet(self, greeting: str) -> None:
        """Write a mapping that puts the given line at the top of each lead's notes."""
        shutil.copy(MAPPINGS / "rentfeed.yaml", self.folder)
        self.change('    - "{comments}"', f'    - "{greeting}"\n    - "{{comments}}"')
        self.change("notes: |-\n", f"notes: |-\n        {greeting}\n")

    def waits_for(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.said.read_text().count(words) >= times, f"{words!r} is said", 60)

    def is_ready(self) -> bool:
        return is_ready(f"http://127.0.0.1:{self.environ['PORT']}")

    def send(self, number: int, folder: Path = MAPPINGS) -> str:
        """Send a lead, signed according to that folder's mapping, and return the response."""
        _, _, payload = next(webhooks(MAPPINGS, dt.datetime.now(dt.UTC)))
        payload["leadId"] = f"RF-{number}"
        payload["contact"]["email"] = f"lead{number}@example.com"
        payload["contact"]["phone"] = f"(303) 555-01{number:02}"
        file = self.folder.parent / "lead.json"
        file.write_text(json.dumps(payload))
        environ = self.environ | {"ADAPTER_MAPPINGS_DIR": str(folder)}
        return run_command(environ, "send", "rentfeed", str(file)).stdout

    def notes(self) -> list[str]:
        """Return the notes of all bookings, newest first."""
        listed: list[dict[str, Any]] = json.loads(
            run_command(self.environ, "bookings", "--json").stdout
        )["bookings"]
        return [booking["appointment"]["notes"] for booking in listed]

    def notes_of(self, number: int) -> str:
        """Send a lead, wait until it is mapped, and return its notes."""
        before = len(self.notes())
        self.send(number)
        wait_until(lambda: len(self.notes()) > before, "the lead is mapped", 60)
        return self.notes()[0]


@contextlib.contextmanager
def harness_in(folder: Path, **changes: str) -> Iterator[Harness]:
    mappings = folder / "mappings"
    shutil.copytree(MAPPINGS, mappings)
    environ = environment(folder / "data", ADAPTER_MAPPINGS_DIR=str(mappings), **changes)
    said = folder / "said"
    said.touch()
    harness = Harness(mappings, environ, said)
    try:
        yield harness
    finally:
        for process in harness.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with harness_in(tmp_path) as harness:
        yield harness


@pytest.fixture
def parts(tmp_path: Path, database: str, upstream: SandboxClient) -> Iterator[Harness]:
    """Return a harness for separate web and worker processes with an existing database."""
    with harness_in(
        tmp_path, DATABASE_URL=database, PROPEXO_TOKEN="sandbox", PROPEXO_BASE_URL=upstream.url
    ) as harness:
        yield harness


def test_adapter_run_reloads_a_changed_mapping_and_rejects_an_invalid_one(harness: Harness) -> None:
    run = harness.start("run")
    wait_until(harness.is_ready, "adapter run is ready", 60)

    harness.greet("Good morning")
    harness.waits_for("reloading mappings and secrets")
    harness.waits_for("mappings_reloaded", times=2)
    assert harness.notes_of(1).startswith("Good morning\n")

    harness.change("email_1: contact.email", "e_mail: contact.email")
    harness.waits_for("the changed mappings are invalid; the old ones stay active:")
    harness.waits_for("unknown field 'e_mail'; did you mean 'email_1'?")
    assert harness.notes_of(2).startswith("Good morning\n"), "the last right mapping serves"

    harness.greet("Good evening")
    harness.waits_for("reloading mappings and secrets", times=2)
    harness.waits_for("mappings_reloaded", times=4)
    assert harness.notes_of(3).startswith("Good evening\n")

    run.send_signal(signal.SIGHUP)
    harness.waits_for("reloading mappings and secrets", times=3)
    assert "restarting it" not in harness.said.read_text(), "no process was restarted"


def test_a_separate_worker_reloads_mappings_on_sighup(parts: Harness) -> None:
    parts.start("web")
    worker = parts.start("worker")
    wait_until(parts.is_ready, "web is ready", 60)
    parts.waits_for("worker_started")

    parts.greet("Good morning")
    worker.send_signal(signal.SIGHUP)
    parts.waits_for("mappings_reloaded")
    assert parts.notes_of(1).startswith("Good morning\n")

    parts.change("email_1: contact.email", "e_mail: contact.email")
    worker.send_signal(signal.SIGHUP)
    parts.waits_for("unknown field 'e_mail'")
    assert parts.notes_of(2).startswith("Good morning\n")
    assert worker.poll() is None


def test_a_separate_web_reloads_mappings_on_sighup(parts: Harness) -> None:
    web = parts.start("web")
    wait_until(parts.is_ready, "web is ready", 60)
    assert "200" in parts.send(1)

    parts.change("X-RentFeed-Signature", "X-Newer-Signature")
    assert "401" in parts.send(2, parts.folder), "nothing changes unasked"
    web.send_signal(signal.SIGHUP)
    wait_until(lambda: "200" in parts.send(2, parts.folder), "the new header is known", 60)
    wait_until(lambda: "401" in parts.send(3), "the old workers have gone", 60)
    signed_anew = shutil.copytree(parts.folder, parts.folder.parent / "newer")

    parts.change("email_1: contact.email", "e_mail: contact.email")
    web.send_signal(signal.SIGHUP)
    parts.waits_for("unknown field 'e_mail'")
    assert "200" in parts.send(4, signed_anew), "the last right mapping serves"

    for worker in psutil.Process(web.pid).children():
        worker.kill()
    wait_until(lambda: "200" in parts.send(5, signed_anew), "and in a worker born later", 60)
    assert web.poll() is None


def test_a_new_mapping_without_its_secret_is_rejected(parts: Harness) -> None:
    web = parts.start("web")
    wait_until(parts.is_ready, "web is ready", 60)

    parts.change("secrets: [RENTFEED_SECRET]", "secrets: [NEWER_SECRET]")
    web.send_signal(signal.SIGHUP)

    parts.waits_for("NEWER_SECRET is not set")
    assert "200" in parts.send(1)


def in_file(harness: Harness, name: str, value: str) -> Path:
    """Give the processes a secret in a file instead of an environment variable."""
    file = harness.folder.parent / name
    file.write_text(value)
    harness.environ.pop(name, None)
    harness.environ[f"{name}_FILE"] = str(file)
    return file


def test_web_takes_up_a_rotated_secret_on_sighup_and_keeps_one_that_is_gone(parts: Harness) -> None:
    secret = in_file(parts, "RENTFEED_SECRET", "the-first-secret\n")
    web = parts.start("web")
    wait_until(parts.is_ready, "web is ready", 60)
    assert "200" in parts.send(1)

    secret.write_text("the-second-secret")
    assert "401" in parts.send(2), "nothing changes unasked"
    web.send_signal(signal.SIGHUP)
    wait_until(lambda: "200" in parts.send(3), "the new secret counts", 60)

    parts.environ |= {"RENTFEED_SECRET": "the-second-secret", "RENTFEED_SECRET_FILE": ""}
    secret.unlink()
    web.send_signal(signal.SIGHUP)
    parts.waits_for("RENTFEED_SECRET_FILE names a file that cannot be read")
    parts.waits_for("mappings_reloaded", times=2)
    assert "200" in parts.send(4)
    for worker in psutil.Process(web.pid).children():
        worker.kill()
    wait_until(lambda: "200" in parts.send(5), "and in a worker born later", 60)
    assert "the-second-secret" not in parts.said.read_text()


@pytest.mark.parametrize(
    ("rotated", "problem"),
    [
        (None, "ADAPTER_ENCRYPTION_KEYS_FILE names a file that cannot be read"),
        ("not a key", "ADAPTER_ENCRYPTION_KEYS must be"),
    ],
)
def test_a_setting_that_became_invalid_does_not_stop_web_when_a_worker_dies(
    parts: Harness, rotated: str | None, problem: str
) -> None:
    keys = in_file(parts, "ADAPTER_ENCRYPTION_KEYS", "A" * 43 + "=")
    web = parts.start("web")
    wait_until(parts.is_ready, "web is ready", 60)
    parts.environ["ADAPTER_ENCRYPTION_KEYS_FILE"] = ""
    keys.write_text(rotated) if rotated else keys.unlink()

    web.send_signal(signal.SIGHUP)
    parts.waits_for(problem)
    for worker in psutil.Process(web.pid).children():
        worker.kill()

    wait_until(lambda: "200" in parts.send(1), "a new worker answers", 60)
    assert web.poll() is None


def test_a_worker_takes_up_a_rotated_token_on_sighup(tmp_path: Path, fresh_database: str) -> None:
    with (
        running_sandbox(token="rotated") as upstream,
        harness_in(tmp_path, DATABASE_URL=fresh_database, PROPEXO_BASE_URL=upstream.url) as parts,
    ):
        token = in_file(parts, "PROPEXO_TOKEN", "revoked")
        parts.start("web")
        worker = parts.start("worker")
        wait_until(parts.is_ready, "web is ready", 60)
        assert "200" in parts.send(1)
        parts.waits_for("sending_stopped")

        token.write_text("rotated")
        worker.send_signal(signal.SIGHUP)

        parts.waits_for("restarting_with_new_secrets")
        wait_until(lambda: states_of(parts) == ["booked"], "the lead is booked", 90)
        assert worker.poll() is None, "it is the same process"


def states_of(harness: Harness) -> list[str]:
    listed = json.loads(run_command(harness.environ, "bookings", "--json").stdout)
    return [booking["state"] for booking in listed["bookings"]]


@pytest.mark.parametrize(
    ("command", "name"),
    [("web", "RENTFEED_SECRET"), ("web", "DATABASE_URL"), ("worker", "PROPEXO_TOKEN")],
)
def test_a_missing_file_is_an_error_at_the_start(parts: Harness, command: str, name: str) -> None:
    in_file(parts, name, "x").unlink()

    ended = run_command(parts.environ, command)

    assert ended.returncode != 0
    assert f"{name}_FILE names a file that cannot be read: No such file" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_adapter_run_reads_secrets_again_on_sighup(harness: Harness) -> None:
    secret = in_file(harness, "RENTFEED_SECRET", "the-first-secret")
    in_file(harness, "PROPEXO_TOKEN", "sandbox")
    run = harness.start("run")
    wait_until(harness.is_ready, "adapter run is ready", 60)
    assert "200" in harness.send(1)

    secret.write_text("the-second-secret")
    run.send_signal(signal.SIGHUP)
    harness.waits_for("reloading mappings and secrets")
    wait_until(lambda: "200" in harness.send(2), "the new secret counts", 60)

    secret.unlink()
    run.send_signal(signal.SIGHUP)
    harness.waits_for("the old value stays in use")
    assert "restarting it" not in harness.said.read_text()


def test_a_closed_terminal_stops_adapter_run(harness: Harness) -> None:
    child, terminal = pty.fork()
    if not child:
        with harness.said.open("wb") as said:
            os.dup2(said.fileno(), 2)
            os.execve(ADAPTER[0], [*ADAPTER, "run"], harness.environ)
    wait_until(harness.is_ready, "adapter run is ready", 60)
    family = psutil.Process(child).children(recursive=True)

    os.close(terminal)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    wait_until(lambda: not any(map(psutil.Process.is_running, family)), "all processes are gone")
