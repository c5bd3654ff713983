"""Allocate ports for test servers. No two processes get the same port.

A process owns a block of ports while it keeps the block's first port bound. Therefore, two pytest
workers, or two runs on one machine, never choose the same port. The blocks are below the ports
that the system assigns to outgoing connections.
"""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator

FIRST, LAST, BLOCK = 12_000, 32_000, 100

#: Sockets that reserve this process's blocks of ports. A forked child has none.
_kept: list[socket.socket] = []


def _blocks() -> Iterator[range]:
    starts = range(FIRST, LAST, BLOCK)
    middle = os.getpid() % len(starts)
    for start in [*starts[middle:], *starts[:middle]]:
        keeper = socket.socket()
        with contextlib.suppress(OSError):
            keeper.bind(("127.0.0.1", start))
            _kept.append(keeper)
            yield range(start + 1, start + BLOCK)
            continue
        keeper.close()


_ports = itertools.chain.from_iterable(_blocks())


def free_port() -> int:
    """Return a free port on 127.0.0.1. Raise RuntimeError if none is left."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is left for the tests")
