"""Standalone program that ends the children of a dead process.

:mod:`adapter.store.child_processes` starts it. The parent holds the other end of its standard input
and writes the process group of each child to it. The input ends whenever the parent dies, for any
reason. The program is run by its path and imports only the standard library, so that it is small
and starts quickly.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Sequence

#: How often empty groups are dropped, because their IDs may be reused.
LOOK_SECONDS = 1.0
#: Signals by number of seconds after the parent's death, for groups that are still alive.
#: PostgreSQL treats the first as a smart shutdown and the second as a fast shutdown. The last one
#: leaves three of the promised ten seconds for a busy machine.
STEPS: Sequence[tuple[float, Sequence[int]]] = (
    (0.0, (signal.SIGTERM, signal.SIGCONT)),
    (5.0, (signal.SIGINT,)),
    (7.0, (signal.SIGKILL,)),
)


def main() -> None:
    """Wait for the parent's death, then end its children. Ignore Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end(read_groups(0))


def read_groups(pipe: int) -> set[int]:
    """Read groups from the pipe until it ends, and return those still alive."""
    groups: set[int] = set()
    text = b""
    while True:
        if select.select([pipe], [], [], LOOK_SECONDS if groups else None)[0]:
            chunk = os.read(pipe, 4096)
            if not chunk:
                return groups
            *lines, text = (text + chunk).split(b"\n")
            groups |= {int(line) for line in lines}
        groups = {group for group in groups if is_alive(group)}


def end(groups: Iterable[int]) -> None:
    """End the groups, gracefully first."""
    began = time.monotonic()
    for seconds, numbers in STEPS:
        while (living := [group for group in groups if is_alive(group)]) and (
            time.monotonic() < began + seconds
        ):
            time.sleep(0.05)
        for group in living:
            for number in numbers:
                send(group, number)


def is_alive(group: int) -> bool:
    """Return True if one of our process groups has members."""
    return send(group, 0)


def send(group: int, number: int) -> bool:
    """Signal all members of a group. Return False if none of them are ours."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
