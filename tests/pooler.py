"""Run PgBouncer in transaction mode, in front of a PostgreSQL that a test uses."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from adapter.store.child_processes import popen
from tests.ports import free_port
from tests.postgres_proxy import SOCKET, PostgresProxy
from tests.wait import wait_until

PROGRAM = shutil.which("pgbouncer")

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer")

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 200
server_round_robin = 1
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextlib.contextmanager
def running_pgbouncer(url: str) -> Iterator[str]:
    """Run PgBouncer in its default configuration, and yield the URL of the database behind it.

    Each transaction gets the session that has been idle longest, and not the previous one.
    """
    assert PROGRAM is not None
    parts = psycopg.conninfo.conninfo_to_dict(url)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as name, _relayed(url) as server:
        folder = Path(name)
        folder.chmod(0o777)
        file = folder / "pgbouncer.ini"
        file.write_text(CONFIGURATION.format(server=server, port=port, folder=folder))
        # It refuses to run as root.
        user = ["--user", "nobody"] if os.geteuid() == 0 else []
        process = popen([PROGRAM, "--quiet", *user, str(file)])
        try:
            pooled = f"postgresql://postgres@127.0.0.1:{port}/{parts['dbname']}"
            wait_until(lambda: _answers(pooled, process, folder), "pgbouncer answers")
            yield pooled
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def _relayed(url: str) -> Iterator[int]:
    """Yield a TCP port that forwards to the server's socket, which only this user may open."""
    folder = psycopg.conninfo.conninfo_to_dict(url)["host"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = PostgresProxy(str(Path(str(folder)) / SOCKET))
        threading.Thread(target=proxy.serve, args=[listener], daemon=True).start()
        yield listener.getsockname()[1]


def _answers(url: str, process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    assert process.poll() is None, (folder / "log").read_text()
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
