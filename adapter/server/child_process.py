"""Run a child process, and restart it when it exits."""

import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable

from adapter.store import child_processes

#: Maximum pause before restarting a process that keeps exiting.
LONGEST_PAUSE_SECONDS = 10.0

#: During startup, a process that is killed this many times is abandoned.
MAX_RESTARTS = 3

#: Prints a line for the operator.
Echo = Callable[[str], object]


@dataclasses.dataclass
class ChildProcess:
    """A child process that :meth:`keep_alive` restarts when it exits."""

    name: str
    start: Callable[[], "subprocess.Popen[bytes]"]
    stop_signal: int = signal.SIGTERM
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause_seconds: float = 0.0
    restarts: int = 0

    def keep_alive(self, echo: Echo) -> None:
        """Start the process unless it is running. Pause longer each time that it exits early."""
        if self.running is not None:
            return
        now = time.monotonic()
        if self.process is not None:
            if now - self.started_at < self.pause_seconds:
                return
            echo(f"{self.name} exited with code {self.process.returncode}; restarting it")
            lived_long = now - self.started_at > LONGEST_PAUSE_SECONDS
            longer = max(self.pause_seconds * 2, 0.5)
            self.pause_seconds = 0.5 if lived_long else min(longer, LONGEST_PAUSE_SECONDS)
            self.restarts += 1
        self.started_at = now
        self.process = self.start()

    @property
    def running(self) -> "subprocess.Popen[bytes] | None":
        """The process, or None if it is not running."""
        return self.process if self.process and self.process.poll() is None else None

    @property
    def is_crash_looping(self) -> bool:
        """True if the process has crashed or been killed at least three times."""
        code = None if self.process is None else self.process.poll()
        return code is not None and (code >= 0 or self.restarts >= MAX_RESTARTS)

    def send(self, number: int) -> None:
        """Send a signal to the process if it is running."""
        if (process := self.running) is not None:
            process.send_signal(number)

    def stop(self, seconds: float) -> None:
        """Send the stop signal, and kill the process if it is still running after ``seconds``."""
        if (process := self.running) is not None:
            child_processes.stop(process, self.stop_signal, seconds)
