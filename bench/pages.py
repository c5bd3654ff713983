"""Write ``docs/benchmarks.md`` from a whole run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.machine import Machine
from bench.tables import Row, markdown_from_rows

_HEAD = """\
# Benchmarks

`.venv/bin/python -m bench --write` generates this page. Each figure is compared with a baseline
that was measured in the same rounds on the same machine. Look at the ratio first, because absolute
figures depend on the machine and its load. Figures are medians, and ratios are ratios of medians,
unless a section says otherwise.
"""

_METHODS = {
    "map": """\
This is the time to convert a webhook's bytes to validated bookings (`Source.map`), with a fixed
clock. The first rows use the bundled samples. `yardi-guestcards-batch` is the largest body in the
corpus that has a mapping.

The baseline is `json.loads` of the same bytes, plus reading the same fields without cleaning or
checking them (`bench/floors.py`).

Hostile bodies are up to 1 MiB (`bench/hostile.py`). They are deep, wide and long bodies of each
content type, and samples with one enlarged value. All bodies are measured at an eighth of their
size, and the slowest 25 are also measured at full size. The table shows the slowest body for each
source.""",
    "verify": """\
This is the time to verify a 3 kB body with one secret. The baseline computes and compares a digest
of the same bytes, even for schemes without a digest.""",
    "acknowledge": """\
Each request is a `POST /hooks/rentfeed` with a 3 kB body and a new lead. The HMAC and the timestamp
are verified, and the webhook is committed (with fsync on) before the response is sent. gunicorn
runs as `adapter run` starts it by default, with the embedded PostgreSQL and no worker.

Both baselines run under the same gunicorn. One is a Flask view that returns an empty 204 response.
The other view stores the same bytes in one transaction (BEGIN, INSERT, COMMIT) through the same
connection pool.

If Debian's `webhook` and Node-RED are installed, they are also measured (`bench/peers.py`). They
verify an HMAC of the same body, respond with 202 and then forward the body. They store nothing, so
they lose acknowledged webhooks if they are killed.

There are seven rounds of one second each, and five more rounds with these two servers and the
adapter. Before a server is measured, it must reject an invalid signature, and the previous server
must be idle. The load client runs on the same machine. It uses keep-alive connections, and sends
the next request as soon as a response arrives. If the number of stored events differs from the
number of acknowledged webhooks, no figure is reported.""",
    "drain": """\
Stored webhooks are mapped, sent to a sandbox that responds immediately, followed up and marked
`booked`. Rounds with one worker alternate with rounds with two workers, without a rate limit. Then
a backlog is sent for more than a minute with the default limit of 120 calls per minute. The sandbox
allows 150 calls per minute, and counts them.""",
    "latency": """\
This is the time from sending a webhook until its POST arrives at the sandbox. First, 20 webhooks
per second are sent at equal intervals, without a rate limit. Then tours for the next day are sent
one at a time with the default limit, once with an empty queue and once with 10,000 pending
bookings.

The last row is the time to acknowledge a webhook while the database contains 10,000 pending
bookings and 10,000 received events. The baseline is the same measurement with an empty
database.""",
    "cpu": """\
Tours are sent at equal intervals. The figure is the CPU time of the web processes, the worker and
PostgreSQL, including child processes, from the first tour until all tours are `booked`. The sandbox
and the sender are not counted.

The baseline is commit d205799. It was measured once with the same code, alternating with the next
commit on one machine. The ratio says little about other machines or loads.""",
    "growth": """\
Databases with different numbers of stored leads are measured in the same rounds. A lead consists of
an event, a claim, a booking and its history, and there are 1,000 leads per day. The databases are
on one server, and each has its own web process. In each database, 100 bookings are pending and 100
are in flight.

A worker counts due rows twice a second. It then takes an event, a check, a tour that starts soon,
or the next booking from the source whose turn it is. PostgreSQL measures how long it takes to plan
and execute these statements. `PATHS` in `bench/growth.py` lists the pages.

For statements and pages, the figure is the median of each round's minimum. Memory is the total of
all web processes, or the worker's memory. Shared memory is counted once for each process.""",
    "console": """\
These are the console's pages for a signed-in user, with 5,000 and with 50,000 stored leads. In both
databases, 1,600 leads and messages need review, 150 properties are unknown, and 500 messages were
rejected. `PATHS` in `bench/console_pages.py` lists the pages.

A page's response time is compared with the CPU time that the web process and PostgreSQL use for it.
If the response time is much longer, the machine was busy. The other rows compare the page's CPU
time and size for 5,000 and 50,000 leads.""",
    "start": """\
The first row is the time from starting `adapter run` on an existing data folder until `/readyz`
succeeds. Its baseline is the time to start PostgreSQL alone. The second row is the time to run
`adapter check` with 40 mappings. Its baseline is the time with only the bundled mappings.""",
}


def page(machine: Machine, rows: Mapping[str, Sequence[Row]], charts: Sequence[Path] = ()) -> str:
    """Return the whole page, with links to its charts."""
    parts = [_HEAD, machine.text() + "\n"]
    parts += [f"![{chart.stem}]({chart.name})\n" for chart in charts]
    for name, section in rows.items():
        parts.append(f"## {name}\n\n{_METHODS[name]}\n\n{markdown_from_rows(section)}\n")
    return "\n".join(parts)
