"""Write ``docs/benchmarks.md`` from the results of a complete run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.machine import Machine
from bench.tables import Row, markdown_from_rows

_HEAD = """\
# Benchmarks

`.venv/bin/python -m bench --write` generates this page. Each figure is compared with a baseline
that was measured in the same rounds on the same machine. The ratios matter more than the
absolute figures, which depend on the machine and its load. Figures are medians, and ratios are
ratios of medians, unless a section says otherwise.
"""

_METHODS = {
    "map": """\
This section measures the time to convert a webhook's bytes to validated bookings (`Source.map`),
with a fixed clock. The first rows use the bundled samples. `yardi-guestcards-batch` is the
largest request body in the test corpus that has a mapping.

The baseline is the time to parse the same bytes with `json.loads` and read the same fields,
without cleaning or validating them (`bench/floors.py`).

Hostile bodies are up to 1 MiB in size (`bench/hostile.py`). The hostile bodies include deep,
wide and long bodies of each content type, and samples with one very large value. All hostile
bodies are measured at an eighth of their size, and the slowest 25 are also measured at full
size. For each source, the table shows the slowest hostile body.""",
    "verify": """\
This section measures the time to verify a request with a 3 kB body and one secret. The baseline
is the time to compute and compare a digest of the same bytes, even for schemes without digests.""",
    "acknowledge": """\
Each request is a `POST /hooks/rentfeed` with a 3 kB body and a new lead. The adapter verifies
the HMAC and the timestamp, and commits the webhook (with fsync on) before it responds. gunicorn
runs with the default settings of `adapter run`, with the embedded PostgreSQL server and no
worker.

Both baselines run under the same gunicorn. The first baseline is a Flask view that returns an
empty 204 response. The second baseline is a view that stores the same bytes in one transaction
(BEGIN, INSERT, COMMIT) through the same connection pool.

If Debian's `webhook` and Node-RED are installed, they are also measured (`bench/peers.py`). Both
servers verify an HMAC of the same body, respond with a 202, and then forward the body. Neither
server stores the body, so acknowledged webhooks are lost if the server is killed.

The adapter and the baselines are measured in seven rounds of one second each. The adapter,
`webhook` and Node-RED are measured in five more rounds. Before a server is measured, it must
reject an invalid signature, and the previous server must be idle. The load client runs on the
same machine. The client uses keep-alive connections and sends the next request as soon as a
response arrives. If the number of stored events differs from the number of acknowledged
webhooks, no figure is reported.""",
    "drain": """\
Stored webhooks are mapped, and their bookings are sent to a sandbox that responds immediately.
The worker checks the jobs until all bookings are `booked`. First, rounds with one worker
alternate with rounds with two workers, without a rate limit. Then a backlog is sent for more
than a minute with the default limit of 120 requests per minute. The sandbox counts the requests
and allows 150 per minute.""",
    "latency": """\
This section measures the time from sending a webhook until its POST arrives at the sandbox.
First, 20 webhooks per second are sent at equal intervals, without a rate limit. Then tours for
the next day are sent one at a time with the default rate limit. The queue is empty at first, and
later contains 10,000 pending bookings.

The last row is the time to acknowledge a webhook while the database contains 10,000 pending
bookings and 10,000 received events. The baseline for this row is the same measurement with an
empty database.""",
    "cpu": """\
Tours are sent at equal intervals. The figure is the CPU time per booking that the web processes,
the worker and PostgreSQL use, including their child processes. The measurement starts with the
first tour and ends when all tours are `booked`. The CPU time of the sandbox and the sender is
not counted.

The baseline is commit d205799, which was measured once with the same benchmark code. The
baseline and the next commit were measured alternately on one machine. The ratio says little
about other machines or loads.""",
    "growth": """\
Databases with different numbers of stored leads are measured in the same rounds. Each stored
lead consists of an event, a claim, a booking and its history, and there are 1,000 leads per day.
All databases are on one server, and each database has its own web process. In each database, 100
bookings are pending and 100 are in flight.

A worker counts due rows twice a second. The worker then claims an event, a check, a tour that
starts soon, or the next source's booking. PostgreSQL measures how long it takes to plan and
execute these statements. `PATHS` in `bench/growth.py` lists the measured pages.

For statements and pages, only the shortest time of each round counts, and the figure is the
median of these times. The memory figures cover all web processes or the worker. Shared memory is
counted once for each process.""",
    "console": """\
This section measures the console's pages for a signed-in user, with 5,000 and with 50,000 stored
leads. In both databases, 1,600 leads and messages need review, 150 properties are unknown, and
500 messages were rejected. `PATHS` in `bench/console_pages.py` lists the measured pages.

A page's response time is compared with the CPU time that the web process and PostgreSQL use for
the page. If the response time is much longer than the CPU time, the machine was busy. The other
rows compare the page's CPU time and size for 5,000 and 50,000 leads.""",
    "start": """\
The first row is the time from starting `adapter run` on an existing data folder until `/readyz`
succeeds. The baseline for the first row is the time to start PostgreSQL by itself. The second
row is the time to run `adapter check` with 40 mappings. The baseline for the second row is the
time with only the bundled mappings.""",
}


def page(machine: Machine, rows: Mapping[str, Sequence[Row]], charts: Sequence[Path] = ()) -> str:
    """Return the complete page, with links to its charts."""
    parts = [_HEAD, machine.text() + "\n"]
    parts += [f"![{chart.stem}]({chart.name})\n" for chart in charts]
    for name, section in rows.items():
        parts.append(f"## {name}\n\n{_METHODS[name]}\n\n{markdown_from_rows(section)}\n")
    return "\n".join(parts)
