"""Compare the results of a hostile test run with the adapter's promises."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from tools.hostile.canaries import leaks
from tools.hostile.genuine import email
from tools.hostile.stage import Stage
from tools.hostile.strangers import Sent
from tools.hostile.watch import MAX_BYTES, Watch

#: Maximum 99th percentile of the response times for the genuine sender.
P99_SECONDS = 1.0
#: Propexo rejects a hostile lead, which then needs review.
EXPECTED = ('"booking_refused"',)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Genuine:
    """The genuine sender's responses, keyed by lead."""

    answers: Sequence[dict[str, Any]]

    @property
    def leads(self) -> list[int]:
        return [answer["lead"] for answer in self.answers]

    def percentile(self, part: float) -> float:
        """Return a percentile of the response times."""
        return percentile([answer["seconds"] for answer in self.answers], part)


def percentile(seconds: Sequence[float], part: float) -> float:
    """Return a percentile of the durations, or 0 if there are none."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def booked_once(stage: Stage, leads: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the leads that are not booked, and the leads posted more than once."""
    posted = Counter(post.get("email_1") for post in stage.upstream.posts())
    with psycopg.connect(stage.database_url) as connection:
        rows = connection.execute(
            "SELECT appointment ->> 'email_1' FROM bookings WHERE state = 'booked'"
        )
        booked = {row[0] for row in rows}
    missing = [lead for lead in leads if not (posted[email(lead)] and email(lead) in booked)]
    return missing, [lead for lead in leads if posted[email(lead)] > 1]


def unmapped(stage: Stage) -> int:
    """Return the number of events that are not mapped yet."""
    with psycopg.connect(stage.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE state = 'received'").fetchone()
    return int(row[0]) if row else 0


def faults_of_genuine(stage: Stage, genuine: Genuine) -> Iterator[str]:
    """Yield the problems that the genuine sender had."""
    for answer in genuine.answers:
        if answer["status"] != 200:
            yield f"lead {answer['lead']} got {answer['status']} after {answer['seconds']:.1f} s"
    if not genuine.answers:
        yield "it sent nothing"
    if (worst := genuine.percentile(0.99)) >= P99_SECONDS:
        yield f"the 99th percentile of its response times is {worst:.2f} s"
    missing, twice = booked_once(stage, genuine.leads)
    yield from (f"lead {lead} is not booked" for lead in missing)
    yield from (f"lead {lead} was posted more than once" for lead in twice)


def faults_of_events(stage: Stage, sent: Sent) -> Iterator[str]:
    """Yield events that were acknowledged and then lost, were not mapped, or failed."""
    with psycopg.connect(stage.database_url) as connection:
        known = {row[0] for row in connection.execute("SELECT id FROM events")}
        failed = connection.execute(
            "SELECT id, source FROM events WHERE reasons::text LIKE '%unexpectedly%'"
        ).fetchall()
    yield from (
        f"event {event} was acknowledged and is not stored" for event in sent.events - known
    )
    yield from (f"event {event} of {source} failed unexpectedly" for event, source in failed)
    if waiting := unmapped(stage):
        yield f"{waiting} events are not mapped"


def faults_of_output(stage: Stage) -> Iterator[str]:
    """Yield personal data, secrets and errors in the output of any process and in the metrics."""
    outputs = [*stage.outputs(), ("/metrics", stage.metrics())]
    outputs.append(("the arguments of a process", stage.command_lines()))
    for name, text in outputs:
        for number, line in enumerate(text.splitlines(), 1):
            for leak in leaks(line, stage.forbidden):
                yield f"{name}:{number} has {leak}"
            if is_error(line):
                yield f"{name}:{number} is an error: {summary(line)}"


def is_error(line: str) -> bool:
    """Return True if a log line reports an unexpected error."""
    is_unexpected = '"level": "error"' in line and not any(word in line for word in EXPECTED)
    return is_unexpected or line.startswith(("Traceback", "PANIC", "FATAL"))


def summary(line: str) -> str:
    """Return a log line's event and its location in the code."""
    try:
        data = json.loads(line)
    except ValueError:
        return line[:100]
    chain = data.get("error", {}).get("chain", [])
    return f"{data.get('event')} {[(one['type'], one['at'][-2:]) for one in chain]}"


def faults_of_processes(watch: Watch) -> Iterator[str]:
    """Yield processes that ended or used too much memory."""
    yield from (f"{name} ended" for name in watch.died())
    for name, size in watch.peak_bytes.items():
        if size > MAX_BYTES:
            yield f"{name} took {size / 1024**2:.0f} MB"
