"""Program that ends the children of a dead process.

:mod:`adapter.store.child_processes` starts it. The parent holds the other end of its standard input
and writes the process group of each child there. The input ends when the parent dies, whatever
killed it. It is run by its path and imports only the standard library, so that it is small and
starts at once.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Sequence

#: How often groups that are empty are forgotten: their numbers may be given to others later.
LOOK_SECONDS = 1.0
#: What groups are sent that still live so many seconds after the parent's death. PostgreSQL takes
#: the first for "when the last client has gone" and the second for "at once". The last one leaves a
#: busy machine three of the ten seconds that are promised.
STEPS: Sequence[tuple[float, Sequence[int]]] = (
    (0.0, (signal.SIGTERM, signal.SIGCONT)),
    (5.0, (signal.SIGINT,)),
    (7.0, (signal.SIGKILL,)),
)


def main() -> None:
    """Waits for the parent's end, then ends what it left. Ctrl-C is not for the guard."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end(told(0))


def told(pipe: int) -> set[int]:
    """The groups that were written to the pipe and live when it ends."""
    groups: set[int] = set()
    text = b""
    while True:
        if select.select([pipe], [], [], LOOK_SECONDS if groups else None)[0]:
            chunk = os.read(pipe, 4096)
            if not chunk:
                return groups
            *lines, text = (text + chunk).split(b"\n")
            groups |= {int(line) for line in lines}
        groups = {group for group in groups if lives(group)}


def end(groups: Iterable[int]) -> None:
    """Ends the groups, kindly first."""
    began = time.monotonic()
    for seconds, numbers in STEPS:
        while (living := [group for group in groups if lives(group)]) and (
            time.monotonic() < began + seconds
        ):
            time.sleep(0.05)
        for group in living:
            for number in numbers:
                send(group, number)


def lives(group: int) -> bool:
    """Whether a process group of ours has members."""
    return send(group, 0)


def send(group: int, number: int) -> bool:
    """Sends a signal to all members of a group; False when there are none of ours."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
