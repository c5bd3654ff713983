"""Write ``docs/benchmarks.md`` from a whole run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.machine import Machine
from bench.tables import Row, markdown_from_rows

_HEAD = """\
# Benchmarks

Written by `.venv/bin/python -m bench --write`, not by hand. Each figure is compared with another
one that was measured alternately in the same rounds on the same machine: read the ratio. Figures
and ratios are those of medians unless a section says otherwise. The machine was shared with other
work, so the absolute figures say little.
"""

_METHODS = {
    "map": """\
Time from a webhook's bytes to its validated bookings (`Source.map`), with a fixed clock, on the
bundled samples, compared with `json.loads` of the same bytes and plain reads of the same fields
without cleaning or checks (`bench/floors.py`). The corpus body is the largest one with a mapping.
Hostile bodies have up to 1 MiB: deep, wide and long ones of each kind, and each value of the
sample in turn enlarged in eleven ways (`bench/hostile.py`). The slowest 25 at an eighth of the
size are measured in full, and the table shows the slowest of those for each source.""",
    "verify": """\
One verification of a 3 kB body with one secret, compared with the bare digest and comparison of
the same bytes. Schemes that carry a secret without a digest are compared with the digest too.""",
    "acknowledge": """\
`POST /hooks/rentfeed`: 3 kB, a new lead each time, HMAC with timestamp verified, then committed
with fsync on, then answered. gunicorn as `adapter run` starts it with default settings, embedded
PostgreSQL, no worker running. It is compared, under the same gunicorn, with a Flask view that
returns an empty 204, and with one that stores the same bytes by one committed INSERT (BEGIN,
INSERT, COMMIT) through the same pool; and, if they are installed, with Debian's `webhook` and
Node-RED, which verify an HMAC of the same body, respond with 202 first and forward it afterwards
(`bench/peers.py`). These two store nothing: acknowledged webhooks are lost if they are killed.
Each must reject a wrong signature before it is measured. There are seven rounds of one second,
and five more for the two with ours. A server and its children are idle before the next one
starts. The load comes from the same machine, as fast as responses arrive, with keep-alive. After
each round the number of stored events must equal the number of acknowledged webhooks; otherwise
there is no figure.""",
    "drain": """\
Stored webhooks are mapped, sent to a sandbox that responds at once, followed up and `booked`;
with one worker and with two, alternately, without a rate limit. Then with the default limit of
120 a minute and a backlog, for more than a minute: the sandbox, which allows 150, counts the
calls.""",
    "latency": """\
Time from sending a webhook to the arrival of its POST at the sandbox: 20 a second, evenly,
without a rate limit; then tours of tomorrow, one by one, with the default limit, before and
behind ten thousand pending bookings. Also the acknowledgement of new webhooks with as many
pending bookings and received events in the database, alternating with an empty one.""",
    "cpu": """\
CPU time of the web processes, the worker and PostgreSQL, children included, while tours arrive
evenly, until all are `booked` by a sandbox that responds at once (which is not counted, nor is the
sender). The figure beside it is that of commit d205799, measured by the same module alternately
with this version on one machine: elsewhere, or under another load, the ratio says little.""",
    "growth": """\
Databases with that many stored leads (event, claim, booking, history), a thousand a day, side by
side on one server, each with its own web process, alternately. A worker counts due rows twice a
second, and takes an event, a check, a soon tour, or the booking of the source whose turn it is.
These are measured by PostgreSQL's own clock, planning and execution, with a hundred
bookings pending and a hundred in flight. Pages are those of `PATHS` in `bench/growth.py`. For
statements and pages the minimum of each round counts, and the median of the rounds. Memory is
what the web processes (or the worker) hold, each counted in full.""",
    "start": """\
`adapter run` on an existing data folder, until `/readyz` succeeds, compared with PostgreSQL
alone. `adapter check` of many mappings, compared with the bundled ones.""",
}


def page(machine: Machine, rows: Mapping[str, Sequence[Row]], charts: Sequence[Path] = ()) -> str:
    """Return the whole page, with links to its charts."""
    parts = [_HEAD, machine.text() + "\n"]
    parts += [f"![{chart.stem}]({chart.name})\n" for chart in charts]
    for name, section in rows.items():
        parts.append(f"## {name}\n\n{_METHODS[name]}\n\n{markdown_from_rows(section)}\n")
    return "\n".join(parts)
