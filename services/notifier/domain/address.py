"""Where a webhook may go. Whoever names an address must not be able to reach what only our network can reach."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_URL = 2048

DENIED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this" network; 0.0.0.0 reaches loopback on Linux
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT; one cloud keeps its metadata at 100.100.100.200
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; most clouds keep their metadata here
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
"""Everything outside is loopback, local, multicast, mapped, NAT64 or unassigned, and is denied."""
DENIED_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address inside
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)


class BlockedAddress(ValueError):
    """The address is not on the public internet."""


class ForbiddenUrl(ValueError):
    """The URL cannot be a webhook endpoint; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class AddressRules:
    """ports: ports besides 443 that https endpoints may use. loopback: plain http to this machine is allowed too."""

    ports: frozenset[int] = frozenset()
    loopback: bool = False

    def allows(self, address: str) -> bool:
        """True where a connection to `address` (a textual IP address, as resolved) may be made."""
        return is_public(address) or (self.loopback and _is_loopback(address))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL taken apart. host: lower case, without brackets. target: path with query, at least "/"."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


def is_public(address: str) -> bool:
    """True for an address on the public internet by an explicit list; the standard library's `is_global` lets through
    NAT64, 6to4, mapped and multicast addresses that lead inside."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # also an address with a zone, which is always local
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in DENIED_V4)
    if parsed.scope_id is not None or parsed not in UNICAST_V6:
        return False
    return not any(parsed in network for network in DENIED_V6)


def parse_endpoint(url: str, rules: AddressRules) -> Endpoint:
    """Take the URL of a subscription apart. Names are not resolved here: that happens at every attempt.

    Raises ForbiddenUrl where the URL's form alone forbids it: another scheme, a user name, a fragment, a foreign port,
    an address that is not public, an unusual spelling of an address.
    """
    if len(url) > MAX_URL or not url.isascii() or any(c.isspace() or not c.isprintable() or c == "\\" for c in url):
        raise ForbiddenUrl(f"A URL has at most {MAX_URL} visible ASCII characters; write other hosts as xn--….")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ForbiddenUrl("This is not a URL. Write it like https://shop.example/fenliu.") from error
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("https", "http") or not host:
        raise ForbiddenUrl("Write the URL like https://shop.example/fenliu.")
    if "@" in parts.netloc or parts.fragment or "#" in url:
        raise ForbiddenUrl("Leave user names and fragments out; deliveries are signed instead.")
    local = rules.loopback and (host == "localhost" or _is_loopback(host))
    if parts.scheme == "http" and not local:
        raise ForbiddenUrl("Use https: deliveries carry facts about customers' tickets.")
    chosen = port if port is not None else (443 if parts.scheme == "https" else 80)
    if not local and chosen != 443 and chosen not in rules.ports:
        raise ForbiddenUrl(f"Port {chosen} is not allowed. Use 443, or ask the operator to allow it.")
    if not local:
        _check_host(host)
    return Endpoint(parts.scheme, host, chosen, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        last = host.rsplit(".", 1)[-1]
        # 127.1, 2130706433 and 0x7f000001 are addresses in disguise: a public name's last part is never a number
        if "." not in host or last.isdigit() or last.startswith("0x"):
            raise ForbiddenUrl("Use a full public host name such as hooks.shop.example.") from None
        return
    if not is_public(host):
        raise ForbiddenUrl("This address is not on the public internet, so nothing is ever sent there.")


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed in ipaddress.IPv4Network("127.0.0.0/8") if parsed.version == 4 else parsed.is_loopback
