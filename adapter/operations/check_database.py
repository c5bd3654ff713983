"""Check PostgreSQL and the adapter's database for ``adapter doctor``."""

import datetime as dt
from collections.abc import Iterator
from typing import Final

from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.models import Clock
from adapter.operations.finding import Finding, fault, ok, warning
from adapter.operations.start_checks import check_destination
from adapter.settings import Settings
from adapter.store import OLDEST_POSTGRES, Database, ServerFacts, address_of, server_facts

AREA: Final = "database"
CLOCKS: Final = "clock"

#: Clock differences that are suspicious, and that delay or reject leads.
SUSPICIOUS_SECONDS: Final = 2.0
WRONG_SECONDS: Final = 30.0


def database_findings(settings: Settings, url: str, clock: Clock) -> Iterator[Finding]:
    """Check the PostgreSQL server, its clock, the role's privileges and the migrations."""
    before = clock()
    try:
        facts = server_facts(url)
    except StoreUnavailable as exc:
        yield fault(AREA, str(exc), "start PostgreSQL, or correct DATABASE_URL")
        return
    version = f"{facts.version // 10_000}.{facts.version % 10_000}"
    size = f"{facts.size_bytes / 1024**2:,.0f} MB"
    yield ok(AREA, f"PostgreSQL {version} at {address_of(url)}, role {facts.role}, {size}")
    after = clock()
    margin = (after - before).total_seconds() / 2
    yield clock_finding("PostgreSQL", facts.now, before + (after - before) / 2, margin)
    for check in (_server, _migrations, _rights, _connections):
        yield from check(facts, settings)
    if facts.schema_state.missing:
        return
    with Database(url, size=1) as store:
        yield from _destination(store, settings)
        yield from _writing(store)


def _server(facts: ServerFacts, _settings: Settings) -> Iterator[Finding]:
    if facts.version < OLDEST_POSTGRES * 10_000:
        text = f"PostgreSQL is too old: version {OLDEST_POSTGRES} or newer is required"
        yield fault(AREA, text, "upgrade PostgreSQL, or set DATABASE_URL to another server")
    if facts.is_read_only:
        text = "the database is read-only, for example because the server is a standby"
        yield fault(AREA, text, "set DATABASE_URL to the primary server")
    if facts.is_pooled:
        text = "connections go through a pooler, so each lead waits up to half a second longer"
        yield ok(AREA, text)


def _migrations(facts: ServerFacts, settings: Settings) -> Iterator[Finding]:
    state = facts.schema_state
    if state.changed:
        yield fault(AREA, str(state.fault), "install the version that migrated it")
    elif state.missing:
        text = f"the database is missing migrations: {', '.join(state.missing)}"
        yield fault(AREA, text, "run adapter migrate")
    elif state.newer is None:
        yield ok(AREA, "all migrations are applied")
    if state.newer is not None and settings.allow_newer_database:
        yield warning(AREA, state.newer, "unset ADAPTER_ALLOW_NEWER_DATABASE after the upgrade")
    elif state.newer is not None:
        fix = "upgrade; until then, workers wait, unless you set ADAPTER_ALLOW_NEWER_DATABASE=yes"
        yield fault(AREA, state.newer, fix)


def _rights(facts: ServerFacts, _settings: Settings) -> Iterator[Finding]:
    grant = f"ON ALL TABLES IN SCHEMA {facts.schema} TO {facts.role}"
    if facts.forbidden:
        text = f"the role {facts.role} cannot use {', '.join(facts.forbidden[:5])}"
        more = f" and {len(facts.forbidden) - 5} more" if len(facts.forbidden) > 5 else ""
        fix = f"GRANT SELECT, INSERT, UPDATE, DELETE {grant}; GRANT USAGE ON ALL SEQUENCES …"
        yield fault(AREA, text + more, fix)
    if facts.schema_state.missing and not facts.can_create:
        text = f"the role {facts.role} cannot create tables in the schema {facts.schema}"
        fix = (
            f"GRANT USAGE, CREATE ON SCHEMA {facts.schema} TO {facts.role}, or migrate as its owner"
        )
        yield fault(AREA, text, fix)


def _connections(facts: ServerFacts, settings: Settings) -> Iterator[Finding]:
    """Compare the number of connections that web and worker need with the server's limit."""
    web = settings.web_workers * (settings.web_threads + 3)
    needed = web + settings.worker_concurrency + 4
    text = f"web and one worker open up to {needed} of {facts.most_connections} connections"
    if needed > facts.most_connections and not facts.is_pooled:
        fix = "lower WEB_CONCURRENCY and ADAPTER_WEB_THREADS, or raise PostgreSQL's limit"
        yield warning(AREA, text, fix)
    else:
        yield ok(AREA, text)


def _destination(store: Database, settings: Settings) -> Iterator[Finding]:
    try:
        check_destination(settings, store)
    except ConfigurationError as exc:
        yield fault(AREA, str(exc), "set PROPEXO_TOKEN")


def _writing(store: Database) -> Iterator[Finding]:
    try:
        store.check_room()
    except StoreUnavailable as exc:
        text = f"PostgreSQL cannot write: {exc}"
        yield fault(AREA, text, "free up space on PostgreSQL's disk")


def clock_finding(name: str, theirs: dt.datetime, ours: dt.datetime, margin: float) -> Finding:
    """Compare another machine's clock with ours. Allow a difference of ``margin`` seconds."""
    behind = (theirs - ours).total_seconds()
    direction = "behind" if behind > 0 else "ahead of"
    text = f"this machine's clock is {abs(behind):.0f} seconds {direction} {name}'s"
    fix = "run a time service such as chrony on both machines"
    difference = abs(behind) - margin
    if difference > WRONG_SECONDS:
        return fault(CLOCKS, f"{text}, so signatures and due times are wrong", fix)
    if difference > SUSPICIOUS_SECONDS:
        return warning(CLOCKS, text, fix)
    return ok(CLOCKS, f"this machine's clock agrees with {name}'s")
