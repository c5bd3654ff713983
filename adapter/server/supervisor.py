"""``adapter run``: every part on this machine, watched. What dies comes back; one Ctrl-C stops all.

The order of the start is the order of need: PostgreSQL, migrations, sandbox, worker, web. The stop
goes the other way round, so that nothing loses what it stands on.
"""

import dataclasses
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from adapter import store
from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.server import hot_reload
from adapter.services import database_url
from adapter.settings import SANDBOX_TOKEN, Settings, settings_from
from adapter.store import child_processes
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import endpoints

#: Longest pause before a part that keeps dying is started again.
LONGEST_PAUSE_SECONDS = 10.0

#: A part that was killed more often than this while the others start does not come up.
REVIVALS = 3

Echo = Callable[[str], object]


@dataclasses.dataclass
class ChildProcess:
    """One process that is kept alive."""

    name: str
    start: Callable[[], "subprocess.Popen[bytes]"]
    stop_signal: int = signal.SIGTERM
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause_seconds: float = 0.0
    revivals: int = 0

    def keep_alive(self, say: Echo) -> None:
        """Starts it where it does not run; one that keeps dying is given growing pauses."""
        if self.living is not None:
            return
        now = time.monotonic()
        if self.process is not None:
            if now - self.started_at < self.pause_seconds:
                return
            say(f"{self.name} ended with {self.process.returncode}; starting it again")
            lived_long = now - self.started_at > LONGEST_PAUSE_SECONDS
            longer = max(self.pause_seconds * 2, 0.5)
            self.pause_seconds = 0.5 if lived_long else min(longer, LONGEST_PAUSE_SECONDS)
            self.revivals += 1
        self.started_at = now
        self.process = self.start()

    @property
    def living(self) -> "subprocess.Popen[bytes] | None":
        """Its process, where it runs."""
        return self.process if self.process and self.process.poll() is None else None

    @property
    def is_crash_looping(self) -> bool:
        """Whether it ended by itself, or was killed again and again: another start is no use."""
        code = None if self.process is None else self.process.poll()
        return code is not None and (code >= 0 or self.revivals >= REVIVALS)

    def send(self, number: int) -> None:
        """Sends it a signal, where it runs."""
        process = self.living
        if process is not None:
            process.send_signal(number)

    def stop(self, seconds: float) -> None:
        """Asks it to end, and kills it when it does not in so many seconds."""
        process = self.living
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            child_processes.kill(process)


#: How often the parts are looked at.
WATCH_SECONDS = 0.2

#: How often the mappings are looked at.
LOOK_SECONDS = 1.0

#: How long the start may take.
START_SECONDS = 60.0

#: When a stop no longer waits for a part, in seconds since it began. All of it is over before
#: `docker stop` kills (after 10), and the guard of a process that started us and died (after 7).
STOP_BY_SECONDS = {"web": 2.5, "worker": 5.0, "sandbox": 5.5, "postgres": 6.5}


def web_command(settings: Settings) -> list[str]:
    """Gunicorn with threads: a request waits for one commit, so threads are enough."""
    return [
        *(sys.executable, "-m", "gunicorn"),
        *("--bind", f"{settings.host}:{settings.port}"),
        *("--workers", str(settings.web_workers)),
        *("--worker-class", "adapter.server.gunicorn_conf.Worker"),
        *("--threads", str(settings.web_threads)),
        *("--timeout", "60", "--graceful-timeout", "25", "--keep-alive", "5"),
        *("--log-level", "warning", "--no-control-socket"),
        "--config",
        "python:adapter.server.gunicorn_conf",
        "adapter.server.gunicorn_conf:create_app()",
    ]


