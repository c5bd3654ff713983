"""How the text of one environment variable is read.

Each reader raises ValueError with the end of a sentence that begins with the variable's name.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

#: How many proxies stand before us, or which networks they are in.
Proxies: TypeAlias = int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def url(text: str) -> str:
    """An address, without its trailing slash."""
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return text.rstrip("/")


def database_url(text: str) -> str:
    """PostgreSQL's address."""
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("must start with postgresql://")
    authority = text.partition("://")[2].partition("/")[0]
    if re.search(r"%(?![0-9A-Fa-f]{2})", text) or authority.count("@") > 1:
        raise ValueError("holds a % or an @ that must be percent-encoded: %25, %40")
    return text


def token(text: str) -> str:
    """A bearer token: what a header can hold."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("holds a character that no token has: copy it again")
    return text


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number between these."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
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


def time_of_day(text: str) -> dt.time:
    """A time on the clock, as ``07:00``."""
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        raise ValueError("must be a time of day such as 07:00") from None


def log_level(text: str) -> str:
    """A level of the log."""
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise ValueError("must be one of " + ", ".join(levels))
    return text.upper()


def weights(text: str) -> Mapping[str, int]:
    """Reads ``rentfeed=3,website=1``."""
    table = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, _, weight = map(str.strip, pair.partition("="))
        if not name or not weight.isdecimal() or not 1 <= int(weight) <= 100:
            raise ValueError("must be pairs such as rentfeed=3, with weights from 1 to 100")
        table[name] = int(weight)
    return table


def emails(text: str) -> frozenset[str]:
    """E-mail addresses, parted by commas, in lower case."""
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())


def spelling(words: Sequence[str]) -> Callable[[str], Mapping[str, str]]:
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


def proxies(text: str) -> Proxies:
    """A number of proxies (``1``), or the networks they are in (``10.0.0.0/8,fd00::/8``)."""
    if text.isascii() and text.isdigit() and int(text) <= 9:
        return int(text)
    try:
        return tuple(ipaddress.ip_network(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError("must be a number up to 9, or networks such as 10.0.0.0/8") from None


def users(text: str) -> Mapping[str, tuple[str, str]]:
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
