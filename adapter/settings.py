"""The environment, read once into a frozen :class:`Settings`; all faults reported together."""

import dataclasses
import datetime as dt
import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from adapter.exceptions import ConfigurationError

#: How many proxies stand before us, or which networks they are in.
Proxies: TypeAlias = int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def read_url(text: str) -> str:
    """An address, without its trailing slash."""
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return text.rstrip("/")


def read_database_url(text: str) -> str:
    """PostgreSQL's address."""
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("must start with postgresql://")
    authority = text.partition("://")[2].partition("/")[0]
    if re.search(r"%(?![0-9A-Fa-f]{2})", text) or authority.count("@") > 1:
        raise ValueError("holds a % or an @ that must be percent-encoded: %25, %40")
    return text


def read_token(text: str) -> str:
    """A bearer token: what a header can hold."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("holds a character that no token has: copy it again")
    return text


def integer_between(low: int, high: int) -> Callable[[str], int]:
    """A whole number between these."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def seconds_between(low: float, high: float) -> Callable[[str], float]:
    """A number of seconds between these."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return value

    return read


def read_time_of_day(text: str) -> dt.time:
    """A time on the clock, as ``07:00``."""
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        raise ValueError("must be a time of day such as 07:00") from None


def read_log_level(text: str) -> str:
    """A level of the log."""
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise ValueError("must be one of " + ", ".join(levels))
    return text.upper()


def read_weights(text: str) -> Mapping[str, int]:
    """Reads ``rentfeed=3,website=1``."""
    table = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, _, weight = map(str.strip, pair.partition("="))
        if not name or not weight.isdecimal() or not 1 <= int(weight) <= 100:
            raise ValueError("must be pairs such as rentfeed=3, with weights from 1 to 100")
        table[name] = int(weight)
    return table


def read_emails(text: str) -> frozenset[str]:
    """E-mail addresses, parted by commas, in lower case."""
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())


def spelling_of(words: Sequence[str]) -> Callable[[str], Mapping[str, str]]:
    """Reads ``in_person=IN_PERSON,video=LIVE_VIDEO``, with these words on the left."""

    def read(text: str) -> Mapping[str, str]:
        table = {}
        for pair in filter(None, map(str.strip, text.split(","))):
            word, equals, spelling = map(str.strip, pair.partition("="))
            if not equals or not spelling or word not in words:
                raise ValueError(
                    f"must be pairs such as {words[0]}={words[0].upper()}, "
                    f"with words out of {', '.join(words)}"
                )
            table[word] = spelling
        return table

    return read


def read_proxies(text: str) -> Proxies:
    """A number of proxies (``1``), or the networks they are in (``10.0.0.0/8,fd00::/8``)."""
    if text.isascii() and text.isdigit() and int(text) <= 9:
        return int(text)
    try:
        return tuple(ipaddress.ip_network(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError("must be a number up to 9, or networks such as 10.0.0.0/8") from None


def read_users(text: str) -> Mapping[str, tuple[str, str]]:
    """Reads ``anna:operate:HASH,bob:read:HASH``, as ``adapter users add --print`` writes them."""
    table = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, rest = entry.partition(":")
        role, _, password = rest.partition(":")
        if not is_user_name(name) or role not in ROLES or not password.startswith("scrypt:"):
            raise ValueError("must be entries that `adapter users add --print` writes")
        table[name] = (role, password)
    return table


#: What people of the console may do: look, or also release, discard, replay and confirm.
ROLES = ("read", "operate")


def is_user_name(text: str) -> bool:
    """Whether somebody can be called so: letters, digits, ``.``, ``_`` and ``-``."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", text))


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
        read_database_url,
        "PostgreSQL 15 or newer. Unset: an embedded server under the data folder.",
    ),
    Variable("PORT", "port", integer_between(1, 65535), "Port of the web process."),
    Variable(
        "ADAPTER_HOST",
        "host",
        str,
        "Address it listens on. Unset: 127.0.0.1, or 0.0.0.0 where the platform sets PORT.",
    ),
    Variable(
        "PROPEXO_TOKEN",
        "propexo_token",
        read_token,
        "Bearer token of Propexo. Unset: `adapter run` books in the sandbox, and says so.",
    ),
    Variable(
        "PROPEXO_WEBHOOK_SECRET",
        "propexo_webhook_secret",
        str,
        "Secret of Propexo's own webhooks, taken at /propexo/webhooks. Unset: none are taken.",
    ),
    Variable("PROPEXO_BASE_URL", "propexo_base_url", read_url, "Where Propexo is."),
    Variable(
        "ADAPTER_DATA_DIR", "data_dir", Path, "Folder of the embedded server and of the demo."
    ),
    Variable(
        "ADAPTER_MAPPINGS_DIR", "mappings_dir", Path, "Folder of mappings and communities.yaml."
    ),
    Variable(
        "ADAPTER_PUBLIC_URL",
        "public_url",
        read_url,
        "Where senders reach the adapter. Needed by signatures that sign the address.",
    ),
    Variable(
        "ADAPTER_SANDBOX_PORT",
        "sandbox_port",
        integer_between(1, 65535),
        "Port of the sandbox.",
    ),
    Variable(
        "ADAPTER_MAX_BODY_BYTES",
        "max_body_bytes",
        integer_between(1024, 64 * 1024 * 1024),
        "A longer webhook is refused with 413.",
    ),
    Variable(
        "ADAPTER_TRUSTED_PROXIES",
        "trusted_proxies",
        read_proxies,
        "Number of proxies before the adapter, or their networks parted by commas. Heroku: 1.",
    ),
    Variable(
        "ADAPTER_ADDRESS_LIMIT_PER_MINUTE",
        "address_limit_per_minute",
        integer_between(1, 1_000_000),
        "Refused requests of one address before it gets 429, in each web process.",
    ),
    Variable(
        "ADAPTER_SOURCE_LIMIT_PER_MINUTE",
        "source_limit_per_minute",
        integer_between(1, 10_000_000),
        "Verified webhooks of one source before it gets 429, in each web process.",
    ),
    Variable(
        "ADAPTER_REJECTIONS_PER_SOURCE",
        "rejections_per_source",
        integer_between(1, 100_000),
        "Refused requests that are kept of each source. The oldest go first.",
    ),
    Variable(
        "ADAPTER_REJECTION_BYTES_PER_SOURCE",
        "rejection_bytes_per_source",
        integer_between(64 * 1024, 1024 * 1024 * 1024),
        "The same in bytes.",
    ),
    Variable(
        "ADAPTER_PROPEXO_TIMEOUT_SECONDS",
        "propexo_timeout_seconds",
        seconds_between(1, 120),
        "Longest wait for one answer of Propexo's. Later than that the outcome is unknown.",
    ),
    Variable(
        "ADAPTER_JOB_DEADLINE_SECONDS",
        "job_deadline_seconds",
        seconds_between(1, 86400),
        "How long Propexo's job may stay PENDING before the booking is given to a person.",
    ),
    Variable(
        "ADAPTER_RATE_PER_MINUTE",
        "rate_per_minute",
        integer_between(1, 100_000),
        "Calls to Propexo in any 60 seconds, of all workers together.",
    ),
    Variable(
        "ADAPTER_SOON_HOURS",
        "soon_hours",
        integer_between(0, 8760),
        "Tours that start within so many hours go out before all others.",
    ),
    Variable(
        "ADAPTER_NOTICE_MINUTES",
        "notice_minutes",
        integer_between(0, 1440),
        "A tour that starts in fewer minutes is not booked any more: it is `expired`.",
    ),
    Variable(
        "ADAPTER_PROSPECT_HOURS",
        "prospect_hours",
        integer_between(1, 8760),
        "A lead without a tour time is tried for so long; then it is `expired`.",
    ),
    Variable(
        "ADAPTER_SYNC_LAG_HOURS",
        "sync_lag_hours",
        integer_between(1, 240),
        "How far Propexo's lists may be behind Knock; so long an `unknown` booking is looked for.",
    ),
    Variable(
        "ADAPTER_PAYLOAD_DAYS",
        "payload_days",
        integer_between(1, 36500),
        "What was sent is erased so many days after it came, once its tours are over.",
    ),
    Variable(
        "ADAPTER_LEAD_DAYS",
        "lead_days",
        integer_between(1, 36500),
        "So is the renter's name, contact and notes; ids, states and times stay.",
    ),
    Variable(
        "ADAPTER_SOURCE_WEIGHTS",
        "source_weights",
        read_weights,
        "How much more often a source's bookings go out when many wait: rentfeed=3,website=1.",
    ),
    Variable(
        "ADAPTER_SHARED_CONTACTS",
        "policy.shared_contacts",
        read_emails,
        "E-mail addresses and phones (+13035550100), parted by commas, that many people share.",
    ),
    Variable(
        "ADAPTER_WORKER_CONCURRENCY",
        "worker_concurrency",
        integer_between(8, 64),
        "Tasks that one worker runs at a time.",
    ),
    Variable(
        "WEB_CONCURRENCY", "web_workers", integer_between(1, 64), "Processes of the web server."
    ),
    Variable(
        "ADAPTER_WEB_THREADS", "web_threads", integer_between(1, 64), "Threads of each of them."
    ),
    Variable(
        "ADAPTER_USERS",
        "users",
        read_users,
        "Who may sign in to the console, as `adapter users add NAME --print` writes them, parted "
        "by commas.",
    ),
    Variable(
        "ADAPTER_METRICS_TOKEN",
        "metrics_token",
        str,
        "Bearer token that opens /metrics. Unset: /metrics answers on its own machine only.",
    ),
    Variable("ADAPTER_LOG_LEVEL", "log_level", read_log_level, "DEBUG, INFO, WARNING or ERROR."),
    Variable(
        "ADAPTER_EARLIEST_TOUR",
        "policy.earliest_tour",
        read_time_of_day,
        "A tour that starts earlier on the community's clock is held.",
    ),
    Variable(
        "ADAPTER_LATEST_TOUR",
        "policy.latest_tour",
        read_time_of_day,
        "A tour that starts later on the community's clock is held.",
    ),
    Variable(
        "ADAPTER_HORIZON_DAYS",
        "policy.horizon_days",
        integer_between(1, 3660),
        "A tour further ahead is held.",
    ),
    Variable(
        "ADAPTER_PLACEHOLDER_EMAILS",
        "policy.placeholder_emails",
        read_emails,
        "E-mail addresses, parted by commas, that stand for none.",
    ),
    Variable(
        "ADAPTER_TOUR_TYPES",
        "policy.spellings.tour_type",
        spelling_of(NEUTRAL_WORDS["tour_type"]),
        "Propexo's spelling of tour types: in_person=…,self_guided=…,video=…. Unset: not sent.",
    ),
    Variable(
        "ADAPTER_FIRST_CONTACT_TYPES",
        "policy.spellings.first_contact_type",
        spelling_of(NEUTRAL_WORDS["first_contact_type"]),
        "The same for the first contact: internet=…,chat=…,call=…,email=…,sms=….",
    ),
    Variable(
        "ADAPTER_PETS",
        "policy.spellings.pets",
        spelling_of(NEUTRAL_WORDS["pets"]),
        "The same for pets: cat=…,small_dog=…,large_dog=….",
    ),
)

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
