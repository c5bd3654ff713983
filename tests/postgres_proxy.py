"""Run a proxy for PostgreSQL that counts round trips and statements on all connections."""

import contextlib
import select
import socket
import struct
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg

SOCKET = ".s.PGSQL.5432"


class PostgresProxy:
    """Counts messages. A new round trip starts when a client sends after it has received."""

    def __init__(self, server: str) -> None:
        self._server = server
        #: If True, connections are accepted, and nothing after the login gets a response.
        self.is_stalled = False
        self.counts = Counter[str]()

    def serve(self, listener: socket.socket) -> None:
        """Accept connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._pump, args=[client], daemon=True).start()

    def _pump(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._server)
        is_waiting, unread = False, b""
        with client, server, contextlib.suppress(OSError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is client and self.is_stalled and data[:1] != b"\x00":
                        continue
                    if ready is client:
                        self.counts["round trips"] += not is_waiting
                        unread = self._count_statements(unread + data)
                        server.sendall(data)
                    else:
                        client.sendall(data)
                    is_waiting = ready is client

    def _count_statements(self, data: bytes) -> bytes:
        """Count complete messages. Return the rest. A connection's first message has no type."""
        if data[:1] == b"\x00":
            return data[struct.unpack("!I", data[:4])[0] :]
        while len(data) >= 5 and len(data) > struct.unpack("!I", data[1:5])[0]:
            size = struct.unpack("!I", data[1:5])[0] + 1
            self.counts["statements"] += data[:1] in (b"E", b"Q")
            data = data[size:]
        return data


@contextlib.contextmanager
def counting_proxy(url: str) -> Iterator[tuple[str, PostgresProxy]]:
    """Run a proxy for the server at ``url``, and yield the proxy's URL and the proxy itself."""
    folder = psycopg.conninfo.conninfo_to_dict(url)["host"]
    with tempfile.TemporaryDirectory(prefix="adapter-") as own:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(Path(own) / SOCKET))
        listener.listen()
        proxy = PostgresProxy(str(Path(str(folder)) / SOCKET))
        threading.Thread(target=proxy.serve, args=[listener], daemon=True).start()
        try:
            yield psycopg.conninfo.make_conninfo(url, host=own), proxy
        finally:
            listener.close()
