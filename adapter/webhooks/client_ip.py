"""Determine a sender's IP address from X-Forwarded-For and the trusted proxies."""

import functools
import ipaddress

from adapter.settings import Proxies

#: Maximum length, longer than any IPv6 address with a zone, brackets and a port.
LONGEST_ADDRESS = 80

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_ip(peer: str | None, forwarded_for: str, proxies: Proxies) -> str | None:
    """Return the sender's IP address, or None if the request has no valid address.

    ``forwarded_for`` is X-Forwarded-For. Each proxy appends the IP address that called it. The
    sender may have forged everything to the left of our own proxies.
    """
    hops = [*filter(None, (word.strip() for word in forwarded_for.split(","))), peer or ""]
    if isinstance(proxies, int):
        hop = hops[-1 - proxies] if len(hops) > proxies else hops[-1]
    else:
        untrusted = (hop for hop in reversed(hops) if not _is_proxy(hop, proxies))
        hop = next(untrusted, hops[0])
    address = _parse_bounded(hop)
    return None if address is None else str(address)


def is_private(peer: str) -> bool:
    """Return True if an IP address is private, like that of most reverse proxies."""
    address = _parse_bounded(peer)
    return address is not None and address.is_private


def is_address(text: str) -> bool:
    """Return True if the text is a valid IP address, with or without a port."""
    return _parse_bounded(text) is not None


def rate_limit_key(client: str | None) -> str:
    """Return the rate limit key for an IP address. For IPv6, it is the /64 network."""
    address = _parse_bounded(client or "")
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)


def host_of(netloc: str) -> str:
    """Return the host part of ``localhost:8000``, ``[::1]:8000`` or ``leads.example.com``."""
    return netloc if netloc.endswith("]") else netloc.rpartition(":")[0] or netloc


def is_loopback(host: str) -> bool:
    """Return True if the host is ``localhost`` or a loopback IP address."""
    address = _parse_bounded(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_proxy(hop: str, proxies: Proxies) -> bool:
    address = _parse_bounded(hop)
    return address is not None and any(address in network for network in proxies)  # type: ignore[union-attr]


def _parse_bounded(text: str) -> Address | None:
    """Parse an IP address with an optional port, such as ``[2001:db8::1]:443``."""
    return _parse(text) if len(text) <= LONGEST_ADDRESS else None


#: Cached, because each address is parsed twice per request. The length limit keeps the cache small.
@functools.lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # On a dual-stack socket, IPv4 senders appear as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address
