"""Declare all environment variables with their types, defaults, parsers and descriptions.

:func:`settings_from` reads them into a frozen :class:`Settings` and reports all errors at once.
"""

# ruff: noqa: RUF009 - setting() declares a field

import base64
import dataclasses
import datetime as dt
import errno
import ipaddress
import os
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from adapter.exceptions import ConfigurationError

#: Number of trusted proxies in front of the adapter, or their networks.
Proxies: TypeAlias = int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

#: Trust no proxy.
NO_PROXIES: Proxies = 0

PROPEXO_URL = "https://api.propexo.com"

#: The token that the sandbox accepts by default.
SANDBOX_TOKEN = "sandbox"  # noqa: S105 - it does not give access to anything real

#: If this replaces the newest key, new requests are not encrypted, and stored ones are decrypted.
ENCRYPTION_OFF = "off"

#: Roles of console users. `operate` may also release, discard, replay and confirm.
ROLES = ("read", "operate")

#: Our own words for the values of Propexo's three enums, which Propexo does not publish.
NEUTRAL_WORDS = {
    "first_contact_type": ("internet", "chat", "call", "email", "sms"),
    "pets": ("cat", "small_dog", "large_dog"),
    "tour_type": ("in_person", "self_guided", "video"),
}

#: Email addresses that mean "none". If they were kept, many people would look like one person.
PLACEHOLDER_EMAILS = frozenset(
    {"none@none.com", "noemail@noemail.com", "na@na.com", "test@test.com", "no@email.com"}
    | {"test@fb.com", "test@meta.com"}  # from Meta's test leads
)

#: Characters that may surround a value by accident: whitespace and a byte order mark.
BLANKS = " \t\r\n\v\f\u00a0\u200b\ufeff"
#: A variable that names a file with settings, and the file to read if the variable is not set.
ENV_FILE = "ADAPTER_ENV_FILE"
DEFAULT_ENV_FILE = Path("/etc/knock-lead-adapter/env")
#: Variables that Kubernetes sets in every container for a service named `adapter` or `adapter-…`.
_SERVICE = r"(ADAPTER|PROPEXO)(_[A-Z0-9]+)*_"
SERVICE_LINK = re.compile(
    _SERVICE + r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_[A-Z]+_(PROTO|PORT|ADDR))"
)
#: Variables whose value is a URL, unlike a misspelled PORT.
SERVICE_LINK_URL = re.compile(_SERVICE + r"PORT(_\d+_[A-Z]+)?")
#: A variable with this suffix contains the path of a file with a secret.
FILE_SUFFIX = "_FILE"
MAX_SECRET_BYTES = 64 * 1024
#: Warning for a secret that is surrounded by these characters or quotes.
UNTRIMMED = (
    "has whitespace or quotes around its value, which are ignored; remove the extra characters"
)

T = TypeVar("T")
#: Parses a value. Raises ValueError with a message that does not quote the value.
Reader: TypeAlias = Callable[[str], T]


def trimmed(text: str) -> str:
    """Strip the whitespace and quotes that surround a string."""
    text = text.strip(BLANKS)
    is_quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip(BLANKS) if is_quoted else text