class Supervisor:
    """Runs the parts that one environment describes."""

    def __init__(self, environ: Mapping[str, str], say: Echo) -> None:
        self.settings = settings_from(environ)
        self._say = say
        # As they are before anything reads them: what changes later is seen.
        self._mappings = hot_reload.FolderWatcher(self.settings.mappings_dir)
        self._environ = dict(environ)
        self._parts: list[ChildProcess] = []
        self._postgres: EmbeddedServer | None = None
        if self.settings.database_url is None:
            self._postgres = EmbeddedServer(self.settings.data_dir)
        self.database_url = database_url(self.settings)

    @property
    def web_url(self) -> str:
        """Where the web process answers on this machine."""
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def sandbox_url(self) -> str | None:
        """Where the sandbox answers; None when there is a token for Propexo."""
        if self.settings.propexo_token is not None:
            return None
        return f"http://127.0.0.1:{self.settings.sandbox_port}"

    @contextmanager
    def running(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """All parts, ready to take webhooks, for the time of the block.

        Once ``stopped()`` says so the start is not gone on with. Raises ConfigurationError or
        StoreUnavailable, with nothing left running, where the start cannot succeed.
        """
        self._check()
        with self._alone():
            try:
                self._start(stopped)
                yield
            finally:
                self._stop()

    def watch(self, until: Callable[[], bool], asked: Callable[[], bool] = lambda: False) -> None:
        """Keeps the parts alive until ``until()`` says so.

        When ``asked()`` says so, or a file of the mappings changed, the mappings are taken up anew.
        """
        looked_at = time.monotonic()
        while not until():
            self._keep_alive()
            wanted = asked()
            if time.monotonic() - looked_at > LOOK_SECONDS:
                looked_at = time.monotonic()
                wanted = self._mappings.has_changed() or wanted
            if wanted:
                self._renew()
            time.sleep(WATCH_SECONDS)

    def _keep_alive(self) -> None:
        for part in self._parts:
            try:
                part.keep_alive(self._say)
            except (StoreUnavailable, OSError) as exc:
                self._say(f"{part.name} cannot be started: {exc}")

    def _renew(self) -> None:
        """Passes a right set on to those who map; of a wrong one it says all that is wrong."""
        try:
            endpoints.check(self.settings)
        except ConfigurationError as exc:
            self._say("the changed mappings are not taken up; the old ones stay:")
            for line in str(exc).splitlines():
                self._say(f"  {line}")
            return
        for part in self._parts:
            if part.name in ("web", "worker"):
                part.send(signal.SIGHUP)
        self._say("the changed mappings are taken up")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps a second one away from the same data folder for the time of the block."""
        folder = self.settings.data_dir
        with ExitStack() as stack:
            self._lock(folder, stack)
            yield

    def _lock(self, folder: Path, stack: ExitStack) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another adapter runs on {folder}: stop it, or set ADAPTER_DATA_DIR"
            ) from None
        except OSError as exc:
            raise ConfigurationError(
                f"the data folder {folder} cannot be used: {exc.strerror}"
            ) from exc

    def _check(self) -> None:
        """Everything that can be found wrong before anything is started."""
        endpoints.check(self.settings)
        _check_port(self.settings.host, self.settings.port, "PORT")
        if self.sandbox_url is not None:
            _check_port("127.0.0.1", self.settings.sandbox_port, "ADAPTER_SANDBOX_PORT")

    def _start(self, stopped: Callable[[], bool]) -> None:
        if self._postgres is not None:
            postgres = ChildProcess("postgres", self._start_postgres, stop_signal=signal.SIGINT)
            self._parts.append(postgres)
            postgres.keep_alive(self._say)
        for name in store.migrate(self.database_url):
            if not name.startswith("procrastinate/"):
                self._say(f"migrated: {name}")
        if self.sandbox_url is not None:
            port = str(self.settings.sandbox_port)
            enums = _sandbox_enums(self.settings.policy.spellings)
            self._add("sandbox", [*_ADAPTER, "sandbox", "--quiet", "--port", port, *enums])
        self._add("worker", [*_ADAPTER, "worker"])
        self._add("web", web_command(self.settings))
        self._wait(self.web_url + "/readyz", "web", stopped)
        if self.sandbox_url is not None:
            self._wait(self.sandbox_url + "/_sandbox/requests", "sandbox", stopped)

    def _stop(self) -> None:
        began = time.monotonic()
        for part in reversed(self._parts):
            left = began + STOP_BY_SECONDS[part.name] - time.monotonic()
            part.stop(max(left, 0.1))

    def _start_postgres(self) -> "subprocess.Popen[bytes]":
        assert self._postgres is not None  # noqa: S101 - the part exists only with it
        process = self._postgres.spawn()
        self._postgres.wait(process)
        return process

    def _add(self, name: str, command: list[str]) -> None:
        environ = self._environ | {"DATABASE_URL": self.database_url}
        if self.sandbox_url is not None:
            environ |= {"PROPEXO_TOKEN": SANDBOX_TOKEN, "PROPEXO_BASE_URL": self.sandbox_url}

        def start() -> "subprocess.Popen[bytes]":
            return child_processes.popen(command, env=environ, stdin=subprocess.DEVNULL)

        part = ChildProcess(name, start)
        self._parts.append(part)
        part.keep_alive(self._say)

    def _wait(self, url: str, name: str, stopped: Callable[[], bool]) -> None:
        """Returns when a part answers or nobody waits; raises when one gave up, or it takes long.

        One that was killed is no reason to give up: it comes back, as it would later.
        """
        deadline = time.monotonic() + START_SECONDS
        while not stopped() and not _answers(url):
            # The others stand on the first one that is down, and may have ended for that.
            down = next((part for part in self._parts if part.living is None), None)
            if (down and down.is_crash_looping) or time.monotonic() > deadline:
                culprit = down.name if down else name
                raise ConfigurationError(f"{culprit} did not start; what it said stands above")
            self._keep_alive()
            time.sleep(0.05)


_ADAPTER = (sys.executable, "-m", "adapter")


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C or SIGTERM came, for the time of the block."""
    came = []

    def note(number: int, _frame: object) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as an exception does: what it began is cleaned up."""
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def leave(number: int, _frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second one would cut the cleaning up
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sandbox_enums(spellings: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The sandbox takes the words that this deployment spells."""
    pairs = (f"{field}={','.join(table.values())}" for field, table in spellings.items() if table)
    return [word for pair in pairs for word in ("--enum", pair)]


@contextmanager
def renewal_signal() -> Iterator[Callable[[], bool]]:
    """A function that tells whether SIGHUP came since it was last called.

    SIGHUP because the terminal was closed is a wish to stop.
    """
    came = []
    at_terminal = os.isatty(0)

    def note(_number: int, _frame: object) -> None:
        if at_terminal and not os.isatty(0):
            signal.raise_signal(signal.SIGTERM)
        else:
            came.append(True)

    before = signal.signal(signal.SIGHUP, note)
    try:
        yield lambda: bool(came) and came.pop()
    finally:
        signal.signal(signal.SIGHUP, before)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _check_port(host: str, port: int, variable: str) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as exc:
        raise ConfigurationError(
            f"port {port} cannot be had: {exc.strerror}; choose another with {variable}"
        ) from exc


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
            return True
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def become_web(settings: Settings) -> None:
    """Turns this process into the web server."""
    command = web_command(settings)
    os.execv(command[0], command)  # noqa: S606 - a list of arguments, no shell
