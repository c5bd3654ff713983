"""The environment, read once into a frozen :class:`Settings`; all faults reported together."""

import dataclasses
import datetime as dt
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapter.exceptions import ConfigurationError

PROPEXO_URL = "https://api.propexo.com"

#: Our neutral words for Propexo's three enums whose values its published pages lack.
NEUTRAL_WORDS = {
    "first_contact_type": ("internet", "chat", "call", "email", "sms"),
    "pets": ("cat", "small_dog", "large_dog"),
    "tour_type": ("in_person", "self_guided", "video"),
}


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
    #: Neutral word → Propexo's spelling, per field. A word without a spelling is not sent.
    spellings: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything the environment decides. Durations are in seconds, sizes in bytes."""

    #: PostgreSQL's address; None: the embedded server under ``data_dir``.
    database_url: str | None = None
    data_dir: Path = Path("var")
    mappings_dir: Path = Path("mappings")
    #: The address that the web process listens on.
    host: str = "127.0.0.1"
    port: int = 8000
    #: Where senders reach us, without a trailing slash; None: as each request says.
    public_url: str | None = None
    #: None: the adapter runs against the sandbox.
    propexo_token: str | None = None
    propexo_base_url: str = PROPEXO_URL
    sandbox_port: int = 8001
    max_body_bytes: int = 1024 * 1024
    #: Longest wait for one answer of Propexo's, from the first byte sent to the last received.
    propexo_timeout_seconds: float = 20.0
    #: How long a job may stay PENDING before its booking is given to a person.
    job_deadline_seconds: float = 3600.0
    worker_concurrency: int = 8
    web_workers: int = 2
    web_threads: int = 8
    log_level: str = "INFO"
    policy: Policy = Policy()
    #: The environment, for the secrets that mappings name.
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, where it goes, how it is read, what it means."""

    name: str
    #: The field of :class:`Settings`; ``policy.<field>`` for one of :class:`Policy`.
    field: str
    read: Callable[[str], Any]
    meaning: str


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return text.rstrip("/")


def _database_url(text: str) -> str:
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("must start with postgresql://")
    return text


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return value

    return read


def _clock(text: str) -> dt.time:
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        raise ValueError("must be a time of day such as 07:00") from None


def _level(text: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise ValueError("must be one of " + ", ".join(levels))
    return text.upper()


def _emails(text: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())


def _spelling(field: str) -> Callable[[str], Mapping[str, str]]:
    """Reads ``in_person=IN_PERSON,video=LIVE_VIDEO``."""
    words = NEUTRAL_WORDS[field]

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


VARIABLES = (
    Variable(
        "DATABASE_URL",
        "database_url",
        _database_url,
        "PostgreSQL 13 or newer. Unset: an embedded server under the data folder.",
    ),
    Variable("PORT", "port", _integer(1, 65535), "Port of the web process."),
    Variable(
        "ADAPTER_HOST",
        "host",
        str,
        "Address it listens on. Unset: 127.0.0.1, or 0.0.0.0 where the platform sets PORT.",
    ),
    Variable(
        "PROPEXO_TOKEN",
        "propexo_token",
        str,
        "Bearer token of Propexo. Unset: `adapter run` books in the sandbox, and says so.",
    ),
    Variable("PROPEXO_BASE_URL", "propexo_base_url", _url, "Where Propexo is."),
    Variable(
        "ADAPTER_DATA_DIR", "data_dir", Path, "Folder of the embedded server and of the demo."
    ),
    Variable(
        "ADAPTER_MAPPINGS_DIR", "mappings_dir", Path, "Folder of mappings and communities.yaml."
    ),
    Variable(
        "ADAPTER_PUBLIC_URL",
        "public_url",
        _url,
        "Where senders reach the adapter. Needed by signatures that sign the address.",
    ),
    Variable("ADAPTER_SANDBOX_PORT", "sandbox_port", _integer(1, 65535), "Port of the sandbox."),
    Variable(
        "ADAPTER_MAX_BODY_BYTES",
        "max_body_bytes",
        _integer(1024, 64 * 1024 * 1024),
        "A longer webhook is refused with 413.",
    ),
    Variable(
        "ADAPTER_PROPEXO_TIMEOUT_SECONDS",
        "propexo_timeout_seconds",
        _seconds(1, 120),
        "Longest wait for one answer of Propexo's. Later than that the outcome is unknown.",
    ),
    Variable(
        "ADAPTER_JOB_DEADLINE_SECONDS",
        "job_deadline_seconds",
        _seconds(1, 86400),
        "How long Propexo's job may stay PENDING before the booking is given to a person.",
    ),
    Variable(
        "ADAPTER_WORKER_CONCURRENCY",
        "worker_concurrency",
        _integer(1, 64),
        "Tasks that one worker runs at a time.",
    ),
    Variable("WEB_CONCURRENCY", "web_workers", _integer(1, 64), "Processes of the web server."),
    Variable("ADAPTER_WEB_THREADS", "web_threads", _integer(1, 64), "Threads of each of them."),
    Variable("ADAPTER_LOG_LEVEL", "log_level", _level, "DEBUG, INFO, WARNING or ERROR."),
    Variable(
        "ADAPTER_EARLIEST_TOUR",
        "policy.earliest_tour",
        _clock,
        "A tour that starts earlier on the community's clock is held.",
    ),
    Variable(
        "ADAPTER_LATEST_TOUR",
        "policy.latest_tour",
        _clock,
        "A tour that starts later on the community's clock is held.",
    ),
    Variable(
        "ADAPTER_HORIZON_DAYS",
        "policy.horizon_days",
        _integer(1, 3660),
        "A tour further ahead is held.",
    ),
    Variable(
        "ADAPTER_PLACEHOLDER_EMAILS",
        "policy.placeholder_emails",
        _emails,
        "E-mail addresses, parted by commas, that stand for none.",
    ),
    Variable(
        "ADAPTER_TOUR_TYPES",
        "policy.spellings.tour_type",
        _spelling("tour_type"),
        "Propexo's spelling of tour types: in_person=…,self_guided=…,video=…. Unset: not sent.",
    ),
    Variable(
        "ADAPTER_FIRST_CONTACT_TYPES",
        "policy.spellings.first_contact_type",
        _spelling("first_contact_type"),
        "The same for the first contact: internet=…,chat=…,call=…,email=…,sms=….",
    ),
    Variable(
        "ADAPTER_PETS",
        "policy.spellings.pets",
        _spelling("pets"),
        "The same for pets: cat=…,small_dog=…,large_dog=….",
    ),
)


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
