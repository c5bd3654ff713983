"""Start, restart and stop all processes of ``adapter run``, and reload mappings.

Processes start in dependency order: PostgreSQL, migrations, sandbox, worker, web. They stop in
reverse order.
"""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from adapter import store
from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.operations.start_checks import check_destination, check_token, database_url
from adapter.server import hot_reload
from adapter.server.child_process import ChildProcess, Echo
from adapter.server.ports import check_port, is_responding
from adapter.server.web_process import web_command
from adapter.settings import SANDBOX_TOKEN, replaced, settings_from
from adapter.store import child_processes
from adapter.store.embedded import STOP_SIGNAL, EmbeddedServer
from adapter.webhooks import endpoints

#: How often the supervisor checks the processes.
WATCH_SECONDS = 0.2

#: How often the supervisor checks the mappings for changes.
RELOAD_SECONDS = 1.0

#: Time limit for startup.
START_SECONDS = 60.0

#: How long to wait for a killed supervisor's processes to exit. Their guard kills them after
#: 7 seconds.
LEFTOVER_SECONDS = 10.0

#: Deadlines by which each process must stop, in seconds after the shutdown begins. They are earlier
#: than those of `docker stop` (10 seconds) and of the guard of a dead parent (7 seconds).
STOP_BY_SECONDS = {"web": 2.5, "worker": 5.0, "sandbox": 5.5, "postgres": 6.5}

_ADAPTER = (sys.executable, "-m", "adapter")


