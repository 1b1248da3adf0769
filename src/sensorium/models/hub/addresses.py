"""Where a request may go: to which schemes, and from which kind of network to which."""

import ipaddress
from enum import IntEnum
from urllib.parse import quote, urljoin, urlsplit

from sensorium.core.errors import UnavailableError

Origin = tuple[str, str, int]
"""Scheme, host and port: what a token belongs to."""
PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")
)
"""Where clouds tell a machine its secrets."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(IntEnum):
    """How far an address is; a redirect never leads nearer."""

    LOOPBACK = 1
    PRIVATE = 2
    PUBLIC = 3


def origin(url: str) -> Origin:
    """The origin of an address of http or https."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS[parts.scheme]


def reach(text: str) -> Reach | None:
    """How far a numeric address is; None for one that nothing is ever fetched from.

    An IPv4 address inside an IPv6 one counts as itself.
    """
    address = _inner(ipaddress.ip_address(text.partition("%")[0]))
    never = (address.is_link_local, address.is_unspecified, address.is_multicast)
    if any(never) or address in METADATA:
        return None
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_global:
        return Reach.PUBLIC
    return None if address.is_reserved else Reach.PRIVATE


def follow(url: str, location: str) -> str:
    """The address that a redirect leads to.

    Raises:
        UnavailableError: it leads from https to http, or to something that is neither.
    """
    try:
        target = urljoin(url, quote(location, safe="%/:=&?~#+!$,;'@()*[]-._")).partition("#")[0]
        parts = urlsplit(target)
        bad = parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc
        _ = parts.port
    except ValueError:
        bad, target, parts = True, "", urlsplit("")
    if bad or (urlsplit(url).scheme == "https" and parts.scheme != "https"):
        raise UnavailableError(
            "the server redirects to an address that is not followed: from https to "
            f"{parts.scheme[:20] or 'no scheme'}",
            details={"reason": "redirect"},
        )
    return target


def _inner(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
