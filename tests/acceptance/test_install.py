"""Install the adapter in the ways that docs/deployment.md describes, as far as possible."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapter.settings import SANDBOX_TOKEN
from adapter.store import Database
from adapter.store.child_processes import popen
from tests import dockerfile
from tests.adapter_process import SECRETS, is_ready, is_up, kept_environ
from tests.paths import ROOT
from tests.ports import free_port
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until


@pytest.fixture(scope="module")
def venv() -> Iterator[Path]:
    """Build the image's environment, and yield its folder.

    It is not in pytest's folder, because if root starts PostgreSQL, it runs as a user who cannot
    read that folder.
    """
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as folder:
        Path(folder).chmod(0o755)
        yield dockerfile.build(Path(folder))


@pytest.fixture(scope="module")
def adapter_command(venv: Path) -> str:
    """Return the installed command, with the embedded PostgreSQL next to it."""
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python")]
    locked = ["--require-hashes", "-r", str(ROOT / "requirements" / "embedded.txt")]
    subprocess.run([*pip, "install", "--quiet", *locked], check=True)
    subprocess.run([*pip, "check"], check=True)
    return str(venv / "bin" / "adapter")


def files_below(folder: Path) -> set[Path]:
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {file for file in files if "__pycache__" not in file.parts}


def run(
    command: list[str], cwd: Path, environ: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept_environ() | (environ or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def running(
    command: list[str], cwd: Path, environ: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command during the block, and stop it as Ctrl-C does."""
    process = popen(command, cwd=cwd, env=kept_environ() | environ)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


# the wheel -------------------------------------------------------------------------------------


def test_the_wheel_has_every_file_of_the_package_the_mappings_and_ops(venv: Path) -> None:
    (installed,) = venv.glob("lib/*/site-packages/adapter")
    added = {
        Path(folder) / file for folder in ("mappings", "ops") for file in files_below(ROOT / folder)
    }

    assert files_below(installed) == files_below(ROOT / "adapter") | added


def test_the_installed_demo_runs_in_an_empty_folder(adapter_command: str, tmp_path: Path) -> None:
    shown = run([adapter_command, "demo", "--json"], tmp_path)

    assert shown.returncode == 0, shown.stderr
    states = sorted(one["state"] for one in json.loads(shown.stdout)["bookings"])
    assert states == ["booked"] * 5 + ["held"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_init_creates_runs_without_edits(
    adapter_command: str, data_folder: Path
) -> None:
    folder = data_folder / "leads"
    created = run([adapter_command, "init", str(folder)], data_folder)
    assert created.returncode == 0, created.stderr
    adapter = [adapter_command, "--env-file", ".env"]
    ports = {"PORT": str(free_port()), "ADAPTER_SANDBOX_PORT": str(free_port())}
    checked = run([*adapter, "check", "--environment"], folder)
    assert checked.returncode == 0, checked.stdout

    with running([*adapter, "run"], folder, ports):
        wait_until(lambda: is_ready(f"http://127.0.0.1:{ports['PORT']}"), "it is ready", 60)
        sample = "mappings/samples/rentfeed-tour.json"
        sent = run([*adapter, "send", "rentfeed", sample], folder, ports)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        wait_until(
            lambda: "is in the past" in run([*adapter, "bookings", "--json"], folder, ports).stdout,
            "the sample's old tour is held",
        )


# the image -------------------------------------------------------------------------------------


def test_the_images_commands_release_serve_and_say_that_they_are_healthy(
    venv: Path, empty_database: str, tmp_path: Path
) -> None:
    """Run the image's commands, with the bundled mappings in ./mappings as in compose.yaml."""
    (tmp_path / "mappings").symlink_to(ROOT / "mappings")
    port = str(free_port())
    environ = SECRETS | dockerfile.environment() | {"DATABASE_URL": empty_database, "PORT": port}
    environ["PROPEXO_TOKEN"] = SANDBOX_TOKEN
    environ["PATH"] = f"{venv / 'bin'}:{os.environ['PATH']}"
    health = dockerfile.command_of("HEALTHCHECK")

    released = run(
        ["sh", "-c", "adapter check --environment && adapter migrate"], tmp_path, environ
    )
    assert released.returncode == 0, released.stdout + released.stderr
    assert run(health, tmp_path, environ).returncode != 0
    with running(dockerfile.command_of("CMD"), tmp_path, environ):
        wait_until(lambda: run(health, tmp_path, environ).returncode == 0, "web is healthy")


# Heroku ----------------------------------------------------------------------------------------


def test_the_procfile_releases_and_books_through_web_and_worker(
    empty_database: str, lead: Path, upstream: SandboxClient
) -> None:
    port = str(free_port())
    environ = SECRETS | {
        "DATABASE_URL": empty_database,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PROPEXO_TOKEN": SANDBOX_TOKEN,
        "PROPEXO_BASE_URL": upstream.url,
    }
    honcho = [sys.executable, "-m", "honcho", "--env", os.devnull]

    released = run([*honcho, "start", "release"], ROOT, environ)
    assert released.returncode == 0, released.stdout + released.stderr
    assert "migrated" in released.stdout
    with (
        running([*honcho, "start", "--port", port, "web", "worker"], ROOT, environ),
        Database(empty_database, size=1) as store,
    ):
        wait_until(lambda: is_ready(f"http://127.0.0.1:{port}"), "web is ready", 60)
        sent = [sys.executable, "-m", "adapter", "send", "rentfeed", str(lead)]
        run(sent, ROOT, environ | {"PORT": port})
        wait_until(lambda: states(store) == ["booked"], "the lead is booked", 60)


def states(store: Database) -> list[str]:
    with store.transaction() as tx:
        return [str(booking.state) for booking in tx.search.bookings()]


# a checkout ------------------------------------------------------------------------------------


def test_make_run_starts_everything_from_a_checkout(data_folder: Path) -> None:
    ports = {"PORT": str(free_port()), "ADAPTER_SANDBOX_PORT": str(free_port())}
    environ = SECRETS | ports | {"ADAPTER_DATA_DIR": str(data_folder / "var")}

    with running(["make", "run"], ROOT, environ):
        wait_until(lambda: is_ready(f"http://127.0.0.1:{ports['PORT']}"), "it is ready", 60)
        url = f"http://127.0.0.1:{ports['ADAPTER_SANDBOX_PORT']}"
        wait_until(lambda: is_up(url), "the sandbox is ready", 60)
