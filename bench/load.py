"""Load one server with signed requests from a file, sent by wrk or by our own client."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

from bench import BenchError

_HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """A file of signed requests that all have the same length in bytes."""

    file: Path
    length: int
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """One server's results in one round."""

    count: int
    #: Responses per second.
    rate: float
    p50_ms: float
    p99_ms: float


def client() -> str:
    """Return the load client: "wrk" if it is installed."""
    return "wrk" if shutil.which("wrk") else "bench.client"


def duration(seconds: float) -> float:
    """Return the actual duration, because wrk accepts only whole seconds."""
    return max(1, round(seconds)) if client() == "wrk" else seconds


def run(port: int, requests: Requests, *, connections: int, seconds: float) -> Answers:
    """Send requests for ``seconds``. Raise BenchError if a response is unexpected."""
    command = _wrk if client() == "wrk" else _own
    ended = subprocess.run(
        command(port, requests, connections, seconds),
        capture_output=True,
        text=True,
        check=False,
        cwd=_HERE.parent,
        timeout=seconds + 60,
    )
    if ended.returncode != 0:
        raise BenchError(f"{client()} failed: {ended.stderr.strip()}")
    seen = json.loads(ended.stdout.strip().splitlines()[-1])
    if seen["refused"] or seen["broken"] or not seen["answers"]:
        raise BenchError(f"not every request was accepted: {seen}")
    return Answers(
        count=seen["answers"],
        rate=seen["answers"] / seen["seconds"],
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
    )


def _wrk(port: int, requests: Requests, connections: int, seconds: float) -> list[str]:
    return [
        *("wrk", "-t", "1", "-c", str(connections), "-d", f"{duration(seconds):.0f}s"),
        *("--timeout", "30s", "-s", str(_HERE / "wrk.lua"), f"http://127.0.0.1:{port}/"),
        *("--", str(requests.file), str(requests.length)),
    ]


def _own(port: int, requests: Requests, connections: int, seconds: float) -> list[str]:
    return [
        *(sys.executable, "-m", "bench.client", str(port), str(requests.file)),
        *(str(requests.length), str(connections), str(seconds)),
    ]
