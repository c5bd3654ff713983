"""Who sent a request: the address that the proxies we trust have seen."""

import functools
import ipaddress

from adapter.settings import Proxies

#: An IPv6 address with its zone, in brackets and with a port, is shorter.
LONGEST_ADDRESS = 80

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_ip(peer: str | None, forwarded_for: str, proxies: Proxies) -> str | None:
    """The sender's address; None where it cannot be read.

    ``forwarded_for`` is X-Forwarded-For: each proxy adds, at the end, the address it was called
    from. What stands further left than our own proxies is the sender's to forge.
    """
    hops = [*filter(None, (word.strip() for word in forwarded_for.split(","))), peer or ""]
    if isinstance(proxies, int):
        hop = hops[-1 - proxies] if len(hops) > proxies else hops[-1]
    else:
        strangers = (hop for hop in reversed(hops) if not _is_proxy(hop, proxies))
        hop = next(strangers, hops[0])
    address = _address(hop)
    return None if address is None else str(address)


def is_private(peer: str) -> bool:
    """Whether an address is one of a machine or a network of our own, as a proxy's mostly is."""
    address = _address(peer)
    return address is not None and address.is_private


def rate_limit_key(client: str | None) -> str:
    """What a limit counts an address under: an IPv6 sender has its whole /64 to call from."""
    address = _address(client or "")
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)


def host_of(called: str) -> str:
    """The name or address in ``localhost:8000``, ``[::1]:8000`` or ``leads.example.com``."""
    return called if called.endswith("]") else called.rpartition(":")[0] or called


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_proxy(hop: str, proxies: Proxies) -> bool:
    address = _address(hop)
    return address is not None and any(address in network for network in proxies)  # type: ignore[union-attr]


def _address(text: str) -> Address | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:443``, ``2001:db8::1`` or ``[2001:db8::1]:443``."""
    return _parsed(text) if len(text) <= LONGEST_ADDRESS else None


#: Each call is looked at twice, and senders call again. What a stranger writes stays small.
@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A dual-stack socket shows IPv4 senders as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address
