"""The environment, read once into a frozen :class:`Settings`; all faults reported together."""

import dataclasses
import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapter.environment import Proxies
from adapter.exceptions import ConfigurationError
from adapter.variables import VARIABLES

PROPEXO_URL = "https://api.propexo.com"
#: The token that the sandbox takes when no other is set.
SANDBOX_TOKEN = "sandbox"  # noqa: S105 - it opens nothing


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What counts as plausible, for every source."""

    #: The region in which a phone number without a country code is read.
    phone_region: str = "US"
    #: A tour starts between these hours on the community's clock; else it is held.
    earliest_tour: dt.time = dt.time(7, 0)
    latest_tour: dt.time = dt.time(21, 0)
    #: A tour further ahead than this is held.
    horizon_days: int = 366
    #: E-mail addresses that stand for "none": treated as empty (they would merge strangers).
    placeholder_emails: frozenset[str] = frozenset(
        {"none@none.com", "noemail@noemail.com", "na@na.com", "test@test.com", "no@email.com"}
    )
    #: E-mail addresses and phones that many people share (a community's own, say): they tell
    #: nobody apart.
    shared_contacts: frozenset[str] = frozenset()
    #: Neutral word → Propexo's spelling, per field. A word without a spelling is not sent.
    spellings: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything the environment decides. Durations are in seconds, sizes in bytes."""

    #: PostgreSQL's address; None: the embedded server under ``data_dir``.
    database_url: str | None = dataclasses.field(default=None, repr=False)
    data_dir: Path = Path("var")
    mappings_dir: Path = Path("mappings")
    #: The address that the web process listens on.
    host: str = "127.0.0.1"
    port: int = 8000
    #: Where senders reach us, without a trailing slash; None: as each request says.
    public_url: str | None = None
    #: None: the adapter runs against the sandbox.
    propexo_token: str | None = dataclasses.field(default=None, repr=False)
    propexo_base_url: str = PROPEXO_URL
    #: Of the webhooks that Propexo sends us; None: none are taken.
    propexo_webhook_secret: str | None = dataclasses.field(default=None, repr=False)
    sandbox_port: int = 8001
    max_body_bytes: int = 1024 * 1024
    #: Whose word about the sender's address is taken; 0: nobody's.
    trusted_proxies: Proxies = 0
    #: Of one web process, for each address: requests that did not prove themselves.
    address_limit_per_minute: int = 300
    #: Of one web process, for each source: requests that did.
    source_limit_per_minute: int = 6000
    #: What is kept of refused requests, for each source.
    rejections_per_source: int = 200
    rejection_bytes_per_source: int = 4 * 1024 * 1024
    #: Longest wait for one answer of Propexo's, from the first byte sent to the last received.
    propexo_timeout_seconds: float = 20.0
    #: How long a job may stay PENDING before its booking is given to a person.
    job_deadline_seconds: float = 3600.0
    #: Calls to Propexo in any 60 seconds, of all workers together. Propexo allows 150, and slows
    #: down above 80 % of them.
    rate_per_minute: int = 120
    #: Tours that start within this go out before all others.
    soon_hours: int = 24
    #: A tour is not booked later than this before its start: it is expired, and a person calls.
    notice_minutes: int = 5
    #: A guest card that could not be made for so long is expired, and a person calls.
    prospect_hours: int = 72
    #: How far the lists that Propexo serves may be behind Knock.
    sync_lag_hours: int = 13
    #: What was sent to us and by us is erased so long after it came, once its tours are over.
    payload_days: int = 90
    #: The same for whom it was about: then only ids, states and times are left.
    lead_days: int = 730
    #: How much more often one source's bookings go out than another's; 1 where it is not named.
    source_weights: Mapping[str, int] = dataclasses.field(default_factory=dict)
    worker_concurrency: int = 12
    web_workers: int = 2
    web_threads: int = 8
    #: People of the console: name → (role, hash of the password). Others are in the database.
    users: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict, repr=False)
    #: What Prometheus shows to read /metrics; None: they are read on this machine only.
    metrics_token: str | None = dataclasses.field(default=None, repr=False)
    log_level: str = "INFO"
    policy: Policy = Policy()
    #: The environment, for the secrets that mappings name.
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def is_sandbox(self) -> bool:
        """Whether tours are booked in the sandbox, not in Knock."""
        return self.propexo_token in (None, SANDBOX_TOKEN)


def settings_from(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from environment variables.

    Raises :class:`ConfigurationError` with one line for each variable that cannot be read.
    Values are not quoted: some of them are secrets.
    """
    values: dict[str, Any] = {}
    faults = []
    for variable in VARIABLES:
        text = environ.get(variable.name, "").strip()
        if not text:
            continue
        try:
            values[variable.field] = variable.read(text)
        except ValueError as exc:
            faults.append(f"{variable.name} {exc}")
    if "port" in values:
        values.setdefault("host", "0.0.0.0")  # noqa: S104 - a platform that sets PORT routes to it
    known = {variable.name for variable in VARIABLES}
    faults += [
        f"{name} is not a setting of the adapter"
        for name in environ
        if name.startswith("ADAPTER_") and name not in known
    ]
    earliest = values.get("policy.earliest_tour", Policy().earliest_tour)
    if earliest >= values.get("policy.latest_tour", Policy().latest_tour):
        faults.append("ADAPTER_EARLIEST_TOUR must be before ADAPTER_LATEST_TOUR")
    if faults:
        raise ConfigurationError("\n".join(faults))
    return _assembled(values, environ)


def _assembled(values: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Settings out of ``{"port": …, "policy.earliest_tour": …, "policy.spellings.pets": …}``."""
    plain, policy, spellings = {}, {}, {}
    for field, value in values.items():
        if field.startswith("policy.spellings."):
            spellings[field.removeprefix("policy.spellings.")] = value
        elif field.startswith("policy."):
            policy[field.removeprefix("policy.")] = value
        else:
            plain[field] = value
    return Settings(**plain, policy=Policy(**policy, spellings=spellings), environ=dict(environ))
