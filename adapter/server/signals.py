"""Handle Unix signals inside a ``with`` block."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True once SIGINT or SIGTERM has been received."""
    received = []

    def note(number: int, _frame: object) -> None:
        received.append(number)

    with _handling(note, signal.SIGINT, signal.SIGTERM):
        yield lambda: bool(received)


@contextmanager
def reload_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True if SIGHUP has been received since the previous call.

    If the terminal was closed, SIGHUP is treated as SIGTERM.
    """
    received = []
    at_terminal = os.isatty(0)

    def note(_number: int, _frame: object) -> None:
        if at_terminal and not os.isatty(0):
            signal.raise_signal(signal.SIGTERM)
        else:
            received.append(True)

    with _handling(note, signal.SIGHUP):
        yield lambda: bool(received) and received.pop()


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Raise SystemExit in the block on SIGTERM or SIGHUP, so that its cleanup code runs."""
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def leave(number: int, _frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second signal would interrupt the cleanup
        raise SystemExit(128 + number)

    with _handling(leave, *numbers):
        yield


@contextmanager
def _handling(handler: Callable[[int, object], None], *numbers: signal.Signals) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, each in previous.items():
            signal.signal(number, each)
