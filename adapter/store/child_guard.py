"""Terminate the children of a process when the process dies. This is a standalone program.

:mod:`adapter.store.child_processes` starts this program. The parent process writes each child's
process group to the program's standard input. When the parent dies for any reason, the input ends.
The program is run by its path and imports only the standard library, so that it stays small and
starts quickly.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Sequence

#: How often to forget empty groups, because their IDs may be reused, in seconds.
LOOK_SECONDS = 1.0
#: Signals for groups that are still alive, by seconds after the parent's death. PostgreSQL treats
#: the first as a smart shutdown and the second as a fast shutdown. Of the promised ten seconds, the
#: last signal leaves three as a margin for a busy machine.
STEPS: Sequence[tuple[float, Sequence[int]]] = (
    (0.0, (signal.SIGTERM, signal.SIGCONT)),
    (5.0, (signal.SIGINT,)),
    (7.0, (signal.SIGKILL,)),
)


def main() -> None:
    """Wait until the parent process dies, then terminate its children. Ignore SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end(read_groups(0))


def read_groups(pipe: int) -> set[int]:
    """Read process group IDs from a pipe until it closes. Return the groups that are alive."""
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
    """Terminate process groups, first with SIGTERM and finally with SIGKILL."""
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
    """Return True if a process group has a member that this user may signal."""
    return send(group, 0)


def send(group: int, number: int) -> bool:
    """Send a signal to a process group. Return False if this user cannot signal any member."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
