"""Hold silent and very slow connections open, in one thread."""

import random
import socket
import time

from tools.hostile.background import Background

DRIPPING = 64
SILENT_PER_SECOND = 16
#: A silent connection is left alone for this long.
_SILENT_SECONDS = 25.0
_TICK_SECONDS = 0.25
_HEAD = b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"


class SlowSenders(Background):
    """64 connections that send four bytes a second, and 16 new silent connections each second."""

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(_TICK_SECONDS)
        self._port = port
        self._rng = random.Random(f"{seed}:slow")
        self._dripping: list[tuple[socket.socket, bytes, int]] = []
        self._silent: list[tuple[socket.socket, float]] = []
        #: Number of connections opened so far.
        self.opened = 0

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        for sock in [*(sock for sock, _, _ in self._dripping), *(sock for sock, _ in self._silent)]:
            sock.close()

    def step(self) -> None:
        self._dripping = [one for one in map(self._drip, self._dripping) if one]
        while len(self._dripping) < DRIPPING and (sock := self._connect()):
            parts = (
                _HEAD,
                _HEAD + b"X: y\r\n\r\n",
                b"G",
                _HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
            )
            self._dripping.append((sock, self._rng.choice(parts) + b"1" * 4_000, 0))
        now = time.monotonic()
        for _ in range(round(SILENT_PER_SECOND * _TICK_SECONDS)):
            if sock := self._connect():
                self._silent.append((sock, now + _SILENT_SECONDS))
        for sock, _ in (one for one in self._silent if one[1] < now):
            sock.close()
        self._silent = [one for one in self._silent if one[1] >= now]

    def _connect(self) -> socket.socket | None:
        sock = socket.socket()
        try:
            sock.bind((f"127.{self._rng.randrange(1, 60)}.0.{self._rng.randrange(1, 255)}", 0))
            sock.settimeout(2)
            sock.connect(("127.0.0.1", self._port))
            sock.settimeout(0)
        except OSError:
            sock.close()
            return None
        self.opened += 1
        return sock

    def _drip(
        self, one: tuple[socket.socket, bytes, int]
    ) -> tuple[socket.socket, bytes, int] | None:
        sock, data, at = one
        size = 40 if at == 0 else 1
        try:
            sock.send(data[at : at + size])
        except BlockingIOError:
            return one
        except OSError:
            sock.close()
            return None
        return sock, data, at + size
