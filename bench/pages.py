"""``docs/benchmarks.md``, written from a whole run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.machine import Machine
from bench.tables import Row, markdown_from_rows

_HEAD = """\
# Benchmarks

Written by `.venv/bin/python -m bench --write`, not by hand. Each figure stands beside another one
that was measured in the same rounds, in turn, on the same machine: read the ratio. Figures and
ratios are those of medians, but where a section says otherwise. The machine was shared with other
work, so the figures alone say little.
"""

_METHODS = {
    "map": """\
A webhook's bytes to its checked bookings (`Source.map`), with a fixed clock, on the bundled
samples; beside them `json.loads` of the same bytes and plain reads of the same fields, which clean
and check nothing (`bench/floors.py`). The corpus body is the largest one with a mapping. The
hostile bodies have up to 1 MiB: deep, wide and long ones of each kind, and each value of the sample
in turn swollen in eleven ways (`bench/hostile.py`). The slowest 25 at an eighth of the size are
tried in full, and the table has the slowest of those for each source.""",
    "verify": """\
One verification of a 3 kB body with one secret, beside the bare digest and comparison of the same
bytes; what carries a secret and no digest stands beside the digest too.""",
    "acknowledge": """\
`POST /hooks/rentfeed`: 3 kB, a new lead each time, HMAC with timestamp verified, event, claim,
history and task committed with fsync on, then 202. gunicorn as `adapter run` starts it and default
settings, embedded PostgreSQL, no worker running. Beside it stand, under the same gunicorn, a Flask
view that answers an empty 204, and one that stores the same bytes by one committed INSERT (BEGIN,
INSERT, COMMIT) through the same pool; and, where they are installed, Debian's `webhook` and
Node-RED, which verify an HMAC of the same body, answer 202 first and pass it on afterwards
(`bench/peers.py`). They store nothing: what they have answered is gone when they are killed. Each
must refuse a wrong signature before it is measured. There are seven rounds of one second, and of
the peers five of their own with ours. A server and its children rest before the next one begins.
Load comes from the same machine, as fast as answers come, with keep-alive. After each round as
many events must be stored as were acknowledged, else there is no figure.""",
    "drain": """\
Webhooks that are stored are mapped, sent to a sandbox that answers at once, followed up and
`booked`; with one worker and with two, in turn, and no limit. Then the usual limit of 120 a minute
with a backlog, over more than a minute: calls are counted by the sandbox, which allows 150.""",
    "latency": """\
From the moment a webhook leaves its sender to the arrival of its POST at the sandbox: 20 a second,
evenly, without a limit; then tours of tomorrow, one by one, under the usual limit, before and
behind ten thousand waiting bookings. And the acknowledgement of new webhooks over a database where
as many bookings and tasks wait, in turn with an empty one.""",
    "growth": """\
Databases with that many stored leads (event, claim, booking, history), a thousand a day, side by
side on one server, each with its own web process, in turn. Taking a task is what a worker asks
PostgreSQL for; a lane takes a soon tour, or else the booking of the source whose turn it is. These
are measured by PostgreSQL's own clock, planning and running, with a hundred bookings waiting and a
hundred on the wire. Pages are those of `PATHS` in `bench/growth.py`. Of statements and pages the
least of each round counts, and of the rounds the median. Memory is what the processes of the web
(or the worker) hold, each counted whole.""",
    "start": """\
`adapter run` on a data folder that exists, until `/readyz` answers; beside it PostgreSQL alone.
`adapter check` of many mappings, beside the bundled ones.""",
}


def page(machine: Machine, rows: Mapping[str, Sequence[Row]], charts: Sequence[Path] = ()) -> str:
    """The whole page, with the charts that lie beside it."""
    parts = [_HEAD, machine.text() + "\n"]
    parts += [f"![{chart.stem}]({chart.name})\n" for chart in charts]
    for name, found in rows.items():
        parts.append(f"## {name}\n\n{_METHODS[name]}\n\n{markdown_from_rows(found)}\n")
    return "\n".join(parts)
