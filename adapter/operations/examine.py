"""Run the checks of ``adapter doctor`` on an installation.

The checks change nothing. Their calls to Propexo count against the rate limit like all others. Each
area has a module with a generator of findings. The areas are independent: if one fails, the others
still report their findings.
"""

from collections.abc import Mapping

from adapter.models import Clock
from adapter.operations.check_database import database_findings
from adapter.operations.check_propexo import propexo_findings
from adapter.operations.check_settings import GivenSettings, mapping_findings, setting_findings
from adapter.operations.check_web import mail_findings, receiver_findings, web_findings
from adapter.operations.check_work import work_findings
from adapter.operations.finding import Check, Finding, fault, run_checks
from adapter.propexo.client import Propexo
from adapter.store.embedded import EmbeddedServer

#: How long all checks together may take. They run at the same time.
LIMIT_SECONDS = 12.0


def examine(given: GivenSettings, propexo: Propexo, clock: Clock) -> list[Finding]:
    """Run all checks and return the findings, ordered by area."""
    return run_checks(_checks(given, propexo, clock), LIMIT_SECONDS)


def _checks(given: GivenSettings, propexo: Propexo, clock: Clock) -> Mapping[str, Check]:
    settings = given.settings
    url, no_database = _database(given)
    checks: dict[str, Check] = {
        "settings": lambda: setting_findings(given),
        "mappings": lambda: mapping_findings(given),
        "database": lambda: [no_database] if no_database else [],
        "propexo": lambda: propexo_findings(settings, propexo, url, clock),
        "web": lambda: web_findings(settings, url, clock),
        "status webhooks": lambda: receiver_findings(settings),
        "email": lambda: mail_findings(settings),
    }
    if url is not None:
        checks["database"] = lambda: database_findings(settings, url, clock)
        checks["work"] = lambda: work_findings(settings, url, clock)
    return checks


def _database(given: GivenSettings) -> tuple[str | None, Finding | None]:
    """Return the database's URL, or a finding that explains why none is available."""
    if given.settings.database_url is not None:
        return given.settings.database_url, None
    if any("DATABASE_URL" in text for text in given.faults):
        return None, None  # the fault is reported with the settings
    server = EmbeddedServer(given.settings.data_dir)
    if server.is_running():
        return server.url, None
    text = f"DATABASE_URL is not set, and the PostgreSQL in {server.folder} is not running"
    return None, fault("database", text, "pass your settings with --env-file, or start adapter run")
