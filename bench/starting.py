"""Measure the startup time and memory of `adapter run` and `adapter check` (section ``start``)."""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from adapter.server.ports import free_port
from adapter.store.embedded import EmbeddedServer
from bench import BenchError, servers
from bench.growth import memory_mb
from bench.rounds import Effort
from bench.tables import Goal, Row


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the median time of several starts, each compared with a baseline."""
    folder = servers.folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield _row(
            "`adapter run` until ready",
            lambda: _run(folder),
            effort,
            "PostgreSQL only",
            lambda: _postgres(folder),
            goals=(Goal(bound=4, of="figure"),),
        )
        many, bundled = _many(folder, effort.mappings), servers.ROOT / "mappings"
        yield _row(
            f"`adapter check` with {effort.mappings} mappings",
            lambda: _check(many),
            effort,
            "with only the bundled mappings",
            lambda: _check(bundled),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    with servers.database(folder, effort.server) as url:
        yield _memory(url, folder)


def _row(
    what: str,
    ours: Callable[[], float],
    effort: Effort,
    beside: str,
    other: Callable[[], float],
    goals: tuple[Goal, ...] = (),
) -> Row:
    for _ in range(effort.starts_before):
        ours(), other()
    pairs = [(ours(), other()) for _ in range(min(effort.rounds, 3))]
    return Row(
        section="start",
        what=what,
        figure=statistics.median(pair[0] for pair in pairs),
        unit="s",
        beside=beside,
        other=statistics.median(pair[1] for pair in pairs),
        goals=goals,
    )


def _run(folder: Path) -> float:
    environ = servers.environment("", servers.secret(), ADAPTER_DATA_DIR=str(folder / "run"))
    del environ["DATABASE_URL"]
    environ["ADAPTER_SANDBOX_PORT"] = str(free_port())
    log = folder / "run.log"
    began = time.monotonic()
    with servers.started([sys.executable, "-m", "adapter", "run"], environ, log) as process:
        servers.wait_for(f"http://127.0.0.1:{environ['PORT']}/readyz", process, log)
        return time.monotonic() - began


def _postgres(folder: Path) -> float:
    began = time.monotonic()
    with EmbeddedServer(folder / "run").running():
        return time.monotonic() - began


def _many(folder: Path, count: int) -> Path:
    """Create a folder that contains ``count`` mappings from the gallery."""
    made = shutil.copytree(servers.ROOT / "mappings" / "gallery", folder / "mappings")
    sources = sorted(set(made.glob("*.yaml")) - {made / "communities.yaml"})
    for file in sources[count:]:
        file.unlink()
    return made


def _check(mappings: Path) -> float:
    environ = servers.environment("", servers.secret(), ADAPTER_MAPPINGS_DIR=str(mappings))
    del environ["DATABASE_URL"]
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "adapter", "check"],
        env=environ,
        cwd=servers.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise BenchError(f"adapter check failed: {ended.stdout}{ended.stderr}")
    return time.monotonic() - began


def _memory(url: str, folder: Path) -> Row:
    with servers.running(url, servers.secret(), folder, ("ours", "one INSERT")) as targets:
        return Row(
            section="start",
            what="memory of the web processes when ready",
            figure=memory_mb(targets["ours"].pid),
            unit="MB",
            beside="one INSERT",
            other=memory_mb(targets["one INSERT"].pid),
        )
