"""``docs/benchmarks.md``, written from a whole run."""

from collections.abc import Mapping, Sequence

from bench.machine import Machine
from bench.tables import Row, markdown_from_rows

_HEAD = """\
# Benchmarks

Written by `.venv/bin/python -m bench --write`, not by hand. Each figure stands beside another one
that was measured in the same rounds, in turn, on the same machine: read the ratio. Figures and
ratios are those of medians. The machine was shared with other work, so the figures alone say
little.
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
view that answers an empty 204, and one that stores the same bytes by one committed INSERT through
the same pool. Load comes from the same machine, as fast as answers come, with keep-alive. After
each round as many events must be stored as were acknowledged, else there is no figure.""",
}


def page(machine: Machine, rows: Mapping[str, Sequence[Row]]) -> str:
    """The whole page."""
    parts = [_HEAD, machine.text() + "\n"]
    for name, found in rows.items():
        parts.append(f"## {name}\n\n{_METHODS[name]}\n\n{markdown_from_rows(found)}\n")
    return "\n".join(parts)