def untrimmed(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the names of variables whose values are surrounded by whitespace or quotes.

    The line break at the end of a file does not count.
    """
    values = {name: environ.get(name, "") for name in names}
    ends = {name: "\r\n" if name + FILE_SUFFIX in environ else "" for name in values}
    return [name for name, value in values.items() if value.rstrip(ends[name]) != trimmed(value)]


class Environment(Mapping[str, str]):
    """The environment variables. If ``NAME_FILE`` is set, ``NAME`` is read from that file.

    A file is read when its value is first needed. If a file cannot be read again after
    :meth:`reread`, its old value is kept so that a running process does not lose a secret.
    """

    def __init__(self, variables: Mapping[str, str], former: Mapping[str, str] = {}) -> None:
        self._variables = dict(variables)
        self._former = former
        self._values: dict[str, str] = {}
        #: Errors in secret files whose old values are still in use.
        self.problems: list[str] = []

    def __getitem__(self, name: str) -> str:
        """Return a variable's value. Raise ConfigurationError if its file cannot be read."""
        if not self._variables.get(name + FILE_SUFFIX, "").strip():
            return self._variables[name]
        if name not in self._values:
            self._values[name] = self._value_from_file(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def reread(self) -> "Environment":
        """Return a copy of the environment that reads all secret files from disk again."""
        return Environment(self._variables, {**self._former, **self._values})

    def _value_from_file(self, name: str) -> str:
        try:
            if self._variables.get(name, "").strip():
                raise ConfigurationError(f"{name} and {name}{FILE_SUFFIX} are both set; remove one")
            return _content_of(self._variables[name + FILE_SUFFIX], name + FILE_SUFFIX)
        except ConfigurationError as exc:
            if name not in self._former:
                raise
            self.problems.append(f"{exc}; the old value stays in use")
            return self._former[name]


def replaced(environ: Mapping[str, str], **values: str) -> dict[str, str]:
    """Return a copy of an environment with new values, which take precedence over files."""
    kept = {
        name: text for name, text in environ.items() if name.removesuffix(FILE_SUFFIX) not in values
    }
    return kept | values


def _content_of(path: str, name: str) -> str:
    """Return the text of a secret file. Errors omit its path, because it may be the secret."""
    try:
        if Path(path.strip()).exists() and not Path(path.strip()).is_file():
            raise OSError(errno.EINVAL, "not a regular file")  # a pipe would block
        with Path(path.strip()).open("rb") as file:
            text = file.read(MAX_SECRET_BYTES + 1).decode()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
        raise ConfigurationError(f"{name} names a file that cannot be read: {reason}") from None
    if not text.strip() or len(text) > MAX_SECRET_BYTES:
        raise ConfigurationError(f"{name} names a file that is empty or larger than 64 kB")
    return text


def read_url(text: str) -> str:
    """Parse an HTTP or HTTPS URL, and return it without a trailing slash."""
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return text.rstrip("/")


def read_private_url(text: str) -> str:
    """Parse a URL. Raise ValueError unless it uses HTTPS or points to this machine."""
    url = read_url(text)
    if is_unencrypted(url):
        raise ValueError("must start with https://, except to this machine")
    return url


def is_unencrypted(url: str) -> bool:
    """Return True if the URL uses unencrypted HTTP to another machine."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")


def read_database_url(text: str) -> str:
    """Parse a PostgreSQL connection URL. Raise ValueError if it is invalid."""
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("must start with postgresql://")
    authority = text.partition("://")[2].partition("/")[0]
    if re.search(r"%(?![0-9A-Fa-f]{2})", text) or authority.count("@") > 1:
        raise ValueError("contains a % or @ that must be percent-encoded as %25 or %40")
    return text


def read_token(text: str) -> str:
    """Parse a bearer token. Raise ValueError if it is not allowed in an HTTP header."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("contains a character that tokens cannot have; copy it again")
    return text


def read_long_token(text: str) -> str:
    """Parse a bearer token. Raise ValueError if it has fewer than 20 characters."""
    if len(text) < 20:
        raise ValueError("must have at least 20 characters, such as from `openssl rand -hex 32`")
    return read_token(text)


def integer(low: int, high: int) -> Reader[int]:
    """Return a parser for whole numbers from ``low`` to ``high``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def seconds(low: float, high: float) -> Reader[float]:
    """Return a parser for a duration of ``low`` to ``high`` seconds."""

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
    """Parse a time of day such as ``07:00``."""
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        raise ValueError("must be a time of day such as 07:00") from None


def read_log_level(text: str) -> str:
    """Parse the name of a log level, and return it in upper case."""
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise ValueError("must be one of " + ", ".join(levels))
    return text.upper()


def read_weights(text: str) -> Mapping[str, int]:
    """Parse the weights of sources, such as ``rentfeed=3,website=1``."""
    weights = {}
    for pair in _items(text):
        name, _, weight = map(str.strip, pair.partition("="))
        if not name or not weight.isdecimal() or not 1 <= int(weight) <= 100:
            raise ValueError("must be pairs such as rentfeed=3, with weights from 1 to 100")
        weights[name] = int(weight)
    return weights


def read_flag(text: str) -> bool:
    """Parse ``yes`` or ``no``."""
    if text.lower() not in ("yes", "no"):
        raise ValueError("must be yes or no")
    return text.lower() == "yes"


def read_contacts(text: str) -> frozenset[str]:
    """Parse comma-separated email addresses and phone numbers, and return them in lower case."""
    return frozenset(map(str.lower, _items(text)))


def spelling_of(field: str) -> Reader[Mapping[str, str]]:
    """Return a parser for ``word=SPELLING`` pairs. Each word must be valid for ``field``."""
    words = NEUTRAL_WORDS[field]

    def read(text: str) -> Mapping[str, str]:
        spellings = {}
        for pair in _items(text):
            word, _, spelling = map(str.strip, pair.partition("="))
            if not spelling or word not in words:
                raise ValueError(
                    f"must be pairs such as {words[0]}={words[0].upper()}, "
                    f"with words from {', '.join(words)}"
                )
            spellings[word] = spelling
        return spellings

    return read


def read_proxies(text: str) -> Proxies:
    """Parse a proxy count (``1``) or a list of networks (``10.0.0.0/8,fd00::/8``)."""
    if text.isascii() and text.isdigit() and int(text) <= 9:
        return int(text)
    try:
        return tuple(ipaddress.ip_network(item.strip()) for item in text.split(","))
    except ValueError:
        raise ValueError("must be a number up to 9, or networks such as 10.0.0.0/8") from None


def read_users(text: str) -> Mapping[str, tuple[str, str]]:
    """Parse console users, such as ``anna:operate:HASH,bob:read:HASH``."""
    users = {}
    for entry in _items(text):
        name, _, rest = entry.partition(":")
        role, _, password = rest.partition(":")
        if not is_user_name(name) or role not in ROLES or not password.startswith("scrypt:"):
            raise ValueError("must be entries printed by `adapter users add --print`")
        users[name] = (role, password)
    return users


def read_signing_secrets(text: str) -> tuple[str, ...]:
    """Parse comma-separated signing secrets in the Standard Webhooks format (``whsec_…``)."""
    secrets = tuple(_items(text))
    sizes = [_size_of(one.removeprefix("whsec_")) for one in secrets if one.startswith("whsec_")]
    if len(sizes) != len(secrets) or not all(24 <= size <= 64 for size in sizes):
        raise ValueError("must be whsec_ followed by 24 to 64 bytes in base64")
    return secrets


def read_encryption_keys(text: str) -> tuple[str, ...]:
    """Parse base64-encoded 32-byte keys, newest first. The first entry may be ``off``."""
    keys = tuple(_items(text))
    if any(not _is_key(key) for key in keys[keys[:1] == (ENCRYPTION_OFF,) :]):
        raise ValueError("must be keys printed by `adapter encryption key`, separated by commas")
    return keys


def read_alarm_urls(text: str) -> tuple[str, ...]:
    """Parse comma-separated Apprise URLs, such as ``slack://…``. A URL may contain commas."""
    urls = tuple(
        filter(None, (url.strip() for url in re.split(r",(?=\s*(?:[a-z][a-z0-9]*://|$))", text)))
    )
    if not all(re.fullmatch(r"[a-z][a-z0-9]*://\S+", url) for url in urls):
        raise ValueError("must be URLs such as mailtos://… or slack://…, separated by commas")
    return urls


def read_smtp_url(text: str) -> str:
    """Parse an SMTP server's URL, including the sender address for emails."""
    parts = urllib.parse.urlsplit(text)
    sender = urllib.parse.parse_qs(parts.query).get("from", [""])[0]
    is_address = re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", sender)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or not is_address:
        raise ValueError("must be smtps://USER:PASSWORD@HOST?from=ADDRESS, or smtp:// for STARTTLS")
    _ = parts.port  # it raises ValueError if it is not a number
    return text


def _is_key(text: str) -> bool:
    return _size_of(text, altchars="-_") == 32


def _size_of(text: str, altchars: str | None = None) -> int:
    """Return the number of bytes that a base64 string encodes, or 0 if it is not valid base64."""
    try:
        return len(base64.b64decode(text, altchars=altchars, validate=True))
    except ValueError:
        return 0


def is_user_name(text: str) -> bool:
    """Return True if the text is a valid username: 1 to 60 letters, digits or ``._-``."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", text))


def _items(text: str) -> Iterator[str]:
    return filter(None, map(str.strip, text.split(",")))


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One of the adapter's environment variables, with its default, parser and description."""

    name: str
    default: Any
    read: Reader[Any]
    meaning: str
    #: True if the value may be in a file.
    is_secret: bool

    @property
    def default_text(self) -> str:
        """The default value as written in an environment variable, or an empty string."""
        if isinstance(self.default, frozenset):
            return ",".join(sorted(self.default))
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        if isinstance(self.default, dt.time):
            return f"{self.default:%H:%M}"
        return "" if self.default in (None, {}, ()) else str(self.default)


def setting(name: str, default: T, read: Reader[T], meaning: str, *, secret: bool = False) -> T:
    """Declare a dataclass field whose value comes from an environment variable."""
    return dataclasses.field(
        default_factory=lambda: default,
        repr=not secret,
        metadata={"setting": Setting(name, default, read, meaning, secret)},
    )


# fmt: off


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Rules for checking leads, used for all sources."""

    #: The region for phone numbers without a country code.
    phone_region: str = "US"
    earliest_tour: dt.time = setting("ADAPTER_EARLIEST_TOUR", dt.time(7, 0), read_time_of_day,
        "Tours that start before this time of day, in the community's time zone, are held.")
    latest_tour: dt.time = setting("ADAPTER_LATEST_TOUR", dt.time(21, 0), read_time_of_day,
        "Tours that start after this time of day, in the community's time zone, are held.")
    horizon_days: int = setting("ADAPTER_HORIZON_DAYS", 366, integer(1, 3660),
        "Tours that are more than this many days ahead are held.")
    placeholder_emails: frozenset[str] = setting(
        "ADAPTER_PLACEHOLDER_EMAILS", PLACEHOLDER_EMAILS, read_contacts,
        "Comma-separated email addresses that are treated as missing.")
    shared_contacts: frozenset[str] = setting("ADAPTER_SHARED_CONTACTS", frozenset(), read_contacts,
        "Comma-separated email addresses and phone numbers (+13035550100) that many people share. "
        "The adapter does not use them to identify a person.")
    tour_types: Mapping[str, str] = setting("ADAPTER_TOUR_TYPES", {}, spelling_of("tour_type"),
        "Propexo's spelling of tour types: in_person=…,self_guided=…,video=…. If unset, the tour "
        "type goes into the notes.")
    first_contact_types: Mapping[str, str] = setting(
        "ADAPTER_FIRST_CONTACT_TYPES", {}, spelling_of("first_contact_type"),
        "Propexo's spelling of first contact types: internet=…,chat=…,call=…,email=…,sms=…. If "
        "unset, the first contact type goes into the notes.")
    pets: Mapping[str, str] = setting("ADAPTER_PETS", {}, spelling_of("pets"),
        "Propexo's spelling of pets: cat=…,small_dog=…,large_dog=…. If unset, the renter's pets go "
        "into the notes.")

    @property
    def spellings(self) -> Mapping[str, Mapping[str, str]]:
        """Propexo's spelling of each of the adapter's enum values, keyed by field."""
        return {
            "tour_type": self.tour_types,
            "first_contact_type": self.first_contact_types,
            "pets": self.pets,
        }


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings from the environment. Durations are in seconds and sizes in bytes."""

    database_url: str | None = setting("DATABASE_URL", None, read_database_url,
        "URL of a database on PostgreSQL 15 or newer. If unset, an embedded server is used.",
        secret=True)
    port: int = setting("PORT", 8000, integer(1, 65535), "Port on which the web process listens.")
    host: str = setting("ADAPTER_HOST", "127.0.0.1", str,
        "Address on which the web process listens. The default is 0.0.0.0 for `adapter web` with "
        "PORT set, and 127.0.0.1 otherwise.")
    propexo_token: str | None = setting("PROPEXO_TOKEN", None, read_token,
        "Bearer token for Propexo. With the token `sandbox`, `adapter run` books in its own "
        "sandbox. Without a token, `adapter run` also uses the sandbox, unless DATABASE_URL is set "
        "or tours have been booked in Knock.",
        secret=True)
    propexo_webhook_secret: str | None = setting("PROPEXO_WEBHOOK_SECRET", None, str,
        "Secret for the webhooks that Propexo sends to /propexo/webhooks. If unset, these webhooks "
        "are rejected.",
        secret=True)
    propexo_base_url: str = setting("PROPEXO_BASE_URL", PROPEXO_URL, read_url,
        "URL of Propexo's API. The URL must use HTTPS, except on this machine or with "
        "`PROPEXO_TOKEN=sandbox`.")
    data_dir: Path = setting("ADAPTER_DATA_DIR", Path("var"), Path,
        "Data folder of the embedded PostgreSQL server and the demo.")
    mappings_dir: Path = setting("ADAPTER_MAPPINGS_DIR", Path("mappings"), Path,
        "Folder that contains the mappings and communities.yaml.")
    mappings_from_files_only: bool = setting(
        "ADAPTER_MAPPINGS_FROM_FILES_ONLY", False, read_flag,  # noqa: FBT003 - its default
        "Set to `yes` if mappings are changed only in their files, for example in git. With `yes`, "
        "the console offers a patch instead of saving a mapping.")
    public_url: str | None = setting("ADAPTER_PUBLIC_URL", None, read_url,
        "URL at which senders reach the adapter. This setting is required for signatures that "
        "cover the URL.")
    sandbox_port: int = setting("ADAPTER_SANDBOX_PORT", 8001, integer(1, 65535),
        "Port on which the sandbox listens.")
    max_body_bytes: int = setting("ADAPTER_MAX_BODY_BYTES", 1024**2, integer(1024, 64 * 1024**2),
        "Maximum size of a webhook in bytes. Larger webhooks are rejected with 413.")
    trusted_proxies: Proxies = setting("ADAPTER_TRUSTED_PROXIES", NO_PROXIES, read_proxies,
        "Number of trusted proxies, or their comma-separated networks. 0 trusts none. On Heroku, "
        "use 1.")
    address_limit_per_minute: int = setting(
        "ADAPTER_ADDRESS_LIMIT_PER_MINUTE", 300, integer(1, 1_000_000),
        "Maximum number of rejected requests per minute from an IP address, per web process. "
        "Requests over the limit get a 429.")
    source_limit_per_minute: int = setting(
        "ADAPTER_SOURCE_LIMIT_PER_MINUTE", 6000, integer(1, 10_000_000),
        "Maximum number of verified webhooks per minute from a source, per web process. Webhooks "
        "over the limit get a 429.")
    rejections_per_source: int = setting("ADAPTER_REJECTIONS_PER_SOURCE", 200, integer(1, 100_000),
        "Maximum number of rejected requests kept per source. The oldest requests are deleted "
        "first.")
    rejection_bytes_per_source: int = setting(
        "ADAPTER_REJECTION_BYTES_PER_SOURCE", 4 * 1024**2, integer(64 * 1024, 1024**3),
        "Maximum size in bytes of the rejected requests kept per source.")
    #: Measured from the first byte sent to the last byte received.
    propexo_timeout_seconds: float = setting(
        "ADAPTER_PROPEXO_TIMEOUT_SECONDS", 20.0, seconds(1, 120),
        "Timeout for a request to Propexo. After a timeout, the outcome of the request is unknown.")
    fetch_private: bool = setting(
        "ADAPTER_FETCH_PRIVATE", False, read_flag,  # noqa: FBT003 - its default
        "Set to `yes` to let `fetch:` in a mapping read from hosts with private IP addresses.")
    job_deadline_seconds: float = setting("ADAPTER_JOB_DEADLINE_SECONDS", 3600.0, seconds(1, 86400),
        "Maximum time that a Propexo job may stay PENDING. If the job stays PENDING longer, the "
        "booking becomes `unknown`.")
    #: Propexo allows 150 requests, and slows down above 80% of that.
    rate_per_minute: int = setting("ADAPTER_RATE_PER_MINUTE", 120, integer(1, 100_000),
        "Maximum number of requests to Propexo in any 60 seconds, for all workers combined.")
    soon_hours: int = setting("ADAPTER_SOON_HOURS", 24, integer(0, 8760),
        "Tours that start within this many hours are sent before all other bookings.")
    notice_minutes: int = setting("ADAPTER_NOTICE_MINUTES", 5, integer(0, 1440),
        "A tour that starts in less than this many minutes is not sent and becomes `expired`.")
    prospect_hours: int = setting("ADAPTER_PROSPECT_HOURS", 72, integer(1, 8760),
        "A guest card is retried for this many hours and then becomes `expired`.")
    sync_lag_hours: int = setting("ADAPTER_SYNC_LAG_HOURS", 13, integer(1, 240),
        "Number of hours that Propexo's lists may lag behind Knock. The adapter searches for "
        "an `unknown` booking for this long.")
    payload_days: int = setting("ADAPTER_PAYLOAD_DAYS", 90, integer(1, 36500),
        "Payloads are deleted after this many days, but never before the tour is over.")
    lead_days: int = setting("ADAPTER_LEAD_DAYS", 730, integer(1, 36500),
        "Names, contact details and notes are deleted after this many days. IDs, states and times "
        "are kept.")
    source_weights: Mapping[str, int] = setting("ADAPTER_SOURCE_WEIGHTS", {}, read_weights,
        "Weight of each source when bookings are sent, such as rentfeed=3,website=1. The default "
        "weight is 1.")
    worker_concurrency: int = setting("ADAPTER_WORKER_CONCURRENCY", 12, integer(8, 64),
        "Number of threads per worker. Six threads send bookings, and the others map webhooks and "
        "check bookings.")
    web_workers: int = setting("WEB_CONCURRENCY", 2, integer(1, 64),
        "Number of web server processes.")
    web_threads: int = setting("ADAPTER_WEB_THREADS", 8, integer(1, 64),
        "Number of threads per web server process.")
    #: Role and password hash by name. There may be more users in the database.
    users: Mapping[str, tuple[str, str]] = setting("ADAPTER_USERS", {}, read_users,
        "Comma-separated console users, as printed by `adapter users add NAME --print`.",
        secret=True)
    metrics_token: str | None = setting("ADAPTER_METRICS_TOKEN", None, str,
        "Bearer token for /metrics. If unset, /metrics is closed.", secret=True)
    api_token: str | None = setting("ADAPTER_API_TOKEN", None, read_long_token,
        "Bearer token for /api, with at least 20 characters. This token gives access to all leads "
        "and their personal data. If unset, /api is closed.", secret=True)
    status_webhook_url: str | None = setting("ADAPTER_STATUS_WEBHOOK_URL", None, read_private_url,
        "URL that receives a signed webhook when a lead is booked, needs review, fails or is "
        "canceled. The URL must use HTTPS, except on this machine. If unset, no status webhooks "
        "are sent.")
    status_webhook_secrets: tuple[str, ...] = setting(
        "ADAPTER_STATUS_WEBHOOK_SECRET", (), read_signing_secrets,
        "Secret that signs the status webhooks: `whsec_` and 24 to 64 base64-encoded bytes. To "
        "change the secret, set the new and the old one, separated by a comma.", secret=True)
    encryption_keys: tuple[str, ...] = setting(
        "ADAPTER_ENCRYPTION_KEYS", (), read_encryption_keys,
        "Comma-separated keys that encrypt stored requests, newest first, as printed by "
        "`adapter encryption key`. If unset, requests are not encrypted.", secret=True)
    alarms: tuple[str, ...] = setting("ADAPTER_ALARMS", (), read_alarm_urls,
        "Comma-separated Apprise URLs of the services that notify people of problems, such as "
        "mailtos://…, slack://… or pagerduty://…. If unset, no one is notified.",
        secret=True)
    smtp_url: str | None = setting("ADAPTER_SMTP_URL", None, read_smtp_url,
        "SMTP server for emailing renters a link to choose a tour time (`without_time: invite`). "
        "Use `smtps://USER:PASSWORD@HOST?from=ADDRESS`, or `smtp://…` for STARTTLS. STARTTLS is "
        "required except on this machine. ADAPTER_PUBLIC_URL must also be set. If unset, no emails "
        "are sent.",
        secret=True)
    allow_newer_database: bool = setting("ADAPTER_ALLOW_NEWER_DATABASE", False, read_flag,  # noqa: FBT003 - its default
        "Set to `yes` after a rollback so that the older version's worker can use a database that "
        "a newer version migrated.")
    traces_url: str | None = setting("ADAPTER_TRACES_URL", None, read_url,
        "URL of an OpenTelemetry collector that receives traces by OTLP over HTTP, such as "
        "http://localhost:4318/v1/traces. This setting requires the `otel` extra. If unset, no "
        "traces are sent.")
    log_level: str = setting("ADAPTER_LOG_LEVEL", "INFO", read_log_level,
        "Minimum level of log lines: DEBUG, INFO, WARNING or ERROR.")
    policy: Policy = Policy()
    #: The environment, for secrets named in mappings.
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def reread(self) -> "Settings":
        """Reread all secret files and return new settings. Raise ConfigurationError on errors."""
        environ = self.environ
        return settings_from(environ.reread() if isinstance(environ, Environment) else environ)

    @property
    def problems(self) -> list[str]:
        """Errors in secret files whose previous values are still in use."""
        return self.environ.problems if isinstance(self.environ, Environment) else []

    @property
    def is_sandbox(self) -> bool:
        """True if tours are booked in the sandbox rather than in Knock."""
        return self.propexo_token in (None, SANDBOX_TOKEN)

    @property
    def knock_host(self) -> str | None:
        """The host of the API that books tours in Knock, or None for the sandbox."""
        return None if self.is_sandbox else urllib.parse.urlsplit(self.propexo_base_url).hostname

    @property
    def own_sandbox_url(self) -> str | None:
        """The URL of this installation's own sandbox, or None if it does not run one."""
        is_other = self.propexo_token is not None and self.propexo_base_url != PROPEXO_URL
        if is_other or not self.is_sandbox:
            return None
        return f"http://127.0.0.1:{self.sandbox_port}"


# fmt: on


def _declared(owner: type[Settings | Policy]) -> Mapping[str, Setting]:
    return {
        field.name: field.metadata["setting"]
        for field in dataclasses.fields(owner)
        if field.metadata
    }


_OF_SETTINGS, _OF_POLICY = _declared(Settings), _declared(Policy)
#: All environment variables of the adapter.
SETTINGS = (*_OF_SETTINGS.values(), *_OF_POLICY.values())
#: The environment variables that contain a secret.
SECRET_NAMES = tuple(each.name for each in SETTINGS if each.is_secret)


def settings_from(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings from environment variables.

    Raise :class:`ConfigurationError` with one line per error if any value is invalid. The message
    does not quote values, because some are secrets.
    """
    settings, faults = read_settings(environ)
    if faults:
        raise ConfigurationError("\n".join(faults))
    return settings


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings and a list of errors. Invalid settings keep their defaults."""
    if not isinstance(environ, Environment):
        environ = Environment(environ)
    faults: list[str] = []
    values, policy = (_read(group, environ, faults) for group in (_OF_SETTINGS, _OF_POLICY))
    if "port" in values:
        values.setdefault("host", "0.0.0.0")  # noqa: S104 - a platform that sets PORT routes to it
    faults += [
        f"{name} is not a setting; check the spelling"
        for name in _unknown(environ)
        if not _is_service_link(name, environ)
    ]
    settings = Settings(**values, policy=Policy(**policy), environ=environ)
    if settings.policy.earliest_tour >= settings.policy.latest_tour:
        faults.append("ADAPTER_EARLIEST_TOUR must be before ADAPTER_LATEST_TOUR")
    if settings.status_webhook_url and not settings.status_webhook_secrets:
        faults.append("ADAPTER_STATUS_WEBHOOK_URL also needs ADAPTER_STATUS_WEBHOOK_SECRET")
    if is_unencrypted(settings.propexo_base_url) and not settings.is_sandbox:
        faults.append(
            "PROPEXO_BASE_URL must start with https:// so that PROPEXO_TOKEN is encrypted"
        )
    return settings, faults


def service_links(environ: Mapping[str, str]) -> list[str]:
    """Return the environment variables set by Kubernetes that look like the adapter's settings."""
    return [name for name in _unknown(environ) if _is_service_link(name, environ)]


def _unknown(environ: Mapping[str, str]) -> list[str]:
    """Return the environment variables that look like settings but are unknown."""
    known = {each.name for each in SETTINGS} | {name + FILE_SUFFIX for name in SECRET_NAMES}
    return [
        name
        for name in environ
        if name.startswith(("ADAPTER_", "PROPEXO_")) and name not in known | {ENV_FILE}
    ]


def _is_service_link(name: str, environ: Mapping[str, str]) -> bool:
    is_url = bool(SERVICE_LINK_URL.fullmatch(name)) and "://" in environ[name]
    return is_url or bool(SERVICE_LINK.fullmatch(name))


@dataclasses.dataclass(frozen=True, slots=True)
class EnvFile:
    """The settings file that a command reads, with the names of the variables in the file."""

    path: Path | None
    names: frozenset[str]


def name_connections(part: str) -> None:
    """Set the application name that PostgreSQL shows for this process's connections.

    A name that was set elsewhere is kept. A name that our parent process has set is replaced.
    """
    if os.environ.get("PGAPPNAME", "adapter").startswith("adapter"):
        os.environ["PGAPPNAME"] = f"adapter {part}"


def read_env_file(file: Path, environ: MutableMapping[str, str]) -> None:
    """Add a file's NAME=value lines to the environment. Existing variables take precedence."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"cannot read {file}: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8 text; save it as UTF-8") from None
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            environ.setdefault(name.strip(), trimmed(value))


def _read(
    declared: Mapping[str, Setting], environ: Environment, faults: list[str]
) -> dict[str, Any]:
    """Return the parsed values that are set, keyed by field. Append errors to ``faults``."""
    values = {}
    for field, each in declared.items():
        try:
            if text := trimmed(environ.get(each.name, "")):
                values[field] = each.read(text)
        except ValueError as exc:
            faults.append(f"{each.name} {exc}")
        except ConfigurationError as exc:
            faults.append(str(exc))
    return values
