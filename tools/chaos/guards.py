"""Break one guard at a time, to prove that the tests notice (``python -m tools.chaos.guards``).

Each guard is broken in a copy of the project, by code appended to a module.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from tests.paths import ROOT
from tools.chaos.leads import WAVERINGS

#: Timeout of one harness.
RUN_SECONDS = 600.0


#: Enough people to cover each kind of change in nearly every round.
PEOPLE = ("--people", "30")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """A mechanism that keeps leads from being lost or booked twice, and how to break it."""

    name: str
    #: File → code appended to it.
    breaks: Mapping[str, str]
    #: Options for the harness in addition to seed and rounds.
    options: tuple[str, ...] = ()


#: V1 to V7: bugs found by an external audit, reintroduced.
GUARDS = (
    Guard(name="(nothing is broken)", breaks={}),
    Guard(
        name="a delivery is claimed once",
        breaks={
            "adapter/store/queries.py": """
_before = STATEMENTS["insert_events"]
STATEMENTS["insert_events"] = _before.replace(
    b"SELECT source, digest,", b"SELECT source, decode(md5(random()::text), 'hex'),", 1
)
assert STATEMENTS["insert_events"] != _before
"""
        },
    ),
    Guard(
        name="`sending` is committed before the POST",
        breaks={
            "adapter/bookings/sender.py": """
import contextlib
import copy

MAX_BOOKINGS_PER_RUN = 1

class _OneTransaction:
    def __init__(self, tx):
        self._tx = tx

    @contextlib.contextmanager
    def transaction(self):
        yield self._tx

    pipeline = statement = transaction

_send_due = Sender.send_due

def _send_in_one_transaction(self):
    with self.store.transaction() as tx:
        one = copy.copy(self)
        one.store = _OneTransaction(tx)
        _send_due(one)

Sender.send_due = _send_in_one_transaction
"""
        },
        # This shows only if a worker is killed during a POST, which does not happen in every round.
        options=("--rounds", "10"),
    ),
    Guard(
        name="a lost response makes the booking unknown",
        breaks={
            "adapter/bookings/backoff.py": """
assert OutcomeUnknown in OUTCOMES
OUTCOMES[OutcomeUnknown] = AttemptOutcome.NOT_SENT
"""
        },
    ),
    Guard(
        name="recovery",
        breaks={
            "adapter/pipeline.py": """
assert callable(Pipeline.recover)
Pipeline.recover = lambda self: None
"""
        },
    ),
    Guard(
        name="an unknown booking is never sent again (without the index that prevents it)",
        breaks={
            "adapter/store/sql/migrations/9999_guard.sql": """
DROP INDEX attempts_never_two_that_may_have_booked;
""",
            "adapter/pipeline.py": """
_recover = Pipeline.recover

def _recover_and_send_again(self):
    _recover(self)
    with self.store.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET state = 'pending', due_at = now() - interval '1 minute' "
            "WHERE state = 'unknown'"
        )

Pipeline.recover = _recover_and_send_again
""",
        },
    ),
    Guard(
        name="a lock per person",
        breaks={
            "adapter/store/queries.py": """
assert "lock_related" in STATEMENTS
STATEMENTS["lock_related"] = b"SELECT ARRAY[]::bigint[] AS crowded"
"""
        },
        options=("--people", "24"),
    ),
    Guard(
        name="one guest card per person",
        breaks={
            "adapter/bookings/precedence.py": """
assert callable(_decide_prospect)

def _decide_prospect(request, person):
    return None
"""
        },
        options=("--people", "24"),
    ),
    Guard(
        name="a duplicate counts after its original is canceled (V1)",
        breaks={
            "adapter/bookings/person.py": """
assert callable(Person.is_revisable)
Person.is_revisable = lambda self, request: False
"""
        },
        options=PEOPLE,
    ),
    Guard(
        name="a duplicate may be the renter's latest request (V2)",
        breaks={
            "adapter/bookings/person.py": """
_counts = Person._counts

def _counts_unless_covered(self, request):
    other = self.by_id.get(request.because_of or 0)
    is_duplicate = request.state is BookingState.DUPLICATE
    return not (is_duplicate and other and other.state in SENT) and _counts(self, request)

