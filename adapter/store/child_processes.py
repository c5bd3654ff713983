"""Start child processes that end together with this process, even after a SIGKILL.

Each child leads its own session. Two mechanisms end it after this process dies:

- the guard (:mod:`adapter.store.child_guard`), a small process that detects when a pipe from this
  process closes. It works on every system, terminates the child first, and kills it after 7
  seconds;
- on Linux, the kernel (``PR_SET_PDEATHSIG``), in case the guard was killed too.
"""

import atexit
import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from adapter.store import child_guard

#: How long this process waits for its guard at exit, which is enough to kill all children.
_GUARD_EXIT_SECONDS = 10.0

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
# Looked up here because, between fork and exec, a lock held by another thread is never released.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def popen(command: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
    """Start a child process as ``subprocess.Popen`` does, and end it when this process ends."""
    _guard.start()
    process = subprocess.Popen(
        command,
        start_new_session=True,
        preexec_fn=_before_exec(),  # noqa: PLW1509 - only makes two system calls
        **options,
    )
    _guard.watch(process.pid)
    return process


def stop(process: "subprocess.Popen[Any]", number: int, seconds: float) -> None:
    """Send a signal to a child process, and kill it if it does not exit within ``seconds``."""
    process.send_signal(number)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill(process)


def kill(process: "subprocess.Popen[Any]") -> None:
    """Kill a child process and its session, and wait until it has exited."""
    if not child_guard.send(process.pid, signal.SIGKILL):
        process.kill()
    process.wait()


def die_with_parent(parent: int) -> None:
    """Make Linux send this process SIGTERM when its parent dies. Do nothing on other systems."""
    if _prctl is None:
        return
    _prctl(_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGTERM))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def _before_exec() -> Callable[[], None] | None:
    """Return a function that a child calls before exec to get SIGTERM when its parent dies.

    The function runs last, because changing the user clears the signal. The kernel treats the
    thread that forked as the parent, so only children of the main thread get the signal.
    """
    if _prctl is None or threading.current_thread() is not threading.main_thread():
        return None
    return functools.partial(die_with_parent, os.getpid())


class _Guard:
    """The guard process that ends this process's children. It starts with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()

    def start(self) -> None:
        """Start the guard process unless it is already running."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            if self._process is None:
                atexit.register(self._stop)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", child_guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            for group in self._groups:
                self._send(group)

    def watch(self, group: int) -> None:
        """Make the guard process watch a child's process group."""
        with self._lock:
            self._groups = {one for one in self._groups if child_guard.is_alive(one)} | {group}
            self._send(group)

    def _send(self, group: int) -> None:
        """Write a process group ID to the guard's pipe. Do nothing if the guard was killed."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe(), b"%d\n" % group)

    def _pipe(self) -> int:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018
        return self._process.stdin.fileno()

    def _stop(self) -> None:
        """Close the guard's pipe, so that the guard terminates all child processes and exits."""
        with self._lock, contextlib.suppress(subprocess.TimeoutExpired):
            assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018
            self._process.stdin.close()
            self._process.wait(_GUARD_EXIT_SECONDS)


_guard = _Guard()
