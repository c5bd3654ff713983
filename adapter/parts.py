"""One process that is kept alive by another."""

import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable

from adapter import children

#: Longest pause before a part that keeps dying is started again.
LONGEST_PAUSE_SECONDS = 10.0
#: A part that was killed more often than this while the others start does not come up.
REVIVALS = 3

Say = Callable[[str], object]


@dataclasses.dataclass
class Part:
    """One process that is kept alive."""

    name: str
    start: Callable[[], "subprocess.Popen[bytes]"]
    stop_signal: int = signal.SIGTERM
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause_seconds: float = 0.0
    revivals: int = 0

    def keep_alive(self, say: Say) -> None:
        """Starts it where it does not run; one that keeps dying is given growing pauses."""
        if self.living is not None:
            return
        now = time.monotonic()
        if self.process is not None:
            if now - self.started_at < self.pause_seconds:
                return
            say(f"{self.name} ended with {self.process.returncode}; starting it again")
            lived_long = now - self.started_at > LONGEST_PAUSE_SECONDS
            longer = max(self.pause_seconds * 2, 0.5)
            self.pause_seconds = 0.5 if lived_long else min(longer, LONGEST_PAUSE_SECONDS)
            self.revivals += 1
        self.started_at = now
        self.process = self.start()

    @property
    def living(self) -> "subprocess.Popen[bytes] | None":
        """Its process, where it runs."""
        return self.process if self.process and self.process.poll() is None else None

    @property
    def gave_up(self) -> bool:
        """Whether it ended by itself, or was killed again and again: another start is no use."""
        code = None if self.process is None else self.process.poll()
        return code is not None and (code >= 0 or self.revivals >= REVIVALS)

    def send(self, number: int) -> None:
        """Sends it a signal, where it runs."""
        process = self.living
        if process is not None:
            process.send_signal(number)

    def stop(self, seconds: float) -> None:
        """Asks it to end, and kills it when it does not in so many seconds."""
        process = self.living
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            children.kill(process)
