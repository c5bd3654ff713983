"""Check the requirements for starting web and worker."""

from collections.abc import Callable, Iterator

from adapter import tracing
from adapter.exceptions import AdapterError, ConfigurationError
from adapter.settings import Settings
from adapter.store import Database, check_reachable
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import endpoints

#: A check that raises an AdapterError if the process cannot start.
Check = Callable[[Settings], object]


def environment_faults(settings: Settings) -> list[str]:
    """Return all errors that would prevent a start, except missing migrations."""
    checks = (endpoints.check, check_token, _check_traces, _check_database)
    return [line for check in checks for line in _faults_of(check, settings)]


def _faults_of(check: Check, settings: Settings) -> Iterator[str]:
    try:
        check(settings)
    except AdapterError as exc:
        yield from str(exc).splitlines()


def _check_traces(settings: Settings) -> None:
    tracing.check(settings.traces_url)


def _check_database(settings: Settings) -> None:
    """Raise an error if the database cannot be used with the current settings."""
    server = EmbeddedServer(settings.data_dir) if settings.database_url is None else None
    if server is not None:
        server.programs()
    if server is not None and not server.is_running():
        return
    url = database_url(settings)
    check_reachable(url)
    with Database(url, size=1) as store:
        if not store.schema_state().missing:
            check_destination(settings, store)


def check_token(settings: Settings) -> None:
    """Raise ConfigurationError if DATABASE_URL is set but PROPEXO_TOKEN is not."""
    if settings.propexo_token is None and settings.database_url is not None:
        raise ConfigurationError(
            "PROPEXO_TOKEN is not set; to book in a sandbox, set PROPEXO_TOKEN=sandbox"
        )


def check_destination(settings: Settings, store: Database) -> None:
    """Raise ConfigurationError if a database with bookings in Knock is used with the sandbox.

    Otherwise, if the token were lost, renters' tours would be booked in the sandbox.
    """
    with store.statement() as tx:
        known = tx.propexo_host()
    if settings.is_sandbox and known is not None:
        raise ConfigurationError(
            f"this database has booked in Knock through {known}, but PROPEXO_TOKEN is not set to a "
            "token from Propexo; set it again, or use another database for the sandbox"
        )


def database_url(settings: Settings) -> str:
    """Return DATABASE_URL, or the URL of the embedded PostgreSQL server."""
    return settings.database_url or EmbeddedServer(settings.data_dir).url
