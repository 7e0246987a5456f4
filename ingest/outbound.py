"""Connections to addresses that other people name, and never into our own network.

A name is resolved here, every address it has is checked, and the connection is made to the very one that was
checked. Neither a redirect nor a name that resolves to something else the second time gets around that. Ports are
free: whoever can name a public address can reach each of its ports without us.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA has given out no other global unicast; what Python calls global beyond it carries IPv4 addresses inside
# (IPv4-compatible, local NAT64, SIIT) or is a private range of old (site-local) or new (SRv6).
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not for hosts, though not every Python has them in its tables: documentation (RFC 9637), 6to4 relays (RFC 7526).
_NOT_HOSTS: tuple[Network, ...] = (
    ipaddress.IPv6Network("3fff::/20"),
    ipaddress.IPv4Network("192.88.99.0/24"),
)


# A server may ask for this much patience at most.
MAX_RETRY_AFTER_S = 24 * 3600.0


class AddressRefused(Exception):
    """The address must not be connected to: it is private, or no http or https URL."""


class NameUnresolved(httpcore.ConnectError):
    """The name has no address now; it may have one later."""


def check_url(url: str) -> SplitResult:
    """Return the parts of a plain http or https URL. Raises AddressRefused for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise AddressRefused(f"The address is not a URL: {exc}.") from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname or " " in parts.hostname or port == 0:
        raise AddressRefused("The address must be an http or https URL.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("The address must not hold a user name or password.")
    return parts


def wire_url(url: str) -> str:
    """Return url as it goes over the wire: host in IDNA, the rest percent-encoded UTF-8. Raises AddressRefused."""
    # Only now: httpx is slow to import, and most of what imports this module never sends anything.
    import httpx

    try:
        return str(httpx.URL(url))
    except httpx.InvalidURL as exc:
        raise AddressRefused(f"The address is not a URL: {exc}.") from exc


def literal_address(host: str) -> Address | None:
    """Return the address that a host spells out, None for a name.

    The resolver reads 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1, so they are read so here.
    """
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def is_allowed(address: Address, allowed_networks: Iterable[Network], *, public: bool = True) -> bool:
    """Return whether address is public, where that will do, or in a network that the operator allows."""
    carried = unwrap(address)
    if any(one in network for network in allowed_networks for one in (address, carried)):
        return True
    return public and _is_public_host(carried)


def _is_public_host(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST_V6:
        return False
    if any(address in network for network in _NOT_HOSTS):
        return False
    return address.is_global and not address.is_multicast


def unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one carries (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_tls_failure(exc: BaseException) -> bool:
    """Return whether TLS is at the bottom of it; httpcore raises its own error, and forgets what caused it."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__context__
    return False


def read_retry_after(retry_after: str | None) -> float | None:
    """Return the delay that a Retry-After header asks for, as seconds or as a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # Cut before it is a number: of a thousand digits none can be made.
        delay_s = float(text[:10])
    else:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        delay_s = (aware - datetime.now(UTC)).total_seconds()
    return min(max(delay_s, 0.0), MAX_RETRY_AFTER_S)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name itself and connects to the very address it has checked.

    Raises AddressRefused, and httpcore's own errors, of which NameUnresolved is one.
    """

    def __init__(self, allowed_networks: Iterable[Network] = (), *, public: bool = True) -> None:
        """Connect to the networks that the operator allows, and to public addresses unless public is False."""
        self._inner = httpcore.AnyIOBackend()
        self._allowed = tuple(allowed_networks)
        self._public = public

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        address, *_ = await self.checked_addresses(host, port, timeout)
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)

    async def checked_addresses(self, host: str, port: int, timeout_s: float | None) -> list[str]:
        """Return the addresses that host may be reached at, the preferred one first, at least one.

        For clients who connect by themselves, and to nothing else than these. Raises AddressRefused, NameUnresolved
        and httpcore.ConnectTimeout.
        """
        addresses = await _resolve(host, port, timeout_s)
        if not all(is_allowed(address, self._allowed, public=self._public) for address in addresses):
            # One private address among public ones is how a name is made to slip through.
            wanted = "a public address" if self._public else "in a network that is allowed without encryption"
            raise AddressRefused(f"{host} is not {wanted}, and nothing is sent elsewhere.")
        return [str(address) for address in addresses]

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("The address must be an http or https URL.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _resolve(host: str, port: int, timeout_s: float | None) -> list[Address]:
    """Return what the system's resolver says, its preferred address first, at least one."""
    try:
        async with asyncio.timeout(timeout_s):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as exc:
        raise httpcore.ConnectTimeout(f"The name {host} was not resolved in time.") from exc
    except (OSError, UnicodeError) as exc:
        raise NameUnresolved(f"The name {host} cannot be resolved.") from exc
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