class Supervisor:
    """Runs all of an installation's processes."""

    def __init__(self, environ: Mapping[str, str], echo: Echo) -> None:
        self.settings = settings_from(environ)
        self._echo = echo
        # Create the watcher before the mappings are read, so that it does not miss a change.
        self._mappings = hot_reload.FolderWatcher(self.settings.mappings_dir)
        self._environ = dict(environ)
        self._processes: list[ChildProcess] = []
        self._postgres: EmbeddedServer | None = None
        if self.settings.database_url is None:
            self._postgres = EmbeddedServer(self.settings.data_dir)
        self.database_url = database_url(self.settings)

    @property
    def web_url(self) -> str:
        """The URL of the web process on this machine."""
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def sandbox_url(self) -> str | None:
        """The URL of the sandbox, or None if this supervisor does not run one."""
        return self.settings.own_sandbox_url

    @contextmanager
    def running(self, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Start all processes, run the block once they are ready, and then stop them.

        Startup is abandoned when ``is_stopped()`` returns True. If startup fails, stop everything
        and raise ConfigurationError or StoreUnavailable.
        """
        endpoints.check(self.settings)
        check_token(self.settings)
        with _locked(self.settings.data_dir) as was_killed:
            self._check_ports(LEFTOVER_SECONDS if was_killed else 0.0)
            try:
                self._start(is_stopped)
                yield
            finally:
                self._stop()

    def watch(
        self,
        until: Callable[[], bool],
        is_reload_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        """Keep all processes running until ``until()`` returns True.

        Reload the mappings when ``is_reload_requested()`` returns True or a file changes.
        """
        checked_at = time.monotonic()
        while not until():
            self._keep_alive()
            is_due = is_reload_requested()
            if time.monotonic() - checked_at > RELOAD_SECONDS:
                checked_at = time.monotonic()
                is_due = self._mappings.has_changed() or is_due
            if is_due:
                self._reload()
            time.sleep(WATCH_SECONDS)

    def _keep_alive(self) -> None:
        for process in self._processes:
            try:
                process.keep_alive(self._echo)
            except (StoreUnavailable, OSError) as exc:
                self._echo(f"cannot start {process.name}: {exc}")

    def _reload(self) -> None:
        """Check the changed mappings. Reload web and worker, or print any problems found.

        The processes log the result themselves, because a file may change before they read it.
        """
        try:
            self.settings = self.settings.reread()
            endpoints.check(self.settings)
        except ConfigurationError as exc:
            part = hot_reload.invalid_part(exc)
            self._echo(f"the changed {part} are invalid; the old ones stay active:")
            for line in str(exc).splitlines():
                self._echo(f"  {line}")
            return
        for problem in self.settings.problems:
            self._echo(problem)
        for process in self._processes:
            if process.name in ("web", "worker"):
                process.send(signal.SIGHUP)
        self._echo("reloading mappings and secrets")

    def _check_ports(self, wait_seconds: float) -> None:
        """Raise ConfigurationError if a required port is still in use after ``wait_seconds``."""
        deadline = time.monotonic() + wait_seconds
        check_port(self.settings.host, self.settings.port, "PORT", deadline)
        if self.sandbox_url is not None:
            port = self.settings.sandbox_port
            check_port("127.0.0.1", port, "ADAPTER_SANDBOX_PORT", deadline)

    def _start(self, is_stopped: Callable[[], bool]) -> None:
        if self._postgres is not None:
            self._add(ChildProcess("postgres", self._start_postgres, stop_signal=STOP_SIGNAL))
        for name in store.migrate(self.database_url):
            self._echo(f"migrated: {name}")
        with store.Database(self.database_url, size=1) as opened:
            check_destination(self.settings, opened)
        if self.sandbox_url is not None:
            port = str(self.settings.sandbox_port)
            enums = _sandbox_enums(self.settings.policy.spellings)
            self._add_command("sandbox", [*_ADAPTER, "sandbox", "--quiet", "--port", port, *enums])
        self._add_command("worker", [*_ADAPTER, "worker"])
        self._add_command("web", web_command(self.settings))
        self._wait(self.web_url + "/readyz", "web", is_stopped)
        if self.sandbox_url is not None:
            self._wait(self.sandbox_url + "/_sandbox/requests", "sandbox", is_stopped)

    def _stop(self) -> None:
        began = time.monotonic()
        for process in reversed(self._processes):
            left = began + STOP_BY_SECONDS[process.name] - time.monotonic()
            process.stop(max(left, 0.1))

    def _start_postgres(self) -> "subprocess.Popen[bytes]":
        assert self._postgres is not None  # noqa: S101 - only called with an embedded server
        process = self._postgres.spawn()
        self._postgres.wait(process)
        return process

    def _add_command(self, name: str, command: list[str]) -> None:
        environ = self._environ
        if self._postgres is not None:
            environ = replaced(environ, DATABASE_URL=self.database_url)
        if (url := self.sandbox_url) is not None:
            environ = replaced(environ, PROPEXO_TOKEN=SANDBOX_TOKEN, PROPEXO_BASE_URL=url)

        def start() -> "subprocess.Popen[bytes]":
            return child_processes.popen(command, env=environ, stdin=subprocess.DEVNULL)

        self._add(ChildProcess(name, start))

    def _add(self, process: ChildProcess) -> None:
        self._processes.append(process)
        process.keep_alive(self._echo)

    def _wait(self, url: str, name: str, is_stopped: Callable[[], bool]) -> None:
        """Wait until a process responds at ``url``. Raise ConfigurationError if it does not start.

        Processes that are killed in the meantime are restarted.
        """
        deadline = time.monotonic() + START_SECONDS
        while not is_stopped() and not is_responding(url):
            # Later processes depend on the first one that is down, and may have exited because
            # of it.
            down = next((one for one in self._processes if one.running is None), None)
            if (down and down.is_crash_looping) or time.monotonic() > deadline:
                culprit = down.name if down else name
                raise ConfigurationError(f"{culprit} did not start; see its output above")
            self._keep_alive()
            time.sleep(0.05)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock the data folder, so that only one supervisor uses it at a time.

    Yield True if the previous supervisor was killed, so its processes may still be running.
    """
    try:
        lock = _lock_of(folder)
    except BlockingIOError:
        raise ConfigurationError(
            f"another adapter is running in {folder}; stop it, or set ADAPTER_DATA_DIR"
        ) from None
    except OSError as exc:
        raise ConfigurationError(
            f"cannot use the data folder {folder}: {exc.strerror}; set ADAPTER_DATA_DIR"
        ) from exc
    with lock:
        was_killed = bool(lock.read(1))
        lock.write(b"running\n")
        try:
            yield was_killed
        finally:
            lock.truncate(0)


def _lock_of(folder: Path) -> IO[bytes]:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = folder.stat()
    is_open = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if is_open or (os.geteuid() and found.st_uid not in (0, os.geteuid())):
        raise ConfigurationError(
            f"other users can write to the data folder {folder}; set ADAPTER_DATA_DIR to a private "
            "folder, or remove their permission with chmod go-w. If the folder is a container's "
            f"volume, use a folder inside it: ADAPTER_DATA_DIR={folder}/adapter"
        )
    # Another account may have created the file, so do not follow a link, truncate or wait.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    lock = os.fdopen(os.open(folder / "lock", flags, 0o600), "rb+", buffering=0)
    try:
        if os.fstat(lock.fileno()).st_nlink == 1:
            os.fchmod(lock.fileno(), 0o600)  # others could keep it locked
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise
    return lock


def _sandbox_enums(spellings: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the sandbox's command-line options for accepting the configured enum values."""
    pairs = (f"{field}={','.join(table.values())}" for field, table in spellings.items() if table)
    return [word for pair in pairs for word in ("--enum", pair)]
