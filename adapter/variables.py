"""Every environment variable of the adapter: its name, how it is read, what it means.

README's table of settings is made from this list.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapter import environment

#: Our neutral words for Propexo's three enums whose values its published pages lack.
NEUTRAL_WORDS = {
    "first_contact_type": ("internet", "chat", "call", "email", "sms"),
    "pets": ("cat", "small_dog", "large_dog"),
    "tour_type": ("in_person", "self_guided", "video"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, where it goes, how it is read, what it means."""

    name: str
    #: The field of ``Settings``; ``policy.<field>`` for one of ``Policy``.
    field: str
    read: Callable[[str], Any]
    meaning: str


VARIABLES = (
    Variable(
        "DATABASE_URL",
        "database_url",
        environment.database_url,
        "PostgreSQL 15 or newer. Unset: an embedded server under the data folder.",
    ),
    Variable("PORT", "port", environment.integer(1, 65535), "Port of the web process."),
    Variable(
        "ADAPTER_HOST",
        "host",
        str,
        "Address it listens on. Unset: 127.0.0.1, or 0.0.0.0 where the platform sets PORT.",
    ),
    Variable(
        "PROPEXO_TOKEN",
        "propexo_token",
        environment.token,
        "Bearer token of Propexo. Unset: `adapter run` books in the sandbox, and says so.",
    ),
    Variable(
        "PROPEXO_WEBHOOK_SECRET",
        "propexo_webhook_secret",
        str,
        "Secret of Propexo's own webhooks, taken at /propexo/webhooks. Unset: none are taken.",
    ),
    Variable("PROPEXO_BASE_URL", "propexo_base_url", environment.url, "Where Propexo is."),
    Variable(
        "ADAPTER_DATA_DIR", "data_dir", Path, "Folder of the embedded server and of the demo."
    ),
    Variable(
        "ADAPTER_MAPPINGS_DIR", "mappings_dir", Path, "Folder of mappings and communities.yaml."
    ),
    Variable(
        "ADAPTER_PUBLIC_URL",
        "public_url",
        environment.url,
        "Where senders reach the adapter. Needed by signatures that sign the address.",
    ),
    Variable(
        "ADAPTER_SANDBOX_PORT",
        "sandbox_port",
        environment.integer(1, 65535),
        "Port of the sandbox.",
    ),
    Variable(
        "ADAPTER_MAX_BODY_BYTES",
        "max_body_bytes",
        environment.integer(1024, 64 * 1024 * 1024),
        "A longer webhook is refused with 413.",
    ),
    Variable(
        "ADAPTER_TRUSTED_PROXIES",
        "trusted_proxies",
        environment.proxies,
        "Number of proxies before the adapter, or their networks parted by commas. Heroku: 1.",
    ),
    Variable(
        "ADAPTER_ADDRESS_LIMIT_PER_MINUTE",
        "address_limit_per_minute",
        environment.integer(1, 1_000_000),
        "Refused requests of one address before it gets 429, in each web process.",
    ),
    Variable(
        "ADAPTER_SOURCE_LIMIT_PER_MINUTE",
        "source_limit_per_minute",
        environment.integer(1, 10_000_000),
        "Verified webhooks of one source before it gets 429, in each web process.",
    ),
    Variable(
        "ADAPTER_REJECTIONS_PER_SOURCE",
        "rejections_per_source",
        environment.integer(1, 100_000),
        "Refused requests that are kept of each source. The oldest go first.",
    ),
    Variable(
        "ADAPTER_REJECTION_BYTES_PER_SOURCE",
        "rejection_bytes_per_source",
        environment.integer(64 * 1024, 1024 * 1024 * 1024),
        "The same in bytes.",
    ),
    Variable(
        "ADAPTER_PROPEXO_TIMEOUT_SECONDS",
        "propexo_timeout_seconds",
        environment.seconds(1, 120),
        "Longest wait for one answer of Propexo's. Later than that the outcome is unknown.",
    ),
    Variable(
        "ADAPTER_JOB_DEADLINE_SECONDS",
        "job_deadline_seconds",
        environment.seconds(1, 86400),
        "How long Propexo's job may stay PENDING before the booking is given to a person.",
    ),
    Variable(
        "ADAPTER_RATE_PER_MINUTE",
        "rate_per_minute",
        environment.integer(1, 100_000),
        "Calls to Propexo in any 60 seconds, of all workers together.",
    ),
    Variable(
        "ADAPTER_SOON_HOURS",
        "soon_hours",
        environment.integer(0, 8760),
        "Tours that start within so many hours go out before all others.",
    ),
    Variable(
        "ADAPTER_NOTICE_MINUTES",
        "notice_minutes",
        environment.integer(0, 1440),
        "A tour that starts in fewer minutes is not booked any more: it is `expired`.",
    ),
    Variable(
        "ADAPTER_PROSPECT_HOURS",
        "prospect_hours",
        environment.integer(1, 8760),
        "A lead without a tour time is tried for so long; then it is `expired`.",
    ),
    Variable(
        "ADAPTER_SYNC_LAG_HOURS",
        "sync_lag_hours",
        environment.integer(1, 240),
        "How far Propexo's lists may be behind Knock; so long an `unknown` booking is looked for.",
    ),
    Variable(
        "ADAPTER_PAYLOAD_DAYS",
        "payload_days",
        environment.integer(1, 36500),
        "What was sent is erased so many days after it came, once its tours are over.",
    ),
    Variable(
        "ADAPTER_LEAD_DAYS",
        "lead_days",
        environment.integer(1, 36500),
        "So is the renter's name, contact and notes; ids, states and times stay.",
    ),
    Variable(
        "ADAPTER_SOURCE_WEIGHTS",
        "source_weights",
        environment.weights,
        "How much more often a source's bookings go out when many wait: rentfeed=3,website=1.",
    ),
    Variable(
        "ADAPTER_SHARED_CONTACTS",
        "policy.shared_contacts",
        environment.emails,
        "E-mail addresses and phones (+13035550100), parted by commas, that many people share.",
    ),
    Variable(
        "ADAPTER_WORKER_CONCURRENCY",
        "worker_concurrency",
        environment.integer(8, 64),
        "Tasks that one worker runs at a time.",
    ),
    Variable(
        "WEB_CONCURRENCY", "web_workers", environment.integer(1, 64), "Processes of the web server."
    ),
    Variable(
        "ADAPTER_WEB_THREADS", "web_threads", environment.integer(1, 64), "Threads of each of them."
    ),
    Variable(
        "ADAPTER_USERS",
        "users",
        environment.users,
        "Who may sign in to the console, as `adapter users add NAME --print` writes them, parted "
        "by commas.",
    ),
    Variable(
        "ADAPTER_METRICS_TOKEN",
        "metrics_token",
        str,
        "Bearer token that opens /metrics. Unset: /metrics answers on its own machine only.",
    ),
    Variable(
        "ADAPTER_LOG_LEVEL", "log_level", environment.log_level, "DEBUG, INFO, WARNING or ERROR."
    ),
    Variable(
        "ADAPTER_EARLIEST_TOUR",
        "policy.earliest_tour",
        environment.time_of_day,
        "A tour that starts earlier on the community's clock is held.",
    ),
    Variable(
        "ADAPTER_LATEST_TOUR",
        "policy.latest_tour",
        environment.time_of_day,
        "A tour that starts later on the community's clock is held.",
    ),
    Variable(
        "ADAPTER_HORIZON_DAYS",
        "policy.horizon_days",
        environment.integer(1, 3660),
        "A tour further ahead is held.",
    ),
    Variable(
        "ADAPTER_PLACEHOLDER_EMAILS",
        "policy.placeholder_emails",
        environment.emails,
        "E-mail addresses, parted by commas, that stand for none.",
    ),
    Variable(
        "ADAPTER_TOUR_TYPES",
        "policy.spellings.tour_type",
        environment.spelling(NEUTRAL_WORDS["tour_type"]),
        "Propexo's spelling of tour types: in_person=…,self_guided=…,video=…. Unset: not sent.",
    ),
    Variable(
        "ADAPTER_FIRST_CONTACT_TYPES",
        "policy.spellings.first_contact_type",
        environment.spelling(NEUTRAL_WORDS["first_contact_type"]),
        "The same for the first contact: internet=…,chat=…,call=…,email=…,sms=….",
    ),
    Variable(
        "ADAPTER_PETS",
        "policy.spellings.pets",
        environment.spelling(NEUTRAL_WORDS["pets"]),
        "The same for pets: cat=…,small_dog=…,large_dog=….",
    ),
)
