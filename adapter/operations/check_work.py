"""Check processes, stuck leads and users for ``adapter doctor``."""

from collections.abc import Iterator
from typing import Final

import adapter
from adapter.exceptions import StoreUnavailable
from adapter.mapping import registry
from adapter.mapping.problems import MappingErrors
from adapter.models import Clock
from adapter.operations import health
from adapter.operations.finding import Finding, Status, fault, ok, warning
from adapter.operations.health import Facts, Level
from adapter.settings import Settings
from adapter.store import Database

AREA: Final = "work"
USERS: Final = "users"

#: Problems that other areas check in more detail.
ELSEWHERE: Final = ("sandbox",)
STATUS_OF: Final = {Level.BROKEN: fault, Level.WARNING: warning}


def work_findings(settings: Settings, url: str, clock: Clock) -> Iterator[Finding]:
    """Check the adapter's health as ``adapter stats`` does, and check that users can sign in."""
    try:
        with Database(url, size=1) as store:
            store.check_schema()
            facts = health.read_facts(store, _names(settings), settings, clock())
            with store.transaction() as tx:
                users = {*settings.users, *(user.name for user in tx.users.all())}
    except StoreUnavailable:
        return  # reported with the database
    for problem in health.problems_in(facts):
        if problem.level in STATUS_OF:
            yield STATUS_OF[problem.level](AREA, problem.sentence, problem.next_step)
        elif problem.code not in ELSEWHERE:
            yield Finding(AREA, Status.OK, problem.sentence)
    yield from _processes(facts)
    yield _users(users)


def _names(settings: Settings) -> list[str]:
    try:
        return registry.names_in(settings.mappings_dir)
    except MappingErrors:
        return []  # reported with the mappings


def _processes(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each running process, with a warning if the version differs."""
    for one in facts.processes:
        name = f"{one.kind} on {one.host} (PID {one.pid})"
        if one.seen_ago >= health.ALIVE:
            continue
        if one.version == adapter.__version__:
            yield ok(AREA, f"{name} is running")
            continue
        text = f"{name} runs version {one.version}, and this command is {adapter.__version__}"
        yield warning(AREA, text, "restart the process after an upgrade")


def _users(users: set[str]) -> Finding:
    real = sorted(name for name in users if not name.startswith("("))
    if not real:
        text = "no one can sign in to the console, because it has no users"
        return warning(USERS, text, "run adapter users add NAME")
    return ok(USERS, f"the console has {len(real)} users")
