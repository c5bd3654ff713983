"""Generate load on machines without wrk.

Run it as ``python -m bench.client PORT FILE LENGTH CONNECTIONS SECONDS``. It uses one process
without threads, and raw sockets. Its output has the format of ``wrk.lua``.
"""

import json
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Connection:
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = b""
        self._sent_at = 0.0

    def send(self, request: bytes) -> None:
        self._answer, self._sent_at = b"", time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, float] | None:
        """Return a response's status and time. Raise ConnectionError if it is cut off."""
        came = self.socket.recv(65536)
        if not came:
            raise ConnectionError
        self._answer += came
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            return None
        return int(head[9:12]), time.perf_counter() - self._sent_at


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def requests(file: Path, length: int) -> Iterator[bytes]:
    """Yield the requests in the file in an endless loop."""
    while True:
        with file.open("rb") as source:
            while request := source.read(length):
                yield request


def load(
    port: int, source: Iterator[bytes], connections: int, seconds: float
) -> tuple[list[tuple[int, float]], float]:
    """Return the statuses and times of all responses (at least one) and the total time."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(next(source))
    answers: list[tuple[int, float]] = []
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not answers:
        for key, _ in selector.select(0.1):
            if answer := key.data.receive():
                answers.append(answer)
                key.data.send(next(source))
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    return answers, elapsed


def summary(answers: list[tuple[int, float]], elapsed: float) -> dict[str, Any]:
    """Format the result like ``wrk.lua``."""
    times = sorted(taken * 1000 for _, taken in answers)
    return {
        "answers": len(answers),
        "seconds": elapsed,
        "p50_ms": statistics.median(times),
        "p99_ms": times[int(len(times) * 0.99)],
        "refused": sum(not 200 <= status < 400 for status, _ in answers),
        "broken": 0,
    }


if __name__ == "__main__":
    port, file, length, connections, seconds = sys.argv[1:]
    source = requests(Path(file), int(length))
    print(json.dumps(summary(*load(int(port), source, int(connections), float(seconds)))))
