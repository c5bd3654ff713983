"""Check the sender's IP address against ``allow_ips``, in addition to the signature."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from adapter.exceptions import ConfigurationError, VerificationError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_from_block(block: Mapping[str, object]) -> tuple[Network, ...]:
    """Return the networks in ``allow_ips``, or an empty tuple if all addresses are allowed."""
    if "allow_ips" not in block:
        return ()
    values = block["allow_ips"]
    if not isinstance(values, list | tuple) or not values:
        raise ConfigurationError("'allow_ips' must be a list of networks, such as 192.0.2.0/24")
    return tuple(_network(text) for text in values)


def check_address(client: str | None, networks: Sequence[Network]) -> None:
    """Raise :class:`VerificationError` if the client's IP address is not in any of the networks."""
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        raise VerificationError("address_unknown") from None
    # On a dual-stack socket, IPv4 senders appear as ::ffff:192.0.2.1.
    address = getattr(address, "ipv4_mapped", None) or address
    if not any(address in network for network in networks):
        raise VerificationError("address_not_allowed")


def _network(text: object) -> Network:
    try:
        return ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError:
        raise ConfigurationError(
            f"'allow_ips' contains {text!r}, which is not a network; write it as 192.0.2.0/24"
        ) from None
