"""Build the services that web, worker and command-line processes share."""

import logging
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import adapter
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.models import Clock, utc_now
from adapter.operations.start_checks import database_url
from adapter.pipeline import Pipeline
from adapter.propexo.client import Propexo
from adapter.settings import SANDBOX_TOKEN, Settings, service_links
from adapter.store import Database, address_of
from adapter.store.meter import Meter

log = logging.getLogger(__name__)


def pipeline_from(
    settings: Settings,
    store: Database,
    clock: Clock = utc_now,
    all_sources: Mapping[str, Source] | None = None,
) -> Pipeline:
    """Build the pipeline. Load the mappings from their folder, or use ``all_sources`` if given."""
    if all_sources is None:
        all_sources = registry.load(settings.mappings_dir, settings.policy)
    propexo = propexo_from(settings, store.meter)
    return Pipeline(settings, store, all_sources, propexo, clock)


def propexo_from(settings: Settings, meter: Meter | None = None) -> Propexo:
    """Build the Propexo client. Without an API token, it connects to the sandbox."""
    url = settings.own_sandbox_url or settings.propexo_base_url
    token = settings.propexo_token or SANDBOX_TOKEN
    return Propexo(url, token, timeout_seconds=settings.propexo_timeout_seconds, meter=meter)


def log_service_links(settings: Settings) -> None:
    """Log a warning if environment variables set by Kubernetes look like the adapter's settings."""
    if names := service_links(settings.environ):
        log.warning("service_links_ignored", extra={"variables": names})


def start_facts(settings: Settings, sources: Iterable[str]) -> Mapping[str, object]:
    """Return the details to log when a web or worker process starts."""
    return {
        "version": adapter.__version__,
        "sources": sorted(sources),
        "database": address_of(database_url(settings)),
        "propexo": urlsplit(settings.own_sandbox_url or settings.propexo_base_url).hostname,
        "is_sandbox": settings.is_sandbox,
    }
