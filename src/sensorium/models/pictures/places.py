"""Where pictures may be fetched from: addresses of the public internet, and nothing nearer.

Whoever names an address has the server ask it. So it may lead to no service that only this
machine or its network can reach, however it is written.
"""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from sensorium.core.errors import InvalidInputError

PORTS = {"http": 80, "https": 443}
MAX_CHARS = 8192
REFUSED = "pictures are fetched from public addresses only: give the file itself as `data`"
"""Said of all that is not public: whoever asks learns nothing of the network here."""
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH = "/%:=&?~#+!$,;'@()*[]-._"
_PUBLIC = ipaddress.ip_network("2000::/3")
"""What is handed out of IPv6 (RFC 4291)."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 behind a translator (RFC 6052), as networks without IPv4 see all of it."""
_NEVER = [
    ipaddress.ip_network(each)
    for each in (
        "168.63.129.16/32",  # what a cloud answers its own machines at
        "192.0.0.0/24",  # protocols' own
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocols' own, Teredo among them, which holds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds one too
        "3fff::/20",
    )
]
_TUNNEL = (0x00005EFE, 0x02005EFE)
"""What stands before an IPv4 address in an interface of ISATAP (RFC 5214)."""


class Place(NamedTuple):
    """An address of the web, in parts."""

    scheme: str
    host: str
    """In ASCII and lower case; of IPv6 without brackets."""
    port: int
    target: str
    """Path and query."""

    @property
    def url(self) -> str:
        """All of it."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """Host and port, the port where it is not the usual one."""
        return self.origin.removesuffix(f":{PORTS[self.scheme]}")

    @property
    def origin(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def place(url: str) -> Place:
    """The place that an address names.

    Raises:
        InvalidInputError: it is none of http or https, or is written so that others could read
            another host in it.
    """
    if len(url) > MAX_CHARS or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidInputError(
            f"a picture's address has no spaces, no '\\\\' and at most {MAX_CHARS} characters"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _host(parts)
    except ValueError:
        raise InvalidInputError("this is no address of a picture") from None
    if parts.scheme not in PORTS:
        raise InvalidInputError("a picture's address begins with https: or http:")
    if "@" in parts.netloc:
        raise InvalidInputError("a picture's address has no user name and no password")
    target = quote(parts.path or "/", safe=_PATH)
    if parts.query:
        target += f"?{quote(parts.query, safe=_PATH)}"
    return Place(parts.scheme, host, PORTS[parts.scheme] if port is None else port, target)


def redirected(source: Place, location: str) -> Place:
    """Where an answer sends on to.

    Raises:
        InvalidInputError: to no place; or from https to http.
    """
    try:
        found = place(urljoin(source.url, location))
    except ValueError:
        raise InvalidInputError("the picture's address leads on to what is no address") from None
    if source.scheme == "https" and found.scheme != "https":
        raise InvalidInputError("the picture's address leads on from https to http")
    return found


def is_public(text: str) -> bool:
    """Whether a numeric address is one that the public internet knows.

    An IPv4 address inside an IPv6 one counts as itself, where others may read it so.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is None:
            return address in _PUBLIC and not _is_tunnel(address) and _is_global(address)
        address = inner
    return _is_global(address)


def _is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if any(address in each for each in _NEVER):
        return False
    not_any_host = (
        address.is_multicast,
        address.is_reserved,
        address.is_unspecified,
        address.is_loopback,
        address.is_link_local,
        address.is_private,
    )
    return address.is_global and not any(not_any_host)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def _is_tunnel(address: ipaddress.IPv6Address) -> bool:
    return int(address) >> 32 & 0xFFFFFFFF in _TUNNEL


def _host(parts: SplitResult) -> str:
    """The host in ASCII; a number is written as all read it, or not taken."""
    host = parts.hostname or ""
    if "[" in parts.netloc:
        return str(ipaddress.IPv6Address(host)) if "%" not in host else _none()
    name = host.encode("idna").decode().lower().removesuffix(".")
    if not _HOST.fullmatch(name) or len(name) > 253:
        _none()
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return str(ipaddress.IPv4Address(name))
    return name


def _none() -> str:
    raise ValueError