Person._counts = _counts_unless_covered
"""
        },
        options=PEOPLE,
    ),
    Guard(
        name="a request is compared with the booked tour after another fails (V4)",
        breaks={
            "adapter/bookings/person.py": """
_tour_for = Person.tour_for
_UNSENT = (BookingState.SENDING, BookingState.PENDING, BookingState.SUPERSEDED)

def _tour_for_unless_another_came_between(self, request):
    came_between = any(
        one.starts_at != request.starts_at and one.state in _UNSENT and order(one) < order(request)
        for one in self.requests
    )
    if request.state is BookingState.PENDING and came_between:
        return request
    return _tour_for(self, request)

Person.tour_for = _tour_for_unless_another_came_between
"""
        },
        options=PEOPLE,
    ),
    Guard(
        name="an unknown booking does not claim another booking's tour (V5)",
        breaks={
            "adapter/bookings/person.py": """
_tour_for = Person.tour_for

def _tour_for_beside_an_unknown_one(self, request):
    known = tuple(one for one in self.requests if one.state is not BookingState.UNKNOWN)
    is_pending = request.state is BookingState.PENDING
    return _tour_for(Person(known, self.now) if is_pending else self, request)

Person.tour_for = _tour_for_beside_an_unknown_one
""",
            "adapter/bookings/transitions.py": """
_ambiguous = _record_ambiguous_tour

def _record_ambiguous_tour(tx, booking, later, now, until):
    if later.starts_at != booking.starts_at:
        _ambiguous(tx, booking, later, now, until)
    else:
        tx.bookings.move(booking.id, BookingState.BOOKED, why="seen_in_knock", now=now)
""",
        },
        options=("--people", "12", "--change", WAVERINGS[5]),
    ),
    Guard(
        name="an older tour booked late needs review (V7)",
        breaks={
            "adapter/bookings/transitions.py": """
assert callable(_leave_to_person)

def _leave_to_person(tx, booking, newer, now):
    tx.bookings.move(booking.id, BookingState.BOOKED, why="seen_in_knock", now=now)
"""
        },
        options=("--people", "12", "--change", WAVERINGS[6]),
    ),
    Guard(
        name="the rate",
        breaks={
            "adapter/store/rate_limit.py": """
assert callable(next_call)

def next_call(rate_state, now, setting, *, is_read):
    return now
"""
        },
        options=("--people", "48"),
    ),
)


def caught(guard: Guard, *arguments: str) -> dict[str, int] | None:
    """Return the nonzero fault counts without the guard, or None if the tests did not run."""
    with tempfile.TemporaryDirectory(prefix="adapter-guard-") as name:
        folder = Path(name)
        unwanted = shutil.ignore_patterns("__pycache__")
        for part in ("adapter", "tests", "tools"):
            shutil.copytree(ROOT / part, folder / part, ignore=unwanted)
        for file, code in guard.breaks.items():
            with (folder / file).open("a") as target:
                target.write(code)
        ended = subprocess.run(
            [sys.executable, "-m", "tools.chaos", "--fail-fast", "--json", *arguments],
            cwd=folder,
            env=os.environ | {"TMPDIR": name},
            stdout=subprocess.PIPE,
            timeout=RUN_SECONDS,
            check=False,
        )
    try:
        numbers: dict[str, int] = json.loads(ended.stdout)["must_be_zero"]
    except ValueError:
        return None
    return {kind: number for kind, number in numbers.items() if number}


@click.command(help=__doc__)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--rounds", type=int, default=4, show_default=True, help="Maximum rounds per guard.")
@click.option(
    "--only", default="", metavar="TEXT", help="Test only guards whose names contain this text."
)
@click.option("--without", default="", metavar="WORD,…", help="Skip these parts of the harness.")
def main(*, seed: int, rounds: int, only: str, without: str) -> None:
    options = ("--seed", str(seed), "--rounds", str(rounds), "--without", without)
    failed = False
    for guard in (guard for guard in GUARDS if only in guard.name):
        found = caught(guard, *options, *guard.options, "--patience", "75")
        failed = failed or found is None or bool(found) != bool(guard.breaks)
        words = ", ".join(f"{kind} {number}" for kind, number in (found or {}).items())
        told = "the harness did not run" if found is None else words or "nothing found"
        click.echo(f"{guard.name:56} {told}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
