"""Build the services that every process uses."""

from collections.abc import Mapping

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
    """Build the pipeline. Load the sources from the mappings folder unless given."""
    if all_sources is None:
        all_sources = registry.load(settings.mappings_dir, settings.policy)
    return Pipeline(settings, store, all_sources, propexo_from(settings), clock)


def propexo_from(settings: Settings) -> Propexo:
    """Build the client, which uses the sandbox if there is no token."""
    if settings.propexo_token is None:
        url, token = f"http://127.0.0.1:{settings.sandbox_port}", SANDBOX_TOKEN
    else:
        url, token = settings.propexo_base_url, settings.propexo_token
    return Propexo(url, token, timeout_seconds=settings.propexo_timeout_seconds)


def database_url(settings: Settings) -> str:
    """Return DATABASE_URL, or the URL of the embedded server's socket."""
    return settings.database_url or EmbeddedServer(settings.data_dir).url
