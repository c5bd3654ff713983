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
This is the time to convert a webhook's bytes to validated bookings (`Source.map`). The clock is
fixed. The first rows use the bundled samples, and `yardi-guestcards-batch` is the largest body in
the corpus that has a mapping.

The baseline is `json.loads` of the same bytes and plain reads of the same fields, without
cleaning or checks (`bench/floors.py`).

Hostile bodies are up to 1 MiB (`bench/hostile.py`). They are deep, wide and long bodies of each
content type, and samples in which one value is enlarged. All are measured at an eighth of their
size, and the slowest 25 also at full size. The table shows the slowest body for each source.""",
    "verify": """\
This is the time to verify a 3 kB body with one secret. The baseline computes the digest of the
same bytes and compares it, even for schemes that have no digest.""",
    "acknowledge": """\
Each request is a `POST /hooks/rentfeed` with 3 kB and a new lead. The HMAC and the timestamp are
verified, and the webhook is committed (with fsync on) before the response is sent. gunicorn runs
as `adapter run` starts it by default, with the embedded PostgreSQL and no worker.

The baselines run under the same gunicorn. One is a Flask view that returns an empty 204. The
other stores the same bytes in one transaction (BEGIN, INSERT, COMMIT) through the same connection
pool.

If Debian's `webhook` and Node-RED are installed, they are measured too (`bench/peers.py`). They
verify an HMAC of the same body, respond with 202 and then forward the body. They store nothing, so
they lose acknowledged webhooks if they are killed.

There are seven rounds of one second each, and five more with these two servers and the adapter.
Each server must reject a wrong signature before it is measured. It must be idle before the next
server is measured. The load client runs on the same machine with keep-alive connections, and sends
as fast as responses arrive. If the number of stored events differs from the number of acknowledged
webhooks, no figure is reported.""",
    "drain": """\
Stored webhooks are mapped, sent to a sandbox that responds immediately, followed up and marked
`booked`. One worker and two workers alternate, without a rate limit. Then a backlog is sent for
more than a minute with the default limit of 120 per minute. The sandbox allows 150 and counts the
calls.""",
    "latency": """\
This is the time from sending a webhook until its POST arrives at the sandbox. First, 20 webhooks
per second are sent at equal intervals, without a rate limit. Then tours for the next day are sent
one at a time with the default limit, once with an empty queue and once with ten thousand pending
bookings.

The last row is the time to acknowledge a webhook while the database contains that many pending
bookings and received events. The baseline is the same measurement with an empty database.""",
    "cpu": """\
Tours are sent at equal intervals. The figure is the CPU time of the web processes, the worker and
PostgreSQL, including child processes, from the first tour until all tours are `booked`. The
sandbox and the sender are not counted.

The baseline is commit d205799. It was measured once with the same module, in alternation with its
successor on one machine. The ratio says little about other machines or loads.""",
    "growth": """\
Databases with different numbers of stored leads are measured in the same rounds. A lead consists
of event, claim, booking and history, and there are a thousand leads per day. The databases are on
one server, and each has its own web process. A hundred bookings are pending, and a hundred are in
flight.

A worker counts due rows twice a second. It then takes an event, a check, a tour that starts soon,
or the next booking of the source whose turn it is. PostgreSQL measures the planning and execution
of these statements. `PATHS` in `bench/growth.py` lists the pages.

For statements and pages, the figure is the median of the minimums of all rounds. Memory is the
total of all web processes, or of the worker. Memory that processes share is counted for each of
them.""",
    "console": """\
These are the console's pages for a signed-in user, with 5,000 and with 50,000 stored leads. In both
databases, 1,600 leads and messages need review, 150 properties are unknown, and 500 messages were
rejected. `PATHS` in `bench/console_pages.py` lists the pages.

The time of a page is compared with its CPU time, which is that of the web process and PostgreSQL.
If the time is much longer, the machine was busy. The other rows compare the CPU time and the size
of the page with both numbers of leads.""",
    "start": """\
The first row is the time from starting `adapter run` on an existing data folder until `/readyz`
succeeds. Its baseline is the time to start PostgreSQL alone. The second row is the time of
`adapter check` with 40 mappings. Its baseline is the time with only the bundled mappings.""",
}


def page(machine: Machine, rows: Mapping[str, Sequence[Row]], charts: Sequence[Path] = ()) -> str:
    """Return the whole page, with links to its charts."""
    parts = [_HEAD, machine.text() + "\n"]
    parts += [f"![{chart.stem}]({chart.name})\n" for chart in charts]
    for name, section in rows.items():
        parts.append(f"## {name}\n\n{_METHODS[name]}\n\n{markdown_from_rows(section)}\n")
    return "\n".join(parts)
