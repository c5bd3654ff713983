"""Build the services that every process uses."""

from collections.abc import Mapping

from adapter.exceptions import ConfigurationError
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.models import Clock, utc_now
from adapter.pipeline import Pipeline
from adapter.propexo.client import Propexo
from adapter.settings import SANDBOX_TOKEN, Settings
from adapter.store import Database
from adapter.store.embedded import EmbeddedServer


def pipeline_from(
    settings: Settings,
    store: Database,
    clock: Clock = utc_now,
    all_sources: Mapping[str, Source] | None = None,
) -> Pipeline:
    """Build the pipeline. Load the sources from the mappings folder unless they are given."""
    if all_sources is None:
        all_sources = registry.load(settings.mappings_dir, settings.policy)
    return Pipeline(settings, store, all_sources, propexo_from(settings), clock)


def propexo_from(settings: Settings) -> Propexo:
    """Build the Propexo client. Without a token, it uses the sandbox."""
    url = settings.own_sandbox_url or settings.propexo_base_url
    token = settings.propexo_token or SANDBOX_TOKEN
    return Propexo(url, token, timeout_seconds=settings.propexo_timeout_seconds)


def check_token(settings: Settings) -> None:
    """Raise ConfigurationError if DATABASE_URL is set but Propexo's token is not."""
    if settings.propexo_token is None and settings.database_url is not None:
        raise ConfigurationError(
            "PROPEXO_TOKEN is not set; to book in a sandbox, set PROPEXO_TOKEN=sandbox"
        )


def check_destination(settings: Settings, store: Database) -> None:
    """Raise ConfigurationError if a database that has booked in Knock would use the sandbox.

    If the token were lost, renters' tours would otherwise be booked in the sandbox. Also raise it
    if the database is not migrated.
    """
    if lacking := store.lacks():
        raise ConfigurationError(f"the database lacks {', '.join(lacking)}; run adapter migrate")
    with store.statement() as tx:
        known = tx.record_propexo_host(None)
    if settings.is_sandbox and known is not None:
        raise ConfigurationError(
            f"this database has booked in Knock through {known}, but PROPEXO_TOKEN is not set to a "
            "token from Propexo; set it again, or use another database for the sandbox"
        )


def database_url(settings: Settings) -> str:
    """Return DATABASE_URL, or the URL of the embedded server's socket."""
    return settings.database_url or EmbeddedServer(settings.data_dir).url
